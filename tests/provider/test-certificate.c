/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/certificate.c and store.c: gatekey:cert and gatekey:chain. */
#include "tests/provider/fixture.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct fixture fixture;
static EVP_PKEY *software;
static char device[4096], issuer[4096]; /* two certificates as PEM */

static X509 *make_certificate(const char *name)
{
    X509 *certificate = X509_new_ex(fixture.libctx, NULL);

    assert_non_null(certificate);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    assert_int_equal(X509_set_pubkey(certificate, software), 1);
    assert_true(X509_sign(certificate, software, EVP_sha256()) > 0);
    return certificate;
}

static void write_pem(const char *name, char *text, size_t room)
{
    X509 *certificate = make_certificate(name);
    BIO *bio = BIO_new(BIO_s_mem());
    int size;

    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    size = BIO_read(bio, text, (int)room - 1);
    assert_true(size > 0);
    text[size] = '\0';
    BIO_free(bio);
    X509_free(certificate);
}

static int set_up(void **state)
{
    (void)state;
    /* No TPM answers there: certificates need none. */
    setenv("GATEKEY_TCTI", "device:/nonexistent/tpm", 1);
    fixture_load(&fixture);
    software = EVP_PKEY_Q_keygen(fixture.libctx, NULL, "RSA", (size_t)2048);
    assert_non_null(software);
    write_pem("device", device, sizeof(device));
    write_pem("issuer", issuer, sizeof(issuer));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(software);
    fixture_unload(&fixture);
    return 0;
}

static void write_certificates(const char *one, const char *two, const char *three)
{
    char text[3 * sizeof(device)];

    snprintf(text, sizeof(text), "%s%s%s", one, two, three);
    fixture_write("cert.pem", text, strlen(text));
}

static OSSL_STORE_CTX *open_store(const char *uri, int expected)
{
    OSSL_STORE_CTX *store =
        OSSL_STORE_open_ex(uri, fixture.libctx, NULL, NULL, NULL, NULL, NULL, NULL);

    assert_non_null(store);
    assert_int_equal(OSSL_STORE_expect(store, expected), 1);
    return store;
}

/* The common name of the next object, which is a certificate. */
static void assert_next(OSSL_STORE_CTX *store, const char *name)
{
    OSSL_STORE_INFO *info;
    char found[64] = "";

    assert_int_equal(OSSL_STORE_eof(store), 0);
    info = OSSL_STORE_load(store);
    assert_non_null(info);
    assert_int_equal(OSSL_STORE_INFO_get_type(info), OSSL_STORE_INFO_CERT);
    X509_NAME_get_text_by_NID(X509_get_subject_name(OSSL_STORE_INFO_get0_CERT(info)),
                              NID_commonName, found, sizeof(found));
    assert_string_equal(found, name);
    OSSL_STORE_INFO_free(info);
}

static void assert_end(OSSL_STORE_CTX *store)
{
    assert_int_equal(OSSL_STORE_eof(store), 1);
    assert_null(OSSL_STORE_load(store));
    assert_int_equal(OSSL_STORE_error(store), 0);
    OSSL_STORE_close(store);
    fixture_assert_silence();
}

/* Nothing is to be had; it is an error, it is told, and then the end has come. */
static void assert_refused(const char *uri, int expected, const char *says)
{
    OSSL_STORE_CTX *store = open_store(uri, expected);

    assert_int_equal(OSSL_STORE_eof(store), 0);
    assert_null(OSSL_STORE_load(store));
    assert_int_equal(OSSL_STORE_error(store), 1);
    assert_int_equal(OSSL_STORE_eof(store), 0);
    fixture_assert_says(says);
    assert_null(OSSL_STORE_load(store));
    assert_int_equal(OSSL_STORE_eof(store), 1);
    OSSL_STORE_close(store);
    fixture_assert_silence();
}

static void gives_the_certificate_and_the_chain(void **state)
{
    static const int expected[] = { 0, OSSL_STORE_INFO_CERT };

    (void)state;
    write_certificates("a line of text\n", device, issuer);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        OSSL_STORE_CTX *store = open_store("gatekey:cert", expected[i]);

        assert_next(store, "device");
        assert_end(store);
        store = open_store("gatekey:chain", expected[i]);
        assert_next(store, "issuer");
        assert_end(store);
    }
}

static void a_chain_may_be_empty(void **state)
{
    OSSL_STORE_CTX *store;

    (void)state;
    write_certificates(device, "", "");
    store = open_store("gatekey:chain", OSSL_STORE_INFO_CERT);
    assert_null(OSSL_STORE_load(store));
    assert_end(store);
}

static void gives_nothing_else(void **state)
{
    static const int none[] = { OSSL_STORE_INFO_CRL, OSSL_STORE_INFO_PARAMS };
    static const int keys[] = { OSSL_STORE_INFO_PKEY, OSSL_STORE_INFO_PUBKEY };

    (void)state;
    write_certificates(device, issuer, "");
    for (size_t i = 0; i < 2; i++) {
        assert_end(open_store("gatekey:cert", none[i]));
        assert_end(open_store("gatekey:chain", none[i]));
        assert_end(open_store("gatekey:", none[i]));
        assert_refused("gatekey:cert", keys[i],
                       "(a key is wanted and this URI names a certificate); write gatekey: for");
    }
    assert_refused("gatekey:", OSSL_STORE_INFO_CERT,
                   "(a certificate is wanted and this URI names a key); write gatekey: for the "
                   "key, gatekey:cert for its certificate, gatekey:chain for");
}

static void finds_a_certificate_by_its_subject(void **state)
{
    X509_NAME *name = X509_NAME_new();
    OSSL_STORE_SEARCH *search;
    OSSL_STORE_CTX *store = open_store("gatekey:chain", 0);

    (void)state;
    write_certificates(device, issuer, "");
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"issuer", -1, -1,
                               0);
    search = OSSL_STORE_SEARCH_by_name(name);
    assert_int_equal(OSSL_STORE_supports_search(store, OSSL_STORE_SEARCH_BY_NAME), 1);
    assert_int_equal(OSSL_STORE_find(store, search), 1);
    assert_next(store, "issuer");
    assert_end(store);

    store = open_store("gatekey:cert", OSSL_STORE_INFO_CERT);
    assert_int_equal(OSSL_STORE_find(store, search), 1);
    assert_null(OSSL_STORE_load(store));
    assert_end(store);

    store = open_store("gatekey:", 0);
    assert_int_equal(OSSL_STORE_find(store, search), 1);
    assert_end(store);
    OSSL_STORE_SEARCH_free(search);
    X509_NAME_free(name);
}

/* Whoever looks for one certificate must not be given all of them. */
static void refuses_a_search_that_it_does_not_know(void **state)
{
    OSSL_STORE_SEARCH *search = OSSL_STORE_SEARCH_by_alias("device");
    OSSL_STORE_CTX *store = open_store("gatekey:chain", 0);

    (void)state;
    write_certificates(device, issuer, "");
    assert_int_equal(OSSL_STORE_supports_search(store, OSSL_STORE_SEARCH_BY_ALIAS), 0);
    assert_int_equal(OSSL_STORE_find(store, search), 0);
    fixture_assert_says("cannot search for a certificate: the device key does not do that");
    OSSL_STORE_close(store);
    OSSL_STORE_SEARCH_free(search);
}

static void says_when_there_is_none_yet(void **state)
{
    char says[700];

    (void)state;
    unlink(fixture_path("cert.pem"));
    snprintf(says, sizeof(says),
             "cannot load the device certificate: this gateway is not enrolled (there is no %s); "
             "run gatekey enroll",
             fixture_path("cert.pem"));
    assert_refused("gatekey:cert", OSSL_STORE_INFO_CERT, says);
    assert_refused("gatekey:chain", 0, says);
    /* It may come at any time. */
    write_certificates(device, "", "");
    {
        OSSL_STORE_CTX *store = open_store("gatekey:cert", 0);

        assert_next(store, "device");
        assert_end(store);
    }
}

static void refuses_a_file_with_something_else_in_it(void **state)
{
    static const char key[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    static const char rsa[] =
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    static const char crl[] = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    static const char broken[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    static const char cut[] = "-----BEGIN CERTIFICATE-----\nAAAA\n";

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *uri = i == 0 ? "gatekey:cert" : "gatekey:chain";

        write_certificates(device, key, "");
        assert_refused(uri, 0, "cert.pem has a private key in it); take it out");
        write_certificates(device, issuer, rsa);
        assert_refused(uri, 0, "cert.pem has a private key in it); take it out");
        write_certificates(device, crl, "");
        assert_refused(uri, 0, "cert.pem has something other than certificates in it)");
        write_certificates(device, broken, "");
        assert_refused(uri, 0, "(certificate 2 in ");
        write_certificates(device, issuer, cut);
        assert_refused(uri, 0, "cert.pem is damaged); restore it from a copy, or remove it");
        write_certificates("", "", "");
        assert_refused(uri, 0, "cert.pem has no certificate in it)");
        write_certificates("\001\002 garbage\n", "", "");
        assert_refused(uri, 0, "cert.pem has no certificate in it)");
    }
}

/* DER with something after it would reach the application as it is. */
static void refuses_a_certificate_with_a_tail(void **state)
{
    X509 *certificate = make_certificate("device");
    unsigned char *der = NULL, *longer;
    int size = i2d_X509(certificate, &der);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    (void)state;
    longer = calloc(1, (size_t)size + 1);
    assert_non_null(longer);
    memcpy(longer, der, (size_t)size);
    assert_true(PEM_write_bio(bio, PEM_STRING_X509, "", longer, size + 1) > 0);
    assert_int_equal(BIO_write(bio, "", 1), 1);
    (void)BIO_get_mem_data(bio, &text);
    write_certificates(text, "", "");
    assert_refused("gatekey:cert", 0, "(certificate 1 in ");
    BIO_free(bio);
    free(longer);
    OPENSSL_free(der);
    X509_free(certificate);
}

static void refuses_a_file_that_is_too_large(void **state)
{
    size_t size = 1024 * 1024 + 1;
    char *text = malloc(size);
    size_t length = strlen(device);
    char many[17 * 2048] = "";

    (void)state;
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, device, length);
    fixture_write("cert.pem", text, size);
    free(text);
    assert_refused("gatekey:cert", 0, "cert.pem is larger than 1048576 bytes");
    for (int i = 0; i < 17; i++) {
        strncat(many, device, sizeof(many) - strlen(many) - 1);
    }
    fixture_write("cert.pem", many, strlen(many));
    assert_refused("gatekey:chain", 0, "cert.pem has more than 16 certificates in it");
}

/* As for certificates: a key that is not there is an error, not the end. */
static void says_when_there_is_no_key_either(void **state)
{
    static const int expected[] = { 0, OSSL_STORE_INFO_PKEY, OSSL_STORE_INFO_PUBKEY };

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_refused("gatekey:", expected[i], "device.pem); run gatekey enroll");
        assert_refused("gatekey:handle=0x81000100", expected[i], "no TPM answered");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_certificate_and_the_chain),
        cmocka_unit_test(a_chain_may_be_empty),
        cmocka_unit_test(gives_nothing_else),
        cmocka_unit_test(finds_a_certificate_by_its_subject),
        cmocka_unit_test(refuses_a_search_that_it_does_not_know),
        cmocka_unit_test(says_when_there_is_none_yet),
        cmocka_unit_test(refuses_a_file_with_something_else_in_it),
        cmocka_unit_test(refuses_a_certificate_with_a_tail),
        cmocka_unit_test(refuses_a_file_that_is_too_large),
        cmocka_unit_test(says_when_there_is_no_key_either),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
