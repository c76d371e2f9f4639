/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps several issuing CAs in one file, so that an old certificate is still checked by its own. */
#include "agent/command/issuers.h"

#include "cleanup.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

static void free_biop(BIO **bio)
{
    BIO_free(*bio);
}

static void free_x509p(X509 **x509)
{
    X509_free(*x509);
}

static void free_stackp(STACK_OF(X509) * *stack)
{
    sk_X509_pop_free(*stack, X509_free);
}

static bool is_there(const STACK_OF(X509) * all, const X509 *one)
{
    for (int i = 0; i < sk_X509_num(all); i++) {
        if (X509_cmp(sk_X509_value(all, i), one) == 0) {
            return true;
        }
    }
    return false;
}

/* Add those of a PEM text that still count; after 0 all do. What is too much is left out. */
static enum gk_status add(struct agent_openssl *openssl, const char *pem, time_t after,
                          STACK_OF(X509) * all, struct gk_error *err)
{
    CLEANUP(free_biop) BIO *bio = BIO_new_mem_buf(pem, -1);

    while (bio != NULL) {
        CLEANUP(free_x509p)
        X509 *one = X509_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));

        if (one == NULL) {
            break;
        }
        if (PEM_read_bio_X509(bio, &one, NULL, NULL) == NULL) {
            agent_openssl_error(NULL, GK_BAD_CERTIFICATE, ""); /* the end is an error to OpenSSL */
            return BIO_pending(bio) == 0
                       ? GK_OK
                       : gk_fail(err, GK_BAD_CERTIFICATE, "its issuer makes no sense");
        }
        if (sk_X509_num(all) == ISSUERS_MAX || is_there(all, one) ||
            (after != 0 && X509_cmp_time(X509_get0_notAfter(one), &after) < 0)) {
            continue;
        }
        if (sk_X509_push(all, one) == 0) {
            break;
        }
        one = NULL;
    }
    return gk_fail(err, GK_NO_MEMORY, NULL);
}

enum gk_status issuers_unite(struct agent_openssl *openssl, const char *newer, const char *older,
                             int64_t now, char **united, struct gk_error *err)
{
    CLEANUP(free_stackp) STACK_OF(X509) *all = sk_X509_new_null();
    CLEANUP(free_biop) BIO *bio = BIO_new(BIO_s_mem());
    enum gk_status status;
    char *data;
    long size;

    if (all == NULL || bio == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = add(openssl, newer, 0, all, err);
    if (status == GK_OK) {
        status = add(openssl, older, (time_t)now, all, err);
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
    *united = strndup(data, (size_t)size);
    return *united != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}
