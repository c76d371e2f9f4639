/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of C_GetAttributeValue, C_GetObjectSize and of the functions that would change an object.
 */
#include "tests/pkcs11/fixture.h"

#include <openssl/core_names.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM 4096
#define NONE CK_UNAVAILABLE_INFORMATION

static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private, public, leaf, issuer;

static int begin(void **state)
{
    CK_OBJECT_CLASS class = CKO_CERTIFICATE;
    CK_ATTRIBUTE templates[2] = { { CKA_CLASS, &class, sizeof(class) },
                                  { CKA_LABEL, "device", 6 } };
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];

    fixture_begin(state);
    session = fixture_open();
    private = fixture_find_class(session, CKO_PRIVATE_KEY);
    public = fixture_find_class(session, CKO_PUBLIC_KEY);
    assert_int_equal(fixture_find(session, templates, 2, found), 1);
    leaf = found[0];
    templates[1] = (CK_ATTRIBUTE){ CKA_LABEL, "issuer", 6 };
    assert_int_equal(fixture_find(session, templates, 2, found), 1);
    issuer = found[0];
    return 0;
}

static void assert_bytes(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, const void *wanted,
                         size_t size)
{
    uint8_t value[ROOM];
    CK_ULONG got = fixture_attribute(session, object, type, value, sizeof(value));

    if (got != size || memcmp(value, wanted, size) != 0) {
        fail_msg("attribute 0x%lx of object %lu has %ld bytes, not these %zu", type, object,
                 (long)got, size);
    }
}

static void assert_flag(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, CK_BBOOL wanted)
{
    assert_bytes(object, type, &wanted, sizeof(wanted));
}

static void assert_number(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, CK_ULONG wanted)
{
    assert_bytes(object, type, &wanted, sizeof(wanted));
}

static void assert_text(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, const char *wanted)
{
    assert_bytes(object, type, wanted, strlen(wanted));
}

/* Takes what OpenSSL's i2d functions make. */
static void assert_der(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, unsigned char *der,
                       int size)
{
    assert_true(size > 0);
    assert_bytes(object, type, der, (size_t)size);
    OPENSSL_free(der);
}

struct flag {
    CK_ATTRIBUTE_TYPE type;
    CK_BBOOL value;
};

static void the_private_key_says_what_it_can_do(void **state)
{
    static const struct flag flags[] = {
        { CKA_TOKEN, CK_TRUE },
        { CKA_PRIVATE, CK_FALSE },
        { CKA_MODIFIABLE, CK_FALSE },
        { CKA_COPYABLE, CK_FALSE },
        { CKA_DESTROYABLE, CK_FALSE },
        { CKA_SIGN, CK_TRUE },
        { CKA_SIGN_RECOVER, CK_FALSE },
        { CKA_DECRYPT, CK_FALSE },
        { CKA_UNWRAP, CK_FALSE },
        { CKA_DERIVE, CK_FALSE },
        { CKA_SENSITIVE, CK_TRUE },
        { CKA_ALWAYS_SENSITIVE, CK_TRUE },
        { CKA_EXTRACTABLE, CK_FALSE },
        { CKA_NEVER_EXTRACTABLE, CK_TRUE },
        { CKA_LOCAL, CK_TRUE },
        { CKA_ALWAYS_AUTHENTICATE, CK_FALSE },
        { CKA_WRAP_WITH_TRUSTED, CK_FALSE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        assert_flag(private, flags[i].type, flags[i].value);
    }
    assert_number(private, CKA_CLASS, CKO_PRIVATE_KEY);
    assert_number(private, CKA_KEY_TYPE, CKK_RSA);
    assert_text(private, CKA_LABEL, "device");
    assert_bytes(private, CKA_START_DATE, "", 0);
    assert_bytes(private, CKA_END_DATE, "", 0);
}

static void the_public_key_says_what_it_can_do(void **state)
{
    static const struct flag flags[] = {
        { CKA_TOKEN, CK_TRUE },        { CKA_PRIVATE, CK_FALSE },
        { CKA_MODIFIABLE, CK_FALSE },  { CKA_COPYABLE, CK_FALSE },
        { CKA_DESTROYABLE, CK_FALSE }, { CKA_VERIFY, CK_TRUE },
        { CKA_ENCRYPT, CK_FALSE },     { CKA_WRAP, CK_FALSE },
        { CKA_DERIVE, CK_FALSE },      { CKA_VERIFY_RECOVER, CK_FALSE },
        { CKA_LOCAL, CK_TRUE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        assert_flag(public, flags[i].type, flags[i].value);
    }
    assert_number(public, CKA_CLASS, CKO_PUBLIC_KEY);
    assert_number(public, CKA_KEY_TYPE, CKK_RSA);
    assert_number(public, CKA_MODULUS_BITS, 2048);
    assert_text(public, CKA_LABEL, "device");
}

static void both_keys_have_the_numbers(void **state)
{
    EVP_PKEY *key = fixture_public("plain.pem");
    BIGNUM *modulus = NULL, *exponent = NULL;
    uint8_t n[256], e[8];
    size_t e_size;

    (void)state;
    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent), 1);
    assert_int_equal(BN_bn2bin(modulus, n), sizeof(n));
    e_size = (size_t)BN_bn2bin(exponent, e);
    assert_bytes(private, CKA_MODULUS, n, sizeof(n));
    assert_bytes(private, CKA_PUBLIC_EXPONENT, e, e_size);
    assert_bytes(public, CKA_MODULUS, n, sizeof(n));
    assert_bytes(public, CKA_PUBLIC_EXPONENT, e, e_size);
    BN_free(modulus);
    BN_free(exponent);
    EVP_PKEY_free(key);
}

static void both_keys_have_the_encoded_public_key(void **state)
{
    EVP_PKEY *key = fixture_public("plain.pem");
    unsigned char *der = NULL;
    int size = i2d_PUBKEY(key, &der);

    (void)state;
    assert_true(size > 0);
    assert_bytes(private, CKA_PUBLIC_KEY_INFO, der, (size_t)size);
    assert_der(public, CKA_PUBLIC_KEY_INFO, der, size);
    EVP_PKEY_free(key);
}

/* RFC 7093, 2, method 1: the leftmost 160 bits of the SHA-256 of the public key's bits. */
static void the_id_is_made_of_the_public_key(void **state)
{
    X509 *above = fixture_certificate("cert.pem", 1);
    EVP_PKEY *key = fixture_public("plain.pem");
    unsigned char *der = NULL, digest[32];
    int size = i2d_PublicKey(key, &der);
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(above);

    (void)state;
    EVP_Digest(der, (size_t)size, digest, NULL, EVP_sha256(), NULL);
    assert_bytes(private, CKA_ID, digest, 20);
    assert_bytes(public, CKA_ID, digest, 20);
    assert_bytes(leaf, CKA_ID, digest, 20);
    EVP_Digest(ASN1_STRING_get0_data(bits), (size_t)ASN1_STRING_length(bits), digest, NULL,
               EVP_sha256(), NULL);
    assert_bytes(issuer, CKA_ID, digest, 20);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    X509_free(above);
}

static void assert_certificate(CK_OBJECT_HANDLE object, X509 *certificate, CK_ULONG category)
{
    unsigned char *value = NULL, *subject = NULL, *above = NULL, *serial = NULL;
    int value_size = i2d_X509(certificate, &value);
    int subject_size = i2d_X509_NAME(X509_get_subject_name(certificate), &subject);
    int above_size = i2d_X509_NAME(X509_get_issuer_name(certificate), &above);
    int serial_size = i2d_ASN1_INTEGER(X509_get_serialNumber(certificate), &serial);

    assert_number(object, CKA_CLASS, CKO_CERTIFICATE);
    assert_number(object, CKA_CERTIFICATE_TYPE, CKC_X_509);
    assert_number(object, CKA_CERTIFICATE_CATEGORY, category);
    assert_flag(object, CKA_TOKEN, CK_TRUE);
    assert_flag(object, CKA_PRIVATE, CK_FALSE);
    assert_flag(object, CKA_MODIFIABLE, CK_FALSE);
    assert_flag(object, CKA_TRUSTED, CK_FALSE);
    assert_der(object, CKA_VALUE, value, value_size);
    assert_der(object, CKA_SUBJECT, subject, subject_size);
    assert_der(object, CKA_ISSUER, above, above_size);
    assert_der(object, CKA_SERIAL_NUMBER, serial, serial_size);
}

static void certificates_say_what_is_in_them(void **state)
{
    X509 *first = fixture_certificate("cert.pem", 0), *second = fixture_certificate("cert.pem", 1);

    (void)state;
    assert_certificate(leaf, first, 1);
    assert_certificate(issuer, second, 2);
    X509_free(first);
    X509_free(second);
}

static void the_keys_know_the_subject_of_the_certificate(void **state)
{
    X509 *first = fixture_certificate("cert.pem", 0);
    unsigned char *subject = NULL;
    int size = i2d_X509_NAME(X509_get_subject_name(first), &subject);

    (void)state;
    assert_bytes(private, CKA_SUBJECT, subject, (size_t)size);
    assert_der(public, CKA_SUBJECT, subject, size);
    X509_free(first);
}

static void the_key_names_its_mechanisms(void **state)
{
    CK_MECHANISM_TYPE list[64];
    CK_ULONG size = fixture_attribute(session, private, CKA_ALLOWED_MECHANISMS, list, sizeof(list));

    (void)state;
    assert_int_equal(size, 8 * sizeof(list[0]));
    for (CK_ULONG i = 0; i < 8; i++) {
        struct fixture_mechanism space;

        assert_rv(p11->C_SignInit(session, fixture_mechanism(&space, list[i], CKM_SHA256), private),
                  CKR_OK);
        assert_rv(p11->C_SessionCancel(session, CKF_SIGN), CKR_OK);
    }
}

static void three_profiles_are_claimed(void **state)
{
    static const CK_ULONG wanted[] = { CKP_BASELINE_PROVIDER, CKP_AUTHENTICATION_TOKEN,
                                       CKP_PUBLIC_CERTIFICATES_TOKEN };
    CK_OBJECT_CLASS class = CKO_PROFILE;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        CK_ULONG profile = wanted[i];
        CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) },
                                    { CKA_PROFILE_ID, &profile, sizeof(profile) } };
        CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];

        assert_int_equal(fixture_find(session, template, 2, found), 1);
        assert_flag(found[0], CKA_TOKEN, CK_TRUE);
        assert_flag(found[0], CKA_PRIVATE, CK_FALSE);
    }
}

static void secrets_are_not_read(void **state)
{
    static const CK_ATTRIBUTE_TYPE secrets[] = { CKA_PRIVATE_EXPONENT, CKA_PRIME_1,
                                                 CKA_PRIME_2,          CKA_EXPONENT_1,
                                                 CKA_EXPONENT_2,       CKA_COEFFICIENT };

    (void)state;
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        uint8_t value[ROOM] = { 0 }, untouched[ROOM] = { 0 };
        CK_ATTRIBUTE template = { secrets[i], value, sizeof(value) };

        assert_rv(p11->C_GetAttributeValue(session, private, &template, 1),
                  CKR_ATTRIBUTE_SENSITIVE);
        assert_int_equal(template.ulValueLen, NONE);
        assert_memory_equal(value, untouched, sizeof(value));
        template = (CK_ATTRIBUTE){ secrets[i], NULL, 0 };
        assert_rv(p11->C_GetAttributeValue(session, private, &template, 1),
                  CKR_ATTRIBUTE_SENSITIVE);
        assert_int_equal(template.ulValueLen, NONE);
        template = (CK_ATTRIBUTE){ secrets[i], value, sizeof(value) };
        assert_rv(p11->C_GetAttributeValue(session, public, &template, 1),
                  CKR_ATTRIBUTE_TYPE_INVALID);
    }
}

static void attributes_of_others_are_told(void **state)
{
    uint8_t value[ROOM];
    CK_ATTRIBUTE template[] = { { CKA_EC_POINT, value, sizeof(value) },
                                { CKA_VENDOR_DEFINED, value, sizeof(value) },
                                { ~0UL, NULL, 0 } };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_rv(p11->C_GetAttributeValue(session, private, &template[i], 1),
                  CKR_ATTRIBUTE_TYPE_INVALID);
        assert_int_equal(template[i].ulValueLen, NONE);
    }
}

/* No size at all, each size up to the right one, and more. */
static void a_value_never_leaves_its_buffer(void **state)
{
    (void)state;
    for (CK_ULONG room = 0; room < 300; room++) {
        uint8_t value[300];
        CK_ATTRIBUTE template = { CKA_MODULUS, value, room };
        bool fits = room >= 256;

        memset(value, 0xee, sizeof(value));
        assert_rv(p11->C_GetAttributeValue(session, public, &template, 1),
                  fits ? CKR_OK : CKR_BUFFER_TOO_SMALL);
        assert_int_equal(template.ulValueLen, fits ? 256 : NONE);
        for (size_t i = fits ? 256 : 0; i < sizeof(value); i++) {
            assert_int_equal(value[i], 0xee);
        }
    }
}

static void a_length_is_told_without_a_buffer(void **state)
{
    CK_ATTRIBUTE template[] = { { CKA_MODULUS, NULL, 0 },
                                { CKA_CLASS, NULL, 77 },
                                { CKA_START_DATE, NULL, 0 } };

    (void)state;
    assert_rv(p11->C_GetAttributeValue(session, private, template, 3), CKR_OK);
    assert_int_equal(template[0].ulValueLen, 256);
    assert_int_equal(template[1].ulValueLen, sizeof(CK_ULONG));
    assert_int_equal(template[2].ulValueLen, 0);
}

/* One entry that cannot be answered does not stop the others. */
static void every_entry_is_answered_by_itself(void **state)
{
    CK_OBJECT_CLASS class = ~0UL;
    CK_BBOOL sign = 77;
    uint8_t modulus[256], small[10];
    CK_ATTRIBUTE template[] = {
        { CKA_PRIVATE_EXPONENT, modulus, sizeof(modulus) },
        { CKA_EC_POINT, modulus, sizeof(modulus) },
        { CKA_MODULUS, small, sizeof(small) },
        { CKA_CLASS, &class, sizeof(class) },
        { CKA_LABEL, NULL, 0 },
        { CKA_SIGN, &sign, sizeof(sign) },
    };
    CK_RV rv = p11->C_GetAttributeValue(session, private, template, 6);

    (void)state;
    assert_true(rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
                rv == CKR_BUFFER_TOO_SMALL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(template[i].ulValueLen, NONE);
    }
    assert_int_equal(class, CKO_PRIVATE_KEY);
    assert_int_equal(template[3].ulValueLen, sizeof(class));
    assert_int_equal(template[4].ulValueLen, 6);
    assert_int_equal(sign, CK_TRUE);
}

static void objects_that_are_not_there_are_told(void **state)
{
    static const CK_OBJECT_HANDLE others[] = { 0, ~0UL, 1UL << 32, 0x7ffffff0 };
    CK_ATTRIBUTE template = { CKA_CLASS, NULL, 0 };
    CK_OBJECT_HANDLE copy;
    CK_ULONG size;

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CK_OBJECT_HANDLE object = others[i];

        assert_rv(p11->C_GetAttributeValue(session, object, &template, 1),
                  CKR_OBJECT_HANDLE_INVALID);
        assert_rv(p11->C_GetObjectSize(session, object, &size), CKR_OBJECT_HANDLE_INVALID);
        assert_rv(p11->C_SetAttributeValue(session, object, &template, 1),
                  CKR_OBJECT_HANDLE_INVALID);
        assert_rv(p11->C_CopyObject(session, object, NULL, 0, &copy), CKR_OBJECT_HANDLE_INVALID);
        assert_rv(p11->C_DestroyObject(session, object), CKR_OBJECT_HANDLE_INVALID);
    }
}

static void every_object_has_a_size(void **state)
{
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];
    CK_ULONG count = fixture_find(session, NULL, 0, found);

    (void)state;
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ULONG size = 0;

        assert_rv(p11->C_GetObjectSize(session, found[i], &size), CKR_OK);
        assert_true(size > 0);
        assert_rv(p11->C_GetObjectSize(session, found[i], NULL), CKR_ARGUMENTS_BAD);
    }
}

/* In read-only sessions the token's protection is told, not the session's. */
static void nothing_is_changed(void **state)
{
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX], copy = 77;
    CK_ULONG count = fixture_find(session, NULL, 0, found);
    CK_SESSION_HANDLE sessions[2] = { session };
    CK_ATTRIBUTE template = { CKA_LABEL, "other", 5 };

    (void)state;
    assert_rv(p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &sessions[1]),
              CKR_OK);
    for (CK_ULONG i = 0; i < 2 * count; i++) {
        CK_OBJECT_HANDLE object = found[i / 2];
        CK_SESSION_HANDLE in = sessions[i % 2];

        assert_rv(p11->C_SetAttributeValue(in, object, &template, 1), CKR_ACTION_PROHIBITED);
        assert_rv(p11->C_DestroyObject(in, object), CKR_ACTION_PROHIBITED);
        assert_rv(p11->C_CopyObject(in, object, &template, 1, &copy), CKR_ACTION_PROHIBITED);
    }
    assert_int_equal(copy, 77);
    assert_int_equal(fixture_find(session, NULL, 0, found), count);
    assert_text(private, CKA_LABEL, "device");
}

/* On the token, for it is protected; in the session, for there is no kind of object that could be.
 */
static void nothing_is_made(void **state)
{
    static const CK_OBJECT_CLASS classes[] = { CKO_DATA, CKO_CERTIFICATE, CKO_PUBLIC_KEY,
                                               CKO_PRIVATE_KEY, CKO_SECRET_KEY };
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_OBJECT_HANDLE object = 77;

    (void)state;
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        CK_OBJECT_CLASS class = classes[i];
        CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) },
                                    { CKA_TOKEN, &yes, sizeof(yes) } };

        assert_rv(p11->C_CreateObject(session, template, 2, &object), CKR_TOKEN_WRITE_PROTECTED);
        template[1].pValue = &no;
        assert_rv(p11->C_CreateObject(session, template, 2, &object), CKR_TEMPLATE_INCONSISTENT);
    }
    assert_int_equal(object, 77);
}

static void a_template_for_a_new_object_is_looked_at(void **state)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_ATTRIBUTE short_class = { CKA_CLASS, &class, 1 };
    CK_ATTRIBUTE unique[] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_UNIQUE_ID, "x", 1 } };
    CK_ATTRIBUTE hollow = { CKA_TOKEN, NULL, 1 };
    CK_OBJECT_HANDLE object = 77;

    (void)state;
    assert_rv(p11->C_CreateObject(session, NULL, 0, &object), CKR_TEMPLATE_INCOMPLETE);
    assert_rv(p11->C_CreateObject(session, &short_class, 1, &object), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_rv(p11->C_CreateObject(session, unique, 2, &object), CKR_ATTRIBUTE_READ_ONLY);
    assert_rv(p11->C_CreateObject(session, unique, 1, NULL), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_CreateObject(session, NULL, 1, &object), CKR_ARGUMENTS_BAD);
    assert_int_not_equal(p11->C_CreateObject(session, &hollow, 1, &object), CKR_OK);
    assert_int_equal(object, 77);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_private_key_says_what_it_can_do),
        TEST(the_public_key_says_what_it_can_do),
        TEST(both_keys_have_the_numbers),
        TEST(both_keys_have_the_encoded_public_key),
        TEST(the_id_is_made_of_the_public_key),
        TEST(certificates_say_what_is_in_them),
        TEST(the_keys_know_the_subject_of_the_certificate),
        TEST(the_key_names_its_mechanisms),
        TEST(three_profiles_are_claimed),
        TEST(secrets_are_not_read),
        TEST(attributes_of_others_are_told),
        TEST(a_value_never_leaves_its_buffer),
        TEST(a_length_is_told_without_a_buffer),
        TEST(every_entry_is_answered_by_itself),
        TEST(objects_that_are_not_there_are_told),
        TEST(every_object_has_a_size),
        TEST(nothing_is_changed),
        TEST(nothing_is_made),
        TEST(a_template_for_a_new_object_is_looked_at),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, NULL);
}
