/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/signature.c, scheme.c and algorithm-id.c, through EVP. */
#include "tests/provider/fixture.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE_SIZE 256

static struct fixture fixture;
static EVP_PKEY *device;
static EVP_PKEY *device_public;
static EVP_PKEY *software; /* what the default provider makes of the same settings */
static const char message[] = "a message that is longer than any one block of any hash here: "
                              "0123456789012345678901234567890123456789012345678901234567890123456";

static const char *const hashes[] = { "SHA256", "SHA384", "SHA512" };
#define HASHES (sizeof(hashes) / sizeof(hashes[0]))

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_load(&fixture);
    device = fixture_read_uri(&fixture, "gatekey:", NULL);
    assert_non_null(device);
    device_public = fixture_public(&fixture, device);
    software = EVP_RSA_gen(2048);
    assert_non_null(software);
    ERR_clear_error();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(device);
    EVP_PKEY_free(device_public);
    EVP_PKEY_free(software);
    fixture_unload(&fixture);
    return 0;
}

static EVP_MD_CTX *start(EVP_PKEY *key, const char *hash, int padding)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;

    assert_int_equal(EVP_DigestSignInit_ex(ctx, &settings, hash, fixture.libctx, NULL, key, NULL),
                     1);
    if (padding == RSA_PKCS1_PSS_PADDING) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, padding), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    return ctx;
}

static void assert_verifies(const char *hash, int padding, const uint8_t *signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;

    assert_int_equal(
        EVP_DigestVerifyInit_ex(ctx, &settings, hash, fixture.libctx, NULL, device_public, NULL),
        1);
    if (padding == RSA_PKCS1_PSS_PADDING) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, padding), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(
        EVP_DigestVerify(ctx, signature, SIGNATURE_SIZE, (const uint8_t *)message, sizeof(message)),
        1);
    EVP_MD_CTX_free(ctx);
}

static void sign_at_once(const char *hash, int padding)
{
    EVP_MD_CTX *ctx = start(device, hash, padding);
    uint8_t signature[SIGNATURE_SIZE];
    size_t size = sizeof(signature);

    assert_int_equal(
        EVP_DigestSign(ctx, signature, &size, (const uint8_t *)message, sizeof(message)), 1);
    assert_int_equal(size, SIGNATURE_SIZE);
    fixture_assert_silence();
    assert_verifies(hash, padding, signature);
    EVP_MD_CTX_free(ctx);
}

static void sign_in_pieces(const char *hash, int padding)
{
    EVP_MD_CTX *ctx = start(device, hash, padding);
    uint8_t signature[SIGNATURE_SIZE];
    size_t size = 0;

    for (size_t i = 0; i < sizeof(message); i++) {
        assert_int_equal(EVP_DigestSignUpdate(ctx, message + i, 1), 1);
    }
    assert_int_equal(EVP_DigestSignFinal(ctx, NULL, &size), 1);
    assert_int_equal(size, SIGNATURE_SIZE);
    assert_int_equal(EVP_DigestSignFinal(ctx, signature, &size), 1);
    fixture_assert_silence();
    assert_verifies(hash, padding, signature);
    EVP_MD_CTX_free(ctx);
}

static void signs_with_every_padding_and_hash(void **state)
{
    (void)state;
    for (size_t i = 0; i < HASHES; i++) {
        sign_at_once(hashes[i], RSA_PKCS1_PADDING);
        sign_at_once(hashes[i], RSA_PKCS1_PSS_PADDING);
        sign_in_pieces(hashes[i], RSA_PKCS1_PADDING);
        sign_in_pieces(hashes[i], RSA_PKCS1_PSS_PADDING);
    }
}

static void a_copy_in_the_middle_goes_its_own_way(void **state)
{
    EVP_MD_CTX *ctx = start(device, "SHA256", RSA_PKCS1_PSS_PADDING);
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    uint8_t signature[SIGNATURE_SIZE];
    size_t size = sizeof(signature);

    (void)state;
    assert_int_equal(EVP_DigestSignUpdate(ctx, message, 10), 1);
    assert_int_equal(EVP_MD_CTX_copy_ex(copy, ctx), 1);
    assert_int_equal(EVP_DigestSignUpdate(ctx, "something else", 14), 1);
    EVP_MD_CTX_free(ctx);
    assert_int_equal(EVP_DigestSignUpdate(copy, message + 10, sizeof(message) - 10), 1);
    assert_int_equal(EVP_DigestSignFinal(copy, signature, &size), 1);
    assert_verifies("SHA256", RSA_PKCS1_PSS_PADDING, signature);
    EVP_MD_CTX_free(copy);
}

static void final_may_be_called_twice(void **state)
{
    EVP_MD_CTX *ctx = start(device, "SHA256", RSA_PKCS1_PADDING);
    uint8_t one[SIGNATURE_SIZE], other[SIGNATURE_SIZE];
    size_t size = SIGNATURE_SIZE;

    (void)state;
    assert_int_equal(EVP_DigestSignUpdate(ctx, message, sizeof(message)), 1);
    assert_int_equal(EVP_DigestSignFinal(ctx, one, &size), 1);
    size = SIGNATURE_SIZE;
    assert_int_equal(EVP_DigestSignFinal(ctx, other, &size), 1);
    assert_memory_equal(one, other, SIGNATURE_SIZE);
    EVP_MD_CTX_free(ctx);
}

static EVP_PKEY_CTX *start_digest(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, device, NULL);

    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    return ctx;
}

static void signs_a_digest_made_elsewhere(void **state)
{
    EVP_PKEY_CTX *ctx = start_digest();
    uint8_t digest[32], signature[SIGNATURE_SIZE];
    size_t size = 0;

    (void)state;
    assert_int_equal(
        EVP_Q_digest(fixture.libctx, "SHA256", NULL, message, sizeof(message), digest, NULL), 1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, NULL, &size, digest, sizeof(digest)), 1);
    assert_int_equal(size, SIGNATURE_SIZE);
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, sizeof(digest)), 1);
    assert_verifies("SHA256", RSA_PKCS1_PADDING, signature);
    EVP_PKEY_CTX_free(ctx);
}

static void refuses_a_digest_of_another_size(void **state)
{
    EVP_PKEY_CTX *ctx = start_digest();
    uint8_t digest[31] = { 0 }, signature[SIGNATURE_SIZE];
    size_t size = sizeof(signature);

    (void)state;
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, sizeof(digest)), 0);
    fixture_assert_says("31 bytes are no SHA256 digest");
    EVP_PKEY_CTX_free(ctx);
}

static void refuses_raw_data(void **state)
{
    EVP_PKEY_CTX *ctx = start_digest();
    uint8_t data[32] = { 0 }, signature[SIGNATURE_SIZE];
    size_t size = sizeof(signature);

    (void)state;
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, data, sizeof(data)), 0);
    fixture_assert_says("the device key does not do that (a signature of raw data); name the hash");
    EVP_PKEY_CTX_free(ctx);
}

static void refuses_too_small_a_buffer(void **state)
{
    EVP_PKEY_CTX *ctx = start_digest();
    uint8_t digest[32] = { 0 }, signature[SIGNATURE_SIZE] = { 0 };
    size_t size = sizeof(signature) - 1;

    (void)state;
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, sizeof(digest)), 0);
    fixture_assert_says("make room for 256 bytes");
    assert_int_equal(signature[0], 0);
    EVP_PKEY_CTX_free(ctx);
}

/* The message of the call that was refused is not in the signature of the next one. */
static void signs_the_message_once_after_too_small_a_buffer(void **state)
{
    EVP_MD_CTX *ctx = start(device, "SHA256", RSA_PKCS1_PADDING);
    const uint8_t *data = (const uint8_t *)message;
    uint8_t signature[SIGNATURE_SIZE];
    size_t size = sizeof(signature) - 1;

    (void)state;
    assert_int_equal(EVP_DigestSign(ctx, signature, &size, data, sizeof(message)), 0);
    fixture_assert_says("make room for 256 bytes");
    size = sizeof(signature);
    /* Later versions of OpenSSL let nobody try again. */
    if (EVP_DigestSign(ctx, signature, &size, data, sizeof(message)) == 1) {
        assert_verifies("SHA256", RSA_PKCS1_PADDING, signature);
    }
    ERR_clear_error();
    EVP_MD_CTX_free(ctx);
}

static void refuses_other_hashes_by_name(void **state)
{
    static const char *const others[] = { "SHA1", "MD5-SHA1", "SHA224", "SHA3-256", "SM3" };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        char text[64];

        assert_int_equal(
            EVP_DigestSignInit_ex(ctx, NULL, others[i], fixture.libctx, NULL, device, NULL), 0);
        snprintf(text, sizeof(text), "(hash %s); use SHA-256, SHA-384 or SHA-512", others[i]);
        fixture_assert_says(text);
        EVP_MD_CTX_free(ctx);
    }
}

static void knows_a_hash_by_all_its_names(void **state)
{
    static const char *const names[] = {
        "SHA256", "sha256", "SHA2-256", "SHA-256", "2.16.840.1.101.3.4.2.1", NULL
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        EVP_MD_CTX *ctx = start(device, names[i], RSA_PKCS1_PADDING);
        char name[32];

        assert_int_equal(EVP_PKEY_CTX_get_params(
                             EVP_MD_CTX_get_pkey_ctx(ctx),
                             (OSSL_PARAM[]){ OSSL_PARAM_construct_utf8_string(
                                                 OSSL_SIGNATURE_PARAM_DIGEST, name, sizeof(name)),
                                             OSSL_PARAM_construct_end() }),
                         1);
        assert_string_equal(name, "SHA256");
        EVP_MD_CTX_free(ctx);
    }
}

/* Set a salt length, sign with PSS, and say whether it was done. */
static int sign_with_salt(OSSL_PARAM salt)
{
    EVP_MD_CTX *ctx = start(device, "SHA256", RSA_PKCS1_PSS_PADDING);
    OSSL_PARAM params[] = { salt, OSSL_PARAM_construct_end() };
    uint8_t signature[SIGNATURE_SIZE];
    size_t size = sizeof(signature);
    int done = EVP_PKEY_CTX_set_params(EVP_MD_CTX_get_pkey_ctx(ctx), params) == 1 &&
               EVP_DigestSign(ctx, signature, &size, (const uint8_t *)message, sizeof(message));

    if (done) {
        assert_verifies("SHA256", RSA_PKCS1_PSS_PADDING, signature);
    }
    EVP_MD_CTX_free(ctx);
    return done;
}

static OSSL_PARAM salt_text(const char *text)
{
    return OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, (char *)text, 0);
}

static void takes_the_salt_as_text_and_as_number(void **state)
{
    int by_hash = RSA_PSS_SALTLEN_DIGEST;
    int bytes = 32;

    (void)state;
    assert_true(sign_with_salt(salt_text("digest")));
    assert_true(sign_with_salt(salt_text("auto-digestmax")));
    assert_true(sign_with_salt(salt_text("32")));
    assert_true(
        sign_with_salt(OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &by_hash)));
    assert_true(sign_with_salt(OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &bytes)));
    fixture_assert_silence();
}

static void refuses_every_other_salt(void **state)
{
    static const char *const others[] = { "0", "20", "31", "33", "222", "max", "auto" };
    int longest = RSA_PSS_SALTLEN_MAX;

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(sign_with_salt(salt_text(others[i])));
        fixture_assert_says("cannot make an RSA-PSS salt of that length");
    }
    assert_false(
        sign_with_salt(OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &longest)));
    fixture_assert_says("(222 bytes, the hash has 32); ask for a salt as long as the hash");
    assert_false(sign_with_salt(salt_text("plenty")));
    fixture_assert_says("(salt length plenty)");
    assert_false(sign_with_salt(salt_text("32 ")));
    assert_false(sign_with_salt(salt_text("-5")));
    assert_false(sign_with_salt(salt_text("99999999999999999999")));
    ERR_clear_error();
}

static void the_salt_is_the_hash_s_where_nothing_is_said(void **state)
{
    EVP_MD_CTX *ctx = start(device, "SHA384", RSA_PKCS1_PADDING);
    EVP_PKEY_CTX *settings = EVP_MD_CTX_get_pkey_ctx(ctx);
    uint8_t signature[SIGNATURE_SIZE];
    size_t size = sizeof(signature);
    int salt = 0;

    (void)state;
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING), 1);
    assert_true(EVP_PKEY_CTX_get_rsa_pss_saltlen(settings, &salt) > 0);
    assert_int_equal(salt, RSA_PSS_SALTLEN_DIGEST);
    assert_int_equal(
        EVP_DigestSign(ctx, signature, &size, (const uint8_t *)message, sizeof(message)), 1);
    assert_verifies("SHA384", RSA_PKCS1_PSS_PADDING, signature);
    EVP_MD_CTX_free(ctx);
}

static void refuses_other_paddings_by_name(void **state)
{
    EVP_MD_CTX *ctx = start(device, "SHA256", RSA_PKCS1_PADDING);
    EVP_PKEY_CTX *settings = EVP_MD_CTX_get_pkey_ctx(ctx);
    int padding = RSA_NO_PADDING;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, (char *)"x931", 0),
        OSSL_PARAM_construct_end(),
    };

    (void)state;
    assert_int_not_equal(EVP_PKEY_CTX_set_params(settings, params), 1);
    fixture_assert_says("(padding x931); use pkcs1 or pss");
    params[0] = OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &padding);
    assert_int_not_equal(EVP_PKEY_CTX_set_params(settings, params), 1);
    fixture_assert_says("(padding 3); use pkcs1 or pss");
    assert_true(EVP_PKEY_CTX_get_rsa_padding(settings, &padding) > 0);
    assert_int_equal(padding, RSA_PKCS1_PADDING);
    EVP_MD_CTX_free(ctx);
}

static void refuses_mgf1_with_another_hash(void **state)
{
    EVP_MD_CTX *ctx = start(device, "SHA256", RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX *settings = EVP_MD_CTX_get_pkey_ctx(ctx);
    uint8_t signature[SIGNATURE_SIZE];
    size_t size = sizeof(signature);

    (void)state;
    assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(settings, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(settings, EVP_sha512()), 1);
    assert_int_equal(
        EVP_DigestSign(ctx, signature, &size, (const uint8_t *)message, sizeof(message)), 0);
    fixture_assert_says("MGF1 with another hash than the signature's");
    EVP_MD_CTX_free(ctx);
}

static void refuses_another_hash_in_the_middle(void **state)
{
    EVP_MD_CTX *ctx = start(device, "SHA256", RSA_PKCS1_PADDING);
    EVP_PKEY_CTX *settings = EVP_MD_CTX_get_pkey_ctx(ctx);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, (char *)"SHA512", 0),
        OSSL_PARAM_construct_end(),
    };

    (void)state;
    assert_int_not_equal(EVP_PKEY_CTX_set_params(settings, params), 1);
    fixture_assert_says("another hash in the middle of a message");
    EVP_MD_CTX_free(ctx);
}

static size_t algorithm_id(EVP_PKEY *key, const char *hash, int padding, int salt, uint8_t *der)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, der, 128),
        OSSL_PARAM_construct_end(),
    };

    assert_int_equal(EVP_DigestSignInit_ex(ctx, &settings, hash,
                                           key == device ? fixture.libctx : NULL, NULL, key, NULL),
                     1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, padding), 1);
    if (padding == RSA_PKCS1_PSS_PADDING) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, salt), 1);
    }
    assert_int_equal(EVP_PKEY_CTX_get_params(settings, params), 1);
    EVP_MD_CTX_free(ctx);
    return params[0].return_size;
}

static void names_the_algorithm_as_the_default_provider_does(void **state)
{
    static const int salts[] = { RSA_PSS_SALTLEN_DIGEST, RSA_PSS_SALTLEN_MAX, 0, 20, 127, 128 };

    (void)state;
    for (size_t i = 0; i < HASHES; i++) {
        uint8_t ours[128], theirs[128];
        size_t size = algorithm_id(device, hashes[i], RSA_PKCS1_PADDING, 0, ours);

        assert_int_equal(algorithm_id(software, hashes[i], RSA_PKCS1_PADDING, 0, theirs), size);
        assert_memory_equal(ours, theirs, size);
        for (size_t j = 0; j < sizeof(salts) / sizeof(salts[0]); j++) {
            size = algorithm_id(device, hashes[i], RSA_PKCS1_PSS_PADDING, salts[j], ours);
            assert_int_equal(
                algorithm_id(software, hashes[i], RSA_PKCS1_PSS_PADDING, salts[j], theirs), size);
            assert_memory_equal(ours, theirs, size);
        }
    }
}

static void says_when_nothing_was_begun(void **state)
{
    EVP_MD_CTX *ctx = start(device, "SHA256", RSA_PKCS1_PADDING);
    uint8_t signature[SIGNATURE_SIZE];
    size_t size = sizeof(signature);

    (void)state;
    assert_int_equal(
        EVP_DigestSign(ctx, signature, &size, (const uint8_t *)message, sizeof(message)), 1);
    assert_int_equal(
        EVP_DigestSign(ctx, signature, &size, (const uint8_t *)message, sizeof(message)), 0);
    /* Later versions of OpenSSL notice it by themselves. */
    if (OpenSSL_version_num() < 0x30400000UL) {
        fixture_assert_says("no message was begun");
    }
    EVP_MD_CTX_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_with_every_padding_and_hash),
        cmocka_unit_test(a_copy_in_the_middle_goes_its_own_way),
        cmocka_unit_test(final_may_be_called_twice),
        cmocka_unit_test(signs_a_digest_made_elsewhere),
        cmocka_unit_test(refuses_a_digest_of_another_size),
        cmocka_unit_test(refuses_raw_data),
        cmocka_unit_test(refuses_too_small_a_buffer),
        cmocka_unit_test(signs_the_message_once_after_too_small_a_buffer),
        cmocka_unit_test(refuses_other_hashes_by_name),
        cmocka_unit_test(knows_a_hash_by_all_its_names),
        cmocka_unit_test(takes_the_salt_as_text_and_as_number),
        cmocka_unit_test(refuses_every_other_salt),
        cmocka_unit_test(the_salt_is_the_hash_s_where_nothing_is_said),
        cmocka_unit_test(refuses_other_paddings_by_name),
        cmocka_unit_test(refuses_mgf1_with_another_hash),
        cmocka_unit_test(refuses_another_hash_in_the_middle),
        cmocka_unit_test(names_the_algorithm_as_the_default_provider_does),
        cmocka_unit_test(says_when_nothing_was_begun),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
