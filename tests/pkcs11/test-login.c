/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of C_Login, C_LoginUser, C_Logout and the PIN functions: who sees what, and what it costs.
 */
#include "tests/pkcs11/fixture.h"
#include "tests/tpm/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *public_key;

static int set_up(void **state)
{
    (void)state;
    fixture_make_identity();
    public_key = fixture_public("pin.pem");
    fault_plan("%s", "");
    setenv("GATEKEY_TCTI", fault_tcti(), 1);
    fixture_load();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(public_key);
    return 0;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE type, const char *pin)
{
    return p11->C_Login(session, type, (CK_UTF8CHAR *)pin, strlen(pin));
}

static CK_STATE state_of(CK_SESSION_HANDLE session)
{
    CK_SESSION_INFO info;

    assert_rv(p11->C_GetSessionInfo(session, &info), CKR_OK);
    return info.state;
}

static CK_SESSION_HANDLE open_read_write(void)
{
    CK_SESSION_HANDLE session;

    assert_rv(p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
              CKR_OK);
    return session;
}

static void the_right_pin_opens_the_key(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_OBJECT_HANDLE key;

    (void)state;
    assert_int_equal(fixture_find_class(session, CKO_PRIVATE_KEY), CK_INVALID_HANDLE);
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
    key = fixture_find_class(session, CKO_PRIVATE_KEY);
    assert_int_not_equal(key, CK_INVALID_HANDLE);
    assert_rv(fixture_sign(session, key, "message", 7, signature), CKR_OK);
    assert_true(fixture_verifies(public_key, CKM_SHA256_RSA_PKCS, 0, "message", 7, signature));
}

/* As whoever asks for the key with other attributes too would see it. */
static void the_private_key_is_not_seen_before(void **state)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE templates[] = {
        { CKA_PRIVATE, &yes, sizeof(yes) },
        { CKA_SIGN, &yes, sizeof(yes) },
        { CKA_SENSITIVE, &yes, sizeof(yes) },
    };
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
        assert_int_equal(fixture_find(session, &templates[i], 1, found), 0);
    }
    assert_int_not_equal(fixture_find_class(session, CKO_PUBLIC_KEY), CK_INVALID_HANDLE);
    assert_int_not_equal(fixture_find_class(session, CKO_CERTIFICATE), CK_INVALID_HANDLE);
}

static void a_wrong_pin_is_told(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    assert_rv(login(session, CKU_USER, "another password"), CKR_PIN_INCORRECT);
    assert_int_equal(state_of(session), CKS_RO_PUBLIC_SESSION);
    assert_int_equal(fixture_find_class(session, CKO_PRIVATE_KEY), CK_INVALID_HANDLE);
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
}

/* The PIN is the whole one: no prefix, nothing after it. */
static void nearly_the_pin_is_wrong_too(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    assert_rv(login(session, CKU_USER, "a passwor"), CKR_PIN_INCORRECT);
    assert_rv(login(session, CKU_USER, "a password "), CKR_PIN_INCORRECT);
    assert_rv(
        p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN "\0x", sizeof(FIXTURE_PIN) + 1),
        CKR_PIN_INCORRECT);
}

/* The standard does not list CKR_PIN_LEN_RANGE for C_Login. */
static void a_malformed_pin_never_reaches_the_tpm(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_UTF8CHAR pin[100];

    (void)state;
    memset(pin, 'x', sizeof(pin));
    fault_plan("%s", "");
    assert_rv(p11->C_Login(session, CKU_USER, pin, 0), CKR_PIN_INCORRECT);
    assert_rv(p11->C_Login(session, CKU_USER, pin, 65), CKR_PIN_INCORRECT);
    assert_rv(p11->C_Login(session, CKU_USER, pin, 100), CKR_PIN_INCORRECT);
    assert_rv(p11->C_Login(session, CKU_USER, pin, ~0UL), CKR_PIN_INCORRECT);
    assert_rv(p11->C_Login(session, CKU_USER, NULL, 10), CKR_ARGUMENTS_BAD);
    assert_int_equal(fault_opened(), 0);
    assert_rv(p11->C_Login(session, CKU_USER, pin, 64), CKR_PIN_INCORRECT);
    assert_true(fault_count() > 0);
}

static void other_users_are_refused_without_the_tpm(void **state)
{
    CK_SESSION_HANDLE session = open_read_write();

    (void)state;
    fault_plan("%s", "");
    assert_rv(login(session, CKU_SO, FIXTURE_PIN), CKR_PIN_INCORRECT);
    assert_rv(login(session, CKU_CONTEXT_SPECIFIC, FIXTURE_PIN), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(login(session, 3, FIXTURE_PIN), CKR_USER_TYPE_INVALID);
    assert_rv(login(session, ~0UL, FIXTURE_PIN), CKR_USER_TYPE_INVALID);
    assert_int_equal(fault_opened(), 0);
    assert_int_equal(state_of(session), CKS_RW_PUBLIC_SESSION);
}

static void a_login_is_one_signature(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    uint32_t commands[2];

    (void)state;
    fault_plan("%s", "");
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_int_equal(fault_commands(commands, 2), 1);
    assert_int_equal(commands[0], 0x15d);
}

static void a_second_login_is_told(void **state)
{
    CK_SESSION_HANDLE one = fixture_open(), two = fixture_open();

    (void)state;
    assert_rv(login(one, CKU_USER, FIXTURE_PIN), CKR_OK);
    fault_plan("%s", "");
    assert_rv(login(one, CKU_USER, FIXTURE_PIN), CKR_USER_ALREADY_LOGGED_IN);
    assert_rv(login(two, CKU_USER, "another password"), CKR_USER_ALREADY_LOGGED_IN);
    assert_int_equal(fault_opened(), 0);
}

static void a_user_keeps_the_officer_out(void **state)
{
    CK_SESSION_HANDLE session = open_read_write();

    (void)state;
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_rv(login(session, CKU_SO, FIXTURE_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    assert_int_equal(state_of(session), CKS_RW_USER_FUNCTIONS);
}

/* Handles are small numbers, which anybody may try. */
static void a_guessed_handle_shows_nothing(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE session = fixture_open();
    int refused = 0;

    (void)state;
    for (CK_OBJECT_HANDLE handle = 0; handle < 300; handle++) {
        CK_OBJECT_CLASS class = ~0UL;
        CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof(class) };
        CK_RV rv = p11->C_GetAttributeValue(session, handle, &template, 1);

        assert_true(rv == CKR_OBJECT_HANDLE_INVALID || class != CKO_PRIVATE_KEY);
        rv = p11->C_SignInit(session, &mechanism, handle);
        assert_true(rv == CKR_KEY_HANDLE_INVALID || rv == CKR_USER_NOT_LOGGED_IN ||
                    rv == CKR_KEY_TYPE_INCONSISTENT);
        refused += rv == CKR_USER_NOT_LOGGED_IN;
    }
    assert_true(refused <= 1);
}

static void all_sessions_change_at_once(void **state)
{
    CK_SESSION_HANDLE one = fixture_open(), two = open_read_write();

    (void)state;
    assert_int_equal(state_of(one), CKS_RO_PUBLIC_SESSION);
    assert_int_equal(state_of(two), CKS_RW_PUBLIC_SESSION);
    assert_rv(login(one, CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_int_equal(state_of(one), CKS_RO_USER_FUNCTIONS);
    assert_int_equal(state_of(two), CKS_RW_USER_FUNCTIONS);
    assert_int_equal(state_of(fixture_open()), CKS_RO_USER_FUNCTIONS);
    assert_int_not_equal(fixture_find_class(two, CKO_PRIVATE_KEY), CK_INVALID_HANDLE);
    assert_rv(p11->C_Logout(two), CKR_OK);
    assert_int_equal(state_of(one), CKS_RO_PUBLIC_SESSION);
    assert_int_equal(state_of(two), CKS_RW_PUBLIC_SESSION);
    assert_rv(p11->C_Logout(one), CKR_USER_NOT_LOGGED_IN);
}

static void the_last_session_closed_logs_out(void **state)
{
    CK_SESSION_HANDLE one = fixture_open(), two = fixture_open();

    (void)state;
    assert_rv(login(one, CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_rv(p11->C_CloseSession(one), CKR_OK);
    assert_int_equal(state_of(two), CKS_RO_USER_FUNCTIONS);
    assert_rv(p11->C_CloseSession(two), CKR_OK);
    one = fixture_open();
    assert_int_equal(state_of(one), CKS_RO_PUBLIC_SESSION);
    assert_int_equal(fixture_find_class(one, CKO_PRIVATE_KEY), CK_INVALID_HANDLE);
}

static void closing_all_sessions_logs_out(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_rv(p11->C_CloseAllSessions(0), CKR_OK);
    assert_int_equal(state_of(fixture_open()), CKS_RO_PUBLIC_SESSION);
}

static void finalising_logs_out(void **state)
{
    (void)state;
    assert_rv(login(fixture_open(), CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    assert_rv(p11->C_Initialize(NULL), CKR_OK);
    assert_int_equal(state_of(fixture_open()), CKS_RO_PUBLIC_SESSION);
}

/* For good: not even the next login makes the old handle valid again. */
static void logout_makes_private_handles_invalid(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE private, public = fixture_find_class(session, CKO_PUBLIC_KEY);
    CK_ULONG size;

    (void)state;
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
    private = fixture_find_class(session, CKO_PRIVATE_KEY);
    assert_rv(p11->C_GetObjectSize(session, private, &size), CKR_OK);
    assert_rv(p11->C_Logout(session), CKR_OK);
    assert_rv(p11->C_GetObjectSize(session, private, &size), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(p11->C_SignInit(session, &mechanism, private), CKR_KEY_HANDLE_INVALID);
    assert_rv(p11->C_GetObjectSize(session, public, &size), CKR_OK);
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_rv(p11->C_GetObjectSize(session, private, &size), CKR_OBJECT_HANDLE_INVALID);
    assert_int_not_equal(fixture_find_class(session, CKO_PRIVATE_KEY), private);
    assert_int_equal(fixture_find_class(session, CKO_PUBLIC_KEY), public);
}

static void nothing_is_signed_after_logout(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE session = fixture_open(), other = fixture_open();
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_ULONG size = sizeof(signature);
    CK_RV rv;

    (void)state;
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_rv(p11->C_SignInit(session, &mechanism, fixture_find_class(session, CKO_PRIVATE_KEY)),
              CKR_OK);
    assert_rv(p11->C_Logout(other), CKR_OK);
    rv = p11->C_Sign(session, (CK_BYTE *)"message", 7, signature, &size);
    assert_true(rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_OPERATION_NOT_INITIALIZED);
}

/* What was found before is not handed out any more. */
static void a_search_does_not_outlive_the_login(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];
    CK_ULONG number = 0, size;

    (void)state;
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    assert_rv(p11->C_Logout(session), CKR_OK);
    if (p11->C_FindObjects(session, found, FIXTURE_OBJECTS_MAX, &number) == CKR_OK) {
        for (CK_ULONG i = 0; i < number; i++) {
            CK_OBJECT_CLASS class = 0;
            CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof(class) };
            CK_RV rv = p11->C_GetAttributeValue(session, found[i], &template, 1);

            assert_true(rv == CKR_OBJECT_HANDLE_INVALID || class != CKO_PRIVATE_KEY);
        }
    }
    assert_rv(
        p11->C_GetObjectSize(session, fixture_find_class(fixture_open(), CKO_PUBLIC_KEY), &size),
        CKR_OK);
}

static void a_login_by_name_is_a_login(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_UTF8CHAR *pin = (CK_UTF8CHAR *)FIXTURE_PIN;

    (void)state;
    assert_rv(p11->C_LoginUser(session, CKU_USER, (CK_UTF8CHAR *)"wrong", 5, NULL, 0),
              CKR_PIN_INCORRECT);
    assert_rv(p11->C_LoginUser(session, CKU_USER, pin, 0, NULL, 0), CKR_PIN_INCORRECT);
    assert_rv(p11->C_LoginUser(session, 3, pin, 10, NULL, 0), CKR_USER_TYPE_INVALID);
    assert_rv(p11->C_LoginUser(session, CKU_USER, pin, 10, NULL, 4), CKR_ARGUMENTS_BAD);
    /* The one user has no name. */
    assert_rv(p11->C_LoginUser(session, CKU_USER, pin, 10, (CK_UTF8CHAR *)"name", 4),
              CKR_PIN_INCORRECT);
    assert_rv(p11->C_LoginUser(session, CKU_USER, pin, 10, NULL, 0), CKR_OK);
    assert_int_equal(state_of(session), CKS_RO_USER_FUNCTIONS);
    assert_rv(p11->C_LoginUser(session, CKU_USER, pin, 10, NULL, 0), CKR_USER_ALREADY_LOGGED_IN);
    assert_rv(p11->C_Logout(session), CKR_OK);
}

/* CKR_TOKEN_WRITE_PROTECTED goes before CKR_SESSION_READ_ONLY. */
static void the_pin_is_not_set_here(void **state)
{
    CK_UTF8CHAR *pin = (CK_UTF8CHAR *)FIXTURE_PIN;
    CK_SESSION_HANDLE read_only = fixture_open(), session = open_read_write();

    (void)state;
    fault_plan("%s", "");
    assert_rv(p11->C_InitPIN(session, pin, 10), CKR_USER_NOT_LOGGED_IN);
    assert_rv(p11->C_SetPIN(session, pin, 10, pin, 10), CKR_TOKEN_WRITE_PROTECTED);
    assert_rv(p11->C_SetPIN(read_only, pin, 10, pin, 10), CKR_TOKEN_WRITE_PROTECTED);
    assert_int_equal(fault_opened(), 0);
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
    assert_rv(p11->C_InitPIN(session, pin, 10), CKR_USER_NOT_LOGGED_IN);
    assert_rv(p11->C_SetPIN(session, pin, 10, pin, 10), CKR_TOKEN_WRITE_PROTECTED);
}

static void without_a_pin_any_pin_will_do(void **state)
{
    static const char *const pins[] = { "", "x", FIXTURE_PIN,
                                        "a pin that is longer than any password of a TPM may be, "
                                        "which is sixty-four bytes" };
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    fault_plan("%s", "");
    assert_int_not_equal(fixture_find_class(session, CKO_PRIVATE_KEY), CK_INVALID_HANDLE);
    for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
        assert_rv(login(session, CKU_USER, pins[i]), CKR_OK);
        assert_int_equal(state_of(session), CKS_RO_USER_FUNCTIONS);
        assert_rv(login(session, CKU_USER, pins[i]), CKR_USER_ALREADY_LOGGED_IN);
        assert_rv(p11->C_Logout(session), CKR_OK);
        assert_int_equal(state_of(session), CKS_RO_PUBLIC_SESSION);
    }
    assert_rv(p11->C_Login(session, CKU_USER, NULL, 0), CKR_OK);
    assert_int_equal(fault_opened(), 0);
}

/* A key that anybody sees stays where it is. */
static void without_a_pin_logout_changes_no_handle(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE key = fixture_find_class(session, CKO_PRIVATE_KEY);

    (void)state;
    assert_rv(login(session, CKU_USER, "x"), CKR_OK);
    assert_int_equal(fixture_find_class(session, CKO_PRIVATE_KEY), key);
    assert_rv(p11->C_Logout(session), CKR_OK);
    assert_int_equal(fixture_find_class(session, CKO_PRIVATE_KEY), key);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, fixture_begin_with_pin, fixture_end)
#define PLAIN(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_right_pin_opens_the_key),
        TEST(the_private_key_is_not_seen_before),
        TEST(a_wrong_pin_is_told),
        TEST(nearly_the_pin_is_wrong_too),
        TEST(a_malformed_pin_never_reaches_the_tpm),
        TEST(other_users_are_refused_without_the_tpm),
        TEST(a_login_is_one_signature),
        TEST(a_second_login_is_told),
        TEST(a_user_keeps_the_officer_out),
        TEST(a_guessed_handle_shows_nothing),
        TEST(all_sessions_change_at_once),
        TEST(the_last_session_closed_logs_out),
        TEST(closing_all_sessions_logs_out),
        TEST(finalising_logs_out),
        TEST(logout_makes_private_handles_invalid),
        TEST(nothing_is_signed_after_logout),
        TEST(a_search_does_not_outlive_the_login),
        TEST(a_login_by_name_is_a_login),
        TEST(the_pin_is_not_set_here),
        PLAIN(without_a_pin_any_pin_will_do),
        PLAIN(without_a_pin_logout_changes_no_handle),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
