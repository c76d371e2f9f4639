/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate requests: a device's, read as strictly as EnOS does, and the hub's own. Nothing here
 * keeps anything; safe from several threads.
 */
#ifndef GATEKEY_HUB_REQUEST_H
#define GATEKEY_HUB_REQUEST_H

#include "cleanup.h"
#include "error.h"

#include <openssl/x509.h>

/* A certificate request that was read and found good. */
struct hub_request {
    X509_REQ *request;
    char common_name[65 * 4]; /* 64 characters of UTF-8 */
    char key_digest[65];      /* SHA-256 of the public key's DER */
};

void hub_request_clear(struct hub_request *request);

/*
 * Read a PEM request as EnOS would: RSA with exactly 2048 bits, signed by that key with
 * SHA256withRSA (PKCS#1 v1.5), and C, ST, L, O, OU and CN in the subject. Otherwise GK_NOT_RSA2048
 * or GK_BAD_FILE with the reason as the error's object.
 */
GK_MUST_CHECK enum gk_status hub_request_read(const char *pem, struct hub_request *request,
                                              struct gk_error *err);

/* A new RSA-2048 key, PEM (PKCS#8); the caller frees it. */
GK_MUST_CHECK enum gk_status hub_key_create(char **pem, struct gk_error *err);

/* A request for a server's certificate by a key: names is "DNS:...,IP:..."; the caller frees the
 * PEM. */
GK_MUST_CHECK enum gk_status hub_request_create(const char *key_pem, const char *common_name,
                                                const char *names, char **pem,
                                                struct gk_error *err);

#endif
