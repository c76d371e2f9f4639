/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the functions that do nothing here: they say so in every state of a session. */
#include "tests/pkcs11/calls.h"
#include "tests/pkcs11/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is_refused(const struct calls_row *row)
{
    return row->takes == CALLS_SESSION &&
           (row->well_rv == CKR_FUNCTION_NOT_SUPPORTED ||
            row->well_rv == CKR_FUNCTION_NOT_PARALLEL ||
            row->well_rv == CKR_TOKEN_WRITE_PROTECTED || row->well_rv == CKR_ACTION_PROHIBITED ||
            row->well_rv == CKR_RANDOM_NO_RNG);
}

static void all_are_refused(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    int refused = 0;

    for (size_t i = 0; i < calls_count; i++) {
        const struct calls_row *row = &calls_rows[i];

        if (is_refused(row)) {
            refused++;
            fixture_assert_rv(row->well(session, key), row->well_rv, row->name, __FILE__, __LINE__);
        }
    }
    assert_true(refused >= 40);
}

static void in_read_only_and_read_write_sessions_alike(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE key = fixture_find_class(session, CKO_PRIVATE_KEY);

    (void)state;
    all_are_refused(session, key);
    assert_rv(p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
              CKR_OK);
    all_are_refused(session, key);
}

static void logged_in_or_not(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    assert_rv(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN, strlen(FIXTURE_PIN)),
              CKR_OK);
    all_are_refused(session, fixture_find_class(session, CKO_PRIVATE_KEY));
}

/* The functions that do two things at once among them, and whatever is active stays so. */
static void in_the_middle_of_operations(void **state)
{
    CK_MECHANISM digests = { CKM_SHA256, NULL, 0 }, signs = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE key = fixture_find_class(session, CKO_PRIVATE_KEY);
    CK_OBJECT_HANDLE public = fixture_find_class(session, CKO_PUBLIC_KEY);
    CK_BYTE result[FIXTURE_SIGNATURE_SIZE];
    CK_ULONG size = sizeof(result);

    (void)state;
    assert_rv(p11->C_DigestInit(session, &digests), CKR_OK);
    assert_rv(p11->C_SignInit(session, &signs, key), CKR_OK);
    assert_rv(p11->C_VerifyInit(session, &signs, public), CKR_OK);
    assert_rv(p11->C_SignUpdate(session, (CK_BYTE *)"part", 4), CKR_OK);
    all_are_refused(session, key);
    assert_rv(p11->C_SignFinal(session, result, &size), CKR_OK);
    assert_rv(p11->C_VerifyUpdate(session, (CK_BYTE *)"part", 4), CKR_OK);
    assert_rv(p11->C_VerifyFinal(session, result, size), CKR_OK);
    assert_rv(p11->C_DigestFinal(session, result, &size), CKR_OK);
}

static void nothing_is_written_to_what_was_given(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_MECHANISM makes = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
    CK_OBJECT_HANDLE one = 77, two = 77;
    CK_BYTE bytes[64] = { 0 }, untouched[64] = { 0 };
    CK_ULONG size = sizeof(bytes);

    (void)state;
    assert_rv(p11->C_GenerateRandom(session, bytes, sizeof(bytes)), CKR_RANDOM_NO_RNG);
    assert_rv(p11->C_GetOperationState(session, bytes, &size), CKR_FUNCTION_NOT_SUPPORTED);
    assert_int_not_equal(p11->C_GenerateKeyPair(session, &makes, NULL, 0, NULL, 0, &one, &two),
                         CKR_OK);
    assert_int_not_equal(p11->C_GenerateKey(session, &makes, NULL, 0, &one), CKR_OK);
    assert_rv(p11->C_Encrypt(session, bytes, 8, bytes, &size), CKR_FUNCTION_NOT_SUPPORTED);
    assert_memory_equal(bytes, untouched, sizeof(bytes));
    assert_int_equal(one, 77);
    assert_int_equal(two, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_read_only_and_read_write_sessions_alike, fixture_begin,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(logged_in_or_not, fixture_begin_with_pin, fixture_end),
        cmocka_unit_test_setup_teardown(in_the_middle_of_operations, fixture_begin, fixture_end),
        cmocka_unit_test_setup_teardown(nothing_is_written_to_what_was_given, fixture_begin,
                                        fixture_end),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, NULL);
}
