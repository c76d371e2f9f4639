/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes and verifies with EVP on behalf of tpm/. */
#include "provider/crypto.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

GK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
GK_DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
GK_DEFINE_CLEANUP(BIGNUM, BN_free)

const char *prov_crypto_hash_name(enum gk_hash hash)
{
    switch (hash) {
    case GK_SHA256:
        return "SHA256";
    case GK_SHA384:
        return "SHA384";
    case GK_SHA512:
        return "SHA512";
    case GK_SHA1:
        return "SHA1"; /* to verify; scheme.c knows no name for it */
    }
    return NULL;
}

static int hash_buffer(void *context, enum gk_hash hash, const void *data, size_t size,
                       uint8_t *digest)
{
    const struct prov_crypto *where = context;
    int done;

    ERR_set_mark();
    done = EVP_Q_digest(where->libctx, prov_crypto_hash_name(hash), where->properties, data, size,
                        digest, NULL);
    ERR_pop_to_mark();
    return done == 1 ? 1 : -1;
}

int prov_crypto_export(const struct gk_public *public, struct prov_crypto_public *out)
{
    CLEANUP(BN_freep) BIGNUM *n = BN_bin2bn(public->modulus, sizeof(public->modulus), NULL);

    if (n == NULL || BN_bn2nativepad(n, out->modulus, sizeof(out->modulus)) < 0) {
        return 0;
    }
    out->exponent = public->exponent;
    out->params[0] =
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, out->modulus, sizeof(out->modulus));
    out->params[1] = OSSL_PARAM_construct_uint32(OSSL_PKEY_PARAM_RSA_E, &out->exponent);
    out->params[2] = OSSL_PARAM_construct_end();
    return 1;
}

static EVP_PKEY *key_from_public(const struct prov_crypto *where, const struct gk_public *public)
{
    CLEANUP(EVP_PKEY_CTX_freep)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(where->libctx, "RSA", where->properties);
    struct prov_crypto_public exported;
    EVP_PKEY *key = NULL;

    if (ctx == NULL || !prov_crypto_export(public, &exported) || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, exported.params) <= 0) {
        return NULL;
    }
    return key;
}

size_t prov_crypto_encode(const struct prov_crypto *where, const struct gk_public *public,
                          unsigned char **der)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
    unsigned char *encoded = NULL;
    int size;

    ERR_set_mark();
    key = key_from_public(where, public);
    size = key != NULL ? i2d_PUBKEY(key, &encoded) : 0;
    ERR_pop_to_mark();
    if (size <= 0) {
        return 0;
    }
    *der = encoded;
    return (size_t)size;
}

static size_t digest_size(enum gk_hash hash)
{
    switch (hash) {
    case GK_SHA256:
        return 32;
    case GK_SHA384:
        return 48;
    case GK_SHA512:
        return 64;
    case GK_SHA1:
        return 20;
    }
    return 0;
}

/* Everything at once, by name: each setting alone would have EVP look its hash up once more. */
static int begin(EVP_PKEY_CTX *ctx, enum gk_scheme scheme, enum gk_hash hash, int salt)
{
    int padding = scheme == GK_RSAPSS ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST,
                                         (char *)prov_crypto_hash_name(hash), 0),
        OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &padding),
        scheme == GK_RSAPSS ? OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &salt)
                            : OSSL_PARAM_construct_end(),
        OSSL_PARAM_construct_end(),
    };

    return EVP_PKEY_verify_init_ex(ctx, params);
}

static EVP_PKEY_CTX *checker_new(const struct prov_crypto *where, const struct gk_public *public)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = key_from_public(where, public);

    return key != NULL ? EVP_PKEY_CTX_new_from_pkey(where->libctx, key, where->properties) : NULL;
}

static int verify(const struct prov_crypto *where, const struct gk_public *public,
                  enum gk_scheme scheme, enum gk_hash hash, int salt, const uint8_t *digest,
                  const uint8_t *signature)
{
    CLEANUP(EVP_PKEY_CTX_freep)
    EVP_PKEY_CTX *ctx = where->known == public ? EVP_PKEY_CTX_dup(where->known_checker)
                                               : checker_new(where, public);

    if (ctx == NULL || begin(ctx, scheme, hash, salt) <= 0) {
        return -1;
    }
    /* A negative answer is about the signature as well: everything that could fail was set up
     * above. */
    return EVP_PKEY_verify(ctx, signature, GK_RSA2048_SIZE, digest, digest_size(hash)) == 1;
}

/* The first use of a key completes it, under a lock that a fork would copy: so use it once now. */
EVP_PKEY_CTX *prov_crypto_checker(const struct prov_crypto *where, const struct gk_public *public)
{
    static const uint8_t nothing[GK_RSA2048_SIZE];
    struct prov_crypto with_checker = *where;
    EVP_PKEY_CTX *checker;

    ERR_set_mark();
    checker = checker_new(where, public);
    if (checker != NULL) {
        with_checker.known = public;
        with_checker.known_checker = checker;
        (void)verify(&with_checker, public, GK_RSASSA, GK_SHA256, 0, nothing, nothing);
    }
    ERR_pop_to_mark();
    return checker;
}

int prov_crypto_verify(const struct prov_crypto *where, const struct gk_public *public,
                       enum gk_scheme scheme, enum gk_hash hash, int salt, const uint8_t *digest,
                       const uint8_t *signature)
{
    int verdict;

    ERR_set_mark();
    verdict = verify(where, public, scheme, hash, salt, digest, signature);
    ERR_pop_to_mark();
    return verdict;
}

static int verify_signature(void *context, const struct gk_public *public, enum gk_scheme scheme,
                            enum gk_hash hash, size_t salt_size, const uint8_t *digest,
                            const uint8_t *signature)
{
    /* Negative lengths mean something else to EVP, among it "any". */
    if (salt_size > GK_RSA2048_SIZE) {
        return -1;
    }
    return prov_crypto_verify(context, public, scheme, hash, (int)salt_size, digest, signature);
}

void prov_crypto_fill(struct prov_crypto *where, struct gk_crypto *crypto)
{
    *crypto = (struct gk_crypto){
        .context = where,
        .hash = hash_buffer,
        .verify = verify_signature,
    };
}
