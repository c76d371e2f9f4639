/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the floor below which no clock is believed. */
#include "agent/clock.h"

#include "agent/clock-file.h"
#include "cleanup.h"
#include "identity/identity.h"

#include <config.h> /* not agent/config.h */
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#define YEAR_S ((int64_t)31556952)
#define LIFE_S (20 * YEAR_S) /* of a build: nothing is believed beyond */
#define HTTPS_STEP_S 3600

GK_DEFINE_CLEANUP(BIO, BIO_vfree)
GK_DEFINE_CLEANUP(OSSL_LIB_CTX, OSSL_LIB_CTX_free)
GK_DEFINE_CLEANUP(X509, X509_free)

int64_t agent_clock_build(void)
{
    return GK_BUILD_DATE;
}

/* When our certificate ends; 0 where there is none. */
static int64_t certificate_end(const struct agent_config *config)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    /* Of our own, so that no openssl.cnf is read. */
    CLEANUP(OSSL_LIB_CTX_freep) OSSL_LIB_CTX *context = NULL;
    CLEANUP(BIO_vfreep) BIO *bio = NULL;
    CLEANUP(X509_freep) X509 *x509 = NULL;
    struct tm tm;

    if (gk_identity_read(config->directory, GK_FILE_CERTIFICATE, &content, NULL) != GK_OK) {
        return 0;
    }
    context = OSSL_LIB_CTX_new();
    x509 = X509_new_ex(context, NULL);
    bio = BIO_new_mem_buf(content.data, (int)content.size);
    if (context == NULL || x509 == NULL || bio == NULL ||
        PEM_read_bio_X509(bio, &x509, NULL, NULL) == NULL ||
        ASN1_TIME_to_tm(X509_get0_notAfter(x509), &tm) != 1) {
        return 0;
    }
    return (int64_t)timegm(&tm);
}

static int64_t ceiling(const struct agent_config *config)
{
    int64_t life = GK_BUILD_DATE + LIFE_S, end = certificate_end(config);

    return end > GK_BUILD_DATE && end < life ? end : life;
}

/*
 * What stands beyond the ceiling was raised under another certificate, or is not ours: the file
 * belongs to the service's user, and root reads it too.
 */
static bool is_beyond(const struct agent_config *config, const struct agent_clock_record *record)
{
    return record->floor > (int64_t)time(NULL) && record->floor > ceiling(config);
}

int64_t agent_clock_floor(const struct agent_config *config)
{
    struct agent_clock_record record;

    /* What cannot be read is a new gateway's: whoever shows the file says what is wrong with it. */
    (void)!agent_clock_read(config->state_directory, &record, NULL);
    return is_beyond(config, &record) ? GK_BUILD_DATE : record.floor;
}

int64_t agent_clock_now(const struct agent_config *config)
{
    int64_t now = (int64_t)time(NULL), floor = agent_clock_floor(config);

    return now > floor ? now : floor;
}

struct claim {
    const struct agent_config *config;
    enum agent_clock_source source;
    int64_t passed;
};

static bool raise_floor(struct agent_clock_record *record, void *context)
{
    const struct claim *claim = context;
    int64_t step = claim->source == AGENT_CLOCK_HTTPS ? HTTPS_STEP_S : 1;

    if (is_beyond(claim->config, record)) {
        record->floor = GK_BUILD_DATE;
        record->source = AGENT_CLOCK_BUILD;
    }
    if (claim->passed < record->floor + step) {
        return false;
    }
    if (claim->passed > ceiling(claim->config)) {
        bool is_known = record->refused == claim->passed && record->refused_source == claim->source;

        record->refused = claim->passed;
        record->refused_source = claim->source;
        return !is_known;
    }
    record->floor = claim->passed;
    record->source = claim->source;
    return true;
}

enum gk_status agent_clock_raise(const struct agent_config *config, enum agent_clock_source source,
                                 int64_t passed, struct gk_error *err)
{
    struct claim claim = { config, source, passed };

    /* Nearly always nothing is to be done, and then nothing is locked or made. */
    if (passed <= agent_clock_floor(config)) {
        return GK_OK;
    }
    return agent_clock_change(config->state_directory, raise_floor, &claim, err);
}

static bool begin_anew(struct agent_clock_record *record, void *context)
{
    struct agent_clock_report report = record->report;

    (void)context;
    *record = (struct agent_clock_record){ .floor = GK_BUILD_DATE, .source = AGENT_CLOCK_BUILD };
    report.stands = false;
    report.held = false;
    record->report = report; /* the hub may yet have to be told */
    return true;
}

enum gk_status agent_clock_accept(const struct agent_config *config, struct gk_error *err)
{
    return agent_clock_change(config->state_directory, begin_anew, NULL, err);
}

enum gk_status agent_clock_forget(const struct agent_config *config, struct gk_error *err)
{
    return agent_clock_remove(config->state_directory, err);
}
