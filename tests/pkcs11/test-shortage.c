/* SPDX-License-Identifier: Apache-2.0 */
/* Out of memory at each place in turn: the token is whole or there is none, and nothing leaks. */
#include "tests/pkcs11/files.h"
#include "tests/pkcs11/sample.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The linker puts these in the place of our own code's calls (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

#define PLENTY 1000000

/* How many there are until one fails. */
static size_t left = PLENTY;

static bool is_short(void)
{
    if (left > 0) {
        left--;
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return is_short() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_short() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return is_short() ? NULL : __real_realloc(memory, size);
}

/* How many allocations it took until there was a token. */
static size_t fail_each_in_turn(size_t objects)
{
    for (size_t allocations = 0; allocations < PLENTY; allocations++) {
        CLEANUP(p11_token_releasep) struct p11_token *token = NULL;

        left = allocations;
        token = p11_token_read(FILES_DIRECTORY);
        left = PLENTY;
        if (token != NULL) {
            assert_int_equal(token->status, GK_OK);
            assert_int_equal(token->count, objects);
            return allocations;
        }
    }
    return PLENTY;
}

static void has_all_or_nothing(void **state)
{
    (void)state;
    files_begin();
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, sample.issuer.pem);
    assert_in_range(fail_each_in_turn(4 + SAMPLE_PROFILES), 100, 1000);
}

static void has_all_or_nothing_while_a_key_is_renewed(void **state)
{
    (void)state;
    files_begin();
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.newer_leaf.pem, sample.issuer.pem);
    files_write(GK_FILE_IDENTITY, sample.newer_device, sample.newer_leaf.pem);
    assert_in_range(fail_each_in_turn(3 + SAMPLE_PROFILES), 100, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_all_or_nothing),
        cmocka_unit_test(has_all_or_nothing_while_a_key_is_renewed),
    };

    return cmocka_run_group_tests(tests, sample_begin, sample_end);
}
