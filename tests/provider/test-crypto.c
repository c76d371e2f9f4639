/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/crypto.c: hashing and verifying with EVP on behalf of tpm/. */
#include "provider/crypto.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static EVP_PKEY *software_key;
static struct gk_public software_public;
static struct prov_crypto where = { .libctx = NULL, .properties = PROV_CRYPTO_NOT_OURS };
static EVP_PKEY_CTX *checker;
static struct gk_crypto crypto;
static const uint8_t digest[GK_HASH_MAX_SIZE] = { 1, 2, 3 };

static const struct {
    enum gk_hash hash;
    size_t size;
} hashes[] = { { GK_SHA256, 32 }, { GK_SHA384, 48 }, { GK_SHA512, 64 } };
#define HASHES (sizeof(hashes) / sizeof(hashes[0]))

static int make_key(void **state)
{
    BIGNUM *n = NULL;

    (void)state;
    prov_crypto_fill(&where, &crypto);
    software_key = EVP_RSA_gen(2048);
    assert_non_null(software_key);
    assert_int_equal(EVP_PKEY_get_bn_param(software_key, OSSL_PKEY_PARAM_RSA_N, &n), 1);
    assert_int_equal(BN_bn2binpad(n, software_public.modulus, GK_RSA2048_SIZE), GK_RSA2048_SIZE);
    software_public.exponent = 65537;
    BN_free(n);
    return 0;
}

static int make_key_and_know_it(void **state)
{
    make_key(state);
    checker = prov_crypto_checker(&where, &software_public);
    assert_non_null(checker);
    where.known = &software_public;
    where.known_checker = checker;
    assert_int_equal(ERR_peek_error(), 0);
    return 0;
}

static int free_key(void **state)
{
    (void)state;
    EVP_PKEY_free(software_key);
    EVP_PKEY_CTX_free(checker);
    checker = NULL;
    where.known = NULL;
    where.known_checker = NULL;
    return 0;
}

static void sign(enum gk_scheme scheme, enum gk_hash hash, int salt_size,
                 uint8_t signature[GK_RSA2048_SIZE])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(software_key, NULL);
    EVP_MD *md = EVP_MD_fetch(NULL, prov_crypto_hash_name(hash), NULL);
    size_t size = GK_RSA2048_SIZE;

    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, md), 1);
    if (scheme == GK_RSAPSS) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_size), 1);
    }
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, (size_t)EVP_MD_get_size(md)), 1);
    EVP_MD_free(md);
    EVP_PKEY_CTX_free(ctx);
}

static int verify(enum gk_scheme scheme, enum gk_hash hash, size_t salt_size,
                  const uint8_t signature[GK_RSA2048_SIZE])
{
    return crypto.verify(crypto.context, &software_public, scheme, hash, salt_size, digest,
                         signature);
}

static void accepts_what_the_key_signed(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    for (size_t i = 0; i < HASHES; i++) {
        sign(GK_RSASSA, hashes[i].hash, 0, signature);
        assert_int_equal(verify(GK_RSASSA, hashes[i].hash, 0, signature), 1);
        sign(GK_RSAPSS, hashes[i].hash, (int)hashes[i].size, signature);
        assert_int_equal(verify(GK_RSAPSS, hashes[i].hash, hashes[i].size, signature), 1);
        sign(GK_RSAPSS, hashes[i].hash, 0, signature);
        assert_int_equal(verify(GK_RSAPSS, hashes[i].hash, 0, signature), 1);
    }
}

static void tells_salts_of_other_lengths_apart(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    sign(GK_RSAPSS, GK_SHA256, 222, signature);
    assert_int_equal(verify(GK_RSAPSS, GK_SHA256, 222, signature), 1);
    assert_int_equal(verify(GK_RSAPSS, GK_SHA256, 32, signature), 0);
    assert_int_equal(verify(GK_RSAPSS, GK_SHA256, 0, signature), 0);
    assert_int_equal(verify(GK_RSAPSS, GK_SHA256, 223, signature), 0);
    assert_int_equal(verify(GK_RSAPSS, GK_SHA256, SIZE_MAX, signature), -1);
}

static void refuses_another_scheme_hash_or_a_flipped_bit(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    sign(GK_RSASSA, GK_SHA256, 0, signature);
    assert_int_equal(verify(GK_RSAPSS, GK_SHA256, 32, signature), 0);
    assert_int_equal(verify(GK_RSASSA, GK_SHA384, 0, signature), 0);
    signature[100] ^= 1;
    assert_int_equal(verify(GK_RSASSA, GK_SHA256, 0, signature), 0);
    memset(signature, 0xff, sizeof(signature));
    assert_int_equal(verify(GK_RSASSA, GK_SHA256, 0, signature), 0);
}

static void takes_the_known_key_for_no_other(void **state)
{
    struct gk_public other = software_public;
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    sign(GK_RSASSA, GK_SHA256, 0, signature);
    assert_int_equal(
        crypto.verify(crypto.context, &other, GK_RSASSA, GK_SHA256, 0, digest, signature), 1);
    other.modulus[100] ^= 1;
    assert_int_equal(
        crypto.verify(crypto.context, &other, GK_RSASSA, GK_SHA256, 0, digest, signature), 0);
}

static void hashes_the_known_answers(void **state)
{
    /* FIPS 180-4, the digests of "abc" begin so. */
    static const uint8_t start[HASHES][4] = { { 0xba, 0x78, 0x16, 0xbf },
                                              { 0xcb, 0x00, 0x75, 0x3f },
                                              { 0xdd, 0xaf, 0x35, 0xa1 } };
    uint8_t out[GK_HASH_MAX_SIZE];

    (void)state;
    for (size_t i = 0; i < HASHES; i++) {
        assert_int_equal(crypto.hash(crypto.context, hashes[i].hash, "abc", 3, out), 1);
        assert_memory_equal(out, start[i], sizeof(start[i]));
    }
}

static void leaves_the_error_queue_as_it_was(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE] = { 0 };

    (void)state;
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 77);
    assert_int_equal(verify(GK_RSASSA, GK_SHA256, 0, signature), 0);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 77);
    assert_int_equal(ERR_get_error(), 0);
}

static void says_when_the_library_has_nothing_to_offer(void **state)
{
    struct prov_crypto nowhere = { .libctx = NULL, .properties = "provider=nobody" };
    struct gk_crypto none;
    uint8_t out[GK_HASH_MAX_SIZE] = { 0 };

    (void)state;
    prov_crypto_fill(&nowhere, &none);
    assert_int_equal(none.hash(none.context, GK_SHA256, "abc", 3, out), -1);
    assert_int_equal(none.verify(none.context, &software_public, GK_RSASSA, GK_SHA256, 0, digest,
                                 software_public.modulus),
                     -1);
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_the_key_signed),
        cmocka_unit_test(tells_salts_of_other_lengths_apart),
        cmocka_unit_test(refuses_another_scheme_hash_or_a_flipped_bit),
        cmocka_unit_test(takes_the_known_key_for_no_other),
        cmocka_unit_test(hashes_the_known_answers),
        cmocka_unit_test(leaves_the_error_queue_as_it_was),
        cmocka_unit_test(says_when_the_library_has_nothing_to_offer),
    };

    return cmocka_run_group_tests_name("each time anew", tests, make_key, free_key) +
           cmocka_run_group_tests_name("with a known key", tests, make_key_and_know_it, free_key);
}
