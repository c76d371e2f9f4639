/* SPDX-License-Identifier: Apache-2.0 */
/* The CAs that issue our certificates: which are known here, and the file that collects them. */
#include "agent/command/certificate-internal.h"

#include "agent/file.h"
#include "identity/identity.h"

#include <ctype.h>
#include <openssl/pem.h>

static void free_biop(BIO **bio)
{
    BIO_free(*bio);
}

bool issuer_push(STACK_OF(X509) * stack, X509 *x509)
{
    if (sk_X509_push(stack, x509) == 0) {
        return false;
    }
    return X509_up_ref(x509) == 1;
}

static bool holds(const STACK_OF(X509) * stack, const X509 *x509)
{
    for (int i = 0; i < sk_X509_num(stack); i++) {
        if (X509_cmp(sk_X509_value(stack, i), x509) == 0) {
            return true;
        }
    }
    return false;
}

/* Put what is not there yet behind it. */
static enum gk_status add_all(STACK_OF(X509) * stack, const STACK_OF(X509) * more,
                              struct gk_error *err)
{
    for (int i = 0; i < sk_X509_num(more); i++) {
        X509 *one = sk_X509_value(more, i);

        if (!holds(stack, one) && !issuer_push(stack, one)) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
    }
    return GK_OK;
}

/* The certificates of one file; a missing one has none. */
static enum gk_status add_content(struct agent_openssl *openssl, enum gk_status read,
                                  const struct gk_content *content, const char *name,
                                  STACK_OF(X509) * stack, struct gk_error *err)
{
    CLEANUP(free_stackp) STACK_OF(X509) *found = NULL;
    enum gk_status status = read;

    if (status == GK_NO_FILE) {
        return GK_OK;
    }
    if (status == GK_OK) {
        status = certificate_parse_all(openssl, content->data, CERTIFICATE_ISSUERS_MAX, name,
                                       &found, err);
    }
    return status == GK_OK ? add_all(stack, found, err) : status;
}

static enum gk_status add_file(const struct agent_config *config, struct agent_openssl *openssl,
                               const char *name, STACK_OF(X509) * stack, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    enum gk_status status = gk_identity_read(config->directory, name, &content, err);

    return add_content(openssl, status, &content, name, stack, err);
}

enum gk_status issuer_read_known(const struct agent_config *config, struct agent_openssl *openssl,
                                 STACK_OF(X509) * *known, struct gk_error *err)
{
    CLEANUP(free_stackp) STACK_OF(X509) *all = sk_X509_new_null();
    CLEANUP(gk_content_clear) struct gk_content owners = { 0 };
    enum gk_status status;

    if (all == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = add_file(config, openssl, GK_FILE_ISSUER_CA, all, err);
    if (status == GK_OK) {
        status = add_file(config, openssl, GK_FILE_SERVER_CA, all, err);
    }
    if (status == GK_OK && config->hub_ca_file != NULL) {
        status = agent_file_read(config->hub_ca_file, GK_FILE_MAX, &owners, err);
        /* The owner named it, so here a missing one is a failure. */
        if (status == GK_OK) {
            status = add_content(openssl, status, &owners, config->hub_ca_file, all, err);
        }
    }
    if (status == GK_OK) {
        *known = TAKE(all);
    }
    return status;
}

enum gk_status issuer_fingerprint(struct agent_openssl *openssl, const X509 *x509,
                                  char text[static ISSUER_FINGERPRINT_SIZE], struct gk_error *err)
{
    const struct gk_crypto *crypto = agent_openssl_crypto(openssl);
    uint8_t digest[GK_HASH_MAX_SIZE];
    unsigned char *encoded = NULL;
    int size = i2d_X509(x509, &encoded);
    int done =
        size > 0 ? crypto->hash(crypto->context, GK_SHA256, encoded, (size_t)size, digest) : -1;

    OPENSSL_free(encoded);
    if (done != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "a certificate's fingerprint");
    }
    for (size_t i = 0; i < 32; i++) {
        snprintf(text + 3 * i, 4, "%02X%s", digest[i], i < 31 ? ":" : "");
    }
    return GK_OK;
}

bool issuer_fingerprint_matches(const char *left, const char *right)
{
    for (;; left++, right++) {
        left += strspn(left, ":");
        right += strspn(right, ":");
        if (toupper((unsigned char)*left) != toupper((unsigned char)*right)) {
            return false;
        }
        if (*left == '\0') {
            return true;
        }
    }
}

enum gk_status certificate_unite_issuers(const struct agent_config *config,
                                         struct agent_openssl *openssl,
                                         const struct certificate *certificate, char **pem,
                                         struct gk_error *err)
{
    CLEANUP(free_stackp) STACK_OF(X509) *all = sk_X509_new_null();
    CLEANUP(free_biop) BIO *bio = BIO_new(BIO_s_mem());
    enum gk_status status;
    char *data;
    long size;

    if (all == NULL || bio == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = add_all(all, certificate->issuers, err);
    if (status == GK_OK) {
        status = add_file(config, openssl, GK_FILE_ISSUER_CA, all, err);
    }
    if (status != GK_OK) {
        return status;
    }
    for (int i = 0; i < sk_X509_num(all); i++) {
        if (PEM_write_bio_X509(bio, sk_X509_value(all, i)) != 1) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
    }
    size = BIO_get_mem_data(bio, &data);
    *pem = strndup(data, (size_t)size);
    return *pem != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}
