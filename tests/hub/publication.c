/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What everybody may read: the root, and the revocation list as PEM or DER, with what a cache needs
 * to know.
 */
#include "tests/hub/file.h"
#include "tests/hub/keeping.h"
#include "tests/hub/route.h"
#include "tests/hub/text.h"

#include <microhttpd.h>
#include <openssl/pem.h>
#include <time.h>

#define HTTP_DATE "%a, %d %b %Y %H:%M:%S GMT"
#define ETAG_BYTES 16

GK_DEFINE_CLEANUP(BIO, BIO_free_all)
GK_DEFINE_CLEANUP(X509_CRL, X509_CRL_free)

static void set_etag(struct hub_answer *answer)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    char hex[HUB_HEX_SIZE(ETAG_BYTES)];

    if (EVP_Digest(answer->text, answer->text_size, digest, NULL, EVP_sha256(), NULL) == 1) {
        hub_hex(digest, ETAG_BYTES, hex);
        snprintf(answer->etag, sizeof(answer->etag), "\"%s\"", hex);
    }
}

/* Good enough to ask by, because the CA signs no two lists in the same second. */
static void set_modified(struct hub_answer *answer, time_t modified)
{
    struct tm parts;

    if (gmtime_r(&modified, &parts) != NULL) {
        strftime(answer->modified, sizeof(answer->modified), HTTP_DATE, &parts);
    }
}

static bool is_known_to_caller(const struct hub_call *call, const struct hub_answer *answer,
                               time_t modified)
{
    const char *tag = hub_call_header(call, MHD_HTTP_HEADER_IF_NONE_MATCH);
    const char *since = hub_call_header(call, MHD_HTTP_HEADER_IF_MODIFIED_SINCE);
    struct tm parts = { 0 };

    /* RFC 9110, 13.1.3: the date is not looked at where there is a tag. */
    if (tag != NULL) {
        return strstr(tag, answer->etag) != NULL || strcmp(tag, "*") == 0;
    }
    return since != NULL && *answer->modified != '\0' &&
           strptime(since, HTTP_DATE, &parts) != NULL && modified <= timegm(&parts);
}

static void spare_the_caller(struct hub_answer *answer)
{
    answer->http = MHD_HTTP_NOT_MODIFIED;
    answer->text_size = 0;
}

void hub_publish_root(struct hub_call *call, struct hub_answer *answer)
{
    struct gk_error err = { 0 };

    if (hub_file_read(HUB_PUBLISHED_ROOTS_FILE, &answer->text, &err) != GK_OK) {
        hub_answer_fault(answer, "read the roots", &err);
        return;
    }
    answer->text_size = strlen(answer->text);
    answer->text_type = "application/x-pem-file";
    set_etag(answer);
    if (is_known_to_caller(call, answer, 0)) {
        spare_the_caller(answer);
    }
}

/* The list as it is, or as a test wants it. The caller frees it. */
static enum gk_status read_crl(struct hub *hub, char **pem, struct gk_error *err)
{
    CLEANUP(hub_ca_lists_clear) struct hub_ca_lists lists = { 0 };
    char value[HUB_FAULT_VALUE_SIZE];
    enum gk_status status;

    if (!hub_fault_take(hub->faults, HUB_FAULT_CRL, value)) {
        return hub_file_read(HUB_CRL_FILE, pem, err);
    }
    status = hub_ca_lists(hub->ca, value, &lists, err);
    if (status == GK_OK) {
        *pem = TAKE(lists.published);
    }
    return status;
}

static bool wants_der(const struct hub_call *call)
{
    const char *format = hub_call_parameter(call, "format");
    size_t length = strlen(call->path);

    return (format != NULL && strcmp(format, "der") == 0) ||
           (length > 4 && strcmp(call->path + length - 4, ".der") == 0);
}

static time_t time_of(const X509_CRL *crl)
{
    struct tm parts = { 0 };

    return ASN1_TIME_to_tm(X509_CRL_get0_lastUpdate(crl), &parts) == 1 ? timegm(&parts) : 0;
}

static enum gk_status write_der(const X509_CRL *crl, struct hub_answer *answer,
                                struct gk_error *err)
{
    int size = i2d_X509_CRL(crl, NULL);
    char *der = size > 0 ? malloc((size_t)size) : NULL;
    uint8_t *end = (uint8_t *)der;

    if (der == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    free(answer->text);
    answer->text = der;
    answer->text_size = (size_t)i2d_X509_CRL(crl, &end);
    answer->text_type = "application/pkix-crl";
    return GK_OK;
}

static enum gk_status answer_crl(struct hub_call *call, struct hub_answer *answer, time_t *modified,
                                 struct gk_error *err)
{
    CLEANUP(BIO_free_allp) BIO *source = NULL;
    CLEANUP(X509_CRL_freep) X509_CRL *crl = NULL;
    enum gk_status status = read_crl(call->hub, &answer->text, err);

    if (status != GK_OK) {
        return status;
    }
    source = BIO_new_mem_buf(answer->text, -1);
    crl = PEM_read_bio_X509_CRL(source, NULL, NULL, NULL);
    if (crl == NULL) {
        return gk_fail(err, GK_BAD_FILE, HUB_CRL_FILE);
    }
    *modified = time_of(crl);
    answer->text_size = strlen(answer->text);
    answer->text_type = "application/x-pem-file";
    return wants_der(call) ? write_der(crl, answer, err) : GK_OK;
}

void hub_publish_crl(struct hub_call *call, struct hub_answer *answer)
{
    struct gk_error err = { 0 };
    time_t modified = 0;

    if (answer_crl(call, answer, &modified, &err) != GK_OK) {
        hub_answer_fault(answer, "read the revocation list", &err);
        return;
    }
    set_etag(answer);
    set_modified(answer, modified);
    if (is_known_to_caller(call, answer, modified)) {
        spare_the_caller(answer);
    }
}
