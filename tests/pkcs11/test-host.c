/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program around the module may do to it without being wrong: have functions of the same
 * names.
 */
#include "tests/pkcs11/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- names --------------------------------------------------------------------------------------
 *
 * A program exports these when it is linked with another module; libp11-kit is one, and whatever
 * uses GnuTLS is linked with that. The linker looks there first.
 */

#define EXPORTED __attribute__((visibility("default")))

EXPORTED CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    (void)list;
    return CKR_VENDOR_DEFINED;
}

EXPORTED CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                              CK_FLAGS flags)
{
    (void)name;
    (void)version;
    (void)interface;
    (void)flags;
    return CKR_VENDOR_DEFINED;
}

EXPORTED CK_RV C_GetInterfaceList(CK_INTERFACE *list, CK_ULONG *count)
{
    (void)list;
    (void)count;
    return CKR_VENDOR_DEFINED;
}

static void the_lists_name_no_function_of_the_program(void **state)
{
    CK_FUNCTION_LIST *list = NULL, *again = NULL;
    CK_INTERFACE *interface = NULL;
    CK_ULONG count = 0;

    (void)state;
    assert_rv(p11->C_GetFunctionList(&list), CKR_OK);
    assert_rv(list->C_GetFunctionList(&again), CKR_OK);
    assert_ptr_equal(list, again);
    assert_rv(p11->C_GetInterfaceList(NULL, &count), CKR_OK);
    assert_rv(p11->C_GetInterface(NULL, NULL, &interface, 0), CKR_OK);
    assert_ptr_equal(interface->pFunctionList, p11);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_lists_name_no_function_of_the_program),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, NULL);
}
