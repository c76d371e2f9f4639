/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/order.c: whatever comes first, software keys are made and used as ever. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tests/provider/fixture.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 8
#define RACES 12

static struct fixture fixture; /* the library context of the test that runs */
static pthread_barrier_t barrier;
static EVP_PKEY *software; /* made by the default provider, in a context without gatekey */

/* What a check last failed at, in its thread, and OpenSSL's errors at that moment. */
struct failure {
    const char *step;
    char errors[2048];
};
static _Thread_local struct failure failure;

static int set_up(void **state)
{
    FILE *file = fopen(fixture_path("software.pem"), "w");

    (void)state;
    assert_non_null(file);
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    setenv("GATEKEY_IDENTITY", getenv("GATEKEY_TEST_DIR"), 1);
    software = EVP_RSA_gen(2048);
    assert_non_null(software);
    assert_int_equal(PEM_write_PrivateKey(file, software, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(software);
    return 0;
}

static void load(const char *first, const char *second)
{
    char modules[512];

    snprintf(modules, sizeof(modules), "%s/.libs", getenv("abs_top_builddir"));
    fixture = (struct fixture){ .libctx = OSSL_LIB_CTX_new() };
    assert_int_equal(OSSL_PROVIDER_set_default_search_path(fixture.libctx, modules), 1);
    fixture.gatekey = OSSL_PROVIDER_load(fixture.libctx, first);
    fixture.base = OSSL_PROVIDER_load(fixture.libctx, second);
    assert_non_null(fixture.gatekey);
    assert_non_null(fixture.base);
}

static int append(const char *line, size_t size, void *argument)
{
    struct failure *to = argument;
    size_t used = strlen(to->errors);

    snprintf(to->errors + used, sizeof(to->errors) - used, "%.*s", (int)size, line);
    return 1;
}

/* Pass on whether a step succeeded; of one that did not, keep the name and the error queue. */
static int step(const char *name, int done)
{
    if (!done) {
        failure = (struct failure){ .step = name };
        ERR_print_errors_cb(append, &failure);
    }
    return done;
}

static int signs(EVP_PKEY *key, EVP_PKEY *public)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_MD_CTX *check = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);
    const uint8_t *data = (const uint8_t *)"x";
    int done =
        step("begin to sign",
             EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, key, NULL) == 1) &&
        step("sign", EVP_DigestSign(ctx, signature, &size, data, 1) == 1) &&
        step("begin to verify", EVP_DigestVerifyInit_ex(check, NULL, "SHA256", fixture.libctx, NULL,
                                                        public, NULL) == 1) &&
        step("verify", EVP_DigestVerify(check, signature, size, data, 1) == 1);

    EVP_MD_CTX_free(ctx);
    EVP_MD_CTX_free(check);
    return done;
}

/* The four ways to a software key, and a signature by each. */

static int generates(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(fixture.libctx, "RSA", NULL);
    EVP_PKEY *key = NULL;
    int done = step("find RSA", ctx != NULL) &&
               step("begin to generate", EVP_PKEY_keygen_init(ctx) == 1) &&
               step("set the bits", EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 1024) == 1) &&
               step("generate", EVP_PKEY_generate(ctx, &key) == 1) && signs(key, key);

    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    return done;
}

static int builds_from_numbers(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(fixture.libctx, "RSA", NULL);
    OSSL_PARAM *numbers = NULL;
    EVP_PKEY *key = NULL;
    int done =
        step("find RSA", ctx != NULL) &&
        step("take the numbers", EVP_PKEY_todata(software, EVP_PKEY_KEYPAIR, &numbers) == 1) &&
        step("begin to build", EVP_PKEY_fromdata_init(ctx) == 1) &&
        step("build", EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, numbers) == 1) &&
        signs(key, software);

    OSSL_PARAM_free(numbers);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    return done;
}

static int takes_an_old_rsa_object(void)
{
    RSA *rsa = EVP_PKEY_get1_RSA(software);
    EVP_PKEY *key = EVP_PKEY_new();
    int done = step("take the RSA object", rsa != NULL) &&
               step("set the RSA object", EVP_PKEY_set1_RSA(key, rsa) == 1) && signs(key, key);

    RSA_free(rsa);
    EVP_PKEY_free(key);
    return done;
}

static int reads_a_file(void)
{
    EVP_PKEY *key = fixture_read_pem(&fixture, fixture_path("software.pem"), NULL);
    int done = step("read the file", key != NULL) && signs(key, software);

    EVP_PKEY_free(key);
    return done;
}

static int uses_the_device_key(void)
{
    EVP_PKEY *key = fixture_read_uri(&fixture, "gatekey:", NULL);
    int done = step("load the URI", key != NULL) && signs(key, key);

    EVP_PKEY_free(key);
    return done;
}

static const struct {
    const char *name;
    int (*run)(void);
} checks[] = {
    { "generates", generates },
    { "builds_from_numbers", builds_from_numbers },
    { "takes_an_old_rsa_object", takes_an_old_rsa_object },
    { "reads_a_file", reads_a_file },
    { "uses_the_device_key", uses_the_device_key },
};
#define CHECK_COUNT (sizeof(checks) / sizeof(checks[0]))

/* Each of them as the first thing that happens in a library context, and then all of them. */
static void all_work(const char *first, const char *second)
{
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        load(first, second);
        for (size_t j = 0; j < CHECK_COUNT; j++) {
            if (!checks[(i + j) % CHECK_COUNT].run()) {
                fail_msg("%s cannot %s, after %zu others: %s", checks[(i + j) % CHECK_COUNT].name,
                         failure.step, j, failure.errors);
            }
        }
        fixture_assert_silence();
        fixture_unload(&fixture);
    }
}

static void all_works_behind_default(void **state)
{
    (void)state;
    all_work("default", "gatekey");
}

static void all_works_before_default(void **state)
{
    (void)state;
    all_work("gatekey", "default");
}

struct racer {
    pthread_t thread;
    size_t check;
    int done;
    struct failure failure;
};

static void *race(void *argument)
{
    struct racer *racer = argument;

    pthread_barrier_wait(&barrier);
    racer->done = checks[racer->check].run();
    racer->failure = failure;
    return NULL;
}

static size_t count_losers(const struct racer racers[static THREADS], size_t race)
{
    size_t count = 0;

    for (size_t i = 0; i < THREADS; i++) {
        if (!racers[i].done) {
            print_error("race %zu, thread %zu: %s cannot %s: %s\n", race, i,
                        checks[racers[i].check].name, racers[i].failure.step,
                        racers[i].failure.errors);
            count++;
        }
    }
    return count;
}

/* The very first fetches in a library context, by many threads at once. */
static void threads_race_for_the_first_key(void **state)
{
    struct racer racers[THREADS];

    (void)state;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (size_t i = 0; i < RACES; i++) {
        load("gatekey", "default");
        for (size_t j = 0; j < THREADS; j++) {
            racers[j] = (struct racer){ .check = (i + j) % CHECK_COUNT };
            assert_int_equal(pthread_create(&racers[j].thread, NULL, race, &racers[j]), 0);
        }
        for (size_t j = 0; j < THREADS; j++) {
            assert_int_equal(pthread_join(racers[j].thread, NULL), 0);
        }
        assert_int_equal(count_losers(racers, i), 0);
        fixture_unload(&fixture);
    }
    pthread_barrier_destroy(&barrier);
}

/* A program that asks for us by a property query gets us, the first time as well. */
static void is_found_by_property(void **state)
{
    static const char *const orders[][2] = { { "default", "gatekey" }, { "gatekey", "default" } };
    EVP_KEYMGMT *keymgmt;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        load(orders[i][0], orders[i][1]);
        keymgmt = EVP_KEYMGMT_fetch(fixture.libctx, "RSA", "provider=gatekey");
        assert_non_null(keymgmt);
        EVP_KEYMGMT_free(keymgmt);
        keymgmt = EVP_KEYMGMT_fetch(fixture.libctx, "RSA", NULL);
        assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KEYMGMT_get0_provider(keymgmt)), "default");
        EVP_KEYMGMT_free(keymgmt);
        fixture_assert_silence();
        fixture_unload(&fixture);
    }
}

/* With nobody to step back behind, whoever wants a key is told why there is none. */
static void alone_it_says_what_is_missing(void **state)
{
    EVP_PKEY_CTX *ctx;

    (void)state;
    load("gatekey", "gatekey");
    ctx = EVP_PKEY_CTX_new_from_name(fixture.libctx, "RSA", NULL);
    assert_non_null(ctx);
    fixture_assert_silence();
    assert_int_not_equal(EVP_PKEY_keygen_init(ctx), 1);
    fixture_assert_says("cannot make an RSA key");
    EVP_PKEY_CTX_free(ctx);
    fixture_unload(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_works_behind_default),
        cmocka_unit_test(all_works_before_default),
        cmocka_unit_test(threads_race_for_the_first_key),
        cmocka_unit_test(is_found_by_property),
        cmocka_unit_test(alone_it_says_what_is_missing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
