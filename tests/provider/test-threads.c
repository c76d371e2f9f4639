/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen threads, with one key and with sixteen: every signature is good and its own key's. */
#include "tests/provider/signing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 16
#define LIMIT_S 120 /* whoever hangs is ended by SIGALRM */

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_make_key(FIXTURE_HANDLE + 2, "", "second.pem");
    fixture_load(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_unload(&fixture);
    return 0;
}

static int limit(void **state)
{
    (void)state;
    alarm(LIMIT_S);
    return 0;
}

static int no_limit(void **state)
{
    (void)state;
    alarm(0);
    return 0;
}

static void sixteen_threads_sign_with_one_key(void **state)
{
    struct signing_key key = signing_key_load(&fixture, "gatekey:");

    (void)state;
    signing_end(signing_start(&key, 1, THREADS, 6));
    signing_key_free(&key);
}

static void sixteen_keys_sign_in_sixteen_threads(void **state)
{
    static const char *const uris[] = { "gatekey:handle=0x81000100", "gatekey:handle=0x81000102" };
    struct signing_key keys[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        keys[i] = signing_key_load(&fixture, uris[i % 2]);
    }
    assert_int_equal(EVP_PKEY_eq(keys[0].public, keys[2].public), 1);
    assert_int_equal(EVP_PKEY_eq(keys[0].public, keys[1].public), 0);
    signing_end(signing_start(keys, THREADS, THREADS, 6));
    for (int i = 0; i < THREADS; i++) {
        signing_key_free(&keys[i]);
    }
}

/* First use from all threads at once: what is made lazily is made once. */
static void threads_race_for_the_first_use(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct fixture fresh;
        struct signing_key key;

        fixture_load(&fresh);
        key.fixture = &fresh;
        key.private = fixture_read_pem(&fresh, fixture_path("device.pem"), NULL);
        assert_non_null(key.private);
        key.public = fixture_public(&fresh, key.private);
        signing_end(signing_start(&key, 1, THREADS, 1));
        signing_key_free(&key);
        fixture_unload(&fresh);
    }
}

/* Each library context has a connection of its own, and the TPM serves one. */
static void threads_of_two_library_contexts_take_turns(void **state)
{
    struct fixture other;
    struct signing_key keys[2];

    (void)state;
    fixture_load(&other);
    keys[0] = signing_key_load(&fixture, "gatekey:");
    keys[1] = signing_key_load(&other, "gatekey:handle=0x81000102");
    signing_end(signing_start(keys, 2, THREADS, 4));
    signing_key_free(&keys[0]);
    signing_key_free(&keys[1]);
    fixture_unload(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sixteen_threads_sign_with_one_key, limit, no_limit),
        cmocka_unit_test_setup_teardown(sixteen_keys_sign_in_sixteen_threads, limit, no_limit),
        cmocka_unit_test_setup_teardown(threads_race_for_the_first_use, limit, no_limit),
        cmocka_unit_test_setup_teardown(threads_of_two_library_contexts_take_turns, limit,
                                        no_limit),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
