/* SPDX-License-Identifier: Apache-2.0 */
/* DER: certificates taken apart, public keys written, both as OpenSSL does it. */
#include "tests/pkcs11/files.h"

#include "pkcs11/internal.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *rsa, *ec;
static struct files_certificate of_rsa, of_ec;

static int begin(void **state)
{
    (void)state;
    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    of_rsa = files_certify(rsa, "device", ec, "issuer");
    of_ec = files_certify(ec, "issuer", ec, "issuer");
    return 0;
}

static int end(void **state)
{
    (void)state;
    files_certificate_clear(&of_rsa);
    files_certificate_clear(&of_ec);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    return 0;
}

static void assert_bytes(struct p11_bytes bytes, const void *wanted, int size)
{
    assert_int_equal(bytes.size, size);
    assert_memory_equal(bytes.data, wanted, (size_t)size);
}

/* A name by itself. */
static void assert_name(struct p11_bytes bytes, X509_NAME *name)
{
    unsigned char *der = NULL;
    int size = i2d_X509_NAME(name, &der);

    assert_bytes(bytes, der, size);
    OPENSSL_free(der);
}

static void assert_taken_apart(const struct files_certificate *from)
{
    const unsigned char *at = from->der;
    X509 *x509 = d2i_X509(NULL, &at, from->size);
    ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(x509);
    struct p11_certificate taken;
    unsigned char *der = NULL;
    int size;

    assert_true(p11_certificate_parse(from->der, (size_t)from->size, &taken));
    assert_bytes(taken.der, from->der, from->size);
    assert_name(taken.subject, X509_get_subject_name(x509));
    assert_name(taken.issuer, X509_get_issuer_name(x509));
    assert_bytes(taken.serial, "\x02\x03\x00\xc0\x01", 5);
    size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
    assert_bytes(taken.public_info, der, size);
    assert_bytes(taken.public_bits, ASN1_STRING_get0_data(bits), ASN1_STRING_length(bits));
    OPENSSL_free(der);
    X509_free(x509);
}

static void takes_certificates_apart(void **state)
{
    (void)state;
    assert_taken_apart(&of_rsa);
    assert_taken_apart(&of_ec);
}

/* In memory of exactly that size, so that a sanitizer sees a read beyond it. */
static bool parses(const uint8_t *der, size_t size)
{
    CLEANUP(gk_freep) uint8_t *exact = malloc(size > 0 ? size : 1);
    struct p11_certificate taken;

    assert_non_null(exact);
    memcpy(exact, der, size);
    return p11_certificate_parse(exact, size, &taken);
}

static void refuses_every_truncation(void **state)
{
    (void)state;
    for (size_t size = 0; size < (size_t)of_rsa.size; size++) {
        assert_false(parses(of_rsa.der, size));
    }
}

static void refuses_what_follows(void **state)
{
    CLEANUP(gk_freep) uint8_t *longer = calloc(1, (size_t)of_rsa.size + 1);

    (void)state;
    memcpy(longer, of_rsa.der, (size_t)of_rsa.size);
    assert_true(parses(longer, (size_t)of_rsa.size));
    assert_false(parses(longer, (size_t)of_rsa.size + 1));
}

/* Whether it parses then depends on the byte; that it reads nothing beyond does not. */
static void survives_every_spoilt_byte(void **state)
{
    static const uint8_t spoils[] = { 0x00, 0x01, 0x30, 0x7f, 0x80, 0x81, 0x84, 0x88, 0xff };

    (void)state;
    for (size_t i = 0; i < (size_t)of_ec.size; i++) {
        uint8_t byte = of_ec.der[i];

        for (size_t j = 0; j < sizeof(spoils); j++) {
            of_ec.der[i] = spoils[j];
            (void)parses(of_ec.der, (size_t)of_ec.size);
        }
        of_ec.der[i] = byte;
    }
    assert_true(parses(of_ec.der, (size_t)of_ec.size));
}

static void refuses_lengths_that_are_not_der(void **state)
{
    static const uint8_t indefinite[] = { 0x30, 0x80, 0x30, 0x00, 0x00, 0x00 };
    static const uint8_t longer_than_needed[] = { 0x30, 0x81, 0x02, 0x30, 0x00 };
    static const uint8_t huge[] = { 0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint8_t *body = of_rsa.der + 4;
    uint8_t around[8192] = { 0x30, 0x83, 0x00 };

    (void)state;
    assert_false(parses(indefinite, sizeof(indefinite)));
    assert_false(parses(longer_than_needed, sizeof(longer_than_needed)));
    assert_false(parses(huge, sizeof(huge)));
    /* The very certificate, but for one zero byte before its length. */
    around[3] = of_rsa.der[2];
    around[4] = of_rsa.der[3];
    memcpy(around + 5, body, (size_t)of_rsa.size - 4);
    assert_false(parses(around, (size_t)of_rsa.size + 1));
}

static struct gk_public public_of(EVP_PKEY *key)
{
    struct gk_public public = { .exponent = 65537 };
    BIGNUM *modulus = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus), 1);
    assert_int_equal(BN_bn2binpad(modulus, public.modulus, GK_RSA2048_SIZE), GK_RSA2048_SIZE);
    BN_free(modulus);
    return public;
}

static void writes_the_public_key_of_its_certificate(void **state)
{
    struct gk_public public = public_of(rsa);
    uint8_t bits[P11_PUBLIC_BITS_MAX], info[P11_PUBLIC_INFO_MAX];
    struct p11_certificate taken;
    size_t size;

    (void)state;
    assert_true(p11_certificate_parse(of_rsa.der, (size_t)of_rsa.size, &taken));
    size = p11_public_bits(&public, bits);
    assert_bytes(taken.public_bits, bits, (int)size);
    size = p11_public_info(&public, info);
    assert_bytes(taken.public_info, info, (int)size);
}

/* The shortest and the longest there are; OpenSSL reads them back. */
static void writes_any_exponent(void **state)
{
    static const uint32_t exponents[] = { 3, 127, 128, 255, 256, 65537, 0x7fffffff, 0xffffffff };

    (void)state;
    for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
        struct gk_public public = public_of(rsa);
        uint8_t info[P11_PUBLIC_INFO_MAX];
        const unsigned char *at = info;
        CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
        BIGNUM *exponent = NULL;
        size_t size;

        public.exponent = exponents[i];
        size = p11_public_info(&public, info);
        key = d2i_PUBKEY(NULL, &at, (long)size);
        assert_non_null(key);
        assert_ptr_equal(at, info + size);
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent), 1);
        assert_int_equal(BN_get_word(exponent), exponents[i]);
        BN_free(exponent);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_certificates_apart),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_what_follows),
        cmocka_unit_test(survives_every_spoilt_byte),
        cmocka_unit_test(refuses_lengths_that_are_not_der),
        cmocka_unit_test(writes_the_public_key_of_its_certificate),
        cmocka_unit_test(writes_any_exponent),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
