/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/message.c: signatures of whole messages, which OpenSSL has since 3.4. */
#include "tests/provider/fixture.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#ifndef EVP_PKEY_OP_SIGNMSG

int main(void)
{
    puts("this OpenSSL (before 3.4) has no message signatures; there is nothing to test");
    return 0;
}

#else

#define SIGNATURE_SIZE 256

static struct fixture fixture;
static EVP_PKEY *device;
static EVP_PKEY *device_public;
static const char message[] = "a message";

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_load(&fixture);
    device = fixture_read_uri(&fixture, "gatekey:", NULL);
    assert_non_null(device);
    device_public = fixture_public(&fixture, device);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(device);
    EVP_PKEY_free(device_public);
    fixture_unload(&fixture);
    return 0;
}

static EVP_SIGNATURE *fetch(const char *name)
{
    EVP_SIGNATURE *algorithm =
        name != NULL ? EVP_SIGNATURE_fetch(fixture.libctx, name, "provider=gatekey") : NULL;

    assert_true(name == NULL || algorithm != NULL);
    return algorithm;
}

static size_t sign_whole(EVP_PKEY_CTX *ctx, uint8_t signature[SIGNATURE_SIZE])
{
    size_t size = 0;

    assert_int_equal(EVP_PKEY_sign(ctx, NULL, &size, (const uint8_t *)message, sizeof(message)), 1);
    assert_int_equal(size, SIGNATURE_SIZE);
    assert_int_equal(
        EVP_PKEY_sign(ctx, signature, &size, (const uint8_t *)message, sizeof(message)), 1);
    return size;
}

static size_t sign_in_pieces(EVP_PKEY_CTX *ctx, uint8_t signature[SIGNATURE_SIZE])
{
    size_t size = SIGNATURE_SIZE;

    assert_int_equal(EVP_PKEY_sign_message_update(ctx, (const uint8_t *)message, 3), 1);
    assert_int_equal(
        EVP_PKEY_sign_message_update(ctx, (const uint8_t *)message + 3, sizeof(message) - 3), 1);
    assert_int_equal(EVP_PKEY_sign_message_final(ctx, signature, &size), 1);
    return size;
}

/* By the default provider alone, and by OpenSSL's older functions. */
static void assert_verifies(const char *hash, int padding, const uint8_t *signature, size_t size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;

    assert_int_equal(
        EVP_DigestVerifyInit_ex(ctx, &settings, hash, fixture.libctx, NULL, device_public, NULL),
        1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, padding), 1);
    assert_int_equal(
        EVP_DigestVerify(ctx, signature, size, (const uint8_t *)message, sizeof(message)), 1);
    EVP_MD_CTX_free(ctx);
    fixture_assert_silence();
}

static void signs_by_the_name_of_an_algorithm(void **state)
{
    static const struct {
        const char *name, *hash;
    } algorithms[] = { { "RSA-SHA256", "SHA256" },
                       { "sha384WithRSAEncryption", "SHA384" },
                       { "1.2.840.113549.1.1.13", "SHA512" } };
    size_t (*const ways[])(EVP_PKEY_CTX *, uint8_t *) = { sign_whole, sign_in_pieces };
    uint8_t signature[SIGNATURE_SIZE];

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        EVP_SIGNATURE *algorithm = fetch(algorithms[i / 2].name);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, device, "provider=gatekey");

        assert_int_equal(EVP_PKEY_sign_message_init(ctx, algorithm, NULL), 1);
        assert_verifies(algorithms[i / 2].hash, RSA_PKCS1_PADDING, signature,
                        ways[i % 2](ctx, signature));
        EVP_PKEY_CTX_free(ctx);
        EVP_SIGNATURE_free(algorithm);
    }
}

static void needs_neither_algorithm_nor_property_query(void **state)
{
    char hash[] = "SHA384";
    char padding[] = "pss";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, hash, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, padding, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, device, NULL);
    uint8_t signature[SIGNATURE_SIZE];

    (void)state;
    assert_int_equal(EVP_PKEY_sign_message_init(ctx, NULL, params), 1);
    assert_verifies("SHA384", RSA_PKCS1_PSS_PADDING, signature, sign_whole(ctx, signature));
    EVP_PKEY_CTX_free(ctx);
}

static int verify(const char *name, const uint8_t *signature, size_t size, bool whole)
{
    EVP_SIGNATURE *algorithm = fetch(name);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, device,
                                                   name != NULL ? "provider=gatekey" : NULL);
    int answer;

    assert_int_equal(EVP_PKEY_verify_message_init(ctx, algorithm, NULL), 1);
    if (whole) {
        answer = EVP_PKEY_verify(ctx, signature, size, (const uint8_t *)message, sizeof(message));
    } else {
        assert_int_equal(EVP_PKEY_CTX_set_signature(ctx, signature, size), 1);
        assert_int_equal(
            EVP_PKEY_verify_message_update(ctx, (const uint8_t *)message, sizeof(message)), 1);
        answer = EVP_PKEY_verify_message_final(ctx);
    }
    EVP_PKEY_CTX_free(ctx);
    EVP_SIGNATURE_free(algorithm);
    return answer;
}

static void verifies_good_and_bad(void **state)
{
    static const char *const names[] = { NULL, "RSA-SHA256" };
    uint8_t signature[SIGNATURE_SIZE + 8] = { 0 };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, device, NULL);

    (void)state;
    assert_int_equal(EVP_PKEY_sign_message_init(ctx, NULL, NULL), 1);
    sign_whole(ctx, signature);
    EVP_PKEY_CTX_free(ctx);
    for (size_t i = 0; i < 4; i++) {
        const char *name = names[i / 2];
        bool whole = i % 2 == 0;

        assert_int_equal(verify(name, signature, SIGNATURE_SIZE, whole), 1);
        assert_int_equal(verify(name, signature, SIGNATURE_SIZE - 1, whole), 0);
        assert_int_equal(verify(name, signature, SIGNATURE_SIZE + 8, whole), 0);
        signature[9] ^= 1;
        assert_int_equal(verify(name, signature, SIGNATURE_SIZE, whole), 0);
        signature[9] ^= 1;
        ERR_clear_error(); /* libcrypto notes a bad signature, here and for its own keys */
    }
}

static void says_when_no_signature_was_given(void **state)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, device, NULL);

    (void)state;
    assert_int_equal(EVP_PKEY_verify_message_init(ctx, NULL, NULL), 1);
    assert_int_equal(EVP_PKEY_verify_message_update(ctx, (const uint8_t *)message, 1), 1);
    assert_int_equal(EVP_PKEY_verify_message_final(ctx), 0);
    fixture_assert_says("cannot verify with the device key: that is not how it is used (no "
                        "signature was given to verify)");
    EVP_PKEY_CTX_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_by_the_name_of_an_algorithm),
        cmocka_unit_test(needs_neither_algorithm_nor_property_query),
        cmocka_unit_test(verifies_good_and_bad),
        cmocka_unit_test(says_when_no_signature_was_given),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

#endif
