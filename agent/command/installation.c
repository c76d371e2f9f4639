/* SPDX-License-Identifier: Apache-2.0 */
/* Installs a certificate so that whoever is killed in between can be followed by another run. */
#include "agent/command/enroll.h"

#include "agent/clock.h"
#include "agent/file.h"
#include "identity/identity.h"

#include <time.h>

/* Key reference and certificate in one file, for programs that take one. */
static enum gk_status write_identity(struct enrolment *e, struct gk_error *err)
{
    const char *directory = e->config->directory;
    CLEANUP(gk_content_clear) struct gk_content key = { 0 };
    CLEANUP(gk_content_clear) struct gk_content chain = { 0 };
    CLEANUP(gk_content_clear) struct gk_content there = { 0 };
    CLEANUP(gk_freep) char *both = NULL;
    enum gk_status status = gk_identity_read(directory, GK_FILE_DEVICE, &key, err);

    if (status == GK_NO_FILE) {
        return GK_OK; /* the key is another program's, which has no file of ours */
    }
    if (status == GK_OK) {
        status = gk_identity_read(directory, GK_FILE_CERTIFICATE, &chain, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (asprintf(&both, "%s%s", key.data, chain.data) < 0) {
        both = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = gk_identity_read(directory, GK_FILE_IDENTITY, &there, err);
    if (status == GK_OK && strcmp(there.data, both) == 0) {
        return GK_OK;
    }
    return agent_file_replace(directory, GK_FILE_IDENTITY, both, strlen(both), AGENT_FOR_ALL, err);
}

/* Another is installed, so that the one before, which the state still names, can go. */
static enum gk_status drop_replaced(struct enrolment *e, const char *serial, struct gk_error *err)
{
    if (hub_is_configured(e->config)) {
        return enrolment_revoke_replaced(e, serial, err);
    }
    say_note(e->run, "certificate %s is replaced; have it revoked at the hub",
             e->state.certificate_sn);
    return GK_OK;
}

/* It began, so that much time has certainly passed. A floor that cannot be moved is no reason to
 * have no certificate. */
static void raise_clock(struct enrolment *e, const struct certificate *certificate)
{
    struct gk_error err = { 0 };
    char sentence[512];

    if (agent_clock_raise(e->config, AGENT_CLOCK_CERTIFICATE, certificate_begin(certificate),
                          &err) != GK_OK) {
        gk_error_sentence(&err, "note the time that the certificate proves", sentence,
                          sizeof(sentence));
        say_note(e->run, "%s", sentence);
    }
}

enum gk_status enrolment_settle(struct enrolment *e, const struct certificate *certificate,
                                struct gk_error *err)
{
    const char *serial = certificate_serial(certificate);
    bool is_noted = strcmp(e->state.certificate_sn, serial) == 0;
    enum gk_status status = write_identity(e, err);

    if (status != GK_OK || (is_noted && e->state.stage >= AGENT_STAGE_CERTIFIED)) {
        return status;
    }
    if (!is_noted && e->state.certificate_sn[0] != '\0') {
        status = drop_replaced(e, serial, err);
    }
    if (status != GK_OK) {
        return status;
    }
    raise_clock(e, certificate);
    snprintf(e->state.certificate_sn, sizeof(e->state.certificate_sn), "%s", serial);
    e->state.certified = time(NULL);
    e->state.settled = e->state.certified;
    return enrolment_write(e, AGENT_STAGE_CERTIFIED, err);
}

enum gk_status enrolment_install(struct enrolment *e, const struct certificate *certificate,
                                 struct gk_error *err)
{
    const char *directory = e->config->directory;
    CLEANUP(gk_freep) char *chain = certificate_format_chain(certificate);
    CLEANUP(gk_freep) char *issuers = NULL;
    enum gk_status status =
        certificate_unite_issuers(e->config, e->openssl, certificate, &issuers, err);

    if (status == GK_OK && chain == NULL) {
        status = gk_fail(err, GK_NO_MEMORY, NULL);
    }
    /* Whoever finds cert.pem also finds what it is checked by. */
    if (status == GK_OK) {
        status = agent_file_replace(directory, GK_FILE_ISSUER_CA, issuers, strlen(issuers),
                                    AGENT_FOR_ALL, err);
    }
    if (status == GK_OK) {
        status = agent_file_replace(directory, GK_FILE_CERTIFICATE, chain, strlen(chain),
                                    AGENT_FOR_ALL, err);
    }
    return status == GK_OK ? enrolment_settle(e, certificate, err) : status;
}
