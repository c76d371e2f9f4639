/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of provider/order.c: threads that come to it at the same time, in a library context where
 * gatekey is listed first and nothing was fetched yet.
 */
#include "tests/provider/fixture.h"

#include <errno.h>
#include <openssl/core_dispatch.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define THREADS 8
#define RACES 200 /* without turns up to 5 of 100 went wrong, with OpenSSL 3.0 */

static struct fixture fixture; /* the library context of the race that runs */
static pthread_barrier_t barrier;

struct racer {
    pthread_t thread;
    bool loads; /* the device key */
    bool done;
    bool given_default;
};

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    setenv("GATEKEY_IDENTITY", getenv("GATEKEY_TEST_DIR"), 1);
    return 0;
}

static void make_context(void)
{
    char modules[512];

    snprintf(modules, sizeof(modules), "%s/.libs", getenv("abs_top_builddir"));
    fixture = (struct fixture){ .libctx = OSSL_LIB_CTX_new() };
    assert_int_equal(OSSL_PROVIDER_set_default_search_path(fixture.libctx, modules), 1);
}

static void run(void *(*function)(void *))
{
    struct racer racers[THREADS];

    assert_non_null(fixture.gatekey);
    assert_non_null(fixture.base);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (size_t i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){ .loads = i % 2 == 1 };
        assert_int_equal(pthread_create(&racers[i].thread, NULL, function, &racers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
    }
    pthread_barrier_destroy(&barrier);
    for (size_t i = 0; i < THREADS; i++) {
        assert_true(racers[i].done);
        assert_true(racers[i].given_default);
    }
}

static bool is_given_default(void)
{
    EVP_KEYMGMT *keymgmt = EVP_KEYMGMT_fetch(fixture.libctx, "RSA", NULL);
    bool is_default = keymgmt != NULL && EVP_KEYMGMT_get0_provider(keymgmt) == fixture.base;

    EVP_KEYMGMT_free(keymgmt);
    return is_default;
}

/* Every other thread loads the device key before it asks for RSA. */
static void *ask_for_rsa(void *argument)
{
    struct racer *racer = argument;
    EVP_PKEY *device_key = NULL;

    pthread_barrier_wait(&barrier);
    if (racer->loads) {
        device_key = fixture_read_uri(&fixture, "gatekey:", NULL);
    }
    racer->done = device_key != NULL || !racer->loads;
    racer->given_default = is_given_default();
    EVP_PKEY_free(device_key);
    return NULL;
}

/* Our key management is asked for by OpenSSL itself when the device key is loaded. */
static void loading_the_device_key_gives_nobody_our_rsa(void **state)
{
    (void)state;
    for (size_t i = 0; i < RACES; i++) {
        make_context();
        fixture.gatekey = OSSL_PROVIDER_load(fixture.libctx, "gatekey");
        fixture.base = OSSL_PROVIDER_load(fixture.libctx, "default");
        run(ask_for_rsa);
        fixture_unload(&fixture);
    }
}

/* A provider between the two that has nothing and takes its time to say so. */
static struct {
    bool waits;          /* until some thread has got what it asked for */
    bool waited_in_vain; /* for that */
    atomic_uint visitors;
    atomic_bool left; /* the first of them has gone on */
    atomic_bool answered;
} slow;

static void pause_for(long pause_ms)
{
    struct timespec left = { .tv_nsec = pause_ms * 1000000L };

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static const OSSL_ALGORITHM *query_slow(void *provctx, int operation, int *no_cache)
{
    (void)provctx;
    *no_cache = 0;
    if (operation != OSSL_OP_KEYMGMT || atomic_load(&slow.left)) {
        return NULL;
    }
    if (atomic_fetch_add(&slow.visitors, 1) == 0 && slow.waits) {
        for (int i = 0; i < 1000 && !atomic_load(&slow.answered); i++) {
            pause_for(10);
        }
        slow.waited_in_vain = !atomic_load(&slow.answered);
    } else if (!slow.waits) {
        pause_for(100);
    }
    return NULL;
}

static void leave_slow(void *provctx, int operation, const OSSL_ALGORITHM *table)
{
    (void)provctx;
    (void)table;
    if (operation == OSSL_OP_KEYMGMT) {
        atomic_store(&slow.left, true);
    }
}

static int init_slow(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in,
                     const OSSL_DISPATCH **out, void **provctx)
{
    static const OSSL_DISPATCH functions[] = {
        { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query_slow },
        { OSSL_FUNC_PROVIDER_UNQUERY_OPERATION, (void (*)(void))leave_slow },
        { 0, NULL },
    };

    (void)in;
    *provctx = (void *)core;
    *out = functions;
    return 1;
}

static void *ask_past_slow(void *argument)
{
    struct racer *racer = argument;

    pthread_barrier_wait(&barrier);
    racer->done = true;
    racer->given_default = is_given_default();
    atomic_store(&slow.answered, true);
    return NULL;
}

static void race_past_slow(bool waits)
{
    OSSL_PROVIDER *provider;

    slow.waits = waits;
    atomic_store(&slow.visitors, 0);
    atomic_store(&slow.left, false);
    atomic_store(&slow.answered, false);
    make_context();
    assert_int_equal(OSSL_PROVIDER_add_builtin(fixture.libctx, "slow", init_slow), 1);
    fixture.gatekey = OSSL_PROVIDER_load(fixture.libctx, "gatekey");
    provider = OSSL_PROVIDER_load(fixture.libctx, "slow");
    fixture.base = OSSL_PROVIDER_load(fixture.libctx, "default");
    assert_non_null(provider);
    run(ask_past_slow);
    OSSL_PROVIDER_unload(provider);
    fixture_unload(&fixture);
}

static void threads_visit_the_others_one_after_the_other(void **state)
{
    (void)state;
    race_past_slow(false);
    assert_int_equal(atomic_load(&slow.visitors), 1);
}

/* The one that is there waits for one that waits for it. */
static void threads_wait_for_each_other_not_for_ever(void **state)
{
    (void)state;
    race_past_slow(true);
    assert_false(slow.waited_in_vain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_the_device_key_gives_nobody_our_rsa),
        cmocka_unit_test(threads_visit_the_others_one_after_the_other),
        cmocka_unit_test(threads_wait_for_each_other_not_for_ever),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
