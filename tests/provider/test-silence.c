/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After whatever succeeds OpenSSL's error queue is empty, for a key loaded as libssl does it and as
 * the openssl command does. Programs that look at the queue without having asked find nothing.
 */
#include "tests/provider/fixture.h"

#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DATA (const uint8_t *)"some data", 9

static struct fixture fixture;
static EVP_PKEY *keys[2]; /* by PEM decoder, by store */
static X509 *certificate;

/* The call succeeds and leaves nothing behind. */
#define SILENT(call)              \
    do {                          \
        assert_true((call));      \
        fixture_assert_silence(); \
    } while (0)

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_make_key(FIXTURE_PASSWORD_HANDLE, FIXTURE_PASSWORD, "password.pem");
    fixture_load(&fixture);
    ERR_clear_error();
    SILENT((keys[0] = fixture_read_pem(&fixture, fixture_path("device.pem"), NULL)) != NULL);
    SILENT((keys[1] = fixture_read_uri(&fixture, "gatekey:", NULL)) != NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    X509_free(certificate);
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
    fixture_unload(&fixture);
    return 0;
}

static void sign_and_verify(EVP_PKEY *key, const char *hash, int padding)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    uint8_t signature[256];
    size_t size = sizeof(signature);

    SILENT(EVP_DigestSignInit_ex(ctx, &pctx, hash, fixture.libctx, NULL, key, NULL) == 1);
    SILENT(EVP_PKEY_CTX_set_rsa_padding(pctx, padding) == 1);
    if (padding == RSA_PKCS1_PSS_PADDING) {
        SILENT(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1);
    }
    SILENT(EVP_DigestSign(ctx, NULL, &size, DATA) == 1);
    SILENT(EVP_DigestSign(ctx, signature, &size, DATA) == 1);
    SILENT(EVP_MD_CTX_reset(ctx) == 1);
    SILENT(EVP_DigestSignInit_ex(ctx, &pctx, hash, fixture.libctx, NULL, key, NULL) == 1);
    SILENT(EVP_PKEY_CTX_set_rsa_padding(pctx, padding) == 1);
    SILENT(EVP_DigestSignUpdate(ctx, DATA) == 1);
    SILENT(EVP_DigestSignFinal(ctx, signature, &size) == 1);
    SILENT(EVP_MD_CTX_reset(ctx) == 1);
    SILENT(EVP_DigestVerifyInit_ex(ctx, &pctx, hash, fixture.libctx, NULL, key, NULL) == 1);
    SILENT(EVP_PKEY_CTX_set_rsa_padding(pctx, padding) == 1);
    SILENT(EVP_DigestVerify(ctx, signature, size, DATA) == 1);
    EVP_MD_CTX_free(ctx);
    fixture_assert_silence();
}

static void signs_and_verifies_messages_in_silence(void **state)
{
    static const char *const hashes[] = { "SHA256", "SHA384", "SHA512" };

    (void)state;
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof(hashes) / sizeof(hashes[0]); j++) {
            sign_and_verify(keys[i], hashes[j], RSA_PKCS1_PADDING);
            sign_and_verify(keys[i], hashes[j], RSA_PKCS1_PSS_PADDING);
        }
    }
}

static void signs_and_verifies_digests_in_silence(void **state)
{
    uint8_t digest[32] = { 1 }, signature[256];

    (void)state;
    for (int i = 0; i < 2; i++) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, keys[i], NULL);
        size_t size = sizeof(signature);

        SILENT(EVP_PKEY_sign_init(ctx) == 1);
        SILENT(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1);
        SILENT(EVP_PKEY_sign(ctx, signature, &size, digest, sizeof(digest)) == 1);
        SILENT(EVP_PKEY_verify_init(ctx) == 1);
        SILENT(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1);
        SILENT(EVP_PKEY_verify(ctx, signature, size, digest, sizeof(digest)) == 1);
        EVP_PKEY_CTX_free(ctx);
    }
}

static void tells_of_itself_in_silence(void **state)
{
    EVP_PKEY *public = fixture_public(&fixture, keys[0]);
    BIO *out = BIO_new(BIO_s_null());

    (void)state;
    fixture_assert_silence();
    for (int i = 0; i < 2; i++) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture.libctx, keys[i], NULL);
        OSSL_PARAM *params = NULL;
        BIGNUM *n = NULL;
        EVP_PKEY *copy;

        SILENT(EVP_PKEY_get_bits(keys[i]) == 2048);
        SILENT(EVP_PKEY_get_bn_param(keys[i], OSSL_PKEY_PARAM_RSA_N, &n) == 1);
        SILENT(EVP_PKEY_eq(keys[i], public) == 1);
        SILENT(EVP_PKEY_eq(public, keys[i]) == 1);
        SILENT(EVP_PKEY_eq(keys[0], keys[1]) == 1);
        SILENT((copy = EVP_PKEY_dup(keys[i])) != NULL);
        SILENT(EVP_PKEY_todata(keys[i], EVP_PKEY_PUBLIC_KEY, &params) == 1);
        SILENT(EVP_PKEY_check(ctx) == 1);
        SILENT(EVP_PKEY_public_check(ctx) == 1);
        SILENT(EVP_PKEY_pairwise_check(ctx) == 1);
        SILENT(EVP_PKEY_print_private(out, keys[i], 0, NULL) == 1);
        SILENT(EVP_PKEY_print_public(out, keys[i], 0, NULL) == 1);
        SILENT(PEM_write_bio_PUBKEY_ex(out, keys[i], fixture.libctx, NULL) == 1);
        SILENT(i2d_PUBKEY_bio(out, keys[i]) == 1);
        EVP_PKEY_free(copy);
        OSSL_PARAM_free(params);
        BN_free(n);
        EVP_PKEY_CTX_free(ctx);
    }
    BIO_free(out);
    EVP_PKEY_free(public);
}

static X509 *certify(EVP_PKEY *key)
{
    X509 *made = X509_new_ex(fixture.libctx, NULL);

    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                               (const unsigned char *)"device", -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(made));
    X509_set_version(made, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(made), -60);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    SILENT(X509_set_pubkey(made, key) == 1);
    SILENT(X509_sign(made, key, EVP_sha256()) > 0);
    SILENT(X509_verify(made, key) == 1);
    SILENT(X509_check_private_key(made, key) == 1);
    return made;
}

static void signs_certificates_requests_and_cms_in_silence(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        X509_REQ *request = X509_REQ_new_ex(fixture.libctx, NULL);
        BIO *data = BIO_new_mem_buf("some data", 9);
        CMS_ContentInfo *cms;

        X509_free(certificate);
        certificate = certify(keys[i]);
        /* OpenSSL 3.5 takes no request without one. */
        SILENT(X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1);
        SILENT(X509_REQ_set_pubkey(request, keys[i]) == 1);
        SILENT(X509_REQ_sign(request, keys[i], EVP_sha256()) > 0);
        SILENT(X509_REQ_verify_ex(request, keys[i], fixture.libctx, NULL) == 1);
        cms = CMS_sign_ex(certificate, keys[i], NULL, data, CMS_BINARY, fixture.libctx, NULL);
        SILENT(cms != NULL);
        CMS_ContentInfo_free(cms);
        BIO_free(data);
        X509_REQ_free(request);
    }
}

static SSL *make_end(SSL_CTX *ctx, BIO *in, BIO *out, int is_server)
{
    SSL *ssl = SSL_new(ctx);

    assert_non_null(ssl);
    assert_int_equal(BIO_up_ref(in), 1);
    assert_int_equal(BIO_up_ref(out), 1);
    SSL_set_bio(ssl, in, out);
    if (is_server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    return ssl;
}

static int accept_any(int ok, X509_STORE_CTX *ctx)
{
    (void)ok;
    (void)ctx;
    ERR_clear_error(); /* what the check of this certificate says is not ours */
    return 1;
}

/* Both ends have the device key, and the server wants to see the client's certificate. */
static void shake_hands(SSL_CTX *ctx)
{
    BIO *there = BIO_new(BIO_s_mem()), *back = BIO_new(BIO_s_mem());
    SSL *client = make_end(ctx, back, there, 0), *server = make_end(ctx, there, back, 1);
    int done = 0;

    SSL_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    SSL_set_verify(client, SSL_VERIFY_PEER, accept_any);
    for (int i = 0; i < 20 && done != 2; i++) {
        done = SSL_do_handshake(client) == 1;
        fixture_assert_silence();
        done += SSL_do_handshake(server) == 1;
        fixture_assert_silence();
    }
    assert_int_equal(done, 2);
    SSL_free(client);
    SSL_free(server);
    BIO_free(there);
    BIO_free(back);
    fixture_assert_silence();
}

static void shakes_hands_in_silence(void **state)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

    (void)state;
    for (int i = 0; i < 4; i++) {
        SSL_CTX *ctx = SSL_CTX_new_ex(fixture.libctx, NULL, TLS_method());

        SILENT(SSL_CTX_set_min_proto_version(ctx, versions[i / 2]) == 1);
        SILENT(SSL_CTX_set_max_proto_version(ctx, versions[i / 2]) == 1);
        SILENT(SSL_CTX_use_certificate(ctx, certificate) == 1);
        SILENT(SSL_CTX_use_PrivateKey(ctx, keys[i % 2]) == 1);
        SILENT(SSL_CTX_check_private_key(ctx) == 1);
        shake_hands(ctx);
        SSL_CTX_free(ctx);
        fixture_assert_silence();
    }
}

/* The application's answers are its own; none is as good as any to load the key. */
static void loads_a_key_with_a_password_in_silence(void **state)
{
    static const char *const answers[] = { FIXTURE_PASSWORD, "wrong", "", NULL };
    char uri[700];

    (void)state;
    snprintf(uri, sizeof(uri), "file:%s", fixture_path("password.pem"));
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        EVP_PKEY *key;

        SILENT((key = fixture_read_pem(&fixture, fixture_path("password.pem"), answers[i])) !=
               NULL);
        EVP_PKEY_free(key);
        SILENT((key = fixture_read_uri(&fixture, uri, answers[i])) != NULL);
        EVP_PKEY_free(key);
        SILENT((key = fixture_read_uri(&fixture, "gatekey:handle=0x81000101?pass", answers[i])) !=
               NULL);
        if (i == 0) {
            sign_and_verify(key, "SHA256", RSA_PKCS1_PADDING);
        }
        EVP_PKEY_free(key);
    }
}

static void reads_files_of_others_in_silence(void **state)
{
    EVP_PKEY *software = EVP_PKEY_Q_keygen(fixture.libctx, NULL, "RSA", (size_t)2048), *read;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long size;
    char uri[700];

    (void)state;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, software, NULL, NULL, 0, NULL, NULL), 1);
    size = BIO_get_mem_data(bio, &text);
    fixture_write("software.pem", text, (size_t)size);
    BIO_free(bio);
    fixture_assert_silence();
    SILENT((read = fixture_read_pem(&fixture, fixture_path("software.pem"), NULL)) != NULL);
    EVP_PKEY_free(read);
    snprintf(uri, sizeof(uri), "file:%s", fixture_path("software.pem"));
    SILENT((read = fixture_read_uri(&fixture, uri, NULL)) != NULL);
    sign_and_verify(read, "SHA256", RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_free(read);
    EVP_PKEY_free(software);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_and_verifies_messages_in_silence),
        cmocka_unit_test(signs_and_verifies_digests_in_silence),
        cmocka_unit_test(tells_of_itself_in_silence),
        cmocka_unit_test(signs_certificates_requests_and_cms_in_silence),
        cmocka_unit_test(shakes_hands_in_silence),
        cmocka_unit_test(loads_a_key_with_a_password_in_silence),
        cmocka_unit_test(reads_files_of_others_in_silence),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
