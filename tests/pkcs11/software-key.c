/* SPDX-License-Identifier: Apache-2.0 */
/* An RSA key in OpenSSL's hands. */
#include "tests/pkcs11/software-key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct software_key {
    EVP_PKEY *key;
    struct gk_public public;
};

struct software_key *software_key_new(uint32_t exponent)
{
    struct software_key *made = calloc(1, sizeof(*made));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *e = BN_new(), *n = NULL;

    assert_non_null(made);
    assert_int_equal(BN_set_word(e, exponent), 1);
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, GK_RSA2048_SIZE * 8), 1);
    assert_int_equal(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &made->key), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(made->key, OSSL_PKEY_PARAM_RSA_N, &n), 1);
    assert_int_equal(BN_bn2binpad(n, made->public.modulus, GK_RSA2048_SIZE), GK_RSA2048_SIZE);
    made->public.exponent = exponent;
    BN_free(n);
    BN_free(e);
    EVP_PKEY_CTX_free(ctx);
    return made;
}

void software_key_free(struct software_key *key)
{
    if (key != NULL) {
        EVP_PKEY_free(key->key);
        free(key);
    }
}

const struct gk_public *software_key_public(const struct software_key *key)
{
    return &key->public;
}

static const EVP_MD *md_of(enum gk_hash hash)
{
    switch (hash) {
    case GK_SHA256:
        return EVP_sha256();
    case GK_SHA384:
        return EVP_sha384();
    case GK_SHA512:
        return EVP_sha512();
    case GK_SHA1:
        return EVP_sha1();
    }
    return NULL;
}

void software_key_sign(const struct software_key *key, enum gk_scheme scheme, enum gk_hash hash,
                       size_t salt_size, const uint8_t *digest, uint8_t signature[GK_RSA2048_SIZE])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->key, NULL);
    size_t size = GK_RSA2048_SIZE;

    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, md_of(hash)), 1);
    if (scheme == GK_RSAPSS) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)salt_size), 1);
    }
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, gk_hash_size(hash)), 1);
    EVP_PKEY_CTX_free(ctx);
}

void software_key_sign_data(const struct software_key *key, const uint8_t *data, size_t data_size,
                            uint8_t signature[GK_RSA2048_SIZE])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->key, NULL);
    size_t size = GK_RSA2048_SIZE;

    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, data, data_size), 1);
    EVP_PKEY_CTX_free(ctx);
}
