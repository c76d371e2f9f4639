/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of C_GetFunctionList, C_GetInterfaceList and C_GetInterface. */
#include "tests/pkcs11/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMBERS_2_40 68
#define MEMBERS_3_0 92

static CK_C_GetFunctionList get_list;
static CK_C_GetInterfaceList get_interfaces;
static CK_C_GetInterface get_interface;

static void take(const char *name, void *function, size_t size)
{
    void *symbol = fixture_symbol(name);

    memcpy(function, &symbol, size);
}

/* Neither keys nor C_Initialize: the lists need nothing. */
static int set_up(void **state)
{
    (void)state;
    fixture_load();
    take("C_GetFunctionList", &get_list, sizeof(get_list));
    take("C_GetInterfaceList", &get_interfaces, sizeof(get_interfaces));
    take("C_GetInterface", &get_interface, sizeof(get_interface));
    return 0;
}

/* The standard has no function list without a member. */
static void assert_full(const void *list, size_t size, size_t members)
{
    void *member;

    for (size_t i = 0; i < members; i++) {
        memcpy(&member, (const char *)list + size - (members - i) * sizeof(member), sizeof(member));
        if (member == NULL) {
            fail_msg("member %zu is missing", i);
        }
    }
}

static void the_old_list_is_of_2_40_and_full(void **state)
{
    CK_FUNCTION_LIST *list = NULL;

    (void)state;
    assert_rv(get_list(&list), CKR_OK);
    assert_int_equal(list->version.major, 2);
    assert_int_equal(list->version.minor, 40);
    assert_full(list, sizeof(*list), MEMBERS_2_40);
    assert_rv(get_list(NULL), CKR_ARGUMENTS_BAD);
}

static void the_new_list_is_of_3_0_and_full(void **state)
{
    (void)state;
    assert_int_equal(p11->version.major, 3);
    assert_int_equal(p11->version.minor, 0);
    assert_full(p11, sizeof(*p11), MEMBERS_3_0);
}

/* Whichever list a program was given, it is one library. */
static void both_lists_have_the_same_functions(void **state)
{
    CK_FUNCTION_LIST *list = NULL;

    (void)state;
    assert_rv(get_list(&list), CKR_OK);
    assert_memory_equal(&list->C_Initialize, &p11->C_Initialize, MEMBERS_2_40 * sizeof(void *));
    assert_ptr_equal(list->C_GetFunctionList, get_list);
    assert_ptr_equal(p11->C_GetInterface, get_interface);
    assert_ptr_equal(p11->C_GetInterfaceList, get_interfaces);
}

static bool is_named(const CK_INTERFACE *interface)
{
    return strcmp(interface->pInterfaceName, "PKCS 11") == 0;
}

static void both_interfaces_are_listed(void **state)
{
    CK_INTERFACE list[3] = { 0 };
    CK_ULONG count = 3;

    (void)state;
    assert_rv(get_interfaces(list, &count), CKR_OK);
    assert_int_equal(count, 2);
    for (int i = 0; i < 2; i++) {
        const CK_VERSION *version = list[i].pFunctionList;

        assert_true(is_named(&list[i]));
        assert_int_equal(list[i].flags, 0);
        assert_true(version->major == 3 ? version->minor == 0
                                        : version->major == 2 && version->minor == 40);
    }
    assert_ptr_not_equal(list[0].pFunctionList, list[1].pFunctionList);
    assert_null(list[2].pInterfaceName);
}

static void interfaces_without_room_are_counted(void **state)
{
    CK_INTERFACE list[2] = { 0 };
    CK_ULONG count = 77;

    (void)state;
    assert_rv(get_interfaces(NULL, &count), CKR_OK);
    assert_int_equal(count, 2);
    for (CK_ULONG room = 0; room < 2; room++) {
        count = room;
        assert_rv(get_interfaces(list, &count), CKR_BUFFER_TOO_SMALL);
        assert_int_equal(count, 2);
        assert_null(list[0].pInterfaceName);
    }
    assert_rv(get_interfaces(list, NULL), CKR_ARGUMENTS_BAD);
}

static CK_RV ask(const char *name, int major, int minor, CK_FLAGS flags, CK_INTERFACE **interface)
{
    CK_VERSION version = { (CK_BYTE)major, (CK_BYTE)minor };

    return get_interface((CK_UTF8CHAR *)name, major >= 0 ? &version : NULL, interface, flags);
}

/* NSS's second question, pkcs11-provider's second, and exact ones. */
static void what_is_there_is_given(void **state)
{
    static const struct {
        const char *name;
        int major, minor;
        int is_major, is_minor;
    } questions[] = {
        { NULL, -1, 0, 3, 0 },       { "PKCS 11", -1, 0, 3, 0 }, { "PKCS 11", 3, 0, 3, 0 },
        { "PKCS 11", 2, 40, 2, 40 }, { NULL, 3, 0, 3, 0 },       { NULL, 2, 40, 2, 40 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        CK_INTERFACE *interface = NULL;
        const CK_VERSION *version;

        assert_rv(ask(questions[i].name, questions[i].major, questions[i].minor, 0, &interface),
                  CKR_OK);
        assert_true(is_named(interface));
        version = interface->pFunctionList;
        assert_int_equal(version->major, questions[i].is_major);
        assert_int_equal(version->minor, questions[i].is_minor);
    }
}

/* Names and versions match exactly or not at all; no flag is ours. */
static void what_is_not_there_is_not_given(void **state)
{
    static const struct {
        const char *name;
        int major, minor;
        CK_FLAGS flags;
    } questions[] = {
        { "PKCS 11", -1, 0, CKF_INTERFACE_FORK_SAFE },
        { NULL, -1, 0, CKF_INTERFACE_FORK_SAFE },
        { "PKCS 11", 3, 0, CKF_INTERFACE_FORK_SAFE },
        { "PKCS 11", -1, 0, 0x80000000UL },
        { "PKCS 11", 3, 1, 0 },
        { "PKCS 11", 3, 2, 0 },
        { "PKCS 11", 2, 20, 0 },
        { "PKCS 11", 2, 0, 0 },
        { "PKCS 11", 4, 0, 0 },
        { "PKCS 11", 0, 0, 0 },
        { "Vendor NSS FIPS Interface", -1, 0, 0 },
        { "PKCS 1", -1, 0, 0 },
        { "PKCS 11 ", -1, 0, 0 },
        { "pkcs 11", -1, 0, 0 },
        { "", -1, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        CK_INTERFACE *interface = NULL;

        assert_rv(ask(questions[i].name, questions[i].major, questions[i].minor, questions[i].flags,
                      &interface),
                  CKR_ARGUMENTS_BAD);
        assert_null(interface);
    }
}

static void an_answer_needs_a_place(void **state)
{
    (void)state;
    assert_rv(get_interface(NULL, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_list_is_of_2_40_and_full),
        cmocka_unit_test(the_new_list_is_of_3_0_and_full),
        cmocka_unit_test(both_lists_have_the_same_functions),
        cmocka_unit_test(both_interfaces_are_listed),
        cmocka_unit_test(interfaces_without_room_are_counted),
        cmocka_unit_test(what_is_there_is_given),
        cmocka_unit_test(what_is_not_there_is_not_given),
        cmocka_unit_test(an_answer_needs_a_place),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
