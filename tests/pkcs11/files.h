/* SPDX-License-Identifier: Apache-2.0 */
/* Makes what an identity directory holds: keys, certificates and references, without a TPM. */
#ifndef GATEKEY_TESTS_PKCS11_FILES_H
#define GATEKEY_TESTS_PKCS11_FILES_H

#include "cleanup.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

GK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)

/* A certificate as DER, and as the PEM block that holds it. */
struct files_certificate {
    uint8_t *der;
    int size;
    char *pem;
};

/* Of that key, for /CN=subject, by issuer's key. */
struct files_certificate files_certify(EVP_PKEY *key, const char *subject, EVP_PKEY *issuer_key,
                                       const char *issuer);
void files_certificate_clear(struct files_certificate *certificate);

/* A PEM block; to be freed. */
char *files_pem(const char *label, const void *binary, size_t size);

/* The device.pem of an RSA key, as if it were a TPM's; to be freed. */
enum files_kind {
    FILES_PLAIN,
    FILES_WITH_PASSWORD,
    FILES_IMPORTED,   /* not made by the TPM */
    FILES_FOR_RSASSA, /* with SHA-384, and nothing else */
};
char *files_reference(EVP_PKEY *key, enum files_kind kind);

/* The identity directory, in the test's own empty working directory. */
#define FILES_DIRECTORY "gateway"

/* Make it anew, empty. */
void files_begin(void);
/* Replace a file by rename, as gatekey does: by two texts, the second of which may be NULL. */
void files_write(const char *name, const char *text, const char *more);

#endif
