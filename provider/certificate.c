/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates: the gateway's own and its chain, from cert.pem. The whole file is looked at before
 * any of it is handed out, so that one with something else in it is refused with a reason.
 */
#include "provider/internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>

GK_DEFINE_CLEANUP(BIO, BIO_vfree)
GK_DEFINE_CLEANUP(X509, X509_free)

/* One PEM block. */
struct block {
    char *label;
    char *header;
    unsigned char *data;
    long size;
};

static void block_clear(struct block *block)
{
    OPENSSL_free(block->label);
    OPENSSL_free(block->header);
    /* It may be somebody's private key, however it came there. */
    OPENSSL_clear_free(block->data, block->size > 0 ? (size_t)block->size : 0);
}

void prov_certificates_clear(struct prov_certificates *certificates)
{
    for (size_t i = 0; i < certificates->count; i++) {
        X509_free(certificates->list[i]);
    }
    *certificates = (struct prov_certificates){ .count = 0 };
}

static enum gk_status take(const struct block *block, const char *path,
                           struct prov_certificates *certificates, struct gk_error *err)
{
    CLEANUP(X509_freep) X509 *certificate = NULL;
    const unsigned char *at = block->data;

    if (strstr(block->label, "PRIVATE KEY") != NULL) {
        (void)gk_fail(err, GK_BAD_FILE, "%s has a private key in it", path);
        gk_advise(err, "take it out, and take it for known: everybody can read that file");
        return GK_BAD_FILE;
    }
    if (strcmp(block->label, PEM_STRING_X509) != 0 || block->header[0] != '\0') {
        return gk_fail(err, GK_BAD_FILE, "%s has something other than certificates in it", path);
    }
    certificate = d2i_X509(NULL, &at, block->size);
    if (certificate == NULL || at != block->data + block->size) {
        return gk_fail(err, GK_BAD_FILE, "certificate %zu in %s is damaged",
                       certificates->count + 1, path);
    }
    if (certificates->count == PROV_CERTIFICATES_MAX) {
        return gk_fail(err, GK_BAD_FILE, "%s has more than %d certificates in it", path,
                       PROV_CERTIFICATES_MAX);
    }
    certificates->list[certificates->count++] = TAKE(certificate);
    return GK_OK;
}

static enum gk_status take_all(BIO *bio, const char *path, struct prov_certificates *certificates,
                               struct gk_error *err)
{
    enum gk_status status = GK_OK;

    while (status == GK_OK) {
        CLEANUP(block_clear) struct block block = { NULL, NULL, NULL, 0 };

        if (!PEM_read_bio(bio, &block.label, &block.header, &block.data, &block.size)) {
            break;
        }
        status = take(&block, path, certificates, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        return gk_fail(err, GK_BAD_FILE, "certificate %zu in %s is damaged",
                       certificates->count + 1, path);
    }
    return certificates->count > 0 ? GK_OK
                                   : gk_fail(err, GK_BAD_FILE, "%s has no certificate in it", path);
}

static enum gk_status parse(const struct gk_content *content, const char *path,
                            struct prov_certificates *certificates, struct gk_error *err)
{
    CLEANUP(BIO_vfreep) BIO *bio = BIO_new_mem_buf(content->data, (int)content->size);
    CLEANUP(prov_certificates_clear) struct prov_certificates found = { .count = 0 };
    enum gk_status status;

    if (bio == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    ERR_set_mark();
    status = take_all(bio, path, &found, err);
    ERR_pop_to_mark();
    if (status == GK_OK) {
        *certificates = found;
        found.count = 0;
    }
    return status;
}

enum gk_status prov_certificates_read(struct prov_context *context,
                                      struct prov_certificates *certificates, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { NULL, 0 };
    CLEANUP(gk_freep) char *path = NULL;
    const char *directory;
    enum gk_status status = prov_context_directory(context, &directory, err);

    if (status == GK_OK) {
        status = gk_identity_read(directory, GK_FILE_CERTIFICATE, &content, err);
    }
    if (status == GK_NO_FILE) {
        return gk_fail(err, GK_NOT_ENROLLED, "there is no %s/%s", directory, GK_FILE_CERTIFICATE);
    }
    if (status != GK_OK) {
        return status;
    }
    if (asprintf(&path, "%s/%s", directory, GK_FILE_CERTIFICATE) < 0) {
        path = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return parse(&content, path, certificates, err);
}
