/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of C_Initialize, C_Finalize, C_GetInfo, and of what comes before every other check. */
#include "tests/pkcs11/calls.h"
#include "tests/pkcs11/fixture.h"

#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static CK_RV no_mutex(void)
{
    return CKR_OK;
}

static void nothing_works(void)
{
    for (size_t i = 0; i < calls_count; i++) {
        const struct calls_row *row = &calls_rows[i];

        if (row->takes != CALLS_ALWAYS) {
            fixture_assert_rv(row->well(0, 1), CKR_CRYPTOKI_NOT_INITIALIZED, row->name, __FILE__,
                              __LINE__);
            fixture_assert_rv(row->with_nulls(0, 0), CKR_CRYPTOKI_NOT_INITIALIZED, row->name,
                              __FILE__, __LINE__);
        }
    }
}

static void the_lists_work(void)
{
    for (size_t i = 0; i < calls_count; i++) {
        const struct calls_row *row = &calls_rows[i];

        if (row->takes == CALLS_ALWAYS && strcmp(row->name, "C_Initialize") != 0) {
            fixture_assert_rv(row->well(0, 0), row->well_rv, row->name, __FILE__, __LINE__);
            fixture_assert_rv(row->with_nulls(0, 0), row->with_nulls_rv, row->name, __FILE__,
                              __LINE__);
        }
    }
}

static void only_the_lists_work_before_initialising(void **state)
{
    (void)state;
    nothing_works();
    the_lists_work();
    nothing_works();
}

static void only_the_lists_work_after_finalising(void **state)
{
    (void)state;
    the_lists_work();
    fixture_open();
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    nothing_works();
    the_lists_work();
}

static void initialising_twice_is_told(void **state)
{
    CK_C_INITIALIZE_ARGS arguments = { .flags = CKF_OS_LOCKING_OK };
    CK_INFO info;

    (void)state;
    assert_rv(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    assert_rv(p11->C_Initialize(&arguments), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    assert_rv(p11->C_GetInfo(&info), CKR_OK);
}

static void it_says_which_version_it_is(void **state)
{
    char version[16];
    CK_INFO info;

    (void)state;
    assert_rv(p11->C_GetInfo(&info), CKR_OK);
    snprintf(version, sizeof(version), "%d.%d.", info.libraryVersion.major,
             info.libraryVersion.minor);
    assert_memory_equal(PACKAGE_VERSION, version, strlen(version));
    assert_int_equal(info.cryptokiVersion.major, 3);
    assert_int_equal(info.cryptokiVersion.minor, 0);
}

static void finalising_twice_is_told(void **state)
{
    (void)state;
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    assert_rv(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void reserved_arguments_stay_null(void **state)
{
    CK_C_INITIALIZE_ARGS arguments = { .flags = CKF_OS_LOCKING_OK, .pReserved = &arguments };
    CK_INFO info;

    (void)state;
    assert_rv(p11->C_Finalize(&arguments), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_GetInfo(&info), CKR_OK);
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    assert_rv(p11->C_Initialize(&arguments), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* Some of the four callbacks, by the bits of which. */
static CK_C_INITIALIZE_ARGS callbacks(unsigned which, CK_FLAGS flags)
{
    CK_C_INITIALIZE_ARGS arguments = { .flags = flags };

    arguments.CreateMutex = (which & 1) != 0 ? (CK_CREATEMUTEX)(void (*)(void))no_mutex : NULL;
    arguments.DestroyMutex = (which & 2) != 0 ? (CK_DESTROYMUTEX)(void (*)(void))no_mutex : NULL;
    arguments.LockMutex = (which & 4) != 0 ? (CK_LOCKMUTEX)(void (*)(void))no_mutex : NULL;
    arguments.UnlockMutex = (which & 8) != 0 ? (CK_UNLOCKMUTEX)(void (*)(void))no_mutex : NULL;
    return arguments;
}

static void mutex_callbacks_come_in_fours(void **state)
{
    (void)state;
    for (unsigned which = 1; which < 15; which++) {
        CK_C_INITIALIZE_ARGS without = callbacks(which, 0);
        CK_C_INITIALIZE_ARGS with = callbacks(which, CKF_OS_LOCKING_OK);

        assert_rv(p11->C_Initialize(&without), CKR_ARGUMENTS_BAD);
        assert_rv(p11->C_Initialize(&with), CKR_ARGUMENTS_BAD);
    }
    nothing_works();
}

static void locks_are_those_of_the_system(void **state)
{
    static const CK_FLAGS taken[] = { 0, CKF_OS_LOCKING_OK,
                                      CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS,
                                      CKF_LIBRARY_CANT_CREATE_OS_THREADS };
    CK_C_INITIALIZE_ARGS only_callbacks = callbacks(15, 0);

    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        CK_C_INITIALIZE_ARGS arguments = callbacks(0, taken[i]);

        assert_rv(p11->C_Initialize(&arguments), CKR_OK);
        assert_rv(p11->C_Finalize(NULL), CKR_OK);
        arguments = callbacks(15, taken[i] | CKF_OS_LOCKING_OK);
        assert_rv(p11->C_Initialize(&arguments), CKR_OK);
        assert_rv(p11->C_Finalize(NULL), CKR_OK);
    }
    assert_rv(p11->C_Initialize(&only_callbacks), CKR_CANT_LOCK);
    nothing_works();
}

static bool is_padded(const CK_UTF8CHAR *text, size_t size)
{
    return memchr(text, '\0', size) == NULL && text[0] != ' ';
}

static void the_information_is_the_standard_s(void **state)
{
    CK_INFO info;

    (void)state;
    memset(&info, 0xee, sizeof(info));
    assert_rv(p11->C_GetInfo(&info), CKR_OK);
    assert_int_equal(info.cryptokiVersion.major, 3);
    assert_int_equal(info.cryptokiVersion.minor, 0);
    assert_int_equal(info.flags, 0);
    assert_true(is_padded(info.manufacturerID, sizeof(info.manufacturerID)));
    assert_true(is_padded(info.libraryDescription, sizeof(info.libraryDescription)));
    assert_rv(p11->C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
}

static void finalising_forgets_sessions(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_SESSION_INFO info;

    (void)state;
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    assert_rv(p11->C_Initialize(NULL), CKR_OK);
    assert_rv(p11->C_GetSessionInfo(session, &info), CKR_SESSION_HANDLE_INVALID);
}

static void finalising_ends_operations_begun(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    assert_rv(p11->C_FindObjectsFinal(session), CKR_OK);
    assert_rv(p11->C_SignInit(session, &mechanism, fixture_find_class(session, CKO_PRIVATE_KEY)),
              CKR_OK);
    assert_rv(p11->C_SignUpdate(session, (CK_BYTE *)"part", 4), CKR_OK);
    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_lists_work_before_initialising),
        TEST(only_the_lists_work_after_finalising),
        TEST(initialising_twice_is_told),
        TEST(it_says_which_version_it_is),
        TEST(finalising_twice_is_told),
        TEST(reserved_arguments_stay_null),
        cmocka_unit_test_teardown(mutex_callbacks_come_in_fours, fixture_end),
        cmocka_unit_test_teardown(locks_are_those_of_the_system, fixture_end),
        TEST(the_information_is_the_standard_s),
        TEST(finalising_forgets_sessions),
        TEST(finalising_ends_operations_begun),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, NULL);
}
