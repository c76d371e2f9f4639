/* SPDX-License-Identifier: Apache-2.0 */
/* What lies on the token: the attributes of its keys, certificates and profiles. */
#include "tests/pkcs11/files.h"
#include "tests/pkcs11/sample.h"

#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int begin(void **state)
{
    (void)state;
    files_begin();
    return 0;
}

static void joins_keys_and_certificate_by_one_id(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;
    struct p11_certificate parsed;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    char serial[5];

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, sample.issuer.pem);
    token = sample_token();
    assert_int_equal(token->count, 4 + SAMPLE_PROFILES);
    assert_true(p11_certificate_parse(sample.leaf.der, (size_t)sample.leaf.size, &parsed));
    SHA256(parsed.public_bits.data, parsed.public_bits.size, hash);
    assert_memory_equal(token->id, hash, P11_ID_SIZE);
    assert_value(sample_object(token, CKO_PRIVATE_KEY, 0), CKA_ID, hash, P11_ID_SIZE);
    assert_value(sample_object(token, CKO_PUBLIC_KEY, 0), CKA_ID, hash, P11_ID_SIZE);
    assert_value(sample_object(token, CKO_CERTIFICATE, 0), CKA_ID, hash, P11_ID_SIZE);
    assert_value(sample_object(token, CKO_PRIVATE_KEY, 0), CKA_SUBJECT, parsed.subject.data,
                 parsed.subject.size);
    snprintf(serial, sizeof(serial), "%02x%02x", hash[0], hash[1]);
    assert_memory_equal(token->serial, serial, 4);
}

static void tells_the_leaf_from_its_issuers(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;
    CLEANUP(gk_freep) char *two = NULL;
    struct p11_certificate parsed;
    uint8_t hash[SHA256_DIGEST_LENGTH];

    (void)state;
    assert_true(asprintf(&two, "%s%s", sample.issuer.pem, sample.newer_leaf.pem) > 0);
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, two);
    token = sample_token();
    assert_label(&token->objects[2], "device");
    assert_number(&token->objects[2], CKA_CERTIFICATE_CATEGORY, 1);
    assert_label(&token->objects[3], "issuer");
    assert_number(&token->objects[3], CKA_CERTIFICATE_CATEGORY, 2);
    assert_true(p11_certificate_parse(sample.issuer.der, (size_t)sample.issuer.size, &parsed));
    SHA256(parsed.public_bits.data, parsed.public_bits.size, hash);
    assert_value(&token->objects[3], CKA_ID, hash, P11_ID_SIZE);
    assert_label(&token->objects[4], "issuer 2");
    assert_number(&token->objects[4], CKA_CERTIFICATE_CATEGORY, 2);
}

/* --- attributes --- */

static void says_what_the_private_key_does(void **state)
{
    static const CK_ATTRIBUTE_TYPE yes[] = {
        CKA_TOKEN, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_LOCAL, CKA_SIGN,
    };
    static const CK_ATTRIBUTE_TYPE no[] = {
        CKA_PRIVATE,
        CKA_MODIFIABLE,
        CKA_COPYABLE,
        CKA_DESTROYABLE,
        CKA_EXTRACTABLE,
        CKA_DECRYPT,
        CKA_UNWRAP,
        CKA_SIGN_RECOVER,
        CKA_DERIVE,
        CKA_WRAP_WITH_TRUSTED,
        CKA_ALWAYS_AUTHENTICATE,
    };
    static const CK_ATTRIBUTE_TYPE secret[] = {
        CKA_PRIVATE_EXPONENT, CKA_PRIME_1,    CKA_PRIME_2,
        CKA_EXPONENT_1,       CKA_EXPONENT_2, CKA_COEFFICIENT,
    };
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;
    const struct p11_object *object;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    token = sample_token();
    object = sample_object(token, CKO_PRIVATE_KEY, 0);
    assert_false(object->private);
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        assert_flag(object, yes[i], true);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        assert_flag(object, no[i], false);
    }
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
        assert_true(p11_object_find(object, secret[i])->sensitive);
    }
    assert_null(p11_object_find(object, CKA_MODULUS_BITS));
    assert_null(p11_object_find(object, CKA_VERIFY));
    assert_label(object, "device");
    assert_number(object, CKA_CLASS, CKO_PRIVATE_KEY);
    assert_number(object, CKA_KEY_TYPE, CKK_RSA);
    assert_number(object, CKA_KEY_GEN_MECHANISM, CKM_RSA_PKCS_KEY_PAIR_GEN);
    assert_value(object, CKA_START_DATE, NULL, 0);
}

static void gives_the_public_numbers_with_both_keys(void **state)
{
    static const CK_OBJECT_CLASS classes[] = { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY };
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;
    struct p11_certificate parsed;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    token = sample_token();
    assert_true(p11_certificate_parse(sample.leaf.der, (size_t)sample.leaf.size, &parsed));
    for (size_t i = 0; i < 2; i++) {
        const struct p11_object *object = sample_object(token, classes[i], 0);

        assert_value(object, CKA_MODULUS, gk_key_public(token->key)->modulus, GK_RSA2048_SIZE);
        assert_value(object, CKA_PUBLIC_EXPONENT, "\x01\x00\x01", 3);
        assert_value(object, CKA_PUBLIC_KEY_INFO, parsed.public_info.data, parsed.public_info.size);
    }
    assert_number(sample_object(token, CKO_PUBLIC_KEY, 0), CKA_MODULUS_BITS, 2048);
    assert_flag(sample_object(token, CKO_PUBLIC_KEY, 0), CKA_VERIFY, true);
    assert_flag(sample_object(token, CKO_PUBLIC_KEY, 0), CKA_ENCRYPT, false);
    assert_null(p11_object_find(sample_object(token, CKO_PUBLIC_KEY, 0), CKA_PRIME_1));
}

static void allows_what_signs_and_nothing_else(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;
    const struct p11_attribute *allowed;
    CK_MECHANISM_TYPE type;
    size_t wanted = 0;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    token = sample_token();
    for (size_t i = 0; i < p11_mechanism_count; i++) {
        wanted += (p11_mechanisms[i].info.flags & CKF_SIGN) != 0 &&
                  p11_mechanism_is_offered(&p11_mechanisms[i], token);
    }
    allowed = p11_object_find(sample_object(token, CKO_PRIVATE_KEY, 0), CKA_ALLOWED_MECHANISMS);
    assert_true(wanted >= 4);
    assert_int_equal(allowed->size, wanted * sizeof(type));
    for (size_t i = 0; i < wanted; i++) {
        memcpy(&type, allowed->value + i * sizeof(type), sizeof(type));
        assert_non_null(p11_mechanism_find(type, P11_SIGN, token));
    }
}

static void gives_the_certificate_whole_and_in_parts(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;
    const struct p11_object *object;
    struct p11_certificate parsed;
    uint8_t hash[SHA_DIGEST_LENGTH];

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, NULL);
    token = sample_token();
    object = sample_object(token, CKO_CERTIFICATE, 0);
    assert_true(p11_certificate_parse(sample.leaf.der, (size_t)sample.leaf.size, &parsed));
    assert_value(object, CKA_VALUE, sample.leaf.der, (size_t)sample.leaf.size);
    assert_value(object, CKA_SUBJECT, parsed.subject.data, parsed.subject.size);
    assert_value(object, CKA_ISSUER, parsed.issuer.data, parsed.issuer.size);
    assert_value(object, CKA_SERIAL_NUMBER, parsed.serial.data, parsed.serial.size);
    assert_value(object, CKA_PUBLIC_KEY_INFO, parsed.public_info.data, parsed.public_info.size);
    SHA1(sample.leaf.der, (size_t)sample.leaf.size, hash);
    assert_value(object, CKA_CHECK_VALUE, hash, 3);
    assert_number(object, CKA_CERTIFICATE_TYPE, CKC_X_509);
    assert_flag(object, CKA_TRUSTED, false);
    assert_flag(object, CKA_PRIVATE, false);
    assert_value(object, CKA_URL, NULL, 0);
}

static void names_its_profiles(void **state)
{
    static const CK_ULONG wanted[] = { CKP_BASELINE_PROVIDER, CKP_AUTHENTICATION_TOKEN,
                                       CKP_PUBLIC_CERTIFICATES_TOKEN };
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    token = sample_token();
    assert_int_equal(sample_count(token, CKO_PROFILE), SAMPLE_PROFILES);
    for (size_t i = 0; i < SAMPLE_PROFILES; i++) {
        const struct p11_object *object = &token->objects[2 + i];

        assert_number(object, CKA_PROFILE_ID, wanted[i]);
        assert_flag(object, CKA_TOKEN, true);
        assert_flag(object, CKA_PRIVATE, false);
    }
}

static void has_no_attribute_twice_and_no_object_twice(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, sample.leaf.pem);
    token = sample_token();
    for (size_t i = 0; i < token->count; i++) {
        const struct p11_object *object = &token->objects[i];
        const struct p11_attribute *id = p11_object_find(object, CKA_UNIQUE_ID);

        assert_int_equal(id->size, 32);
        for (size_t j = 0; j < object->count; j++) {
            assert_ptr_equal(p11_object_find(object, object->attributes[j].type),
                             &object->attributes[j]);
        }
        for (size_t j = 0; j < i; j++) {
            assert_false(p11_object_equal(object, &token->objects[j]));
            assert_memory_not_equal(p11_object_find(&token->objects[j], CKA_UNIQUE_ID)->value,
                                    id->value, 32);
        }
    }
}

/* The token of a device.pem of that kind. */
static struct p11_token *token_of(enum files_kind kind)
{
    CLEANUP(gk_freep) char *device = files_reference(sample.key, kind);

    files_write(GK_FILE_DEVICE, device, NULL);
    return sample_token();
}

static void claims_no_origin_for_an_imported_key(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = token_of(FILES_IMPORTED);
    const struct p11_object *object = sample_object(token, CKO_PRIVATE_KEY, 0);

    (void)state;
    assert_flag(object, CKA_LOCAL, false);
    assert_flag(object, CKA_ALWAYS_SENSITIVE, false);
    assert_flag(object, CKA_NEVER_EXTRACTABLE, false);
    assert_flag(object, CKA_SENSITIVE, true);
    assert_flag(object, CKA_EXTRACTABLE, false);
    assert_number(object, CKA_KEY_GEN_MECHANISM, CK_UNAVAILABLE_INFORMATION);
}

static void allows_what_a_key_with_a_scheme_of_its_own_does(void **state)
{
    static const CK_MECHANISM_TYPE allowed[] = { CKM_RSA_PKCS, CKM_SHA384_RSA_PKCS };
    CLEANUP(p11_token_releasep) struct p11_token *token = token_of(FILES_FOR_RSASSA);

    (void)state;
    assert_value(sample_object(token, CKO_PRIVATE_KEY, 0), CKA_ALLOWED_MECHANISMS, allowed,
                 sizeof(allowed));
    assert_null(p11_mechanism_find(CKM_RSA_PKCS_PSS, P11_SIGN, token));
    assert_non_null(p11_mechanism_find(CKM_SHA256, P11_DIGEST, token));
}

static void hides_only_a_private_key_with_a_password(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device_with_password, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, sample.issuer.pem);
    token = sample_token();
    for (size_t i = 0; i < token->count; i++) {
        bool is_key = token->objects[i].class == CKO_PRIVATE_KEY;

        assert_int_equal(token->objects[i].private, is_key);
        assert_flag(&token->objects[i], CKA_PRIVATE, is_key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(joins_keys_and_certificate_by_one_id, begin),
        cmocka_unit_test_setup(tells_the_leaf_from_its_issuers, begin),
        cmocka_unit_test_setup(says_what_the_private_key_does, begin),
        cmocka_unit_test_setup(gives_the_public_numbers_with_both_keys, begin),
        cmocka_unit_test_setup(allows_what_signs_and_nothing_else, begin),
        cmocka_unit_test_setup(gives_the_certificate_whole_and_in_parts, begin),
        cmocka_unit_test_setup(names_its_profiles, begin),
        cmocka_unit_test_setup(has_no_attribute_twice_and_no_object_twice, begin),
        cmocka_unit_test_setup(claims_no_origin_for_an_imported_key, begin),
        cmocka_unit_test_setup(allows_what_a_key_with_a_scheme_of_its_own_does, begin),
        cmocka_unit_test_setup(hides_only_a_private_key_with_a_password, begin),
    };

    return cmocka_run_group_tests(tests, sample_begin, sample_end);
}
