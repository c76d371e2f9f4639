/* SPDX-License-Identifier: Apache-2.0 */
/* Objects: their attributes, reading them, searching for them, and that nothing changes them. */
#include "pkcs11/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SESSION 7
#define ANOTHER_SESSION 8
#define PUBLIC 21
#define PRIVATE 22
#define BUFFER 64

/* --- in the library's place: one session and a token of two objects --- */

static struct p11_session session;
static struct p11_object objects[2];
static struct p11_token token;
static bool logged_in;

CK_RV p11_enter_session(struct p11_guard *guard, CK_SESSION_HANDLE handle,
                        struct p11_session **found)
{
    guard->locked = true;
    *found = &session;
    return handle == SESSION ? CKR_OK : CKR_SESSION_HANDLE_INVALID;
}

void p11_leave(struct p11_guard *guard)
{
    assert_true(guard->locked);
}

struct p11_token *p11_library_token_now(void)
{
    return &token;
}

bool p11_library_logged_in(void)
{
    return logged_in;
}

bool p11_library_shows(const struct p11_object *object)
{
    return !object->private || logged_in;
}

struct p11_object *p11_library_object(CK_OBJECT_HANDLE handle)
{
    for (size_t i = 0; i < token.count; i++) {
        if (objects[i].handle == handle && p11_library_shows(&objects[i])) {
            return &objects[i];
        }
    }
    return NULL;
}

static void fill(struct p11_object *object, CK_OBJECT_HANDLE handle, CK_OBJECT_CLASS class)
{
    object->handle = handle;
    object->class = class;
    object->private = handle == PRIVATE;
    assert_true(p11_object_add_number(object, CKA_CLASS, class));
    assert_true(p11_object_add_bool(object, CKA_PRIVATE, object->private));
    assert_true(p11_object_add(object, CKA_LABEL, "device", 6));
    assert_true(p11_object_add(object, CKA_START_DATE, NULL, 0));
    assert_true(p11_object_add_sensitive(object, CKA_PRIME_1));
}

static int begin(void **state)
{
    (void)state;
    fill(&objects[0], PUBLIC, CKO_PUBLIC_KEY);
    fill(&objects[1], PRIVATE, CKO_PRIVATE_KEY);
    token = (struct p11_token){ .objects = objects, .count = 2 };
    logged_in = true;
    return 0;
}

static int end(void **state)
{
    (void)state;
    p11_find_end(&session.find);
    p11_object_clear(&objects[0]);
    p11_object_clear(&objects[1]);
    return 0;
}

/* --- C_GetAttributeValue --- */

static CK_RV get(CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG size, CK_ULONG *got)
{
    CK_ATTRIBUTE entry = { type, value, size };
    CK_RV rv = C_GetAttributeValue(SESSION, PUBLIC, &entry, 1);

    *got = entry.ulValueLen;
    return rv;
}

static void gives_length_then_value(void **state)
{
    char value[BUFFER] = "";
    CK_ULONG size;

    (void)state;
    assert_int_equal(get(CKA_LABEL, NULL, 0, &size), CKR_OK);
    assert_int_equal(size, 6);
    assert_int_equal(get(CKA_LABEL, value, 6, &size), CKR_OK);
    assert_int_equal(size, 6);
    assert_string_equal(value, "device");
    assert_int_equal(get(CKA_LABEL, value, sizeof(value), &size), CKR_OK);
    assert_int_equal(size, 6);
}

static void gives_an_empty_value(void **state)
{
    char value[BUFFER];
    CK_ULONG size;

    (void)state;
    assert_int_equal(get(CKA_START_DATE, value, sizeof(value), &size), CKR_OK);
    assert_int_equal(size, 0);
    assert_int_equal(get(CKA_START_DATE, value, 0, &size), CKR_OK);
    assert_int_equal(get(CKA_START_DATE, NULL, 5, &size), CKR_OK);
    assert_int_equal(size, 0);
}

static void says_when_a_buffer_is_too_small(void **state)
{
    char value[BUFFER] = "untouched";
    CK_ULONG size;

    (void)state;
    assert_int_equal(get(CKA_LABEL, value, 5, &size), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(size, (CK_ULONG)-1);
    assert_string_equal(value, "untouched");
    assert_int_equal(get(CKA_LABEL, value, 0, &size), CKR_BUFFER_TOO_SMALL);
}

static void keeps_what_is_sensitive(void **state)
{
    char value[BUFFER];
    CK_ULONG size;

    (void)state;
    assert_int_equal(get(CKA_PRIME_1, NULL, 0, &size), CKR_ATTRIBUTE_SENSITIVE);
    assert_int_equal(size, (CK_ULONG)-1);
    assert_int_equal(get(CKA_PRIME_1, value, sizeof(value), &size), CKR_ATTRIBUTE_SENSITIVE);
    assert_int_equal(size, (CK_ULONG)-1);
}

static void knows_no_other_attribute(void **state)
{
    CK_ULONG size;

    (void)state;
    assert_int_equal(get(CKA_VALUE, NULL, 0, &size), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_int_equal(size, (CK_ULONG)-1);
}

static void answers_every_entry_by_itself(void **state)
{
    CK_OBJECT_CLASS class = 0;
    char label[6], small[2];
    CK_ATTRIBUTE template[] = {
        { CKA_PRIME_1, label, sizeof(label) }, { CKA_VALUE, NULL, 0 },
        { CKA_LABEL, small, sizeof(small) },   { CKA_LABEL, label, sizeof(label) },
        { CKA_CLASS, &class, sizeof(class) },
    };

    (void)state;
    assert_int_equal(C_GetAttributeValue(SESSION, PUBLIC, template, 5), CKR_ATTRIBUTE_SENSITIVE);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(template[i].ulValueLen, (CK_ULONG)-1);
    }
    assert_int_equal(template[3].ulValueLen, 6);
    assert_memory_equal(label, "device", 6);
    assert_int_equal(class, CKO_PUBLIC_KEY);
}

static void checks_session_template_and_object(void **state)
{
    CK_ATTRIBUTE entry = { CKA_LABEL, NULL, 0 };

    (void)state;
    assert_int_equal(C_GetAttributeValue(ANOTHER_SESSION, 0, NULL, 1), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(C_GetAttributeValue(SESSION, PUBLIC, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_GetAttributeValue(SESSION, PUBLIC, NULL, 0), CKR_OK);
    assert_int_equal(C_GetAttributeValue(SESSION, 0, &entry, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_int_equal(C_GetAttributeValue(SESSION, PRIVATE, &entry, 1), CKR_OK);
    logged_in = false;
    assert_int_equal(C_GetAttributeValue(SESSION, PRIVATE, &entry, 1), CKR_OBJECT_HANDLE_INVALID);
}

static void says_a_size(void **state)
{
    CK_ULONG size = 0;

    (void)state;
    assert_int_equal(C_GetObjectSize(SESSION, PUBLIC, &size), CKR_OK);
    assert_int_equal(size, sizeof(CK_OBJECT_CLASS) + sizeof(CK_BBOOL) + 6);
    assert_int_equal(C_GetObjectSize(SESSION, PUBLIC, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_GetObjectSize(SESSION, 99, &size), CKR_OBJECT_HANDLE_INVALID);
    assert_int_equal(C_GetObjectSize(ANOTHER_SESSION, PUBLIC, &size), CKR_SESSION_HANDLE_INVALID);
}

/* --- what would change something --- */

static void changes_nothing(void **state)
{
    CK_ATTRIBUTE entry = { CKA_LABEL, "x", 1 };
    CK_OBJECT_HANDLE made = 0;

    (void)state;
    assert_int_equal(C_SetAttributeValue(SESSION, PUBLIC, &entry, 1), CKR_ACTION_PROHIBITED);
    assert_int_equal(C_SetAttributeValue(SESSION, 99, &entry, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_int_equal(C_SetAttributeValue(SESSION, PUBLIC, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_SetAttributeValue(ANOTHER_SESSION, PUBLIC, &entry, 1),
                     CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(C_DestroyObject(SESSION, PUBLIC), CKR_ACTION_PROHIBITED);
    assert_int_equal(C_DestroyObject(SESSION, 99), CKR_OBJECT_HANDLE_INVALID);
    assert_int_equal(C_DestroyObject(ANOTHER_SESSION, PUBLIC), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(C_CopyObject(SESSION, PUBLIC, &entry, 1, &made), CKR_ACTION_PROHIBITED);
    assert_int_equal(C_CopyObject(SESSION, 99, &entry, 1, &made), CKR_OBJECT_HANDLE_INVALID);
    assert_int_equal(C_CopyObject(SESSION, PUBLIC, &entry, 1, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_CopyObject(SESSION, PUBLIC, NULL, 1, &made), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_CopyObject(ANOTHER_SESSION, PUBLIC, &entry, 1, &made),
                     CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(made, 0);
}

static void creates_nothing(void **state)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BBOOL on_token = CK_TRUE;
    CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) },
                                { CKA_TOKEN, &on_token, sizeof(on_token) } };
    CK_ATTRIBUTE unique = { CKA_UNIQUE_ID, "x", 1 };
    CK_OBJECT_HANDLE made = 0;

    (void)state;
    assert_int_equal(C_CreateObject(SESSION, template, 2, &made), CKR_TOKEN_WRITE_PROTECTED);
    assert_int_equal(C_CreateObject(SESSION, template, 1, &made), CKR_TEMPLATE_INCONSISTENT);
    on_token = CK_FALSE;
    assert_int_equal(C_CreateObject(SESSION, template, 2, &made), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(C_CreateObject(SESSION, template + 1, 1, &made), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(C_CreateObject(SESSION, NULL, 0, &made), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(C_CreateObject(SESSION, &unique, 1, &made), CKR_ATTRIBUTE_READ_ONLY);
    template[0].ulValueLen = 1;
    assert_int_equal(C_CreateObject(SESSION, template, 1, &made), CKR_ATTRIBUTE_VALUE_INVALID);
    template[1].pValue = NULL;
    assert_int_equal(C_CreateObject(SESSION, template, 2, &made), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(C_CreateObject(SESSION, NULL, 1, &made), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_CreateObject(SESSION, template, 1, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_CreateObject(ANOTHER_SESSION, template, 1, &made),
                     CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(made, 0);
}

/* --- searching --- */

/* How many match, and the first of them. */
static CK_ULONG search(CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *first)
{
    CK_OBJECT_HANDLE found[4] = { 0 };
    CK_ULONG number = 0;

    assert_int_equal(C_FindObjectsInit(SESSION, template, count), CKR_OK);
    assert_int_equal(C_FindObjects(SESSION, found, 4, &number), CKR_OK);
    assert_int_equal(C_FindObjectsFinal(SESSION), CKR_OK);
    *first = found[0];
    return number;
}

static void finds_byte_for_byte(void **state)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE template[] = { { CKA_LABEL, "device", 6 }, { CKA_CLASS, &class, sizeof(class) } };
    CK_ATTRIBUTE longer = { CKA_LABEL, "devices", 7 }, shorter = { CKA_LABEL, "devic", 5 };
    CK_ATTRIBUTE no_pointer = { CKA_LABEL, NULL, 6 }, empty = { CKA_START_DATE, NULL, 0 };
    CK_OBJECT_HANDLE first;

    (void)state;
    assert_int_equal(search(NULL, 0, &first), 2);
    assert_int_equal(search(template, 1, &first), 2);
    assert_int_equal(search(template, 2, &first), 1);
    assert_int_equal(first, PRIVATE);
    assert_int_equal(search(&longer, 1, &first), 0);
    assert_int_equal(search(&shorter, 1, &first), 0);
    assert_int_equal(search(&no_pointer, 1, &first), 0);
    assert_int_equal(search(&empty, 1, &first), 2);
}

static void finds_nothing_by_unknown_or_sensitive_attributes(void **state)
{
    CK_ATTRIBUTE unknown = { CKA_VALUE, NULL, 0 }, sensitive = { CKA_PRIME_1, NULL, 0 };
    CK_OBJECT_HANDLE first;

    (void)state;
    assert_int_equal(search(&unknown, 1, &first), 0);
    assert_int_equal(search(&sensitive, 1, &first), 0);
}

static void hides_private_objects(void **state)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE private = { CKA_PRIVATE, &yes, sizeof(yes) };
    CK_OBJECT_HANDLE first;

    (void)state;
    assert_int_equal(search(&private, 1, &first), 1);
    logged_in = false;
    assert_int_equal(search(&private, 1, &first), 0);
    assert_int_equal(search(NULL, 0, &first), 1);
    assert_int_equal(first, PUBLIC);
}

static void finds_one_after_the_other(void **state)
{
    CK_OBJECT_HANDLE found = 0;
    CK_ULONG number = 9;

    (void)state;
    assert_int_equal(C_FindObjectsInit(SESSION, NULL, 0), CKR_OK);
    assert_int_equal(C_FindObjects(SESSION, NULL, 0, &number), CKR_OK);
    assert_int_equal(number, 0);
    assert_int_equal(C_FindObjects(SESSION, &found, 1, &number), CKR_OK);
    assert_int_equal(number, 1);
    assert_int_equal(found, PUBLIC);
    assert_int_equal(C_FindObjects(SESSION, &found, 1, &number), CKR_OK);
    assert_int_equal(found, PRIVATE);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(C_FindObjects(SESSION, &found, 1, &number), CKR_OK);
        assert_int_equal(number, 0);
    }
}

static void leaves_out_what_is_gone_meanwhile(void **state)
{
    CK_OBJECT_HANDLE found[2];
    CK_ULONG number;

    (void)state;
    assert_int_equal(C_FindObjectsInit(SESSION, NULL, 0), CKR_OK);
    objects[0].handle = 33;
    assert_int_equal(C_FindObjects(SESSION, found, 2, &number), CKR_OK);
    assert_int_equal(number, 1);
    assert_int_equal(found[0], PRIVATE);
}

static void searches_an_empty_token(void **state)
{
    CK_OBJECT_HANDLE first;

    (void)state;
    token.count = 0;
    assert_int_equal(search(NULL, 0, &first), 0);
}

static void has_one_search_per_session(void **state)
{
    CK_OBJECT_HANDLE found;
    CK_ULONG number;

    (void)state;
    assert_int_equal(C_FindObjects(SESSION, &found, 1, &number), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(C_FindObjectsFinal(SESSION), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(C_FindObjectsInit(SESSION, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_FindObjectsInit(ANOTHER_SESSION, NULL, 0), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(C_FindObjectsInit(SESSION, NULL, 0), CKR_OK);
    assert_int_equal(C_FindObjectsInit(SESSION, NULL, 0), CKR_OPERATION_ACTIVE);
    assert_int_equal(C_FindObjects(SESSION, NULL, 1, &number), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_FindObjects(SESSION, &found, 1, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_FindObjects(ANOTHER_SESSION, &found, 1, &number),
                     CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(C_FindObjectsFinal(ANOTHER_SESSION), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(C_FindObjectsFinal(SESSION), CKR_OK);
    assert_int_equal(C_FindObjectsInit(SESSION, NULL, 0), CKR_OK);
}

/* --- objects by themselves --- */

static void compares_all_attributes(void **state)
{
    CLEANUP(p11_object_clear) struct p11_object same = { 0 };

    (void)state;
    assert_false(p11_object_equal(&objects[0], &objects[1]));
    fill(&same, 99, CKO_PUBLIC_KEY);
    assert_true(p11_object_equal(&objects[0], &same));
    same.attributes[4].sensitive = false;
    assert_false(p11_object_equal(&objects[0], &same));
    same.attributes[4].sensitive = true;
    assert_true(p11_object_add_bool(&same, CKA_TOKEN, true));
    assert_false(p11_object_equal(&objects[0], &same));
}

static void holds_many_attributes(void **state)
{
    CLEANUP(p11_object_clear) struct p11_object object = { 0 };

    (void)state;
    for (CK_ULONG i = 0; i < 100; i++) {
        assert_true(p11_object_add_number(&object, CKA_VENDOR_DEFINED | i, i));
    }
    for (CK_ULONG i = 0; i < 100; i++) {
        const struct p11_attribute *attribute = p11_object_find(&object, CKA_VENDOR_DEFINED | i);

        assert_non_null(attribute);
        assert_int_equal(attribute->size, sizeof(i));
        assert_memory_equal(attribute->value, &i, sizeof(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_length_then_value, begin, end),
        cmocka_unit_test_setup_teardown(gives_an_empty_value, begin, end),
        cmocka_unit_test_setup_teardown(says_when_a_buffer_is_too_small, begin, end),
        cmocka_unit_test_setup_teardown(keeps_what_is_sensitive, begin, end),
        cmocka_unit_test_setup_teardown(knows_no_other_attribute, begin, end),
        cmocka_unit_test_setup_teardown(answers_every_entry_by_itself, begin, end),
        cmocka_unit_test_setup_teardown(checks_session_template_and_object, begin, end),
        cmocka_unit_test_setup_teardown(says_a_size, begin, end),
        cmocka_unit_test_setup_teardown(changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(creates_nothing, begin, end),
        cmocka_unit_test_setup_teardown(finds_byte_for_byte, begin, end),
        cmocka_unit_test_setup_teardown(finds_nothing_by_unknown_or_sensitive_attributes, begin,
                                        end),
        cmocka_unit_test_setup_teardown(hides_private_objects, begin, end),
        cmocka_unit_test_setup_teardown(finds_one_after_the_other, begin, end),
        cmocka_unit_test_setup_teardown(leaves_out_what_is_gone_meanwhile, begin, end),
        cmocka_unit_test_setup_teardown(searches_an_empty_token, begin, end),
        cmocka_unit_test_setup_teardown(has_one_search_per_session, begin, end),
        cmocka_unit_test_setup_teardown(compares_all_attributes, begin, end),
        cmocka_unit_test_setup_teardown(holds_many_attributes, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
