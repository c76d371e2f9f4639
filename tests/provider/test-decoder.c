/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/decoder.c and key.c: key files as libssl and as the openssl command read them.
 */
#include "tests/provider/fixture.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fixture fixture;
static char *reference; /* what device.pem holds */
static char *block;     /* its PEM block alone */
static char software[4096];
static char encrypted[4096];
static char certificate[4096];

typedef EVP_PKEY *reader(struct fixture *fixture, const char *path, const char *password);
static reader *const readers[] = { fixture_read_pem, fixture_read_uri };
#define READERS (sizeof(readers) / sizeof(readers[0]))

static void write_software_key(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(fixture.libctx, NULL, "RSA", (size_t)2048);
    X509 *self = X509_new_ex(fixture.libctx, NULL);
    BIO *out = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_true(BIO_read(out, software, sizeof(software) - 1) > 0);
    assert_int_equal(
        PEM_write_bio_PrivateKey(out, key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)"secret"), 1);
    assert_true(BIO_read(out, encrypted, sizeof(encrypted) - 1) > 0);
    assert_int_equal(X509_set_pubkey(self, key), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(self), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(self), 60));
    assert_true(X509_sign(self, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(out, self), 1);
    assert_true(BIO_read(out, certificate, sizeof(certificate) - 1) > 0);
    X509_free(self);
    BIO_free(out);
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    size_t size;

    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_make_key(FIXTURE_PASSWORD_HANDLE, FIXTURE_PASSWORD, "password.pem");
    fixture_load(&fixture);
    reference = fixture_read("device.pem", &size);
    block = strstr(reference, "-----BEGIN");
    assert_non_null(block);
    write_software_key();
    fixture_assert_silence();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(reference);
    fixture_unload(&fixture);
    return 0;
}

static int can_sign(EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);
    int done;

    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, key, NULL),
                     1);
    done = EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"x", 1);
    EVP_MD_CTX_free(ctx);
    return done;
}

/* Read a file in both ways; the provider of the key, or NULL where it was not read. */
static void assert_read_by(const char *name, const char *password, const OSSL_PROVIDER *provider)
{
    for (size_t i = 0; i < READERS; i++) {
        EVP_PKEY *key = readers[i](&fixture, fixture_path(name), password);

        assert_non_null(key);
        assert_ptr_equal(EVP_PKEY_get0_provider(key), provider);
        EVP_PKEY_free(key);
        fixture_assert_silence();
    }
}

static void assert_refused(const char *name, const char *text)
{
    for (size_t i = 0; i < READERS; i++) {
        assert_null(readers[i](&fixture, fixture_path(name), NULL));
        fixture_assert_says(text);
    }
}

static void write_text(const char *name, const char *first, const char *second)
{
    char text[16384];

    snprintf(text, sizeof(text), "%s%s", first, second);
    fixture_write(name, text, strlen(text));
}

static void reads_device_pem(void **state)
{
    (void)state;
    assert_read_by("device.pem", NULL, fixture.gatekey);
    write_text("bare.pem", block, "");
    assert_read_by("bare.pem", NULL, fixture.gatekey);
}

static void reads_it_wherever_it_stands_in_a_file(void **state)
{
    char words[2048];

    (void)state;
    write_text("after.pem", certificate, reference);
    assert_read_by("after.pem", NULL, fixture.gatekey);
    write_text("before.pem", reference, certificate);
    assert_read_by("before.pem", NULL, fixture.gatekey);
    memset(words, 'w', sizeof(words));
    words[sizeof(words) - 2] = '\n';
    words[sizeof(words) - 1] = '\0';
    write_text("words.pem", words, block);
    assert_read_by("words.pem", NULL, fixture.gatekey);
}

static void reads_a_file_with_windows_line_ends(void **state)
{
    char text[8192];
    size_t size = 0;

    (void)state;
    for (const char *c = reference; *c != '\0'; c++) {
        if (*c == '\n') {
            text[size++] = '\r';
        }
        text[size++] = *c;
    }
    fixture_write("windows.pem", text, size);
    assert_read_by("windows.pem", NULL, fixture.gatekey);
}

static void passes_over_keys_of_others(void **state)
{
    (void)state;
    write_text("software.pem", software, "");
    assert_read_by("software.pem", NULL, fixture.base);
    write_text("encrypted.pem", encrypted, "");
    assert_read_by("encrypted.pem", "secret", fixture.base);
    assert_true(fixture_times_asked() > 0);
}

static void leaves_the_refusal_of_rubbish_to_others(void **state)
{
    (void)state;
    write_text("rubbish.pem", "no key at all\n", "");
    for (size_t i = 0; i < READERS; i++) {
        assert_null(readers[i](&fixture, fixture_path("rubbish.pem"), NULL));
        while (ERR_peek_error() != 0) {
            assert_string_not_equal(ERR_lib_error_string(ERR_peek_error()), "gatekey");
            ERR_get_error();
        }
    }
}

static void says_what_is_wrong_with_a_garbled_file(void **state)
{
    char text[8192];

    (void)state;
    /* The first byte of the body is the version. */
    snprintf(text, sizeof(text), "%s", reference);
    strstr(text, "KEY-----\n")[9] = 'f';
    write_text("version.pem", text, "");
    assert_refused("version.pem", "cannot read the device key's reference: "
                                  "this is not a well-formed device key reference");
    snprintf(text, sizeof(text), "%s", reference);
    strstr(text, "KEY-----\n")[20] = '*';
    write_text("base64.pem", text, "");
    assert_refused("base64.pem", "this is not a well-formed device key reference");
    snprintf(text, sizeof(text), "%s", reference);
    strstr(text, "-----END")[0] = '\0';
    write_text("cut.pem", text, "");
    assert_refused("cut.pem", "this is not a well-formed device key reference");
}

static void refuses_a_block_without_end(void **state)
{
    static char text[100000];

    (void)state;
    memset(text, 'A', sizeof(text) - 1);
    memcpy(text, "-----BEGIN GATEKEY DEVICE KEY-----\n", 35);
    fixture_write("huge.pem", text, sizeof(text) - 1);
    assert_refused("huge.pem", "the block is longer than 8192 bytes");
}

static void asks_for_no_password_where_there_is_none(void **state)
{
    (void)state;
    (void)fixture_times_asked();
    assert_read_by("device.pem", "not asked for", fixture.gatekey);
    assert_int_equal(fixture_times_asked(), 0);
}

static void asks_once_where_there_is_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < READERS; i++) {
        EVP_PKEY *key;

        (void)fixture_times_asked();
        key = readers[i](&fixture, fixture_path("password.pem"), FIXTURE_PASSWORD);
        assert_int_equal(fixture_times_asked(), 1);
        assert_true(can_sign(key));
        EVP_PKEY_free(key);
        fixture_assert_silence();
    }
}

static void says_when_the_password_is_wrong_or_missing(void **state)
{
    EVP_PKEY *key = fixture_read_pem(&fixture, fixture_path("password.pem"), "wrong");

    (void)state;
    assert_false(can_sign(key));
    fixture_assert_says("cannot sign with the device key: wrong password (0x81000101");
    EVP_PKEY_free(key);
    key = fixture_read_pem(&fixture, fixture_path("password.pem"), NULL);
    assert_non_null(key);
    ERR_clear_error();
    assert_false(can_sign(key));
    fixture_assert_says("a password is needed and none was given");
    EVP_PKEY_free(key);
}

static void refuses_a_password_no_tpm_takes(void **state)
{
    char password[66];
    EVP_PKEY *key;

    (void)state;
    memset(password, 'p', 65);
    password[65] = '\0';
    key = fixture_read_pem(&fixture, fixture_path("password.pem"), password);
    fixture_assert_silence();
    assert_false(can_sign(key));
    fixture_assert_says("wrong password (it is longer than 64 bytes)");
    EVP_PKEY_free(key);
}

static void asks_nothing_for_the_public_part(void **state)
{
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(
        &key, "PEM", NULL, NULL, EVP_PKEY_PUBLIC_KEY, fixture.libctx, NULL);
    FILE *file = fopen(fixture_path("password.pem"), "r");

    (void)state;
    (void)fixture_times_asked();
    assert_int_equal(OSSL_DECODER_from_fp(ctx, file), 1);
    assert_non_null(key);
    assert_int_equal(fixture_times_asked(), 0);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "default");
    EVP_PKEY_free(key);
    OSSL_DECODER_CTX_free(ctx);
    fclose(file);
}

static int decoders_of_a_certificates_key(OSSL_LIB_CTX *libctx)
{
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(&key, "DER", "SubjectPublicKeyInfo",
                                                          "RSA", EVP_PKEY_PUBLIC_KEY, libctx, NULL);
    int count = OSSL_DECODER_CTX_get_num_decoders(ctx);

    OSSL_DECODER_CTX_free(ctx);
    return count;
}

/* Each decoder more is paid for with every certificate that a program reads. */
static void stands_aside_where_a_certificate_is_read(void **state)
{
    OSSL_LIB_CTX *plain = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *provider = OSSL_PROVIDER_load(plain, "default");
    int without = decoders_of_a_certificates_key(plain);

    (void)state;
    assert_true(without > 0);
    /* The PEM stage comes along: nothing asks it beforehand. */
    assert_in_range(decoders_of_a_certificates_key(fixture.libctx), without, without + 1);
    OSSL_PROVIDER_unload(provider);
    OSSL_LIB_CTX_free(plain);
}

static size_t bytes_read;

static long count_reads(BIO *bio, int operation, const char *data, size_t size, int argi, long argl,
                        int result, size_t *processed)
{
    (void)bio;
    (void)data;
    (void)size;
    (void)argi;
    (void)argl;
    if (operation == (BIO_CB_READ | BIO_CB_RETURN) && result > 0) {
        bytes_read += *processed;
    }
    return result;
}

/* It is told from ours by its first bytes, so that no copy of it is left on the stack. */
static void reads_no_more_of_a_foreign_key_than_its_head(void **state)
{
    EVP_PKEY *foreign = EVP_PKEY_Q_keygen(fixture.libctx, NULL, "RSA", (size_t)2048);
    OSSL_DECODER *ours = OSSL_DECODER_fetch(fixture.libctx, "RSA", "provider=gatekey,input=der");
    OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new();
    BIO *bio = BIO_new(BIO_s_mem());

    (void)state;
    assert_int_equal(OSSL_DECODER_CTX_add_decoder(ctx, ours), 1);
    assert_int_equal(OSSL_DECODER_CTX_set_input_type(ctx, "DER"), 1);
    assert_int_equal(i2d_PrivateKey_bio(bio, foreign), 1);
    bytes_read = 0;
    BIO_set_callback_ex(bio, count_reads);
    (void)OSSL_DECODER_from_bio(ctx, bio);
    /* The head, and the tag of what comes first in it. */
    assert_int_equal(bytes_read, 5);
    ERR_clear_error();
    BIO_free(bio);
    OSSL_DECODER_free(ours);
    OSSL_DECODER_CTX_free(ctx);
    EVP_PKEY_free(foreign);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_device_pem),
        cmocka_unit_test(reads_it_wherever_it_stands_in_a_file),
        cmocka_unit_test(reads_a_file_with_windows_line_ends),
        cmocka_unit_test(passes_over_keys_of_others),
        cmocka_unit_test(reads_no_more_of_a_foreign_key_than_its_head),
        cmocka_unit_test(leaves_the_refusal_of_rubbish_to_others),
        cmocka_unit_test(says_what_is_wrong_with_a_garbled_file),
        cmocka_unit_test(refuses_a_block_without_end),
        cmocka_unit_test(asks_for_no_password_where_there_is_none),
        cmocka_unit_test(asks_once_where_there_is_one),
        cmocka_unit_test(says_when_the_password_is_wrong_or_missing),
        cmocka_unit_test(refuses_a_password_no_tpm_takes),
        cmocka_unit_test(asks_nothing_for_the_public_part),
        cmocka_unit_test(stands_aside_where_a_certificate_is_read),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
