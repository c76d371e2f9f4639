/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cryptography that tpm/ is handed (struct gk_crypto), filled from OpenSSL's EVP.
 *
 * Used by the provider and by the agent, so it knows nothing of the rest of this folder. Both
 * functions may be called from several threads at once and leave OpenSSL's error queue as they
 * found it.
 */
#ifndef GATEKEY_PROVIDER_CRYPTO_H
#define GATEKEY_PROVIDER_CRYPTO_H

#include "tpm/devkey.h"

#include <openssl/core.h>
#include <openssl/types.h>

/* Where EVP looks for implementations. Both are borrowed: they must outlive every use. */
struct prov_crypto {
    OSSL_LIB_CTX
    *libctx; /* one in which SHA-2 and RSA of a provider other than gatekey are at hand */
    const char *properties; /* the property query for them */

    /* A public key with what prov_crypto_checker() made of it, to save that each time; or NULL. */
    const struct gk_public *known;
    const EVP_PKEY_CTX *known_checker;
};

/* For prov_crypto.properties: anybody but ourselves, even where gatekey is listed first. */
#define PROV_CRYPTO_NOT_OURS "provider!=gatekey"

/*
 * Point crypto's two functions at EVP. where must stay in place as long as crypto is used; crypto
 * itself may be copied. Fetches nothing yet, cannot fail.
 */
void prov_crypto_fill(struct prov_crypto *where, struct gk_crypto *crypto);

/*
 * Verify as crypto's own function does, for a caller who need not know the salt: salt is its size
 * in bytes or one of OpenSSL's negative RSA_PSS_SALTLEN values. Returns 1, 0 for a signature that
 * is not the key's, -1 when the library failed.
 */
int prov_crypto_verify(const struct prov_crypto *where, const struct gk_public *public,
                       enum gk_scheme scheme, enum gk_hash hash, int salt, const uint8_t *digest,
                       const uint8_t *signature);

/*
 * Make what checks signatures of a public key, ready for any number of threads. NULL when the
 * library failed; for EVP_PKEY_CTX_free().
 */
EVP_PKEY_CTX *prov_crypto_checker(const struct prov_crypto *where, const struct gk_public *public);

/* A public key as EVP takes it; params point into the struct, so it must not move. */
struct prov_crypto_public {
    unsigned char modulus[GK_RSA2048_SIZE]; /* in the machine's own byte order */
    uint32_t exponent;
    OSSL_PARAM params[3];
};

/* Returns 1, or 0 when out of memory. */
int prov_crypto_export(const struct gk_public *public, struct prov_crypto_public *out);

/*
 * A public key as SubjectPublicKeyInfo (RFC 5280, 4.1) in DER, for OPENSSL_free(). Returns its
 * size, or 0 when the library failed.
 */
size_t prov_crypto_encode(const struct prov_crypto *where, const struct gk_public *public,
                          unsigned char **der);

/* The name EVP knows a hash by, such as "SHA256". */
const char *prov_crypto_hash_name(enum gk_hash hash);

#endif
