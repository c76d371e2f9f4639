/* SPDX-License-Identifier: Apache-2.0 */
/* What certificate.c, which takes certificates apart, and verification.c, which judges them, share.
 */
#ifndef GATEKEY_COMMAND_CERTIFICATE_INTERNAL_H
#define GATEKEY_COMMAND_CERTIFICATE_INTERNAL_H

#include "agent/command/certificate.h"

#include <openssl/x509.h>

/* A chain from a hub is short; more than this is nonsense. */
#define CERTIFICATE_CHAIN_MAX 8

/* Files of roots and of issuers collect more over the years, and an owner's may be a bundle. */
#define CERTIFICATE_ISSUERS_MAX 512

struct certificate {
    X509 *leaf;
    STACK_OF(X509) * issuers; /* roots included, in the order given */
    char serial[49];
    char *subject, *subject_name;
    int64_t begin, end;
};

/* All certificates of a PEM text, 1 to max; other blocks are passed over. what is for errors. */
enum gk_status certificate_parse_all(struct agent_openssl *openssl, const char *pem, size_t max,
                                     const char *what, STACK_OF(X509) * *all,
                                     struct gk_error *err) GK_MUST_CHECK;

/* Take over a leaf and its issuers, also when it fails: with GK_BAD_CERTIFICATE, GK_NO_MEMORY.
 */
enum gk_status certificate_make(X509 **leaf, STACK_OF(X509) * *issuers,
                                struct certificate **certificate,
                                struct gk_error *err) GK_MUST_CHECK;

/* Whose word is taken for a certificate (issuer.c). */

/*
 * The CAs that may issue a certificate that was carried in: those of issuer-ca.pem, of [hub]
 * ca_file and of server-ca.pem, each of which may be missing. Fails with GK_BAD_CERTIFICATE and as
 * reading the files does.
 */
enum gk_status issuer_read_known(const struct agent_config *config, struct agent_openssl *openssl,
                                 STACK_OF(X509) * *known, struct gk_error *err) GK_MUST_CHECK;

#define ISSUER_FINGERPRINT_SIZE 96 /* SHA-256 in hex with colons, NUL included */

/* Fails with GK_CRYPTO_FAILED. */
enum gk_status issuer_fingerprint(struct agent_openssl *openssl, const X509 *x509,
                                  char text[static ISSUER_FINGERPRINT_SIZE],
                                  struct gk_error *err) GK_MUST_CHECK;

/* Are these two writings of one fingerprint? Colons and case do not count. */
bool issuer_fingerprint_matches(const char *left, const char *right);

/* One more reference to one, on top of a stack. False when out of memory. */
bool issuer_push(STACK_OF(X509) * stack, X509 *x509);

static inline void free_x509p(X509 **x509)
{
    X509_free(*x509);
}

static inline void free_stackp(STACK_OF(X509) * *stack)
{
    sk_X509_pop_free(*stack, X509_free);
}

#endif
