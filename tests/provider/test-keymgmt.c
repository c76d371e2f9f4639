/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/keymgmt.c and encoder.c: what OpenSSL may know of the device key, and what not.
 */
#include "tests/provider/fixture.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct fixture fixture;
static EVP_PKEY *device;
static EVP_PKEY *device_public;
static EVP_PKEY *software;

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_make_key(FIXTURE_PASSWORD_HANDLE, "", "another.pem");
    fixture_load(&fixture);
    device = fixture_read_uri(&fixture, "gatekey:", NULL);
    assert_non_null(device);
    device_public = fixture_public(&fixture, device);
    software = EVP_PKEY_Q_keygen(fixture.libctx, NULL, "RSA", (size_t)2048);
    assert_non_null(software);
    fixture_assert_silence();
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

static void is_an_rsa_2048_key_like_any_other(void **state)
{
    char digest[32];

    (void)state;
    assert_true(EVP_PKEY_is_a(device, "RSA"));
    assert_true(EVP_PKEY_is_a(device, "rsaEncryption"));
    assert_int_equal(EVP_PKEY_get_bits(device), 2048);
    assert_int_equal(EVP_PKEY_get_security_bits(device), 112);
    assert_int_equal(EVP_PKEY_get_size(device), 256);
    assert_int_equal(EVP_PKEY_get_default_digest_name(device, digest, sizeof(digest)), 1);
    assert_string_equal(digest, "SHA256");
    fixture_assert_silence();
}

static void gives_its_public_numbers(void **state)
{
    BIGNUM *ours = NULL, *theirs = NULL;

    (void)state;
    assert_int_equal(EVP_PKEY_get_bn_param(device, OSSL_PKEY_PARAM_RSA_N, &ours), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(device_public, OSSL_PKEY_PARAM_RSA_N, &theirs), 1);
    assert_int_equal(BN_cmp(ours, theirs), 0);
    assert_int_equal(EVP_PKEY_get_bn_param(device, OSSL_PKEY_PARAM_RSA_E, &ours), 1);
    assert_int_equal(BN_get_word(ours), 65537);
    assert_int_equal(EVP_PKEY_get_bn_param(device, OSSL_PKEY_PARAM_RSA_D, &theirs), 0);
    BN_free(ours);
    BN_free(theirs);
    ERR_clear_error();
}

static void equals_its_own_public_key_only(void **state)
{
    (void)state;
    assert_int_equal(EVP_PKEY_eq(device, device_public), 1);
    assert_int_equal(EVP_PKEY_eq(device_public, device), 1);
    assert_int_equal(EVP_PKEY_eq(device, software), 0);
    assert_int_equal(EVP_PKEY_eq(software, device), 0);
    fixture_assert_silence();
}

static void two_loads_of_the_same_key_are_equal(void **state)
{
    EVP_PKEY *again = fixture_read_pem(&fixture, fixture_path("device.pem"), NULL);
    EVP_PKEY *another = fixture_read_pem(&fixture, fixture_path("another.pem"), NULL);
    X509 *certificate = X509_new_ex(fixture.libctx, NULL);

    (void)state;
    assert_int_equal(EVP_PKEY_eq(device, again), 1);
    assert_int_equal(EVP_PKEY_eq(again, device), 1);
    fixture_assert_silence();
    assert_int_equal(EVP_PKEY_eq(device, another), 0);
    assert_int_equal(EVP_PKEY_eq(another, device), 0);
    fixture_assert_silence();
    /* A certificate that was given the key object itself, not yet written and read. */
    assert_int_equal(X509_set_pubkey(certificate, again), 1);
    assert_int_equal(X509_check_private_key(certificate, device), 1);
    fixture_assert_silence();
    X509_free(certificate);
    EVP_PKEY_free(again);
    EVP_PKEY_free(another);
}

/* OpenSSL makes one before it asks whether a software key could be taken in. */
static void a_key_that_is_none_yet_harms_nobody(void **state)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(fixture.libctx, "RSA", "provider=gatekey");
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    (void)state;
    assert_int_equal(EVP_PKEY_todata(software, EVP_PKEY_KEYPAIR, &params), 1);
    assert_true(EVP_PKEY_fromdata_init(ctx) <= 0 ||
                EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) <= 0);
    assert_null(key);
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
}

static void a_copy_signs_when_the_original_is_gone(void **state)
{
    EVP_PKEY *original = fixture_read_uri(&fixture, "gatekey:", NULL);
    EVP_PKEY *copy = EVP_PKEY_dup(original);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);

    (void)state;
    assert_non_null(copy);
    EVP_PKEY_free(original);
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, copy, NULL),
                     1);
    EVP_PKEY_free(copy);
    assert_int_equal(EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"x", 1), 1);
    EVP_MD_CTX_free(ctx);
    fixture_assert_silence();
}

static void fits_its_certificate_without_a_word(void **state)
{
    X509 *certificate = X509_new_ex(fixture.libctx, NULL);

    (void)state;
    assert_int_equal(X509_set_pubkey(certificate, device_public), 1);
    assert_int_equal(X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != NULL, 1);
    assert_int_equal(X509_gmtime_adj(X509_getm_notAfter(certificate), 60) != NULL, 1);
    assert_true(X509_sign(certificate, device, EVP_sha256()) > 0);
    assert_int_equal(X509_verify(certificate, device_public), 1);
    assert_int_equal(X509_check_private_key(certificate, device), 1);
    fixture_assert_silence();
    assert_int_equal(X509_set_pubkey(certificate, software), 1);
    assert_int_equal(X509_check_private_key(certificate, device), 0);
    ERR_clear_error();
    X509_free(certificate);
}

static void keeps_its_private_part_from_every_export(void **state)
{
    OSSL_PARAM *params = NULL;

    (void)state;
    assert_int_equal(EVP_PKEY_todata(device, EVP_PKEY_KEYPAIR, &params), 0);
    assert_null(params);
    assert_int_equal(EVP_PKEY_todata(device, EVP_PKEY_PUBLIC_KEY, &params), 1);
    assert_null(OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_RSA_D));
    assert_non_null(OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_RSA_N));
    OSSL_PARAM_free(params);
    ERR_clear_error();
}

static void says_why_the_private_key_is_not_written(void **state)
{
    static const char *const why = "the private part of the device key cannot leave the TPM";
    BIO *out = BIO_new(BIO_s_mem());

    (void)state;
    assert_int_equal(PEM_write_bio_PrivateKey(out, device, NULL, NULL, 0, NULL, NULL), 0);
    fixture_assert_says(why);
    assert_int_equal(
        PEM_write_bio_PrivateKey(out, device, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)"secret"),
        0);
    fixture_assert_says(why);
    assert_int_equal(i2d_PrivateKey_bio(out, device), 0);
    fixture_assert_says(why);
    assert_int_equal(i2d_PKCS8PrivateKey_bio(out, device, NULL, NULL, 0, NULL, NULL), 0);
    fixture_assert_says(why);
    assert_int_equal(BIO_pending(out), 0);
    BIO_free(out);
}

static void says_why_the_private_numbers_are_not_told(void **state)
{
    static const char *const names[] = {
        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    BIGNUM *number = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(EVP_PKEY_get_bn_param(device, names[i], &number), 0);
        assert_null(number);
        fixture_assert_says("cannot read the private key: the device key does not do that (the "
                            "private part of the device key cannot leave the TPM)");
    }
    assert_int_equal(EVP_PKEY_get_bn_param(device, OSSL_PKEY_PARAM_RSA_N, &number), 1);
    BN_free(number);
    fixture_assert_silence();
}

/* Every form that OpenSSL has for RSA keys, asked for by name. */
static void refuses_every_form_of_a_private_key(void **state)
{
    static const char *const forms[][2] = {
        { "PEM", "PrivateKeyInfo" },
        { "DER", "PrivateKeyInfo" },
        { "PEM", "type-specific" },
        { "DER", "type-specific" },
        { "PEM", "pkcs1" },
        { "DER", "pkcs1" },
        { "PEM", "rsa" },
        { "DER", "rsa" },
        { "MSBLOB", NULL },
        { "PVK", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        OSSL_ENCODER_CTX *ctx =
            OSSL_ENCODER_CTX_new_for_pkey(device, EVP_PKEY_KEYPAIR, forms[i][0], forms[i][1], NULL);
        unsigned char *data = NULL;
        size_t size = 0;

        assert_int_equal(OSSL_ENCODER_to_data(ctx, &data, &size), 0);
        assert_null(data);
        fixture_assert_says("the private part of the device key cannot leave the TPM");
        OSSL_ENCODER_CTX_free(ctx);
    }
}

static void writes_its_public_part_like_any_other(void **state)
{
    BIO *ours = BIO_new(BIO_s_mem());
    BIO *theirs = BIO_new(BIO_s_mem());
    char *a = NULL, *b = NULL;
    long size;

    (void)state;
    assert_int_equal(PEM_write_bio_PUBKEY_ex(ours, device, fixture.libctx, NULL), 1);
    assert_int_equal(PEM_write_bio_PUBKEY_ex(theirs, device_public, fixture.libctx, NULL), 1);
    size = BIO_get_mem_data(ours, &a);
    assert_int_equal(BIO_get_mem_data(theirs, &b), size);
    assert_memory_equal(a, b, size);
    fixture_assert_silence();
    BIO_free(ours);
    BIO_free(theirs);
}

static void describes_itself_as_text(void **state)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *text = NULL;

    (void)state;
    assert_int_equal(EVP_PKEY_print_private(out, device, 0, NULL), 1);
    assert_true(BIO_write(out, "", 1) == 1);
    (void)BIO_get_mem_data(out, &text);
    assert_non_null(strstr(text, "Private-Key: (2048 bit, kept in the TPM)\n"));
    assert_non_null(strstr(text, "\nTPM: swtpm:"));
    assert_non_null(strstr(text, "Handle: 0x81000100\n"));
    assert_non_null(strstr(text, "Password: none\n"));
    assert_non_null(strstr(text, "Exponent: 65537 (0x10001)\n"));
    BIO_free(out);
    fixture_assert_silence();
}

static void prints_its_public_part_as_the_default_provider_does(void **state)
{
    BIO *ours = BIO_new(BIO_s_mem());
    BIO *theirs = BIO_new(BIO_s_mem());
    char *a = NULL, *b = NULL;
    long size;

    (void)state;
    assert_int_equal(EVP_PKEY_print_public(ours, device, 0, NULL), 1);
    assert_int_equal(EVP_PKEY_print_public(theirs, device_public, 0, NULL), 1);
    size = BIO_get_mem_data(ours, &a);
    assert_int_equal(BIO_get_mem_data(theirs, &b), size);
    assert_memory_equal(a, b, size);
    BIO_free(ours);
    BIO_free(theirs);
}

static void leaves_software_keys_to_the_default_provider(void **state)
{
    BIO *out = BIO_new(BIO_s_mem());

    (void)state;
    assert_ptr_equal(EVP_PKEY_get0_provider(software), fixture.base);
    assert_ptr_equal(EVP_PKEY_get0_provider(device), fixture.gatekey);
    assert_int_equal(
        PEM_write_bio_PrivateKey_ex(out, software, NULL, NULL, 0, NULL, NULL, fixture.libctx, NULL),
        1);
    assert_true(BIO_pending(out) > 1000);
    BIO_free(out);
    fixture_assert_silence();
}

static void makes_no_keys_and_says_who_does(void **state)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(fixture.libctx, "RSA", "provider=gatekey");

    (void)state;
    assert_non_null(ctx);
    assert_true(EVP_PKEY_keygen_init(ctx) <= 0);
    fixture_assert_says(
        "cannot make an RSA key: the device key does not do that (software RSA keys "
        "come from the default provider); list the default provider before gatekey "
        "in openssl.cnf");
    EVP_PKEY_CTX_free(ctx);
}

static void refuses_to_decrypt_and_says_so(void **state)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, device, NULL);

    (void)state;
    assert_true(EVP_PKEY_decrypt_init(ctx) <= 0);
    fixture_assert_says("cannot decrypt with the device key: the device key does not do that");
    assert_true(EVP_PKEY_encrypt_init(ctx) <= 0);
    fixture_assert_says("cannot encrypt with the device key: the device key does not do that");
    EVP_PKEY_CTX_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_an_rsa_2048_key_like_any_other),
        cmocka_unit_test(gives_its_public_numbers),
        cmocka_unit_test(equals_its_own_public_key_only),
        cmocka_unit_test(two_loads_of_the_same_key_are_equal),
        cmocka_unit_test(a_key_that_is_none_yet_harms_nobody),
        cmocka_unit_test(a_copy_signs_when_the_original_is_gone),
        cmocka_unit_test(fits_its_certificate_without_a_word),
        cmocka_unit_test(keeps_its_private_part_from_every_export),
        cmocka_unit_test(says_why_the_private_key_is_not_written),
        cmocka_unit_test(says_why_the_private_numbers_are_not_told),
        cmocka_unit_test(refuses_every_form_of_a_private_key),
        cmocka_unit_test(writes_its_public_part_like_any_other),
        cmocka_unit_test(describes_itself_as_text),
        cmocka_unit_test(prints_its_public_part_as_the_default_provider_does),
        cmocka_unit_test(leaves_software_keys_to_the_default_provider),
        cmocka_unit_test(makes_no_keys_and_says_who_does),
        cmocka_unit_test(refuses_to_decrypt_and_says_so),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
