/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of session management, and of every function with a session that does not exist. */
#include "tests/pkcs11/calls.h"
#include "tests/pkcs11/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANY 300

static CK_SESSION_HANDLE open_for(CK_FLAGS flags)
{
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;

    assert_rv(p11->C_OpenSession(0, flags, NULL, NULL, &session), CKR_OK);
    return session;
}

static void assert_no_session(CK_SESSION_HANDLE session)
{
    for (size_t i = 0; i < calls_count; i++) {
        const struct calls_row *row = &calls_rows[i];

        if (row->takes == CALLS_SESSION) {
            fixture_assert_rv(row->well(session, 1), CKR_SESSION_HANDLE_INVALID, row->name,
                              __FILE__, __LINE__);
            fixture_assert_rv(row->with_nulls(session, 0), CKR_SESSION_HANDLE_INVALID, row->name,
                              __FILE__, __LINE__);
        }
    }
}

/* Whatever the other arguments are, and whether the function is supported or not. */
static void a_session_that_never_was_is_told_before_all_else(void **state)
{
    (void)state;
    assert_no_session(CK_INVALID_HANDLE);
    assert_no_session(1);
    assert_no_session(~0UL);
    assert_no_session(fixture_open() + (1UL << 32));
    assert_no_session(fixture_open() ^ 0x10000);
}

static void a_closed_session_is_told_before_all_else(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_SESSION_HANDLE other = fixture_open();

    (void)state;
    assert_rv(p11->C_CloseSession(session), CKR_OK);
    assert_no_session(session);
    assert_rv(p11->C_CloseAllSessions(0), CKR_OK);
    assert_no_session(other);
}

/* Each row in a session of its own, so that nothing is begun. */
static void functions_of_a_session_answer_as_the_standard_says(void **state)
{
    CK_SESSION_HANDLE first = fixture_open();
    CK_OBJECT_HANDLE key = fixture_find_class(first, CKO_PRIVATE_KEY);

    (void)state;
    for (size_t i = 0; i < calls_count; i++) {
        const struct calls_row *row = &calls_rows[i];

        if (row->takes == CALLS_SESSION) {
            fixture_assert_rv(row->well(fixture_open(), key), row->well_rv, row->name, __FILE__,
                              __LINE__);
            assert_rv(p11->C_CloseAllSessions(0), CKR_OK);
            fixture_assert_rv(row->with_nulls(fixture_open(), key), row->with_nulls_rv, row->name,
                              __FILE__, __LINE__);
            assert_rv(p11->C_CloseAllSessions(0), CKR_OK);
        }
    }
}

static void sessions_are_serial(void **state)
{
    CK_SESSION_HANDLE session = 77;

    (void)state;
    assert_rv(p11->C_OpenSession(0, 0, NULL, NULL, &session), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    assert_rv(p11->C_OpenSession(0, CKF_RW_SESSION, NULL, NULL, &session),
              CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    assert_int_equal(session, 77);
}

static void a_session_needs_a_place_for_its_handle(void **state)
{
    (void)state;
    assert_rv(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, NULL), CKR_ARGUMENTS_BAD);
}

/* The token is write-protected, and yet OpenSSH opens nothing else. */
static void read_write_sessions_open(void **state)
{
    CK_SESSION_INFO info;
    CK_SESSION_HANDLE session = open_for(CKF_SERIAL_SESSION | CKF_RW_SESSION);

    (void)state;
    assert_rv(p11->C_GetSessionInfo(session, &info), CKR_OK);
    assert_int_equal(info.flags, CKF_SERIAL_SESSION | CKF_RW_SESSION);
    assert_int_equal(info.state, CKS_RW_PUBLIC_SESSION);
    assert_int_equal(info.slotID, 0);
}

static void read_only_sessions_say_so(void **state)
{
    CK_SESSION_INFO info;

    (void)state;
    memset(&info, 0xee, sizeof(info));
    assert_rv(p11->C_GetSessionInfo(fixture_open(), &info), CKR_OK);
    assert_int_equal(info.flags, CKF_SERIAL_SESSION);
    assert_int_equal(info.state, CKS_RO_PUBLIC_SESSION);
    assert_int_equal(info.slotID, 0);
    assert_int_equal(info.ulDeviceError, 0);
}

static int compare(const void *a, const void *b)
{
    CK_SESSION_HANDLE x = *(const CK_SESSION_HANDLE *)a, y = *(const CK_SESSION_HANDLE *)b;

    return x < y ? -1 : x > y;
}

/* Those of closed sessions are not used again soon, or somebody else's session would be meant. */
static void handles_are_not_used_twice(void **state)
{
    CK_SESSION_HANDLE seen[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        seen[i] = fixture_open();
        if (i % 3 != 0) {
            assert_rv(p11->C_CloseSession(seen[i]), CKR_OK);
        }
    }
    qsort(seen, MANY, sizeof(seen[0]), compare);
    for (int i = 1; i < MANY; i++) {
        assert_int_not_equal(seen[i - 1], seen[i]);
    }
}

/* A server that opens a session for each signature goes through them quickly. */
static void a_closed_handle_stays_closed_for_good(void **state)
{
    CK_SESSION_HANDLE closed = fixture_open();
    CK_SESSION_INFO info;

    (void)state;
    if (sizeof(CK_ULONG) == 4) {
        skip();
    }
    assert_rv(p11->C_CloseSession(closed), CKR_OK);
    for (int i = 0; i < 0x10001; i++) {
        CK_SESSION_HANDLE session = fixture_open();

        assert_rv(p11->C_GetSessionInfo(closed, &info), CKR_SESSION_HANDLE_INVALID);
        assert_rv(p11->C_CloseSession(session), CKR_OK);
    }
}

static void a_full_table_of_sessions_is_told(void **state)
{
    CK_SESSION_HANDLE session = 77, last = CK_INVALID_HANDLE;
    CK_SESSION_INFO info;
    CK_RV rv = CKR_OK;
    int opened = 0;

    (void)state;
    while (opened < 100000 && rv == CKR_OK) {
        rv = p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session);
        if (rv == CKR_OK) {
            last = session;
            opened++;
        }
    }
    assert_true(opened >= 256);
    if (rv != CKR_OK) {
        assert_rv(rv, CKR_SESSION_COUNT);
        assert_int_equal(session, last);
        assert_rv(p11->C_CloseSession(last), CKR_OK);
        assert_rv(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
        last = session;
    }
    assert_rv(p11->C_GetSessionInfo(last, &info), CKR_OK);
}

static void closing_all_closes_all(void **state)
{
    CK_SESSION_HANDLE one = fixture_open(), two = fixture_open();

    (void)state;
    assert_rv(p11->C_CloseAllSessions(0), CKR_OK);
    assert_rv(p11->C_CloseSession(one), CKR_SESSION_HANDLE_INVALID);
    assert_rv(p11->C_CloseSession(two), CKR_SESSION_HANDLE_INVALID);
    assert_rv(p11->C_CloseAllSessions(0), CKR_OK);
}

static void closing_one_leaves_the_others(void **state)
{
    CK_SESSION_HANDLE one = fixture_open(), two = fixture_open();
    CK_SESSION_INFO info;

    (void)state;
    assert_rv(p11->C_CloseSession(one), CKR_OK);
    assert_rv(p11->C_CloseSession(one), CKR_SESSION_HANDLE_INVALID);
    assert_rv(p11->C_GetSessionInfo(two, &info), CKR_OK);
}

static void operations_belong_to_their_session(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
    CK_SESSION_HANDLE one = fixture_open(), two = fixture_open();
    CK_BYTE digest[32];
    CK_ULONG size = sizeof(digest);

    (void)state;
    assert_rv(p11->C_DigestInit(one, &mechanism), CKR_OK);
    assert_rv(p11->C_Digest(two, (CK_BYTE *)"x", 1, digest, &size), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_DigestInit(two, &mechanism), CKR_OK);
    assert_rv(p11->C_CloseSession(two), CKR_OK);
    assert_rv(p11->C_Digest(one, (CK_BYTE *)"x", 1, digest, &size), CKR_OK);
}

/* Begin one of each kind; kinds do not stand in each other's way. */
static void begin_everything(CK_SESSION_HANDLE session)
{
    CK_MECHANISM digests = { CKM_SHA256, NULL, 0 };
    CK_MECHANISM signs = { CKM_SHA256_RSA_PKCS, NULL, 0 };

    CK_OBJECT_HANDLE private = fixture_find_class(session, CKO_PRIVATE_KEY);
    CK_OBJECT_HANDLE public = fixture_find_class(session, CKO_PUBLIC_KEY);

    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    assert_rv(p11->C_DigestInit(session, &digests), CKR_OK);
    assert_rv(p11->C_SignInit(session, &signs, private), CKR_OK);
    assert_rv(p11->C_VerifyInit(session, &signs, public), CKR_OK);
}

/* Which are still active, as flags of C_SessionCancel; takes one step in each. */
static CK_FLAGS active(CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE object;
    CK_ULONG number;
    CK_FLAGS flags = 0;

    flags |= p11->C_FindObjects(session, &object, 1, &number) == CKR_OK ? CKF_FIND_OBJECTS : 0;
    flags |= p11->C_DigestUpdate(session, (CK_BYTE *)"x", 1) == CKR_OK ? CKF_DIGEST : 0;
    flags |= p11->C_SignUpdate(session, (CK_BYTE *)"x", 1) == CKR_OK ? CKF_SIGN : 0;
    flags |= p11->C_VerifyUpdate(session, (CK_BYTE *)"x", 1) == CKR_OK ? CKF_VERIFY : 0;
    return flags;
}

static void what_is_named_is_cancelled_and_nothing_else(void **state)
{
    static const CK_FLAGS kinds[] = { CKF_FIND_OBJECTS, CKF_DIGEST, CKF_SIGN, CKF_VERIFY };
    const CK_FLAGS all = CKF_FIND_OBJECTS | CKF_DIGEST | CKF_SIGN | CKF_VERIFY;

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        CK_SESSION_HANDLE session = fixture_open();

        begin_everything(session);
        assert_int_equal(active(session), all);
        assert_rv(p11->C_SessionCancel(session, 0), CKR_OK);
        assert_int_equal(active(session), all);
        assert_rv(p11->C_SessionCancel(session, kinds[i]), CKR_OK);
        assert_int_equal(active(session), all & ~kinds[i]);
        assert_rv(p11->C_SessionCancel(session, all), CKR_OK);
        assert_int_equal(active(session), 0);
        begin_everything(session);
    }
}

static void cancelling_what_is_not_active_is_no_error(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    assert_rv(p11->C_SessionCancel(session, CKF_SIGN | CKF_DIGEST), CKR_OK);
    assert_rv(p11->C_SessionCancel(session, CKF_ENCRYPT | CKF_DECRYPT | CKF_MESSAGE_SIGN), CKR_OK);
}

static void an_operation_is_begun_once(void **state)
{
    CK_MECHANISM digests = { CKM_SHA256, NULL, 0 };
    CK_MECHANISM signs = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE private = fixture_find_class(session, CKO_PRIVATE_KEY);
    CK_OBJECT_HANDLE public = fixture_find_class(session, CKO_PUBLIC_KEY);

    (void)state;
    begin_everything(session);
    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OPERATION_ACTIVE);
    assert_rv(p11->C_DigestInit(session, &digests), CKR_OPERATION_ACTIVE);
    assert_rv(p11->C_SignInit(session, &signs, private), CKR_OPERATION_ACTIVE);
    assert_rv(p11->C_VerifyInit(session, &signs, public), CKR_OPERATION_ACTIVE);
    assert_int_equal(active(session), CKF_FIND_OBJECTS | CKF_DIGEST | CKF_SIGN | CKF_VERIFY);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_that_never_was_is_told_before_all_else),
        TEST(a_closed_session_is_told_before_all_else),
        TEST(functions_of_a_session_answer_as_the_standard_says),
        TEST(sessions_are_serial),
        TEST(a_session_needs_a_place_for_its_handle),
        TEST(read_write_sessions_open),
        TEST(read_only_sessions_say_so),
        TEST(handles_are_not_used_twice),
        TEST(a_closed_handle_stays_closed_for_good),
        TEST(a_full_table_of_sessions_is_told),
        TEST(closing_all_closes_all),
        TEST(closing_one_leaves_the_others),
        TEST(operations_belong_to_their_session),
        TEST(what_is_named_is_cancelled_and_nothing_else),
        TEST(cancelling_what_is_not_active_is_no_error),
        TEST(an_operation_is_begun_once),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, NULL);
}
