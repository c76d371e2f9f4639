/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of C_FindObjectsInit, C_FindObjects and C_FindObjectsFinal. */
#include "tests/pkcs11/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static CK_OBJECT_CLASS class_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    CK_OBJECT_CLASS class = ~0UL;

    assert_int_equal(fixture_attribute(session, object, CKA_CLASS, &class, sizeof(class)),
                     sizeof(class));
    return class;
}

static CK_ULONG count_of(CK_SESSION_HANDLE session, CK_ATTRIBUTE_TYPE type, void *value,
                         CK_ULONG size)
{
    CK_ATTRIBUTE template = { type, value, size };
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];

    return fixture_find(session, &template, 1, found);
}

static CK_ULONG class_count(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class)
{
    return count_of(session, CKA_CLASS, &class, sizeof(class));
}

static void an_empty_template_finds_everything_once(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];
    CK_ULONG count = fixture_find(session, NULL, 0, found);
    CK_ULONG classes[16] = { 0 };

    (void)state;
    for (CK_ULONG i = 0; i < count; i++) {
        CK_OBJECT_CLASS class = class_of(session, found[i]);

        assert_int_not_equal(found[i], CK_INVALID_HANDLE);
        assert_true(class < 16);
        classes[class]++;
        for (CK_ULONG j = 0; j < i; j++) {
            assert_int_not_equal(found[i], found[j]);
        }
    }
    assert_int_equal(classes[CKO_PRIVATE_KEY], 1);
    assert_int_equal(classes[CKO_PUBLIC_KEY], 1);
    assert_int_equal(classes[CKO_CERTIFICATE], 2);
    assert_int_equal(classes[CKO_PROFILE], 3);
    assert_int_equal(count, 7);
}

static void every_class_is_found_by_itself(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    assert_int_equal(class_count(session, CKO_PRIVATE_KEY), 1);
    assert_int_equal(class_count(session, CKO_PUBLIC_KEY), 1);
    assert_int_equal(class_count(session, CKO_CERTIFICATE), 2);
    assert_int_equal(class_count(session, CKO_PROFILE), 3);
}

/* NSS and Java ask for these; the answer must not be an error. */
static void classes_that_we_lack_are_not_found(void **state)
{
    static const CK_OBJECT_CLASS others[] = {
        CKO_DATA,      CKO_SECRET_KEY, CKO_HW_FEATURE, CKO_DOMAIN_PARAMETERS,
        CKO_MECHANISM, 0xce534351,     0xce534353,     0xce534354,
        ~0UL,
    };
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(class_count(session, others[i]), 0);
    }
}

static void key_and_certificate_are_joined_by_their_id(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_BYTE id[64];
    CK_ULONG size = fixture_attribute(session, fixture_find_class(session, CKO_PRIVATE_KEY), CKA_ID,
                                      id, sizeof(id));

    (void)state;
    assert_int_equal(size, 20);
    assert_int_equal(count_of(session, CKA_ID, id, size), 3);
    for (CK_OBJECT_CLASS class = CKO_CERTIFICATE; class <= CKO_PRIVATE_KEY; class ++) {
        CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) },
                                    { CKA_ID, id, size },
                                    { CKA_TOKEN, &yes, sizeof(yes) } };
        CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];

        assert_int_equal(fixture_find(session, template, 3, found), 1);
        assert_int_equal(class_of(session, found[0]), class);
    }
}

static void every_attribute_must_match(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE fits[] = { { CKA_CLASS, &class, sizeof(class) },
                            { CKA_SIGN, &yes, sizeof(yes) },
                            { CKA_LABEL, "device", 6 } };
    CK_ATTRIBUTE last_differs[] = { fits[0], fits[1], { CKA_LABEL, "devicf", 6 } };
    CK_ATTRIBUTE first_differs[] = { { CKA_DECRYPT, &yes, sizeof(yes) }, fits[0], fits[2] };
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];

    (void)state;
    assert_int_equal(fixture_find(session, fits, 3, found), 1);
    assert_int_equal(fixture_find(session, last_differs, 3, found), 0);
    assert_int_equal(fixture_find(session, first_differs, 3, found), 0);
}

static void a_match_is_byte_for_byte(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_ULONG class[2] = { CKO_PRIVATE_KEY, 0 };
    CK_BBOOL two = 2;

    (void)state;
    assert_int_equal(count_of(session, CKA_LABEL, "device", 6), 3);
    assert_int_equal(count_of(session, CKA_LABEL, "devic", 5), 0);
    assert_int_equal(count_of(session, CKA_LABEL, "device", 7), 0);
    assert_int_equal(count_of(session, CKA_LABEL, "Device", 6), 0);
    assert_int_equal(count_of(session, CKA_LABEL, "", 0), 0);
    assert_int_equal(count_of(session, CKA_LABEL, NULL, 0), 0);
    assert_int_equal(count_of(session, CKA_CLASS, class, 1), 0);
    assert_int_equal(count_of(session, CKA_CLASS, class, sizeof(class)), 0);
    assert_int_equal(count_of(session, CKA_TOKEN, &two, sizeof(two)), 0);
    assert_int_equal(count_of(session, CKA_TOKEN, &no, sizeof(no)), 0);
}

static void attributes_that_nobody_has_match_nothing(void **state)
{
    static const CK_ATTRIBUTE_TYPE others[] = { CKA_OWNER,          CKA_EC_POINT, CKA_OBJECT_ID,
                                                CKA_VENDOR_DEFINED, 0xce534351,   ~0UL };
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(count_of(session, others[i], &yes, sizeof(yes)), 0);
        assert_int_equal(count_of(session, others[i], NULL, 0), 0);
    }
}

static void secrets_match_nothing(void **state)
{
    static const CK_ATTRIBUTE_TYPE secrets[] = { CKA_PRIVATE_EXPONENT, CKA_PRIME_1,
                                                 CKA_PRIME_2,          CKA_EXPONENT_1,
                                                 CKA_EXPONENT_2,       CKA_COEFFICIENT };
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        assert_int_equal(count_of(session, secrets[i], NULL, 0), 0);
        assert_int_equal(count_of(session, secrets[i], "", 0), 0);
        assert_int_equal(count_of(session, secrets[i], &yes, sizeof(yes)), 0);
    }
}

static void what_is_found_comes_in_pieces(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE all[FIXTURE_OBJECTS_MAX], one[2];
    CK_ULONG count = fixture_find(session, NULL, 0, all), number;

    (void)state;
    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    for (CK_ULONG i = 0; i < count; i++) {
        one[0] = CK_INVALID_HANDLE;
        one[1] = 77;
        assert_rv(p11->C_FindObjects(session, one, 1, &number), CKR_OK);
        assert_int_equal(number, 1);
        assert_int_equal(one[0], all[i]);
        assert_int_equal(one[1], 77);
    }
    for (int i = 0; i < 3; i++) {
        assert_rv(p11->C_FindObjects(session, one, 1, &number), CKR_OK);
        assert_int_equal(number, 0);
    }
    assert_rv(p11->C_FindObjectsFinal(session), CKR_OK);
}

static void a_search_has_a_beginning_and_an_end(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE object;
    CK_ULONG number;

    (void)state;
    assert_rv(p11->C_FindObjects(session, &object, 1, &number), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_FindObjectsFinal(session), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OPERATION_ACTIVE);
    assert_rv(p11->C_FindObjects(session, &object, 1, &number), CKR_OK);
    assert_rv(p11->C_FindObjectsFinal(session), CKR_OK);
    assert_rv(p11->C_FindObjects(session, &object, 1, &number), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_FindObjectsFinal(session), CKR_OPERATION_NOT_INITIALIZED);
}

static void pointers_are_looked_at(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_ATTRIBUTE hollow = { CKA_LABEL, NULL, 6 };
    CK_OBJECT_HANDLE object, found[FIXTURE_OBJECTS_MAX];
    CK_ULONG number;

    (void)state;
    assert_rv(p11->C_FindObjectsInit(session, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_FindObjectsInit(session, NULL, ~0UL), CKR_ARGUMENTS_BAD);
    assert_int_equal(fixture_find(session, &hollow, 1, found), 0);
    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    assert_rv(p11->C_FindObjects(session, NULL, 1, &number), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_FindObjects(session, &object, 1, NULL), CKR_ARGUMENTS_BAD);
}

static void handles_are_the_same_in_every_session(void **state)
{
    CK_OBJECT_HANDLE one[FIXTURE_OBJECTS_MAX], two[FIXTURE_OBJECTS_MAX];
    CK_ULONG count = fixture_find(fixture_open(), NULL, 0, one);

    (void)state;
    assert_int_equal(fixture_find(fixture_open(), NULL, 0, two), count);
    assert_memory_equal(one, two, count * sizeof(one[0]));
}

static void without_a_certificate_the_keys_remain(void **state)
{
    CK_SESSION_HANDLE session;

    (void)state;
    fixture_remove("cert.pem");
    session = fixture_open();
    assert_int_equal(class_count(session, CKO_PRIVATE_KEY), 1);
    assert_int_equal(class_count(session, CKO_PUBLIC_KEY), 1);
    assert_int_equal(class_count(session, CKO_CERTIFICATE), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_template_finds_everything_once),
        TEST(every_class_is_found_by_itself),
        TEST(classes_that_we_lack_are_not_found),
        TEST(key_and_certificate_are_joined_by_their_id),
        TEST(every_attribute_must_match),
        TEST(a_match_is_byte_for_byte),
        TEST(attributes_that_nobody_has_match_nothing),
        TEST(secrets_match_nothing),
        TEST(what_is_found_comes_in_pieces),
        TEST(a_search_has_a_beginning_and_an_end),
        TEST(pointers_are_looked_at),
        TEST(handles_are_the_same_in_every_session),
        TEST(without_a_certificate_the_keys_remain),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, NULL);
}
