/* SPDX-License-Identifier: Apache-2.0 */
/* What certificate.c, which takes certificates apart, and verification.c, which judges them, share.
 */
#ifndef GATEKEY_COMMAND_CERTIFICATE_INTERNAL_H
#define GATEKEY_COMMAND_CERTIFICATE_INTERNAL_H

#include "agent/command/certificate.h"

#include <openssl/x509.h>

/* A chain from a hub is short; more than this is nonsense. */
#define CERTIFICATE_CHAIN_MAX 8

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

static inline void free_x509p(X509 **x509)
{
    X509_free(*x509);
}

static inline void free_stackp(STACK_OF(X509) * *stack)
{
    sk_X509_pop_free(*stack, X509_free);
}

#endif
