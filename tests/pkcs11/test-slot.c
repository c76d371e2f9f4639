/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of slot and token management: one slot, one token, the mechanisms it offers. */
#include "tests/pkcs11/calls.h"
#include "tests/pkcs11/fixture.h"

#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void there_is_one_slot(void **state)
{
    (void)state;
    for (CK_BBOOL present = CK_FALSE; present <= CK_TRUE; present++) {
        CK_SLOT_ID slots[2] = { 77, 77 };
        CK_ULONG count = 2;

        assert_rv(p11->C_GetSlotList(present, slots, &count), CKR_OK);
        assert_int_equal(count, 1);
        assert_int_equal(slots[0], 0);
        assert_int_equal(slots[1], 77);
    }
}

static void a_list_of_slots_without_room_is_counted(void **state)
{
    CK_SLOT_ID slot = 77;
    CK_ULONG count = 77;

    (void)state;
    assert_rv(p11->C_GetSlotList(CK_TRUE, NULL, &count), CKR_OK);
    assert_int_equal(count, 1);
    count = 0;
    assert_rv(p11->C_GetSlotList(CK_TRUE, &slot, &count), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(count, 1);
    assert_int_equal(slot, 77);
    assert_rv(p11->C_GetSlotList(CK_TRUE, NULL, NULL), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_GetSlotList(CK_TRUE, &slot, NULL), CKR_ARGUMENTS_BAD);
}

static void other_slots_do_not_exist(void **state)
{
    static const CK_SLOT_ID others[] = { 1, 2, 0x7fffffff, ~0UL, 1UL << 32 };

    (void)state;
    for (size_t i = 0; i < calls_count; i++) {
        const struct calls_row *row = &calls_rows[i];

        for (size_t j = 0; row->takes == CALLS_SLOT && j < sizeof(others) / sizeof(others[0]);
             j++) {
            fixture_assert_rv(row->well(others[j], 0), CKR_SLOT_ID_INVALID, row->name, __FILE__,
                              __LINE__);
            fixture_assert_rv(row->with_nulls(others[j], 0), CKR_SLOT_ID_INVALID, row->name,
                              __FILE__, __LINE__);
        }
    }
}

static void functions_of_a_slot_answer_as_the_standard_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < calls_count; i++) {
        const struct calls_row *row = &calls_rows[i];

        if (row->takes == CALLS_SLOT) {
            fixture_assert_rv(row->well(0, 0), row->well_rv, row->name, __FILE__, __LINE__);
            assert_rv(p11->C_CloseAllSessions(0), CKR_OK);
            fixture_assert_rv(row->with_nulls(0, 0), row->with_nulls_rv, row->name, __FILE__,
                              __LINE__);
        }
    }
}

/* Padded with blanks, never ended by a NUL. */
static void assert_text(const CK_UTF8CHAR *field, size_t size, const char *wanted)
{
    char text[65];

    snprintf(text, sizeof(text), "%-*s", (int)size, wanted);
    assert_memory_equal(field, text, size);
}

static void the_slot_holds_a_token_in_hardware(void **state)
{
    CK_SLOT_INFO info;

    (void)state;
    memset(&info, 0xee, sizeof(info));
    assert_rv(p11->C_GetSlotInfo(0, &info), CKR_OK);
    assert_int_equal(info.flags & ~(CKF_REMOVABLE_DEVICE | CKF_HW_SLOT), CKF_TOKEN_PRESENT);
    assert_null(memchr(info.slotDescription, '\0', sizeof(info.slotDescription)));
    assert_text(info.manufacturerID, sizeof(info.manufacturerID), "gatekey");
}

static void the_token_says_what_it_is(void **state)
{
    CK_TOKEN_INFO info;

    (void)state;
    memset(&info, 0xee, sizeof(info));
    assert_rv(p11->C_GetTokenInfo(0, &info), CKR_OK);
    assert_text(info.label, sizeof(info.label), "gatekey");
    assert_text(info.manufacturerID, sizeof(info.manufacturerID), "gatekey");
    assert_text(info.model, sizeof(info.model), "TPM 2.0 RSA-2048");
    for (size_t i = 0; i < sizeof(info.serialNumber); i++) {
        assert_non_null(strchr("0123456789abcdef", info.serialNumber[i]));
    }
    assert_int_equal(info.flags,
                     CKF_TOKEN_INITIALIZED | CKF_WRITE_PROTECTED | CKF_USER_PIN_INITIALIZED);
    assert_int_equal(info.ulTotalPublicMemory, CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(info.ulFreePublicMemory, CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(info.ulTotalPrivateMemory, CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(info.ulFreePrivateMemory, CK_UNAVAILABLE_INFORMATION);
    assert_text(info.utcTime, sizeof(info.utcTime), "");
}

static void the_token_counts_its_sessions(void **state)
{
    CK_SESSION_HANDLE session;
    CK_TOKEN_INFO info;

    (void)state;
    fixture_open();
    assert_rv(p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
              CKR_OK);
    assert_rv(p11->C_GetTokenInfo(0, &info), CKR_OK);
    assert_int_equal(info.ulSessionCount, 2);
    assert_int_equal(info.ulRwSessionCount, 1);
    assert_true(info.ulMaxSessionCount == 0 || info.ulMaxSessionCount >= 256);
    assert_true(info.ulMaxRwSessionCount == 0 || info.ulMaxRwSessionCount >= 256);
    assert_rv(p11->C_CloseAllSessions(0), CKR_OK);
    assert_rv(p11->C_GetTokenInfo(0, &info), CKR_OK);
    assert_int_equal(info.ulSessionCount, 0);
    assert_int_equal(info.ulRwSessionCount, 0);
}

static void a_token_with_a_pin_says_so(void **state)
{
    CK_TOKEN_INFO info;

    (void)state;
    assert_rv(p11->C_GetTokenInfo(0, &info), CKR_OK);
    assert_int_equal(info.flags, CKF_TOKEN_INITIALIZED | CKF_WRITE_PROTECTED |
                                     CKF_USER_PIN_INITIALIZED | CKF_LOGIN_REQUIRED);
    assert_int_equal(info.ulMinPinLen, 1);
    assert_int_equal(info.ulMaxPinLen, 64);
}

static const CK_MECHANISM_TYPE offered[] = {
    CKM_RSA_PKCS,
    CKM_RSA_PKCS_PSS,
    CKM_SHA256_RSA_PKCS,
    CKM_SHA384_RSA_PKCS,
    CKM_SHA512_RSA_PKCS,
    CKM_SHA256_RSA_PKCS_PSS,
    CKM_SHA384_RSA_PKCS_PSS,
    CKM_SHA512_RSA_PKCS_PSS,
    CKM_SHA256,
    CKM_SHA384,
    CKM_SHA512,
};
enum { OFFERED = sizeof(offered) / sizeof(offered[0]), SIGNATURES = OFFERED - 3 };

static bool is_among(CK_MECHANISM_TYPE type, const CK_MECHANISM_TYPE *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == type) {
            return true;
        }
    }
    return false;
}

static void eleven_mechanisms_are_offered(void **state)
{
    CK_MECHANISM_TYPE list[OFFERED + 1];
    CK_ULONG count = OFFERED + 1;

    (void)state;
    list[OFFERED] = 0xeeee;
    assert_rv(p11->C_GetMechanismList(0, list, &count), CKR_OK);
    assert_int_equal(count, OFFERED);
    assert_int_equal(list[OFFERED], 0xeeee);
    for (size_t i = 0; i < OFFERED; i++) {
        assert_true(is_among(offered[i], list, count));
    }
}

static void a_list_of_mechanisms_without_room_is_counted(void **state)
{
    CK_MECHANISM_TYPE list[OFFERED] = { 0 };
    CK_ULONG count = 77;

    (void)state;
    assert_rv(p11->C_GetMechanismList(0, NULL, &count), CKR_OK);
    assert_int_equal(count, OFFERED);
    count = OFFERED - 1;
    assert_rv(p11->C_GetMechanismList(0, list, &count), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(count, OFFERED);
    count = OFFERED;
    assert_rv(p11->C_GetMechanismList(0, list, &count), CKR_OK);
    assert_rv(p11->C_GetMechanismList(0, list, NULL), CKR_ARGUMENTS_BAD);
}

static void every_mechanism_says_what_it_is_for(void **state)
{
    CK_MECHANISM_INFO info;

    (void)state;
    for (size_t i = 0; i < OFFERED; i++) {
        assert_rv(p11->C_GetMechanismInfo(0, offered[i], &info), CKR_OK);
        if (i < SIGNATURES) {
            assert_int_equal(info.flags, CKF_HW | CKF_SIGN | CKF_VERIFY);
            assert_int_equal(info.ulMinKeySize, 2048);
            assert_int_equal(info.ulMaxKeySize, 2048);
        } else {
            assert_int_equal(info.flags, CKF_DIGEST);
        }
        assert_rv(p11->C_GetMechanismInfo(0, offered[i], NULL), CKR_ARGUMENTS_BAD);
    }
}

/* Among them raw RSA, which libp11 falls back to, and SHA-1. */
static void nothing_else_is_offered(void **state)
{
    CK_MECHANISM_INFO info;

    (void)state;
    for (CK_MECHANISM_TYPE type = 0; type < 0x5000; type++) {
        if (!is_among(type, offered, OFFERED)) {
            assert_rv(p11->C_GetMechanismInfo(0, type, &info), CKR_MECHANISM_INVALID);
        }
    }
    assert_rv(p11->C_GetMechanismInfo(0, CKM_VENDOR_DEFINED, &info), CKR_MECHANISM_INVALID);
    assert_rv(p11->C_GetMechanismInfo(0, ~0UL, &info), CKR_MECHANISM_INVALID);
}

static void the_token_is_not_made_anew(void **state)
{
    CK_UTF8CHAR label[32];

    (void)state;
    memset(label, ' ', sizeof(label));
    assert_rv(p11->C_InitToken(0, (CK_UTF8CHAR *)"pin", 3, label), CKR_TOKEN_WRITE_PROTECTED);
    assert_rv(p11->C_InitToken(1, (CK_UTF8CHAR *)"pin", 3, label), CKR_SLOT_ID_INVALID);
}

static void no_slot_ever_changes(void **state)
{
    CK_SLOT_ID slot = 77;

    (void)state;
    assert_rv(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
    assert_int_equal(slot, 77);
    assert_rv(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &slot), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, NULL, NULL), CKR_ARGUMENTS_BAD);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_is_one_slot),
        TEST(a_list_of_slots_without_room_is_counted),
        TEST(other_slots_do_not_exist),
        TEST(functions_of_a_slot_answer_as_the_standard_says),
        TEST(the_slot_holds_a_token_in_hardware),
        TEST(the_token_says_what_it_is),
        TEST(the_token_counts_its_sessions),
        cmocka_unit_test_setup_teardown(a_token_with_a_pin_says_so, fixture_begin_with_pin,
                                        fixture_end),
        TEST(eleven_mechanisms_are_offered),
        TEST(a_list_of_mechanisms_without_room_is_counted),
        TEST(every_mechanism_says_what_it_is_for),
        TEST(nothing_else_is_offered),
        TEST(the_token_is_not_made_anew),
        TEST(no_slot_ever_changes),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, NULL);
}
