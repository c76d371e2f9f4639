/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/verification.c, through EVP: the device key itself as the verifying key. */
#include "tests/provider/fixture.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE_SIZE 256

static struct fixture fixture;
static EVP_PKEY *device;
static const uint8_t message[] = "a message";

static const char *const hashes[] = { "SHA256", "SHA384", "SHA512" };
#define HASHES (sizeof(hashes) / sizeof(hashes[0]))

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_load(&fixture);
    device = fixture_read_uri(&fixture, "gatekey:", NULL);
    assert_non_null(device);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(device);
    fixture_unload(&fixture);
    return 0;
}

static void sign(const char *hash, int padding, int salt, uint8_t signature[SIGNATURE_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;
    size_t size = SIGNATURE_SIZE;

    assert_int_equal(
        EVP_DigestSignInit_ex(ctx, &settings, hash, fixture.libctx, NULL, device, NULL), 1);
    if (padding == RSA_PKCS1_PSS_PADDING) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, padding), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, salt), 1);
    }
    assert_int_equal(EVP_DigestSign(ctx, signature, &size, message, sizeof(message)), 1);
    EVP_MD_CTX_free(ctx);
}

static EVP_MD_CTX *start(const char *hash, int padding)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;

    assert_int_equal(
        EVP_DigestVerifyInit_ex(ctx, &settings, hash, fixture.libctx, NULL, device, NULL), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, padding), 1);
    return ctx;
}

static int verify(const char *hash, int padding, const uint8_t *signature, size_t size)
{
    EVP_MD_CTX *ctx = start(hash, padding);
    int verdict = EVP_DigestVerify(ctx, signature, size, message, sizeof(message));

    EVP_MD_CTX_free(ctx);
    return verdict;
}

/* Later versions of OpenSSL put a line of their own on the queue where a provider says no. */
static void assert_we_say_nothing(void)
{
    while (ERR_peek_error() != 0) {
        assert_string_equal(ERR_reason_error_string(ERR_peek_error()),
                            "provider signature failure");
        ERR_get_error();
    }
}

static void verifies_what_it_signed(void **state)
{
    static const int paddings[] = { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING };
    uint8_t signature[SIGNATURE_SIZE];

    (void)state;
    for (size_t i = 0; i < HASHES * 2; i++) {
        const char *hash = hashes[i / 2];
        int padding = paddings[i % 2];
        EVP_MD_CTX *ctx;

        sign(hash, padding, RSA_PSS_SALTLEN_DIGEST, signature);
        assert_int_equal(verify(hash, padding, signature, sizeof(signature)), 1);
        ctx = start(hash, padding);
        for (size_t j = 0; j < sizeof(message); j++) {
            assert_int_equal(EVP_DigestVerifyUpdate(ctx, message + j, 1), 1);
        }
        assert_int_equal(EVP_DigestVerifyFinal(ctx, signature, sizeof(signature)), 1);
        EVP_MD_CTX_free(ctx);
    }
    fixture_assert_silence();
}

static void verifies_a_digest_made_elsewhere(void **state)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, device, NULL);
    uint8_t signature[SIGNATURE_SIZE], digest[EVP_MAX_MD_SIZE];

    (void)state;
    sign("SHA256", RSA_PKCS1_PADDING, 0, signature);
    assert_int_equal(
        EVP_Q_digest(fixture.libctx, "SHA256", NULL, message, sizeof(message), digest, NULL), 1);
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    assert_true(EVP_PKEY_verify(ctx, signature, sizeof(signature), digest, 32) <= 0);
    fixture_assert_says("cannot verify with the device key: the device key does not do that");
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_verify(ctx, signature, sizeof(signature), digest, 32), 1);
    digest[0] ^= 1;
    assert_int_equal(EVP_PKEY_verify(ctx, signature, sizeof(signature), digest, 32), 0);
    EVP_PKEY_CTX_free(ctx);
    assert_we_say_nothing();
}

static void refuses_every_other_signature_without_a_word(void **state)
{
    uint8_t signature[SIGNATURE_SIZE];

    (void)state;
    sign("SHA256", RSA_PKCS1_PADDING, 0, signature);
    assert_int_equal(verify("SHA384", RSA_PKCS1_PADDING, signature, sizeof(signature)), 0);
    assert_int_equal(verify("SHA256", RSA_PKCS1_PSS_PADDING, signature, sizeof(signature)), 0);
    assert_int_equal(verify("SHA256", RSA_PKCS1_PADDING, signature, sizeof(signature) - 1), 0);
    assert_int_equal(verify("SHA256", RSA_PKCS1_PADDING, signature, 0), 0);
    signature[255] ^= 1;
    assert_int_equal(verify("SHA256", RSA_PKCS1_PADDING, signature, sizeof(signature)), 0);
    memset(signature, 0xff, sizeof(signature));
    assert_int_equal(verify("SHA256", RSA_PKCS1_PADDING, signature, sizeof(signature)), 0);
    assert_we_say_nothing();
}

static int verify_salted(int salt, const uint8_t *signature)
{
    EVP_MD_CTX *ctx = start("SHA256", RSA_PKCS1_PSS_PADDING);
    int verdict;

    assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(EVP_MD_CTX_get_pkey_ctx(ctx), salt), 1);
    verdict = EVP_DigestVerify(ctx, signature, SIGNATURE_SIZE, message, sizeof(message));
    EVP_MD_CTX_free(ctx);
    return verdict;
}

static void the_salt_matters_where_it_is_named(void **state)
{
    uint8_t signature[SIGNATURE_SIZE];

    (void)state;
    sign("SHA256", RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST, signature);
    assert_int_equal(verify_salted(RSA_PSS_SALTLEN_AUTO, signature), 1);
    assert_int_equal(verify_salted(RSA_PSS_SALTLEN_DIGEST, signature), 1);
    assert_int_equal(verify_salted(32, signature), 1);
    assert_int_equal(verify_salted(RSA_PSS_SALTLEN_MAX, signature), 0);
    assert_int_equal(verify_salted(0, signature), 0);
    assert_we_say_nothing();
}

/* Certificate requests say their PSS settings in DER, which OpenSSL turns into parameters. */
static void verifies_its_own_request(void **state)
{
    X509_REQ *request = X509_REQ_new_ex(fixture.libctx, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;

    (void)state;
    assert_int_equal(X509_REQ_set_version(request, X509_REQ_VERSION_1), 1);
    assert_int_equal(X509_REQ_set_pubkey(request, device), 1);
    assert_true(X509_REQ_sign(request, device, EVP_sha256()) > 0);
    assert_int_equal(X509_REQ_verify_ex(request, device, fixture.libctx, NULL), 1);
    assert_int_equal(
        EVP_DigestSignInit_ex(ctx, &settings, "SHA256", fixture.libctx, NULL, device, NULL), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING), 1);
    assert_true(X509_REQ_sign_ctx(request, ctx) > 0);
    assert_int_equal(X509_REQ_verify_ex(request, device, fixture.libctx, NULL), 1);
    fixture_assert_silence();
    EVP_MD_CTX_free(ctx);
    X509_REQ_free(request);
}

static void asks_no_tpm(void **state)
{
    uint8_t signature[SIGNATURE_SIZE];
    struct fixture away;
    EVP_PKEY *key;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    (void)state;
    sign("SHA256", RSA_PKCS1_PADDING, 0, signature);
    setenv("GATEKEY_TCTI", "device:/nonexistent/tpm", 1);
    fixture_load(&away);
    key = fixture_read_uri(&away, "gatekey:", NULL);
    assert_int_equal(EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", away.libctx, NULL, key, NULL), 1);
    assert_int_equal(EVP_DigestVerify(ctx, signature, sizeof(signature), message, sizeof(message)),
                     1);
    fixture_assert_silence();
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    fixture_unload(&away);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifies_what_it_signed),
        cmocka_unit_test(verifies_a_digest_made_elsewhere),
        cmocka_unit_test(refuses_every_other_signature_without_a_word),
        cmocka_unit_test(the_salt_matters_where_it_is_named),
        cmocka_unit_test(verifies_its_own_request),
        cmocka_unit_test(asks_no_tpm),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
