/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/tally.c: what a program is told of the signatures that were made for it. */
#include "tests/provider/signing.h"

#include <openssl/err.h>
#include <openssl/params.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 4
#define TIMES 5

static struct fixture fixture;

struct tally {
    uint64_t signatures, failures, total_us, last_us;
};

static struct tally ask(const struct fixture *which)
{
    struct tally tally = { 99, 99, 99, 99 };
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint64("gatekey-signatures", &tally.signatures),
        OSSL_PARAM_construct_uint64("gatekey-signature-us", &tally.total_us),
        OSSL_PARAM_construct_uint64("gatekey-signature-last-us", &tally.last_us),
        OSSL_PARAM_construct_uint64("gatekey-signature-failures", &tally.failures),
        OSSL_PARAM_construct_end(),
    };

    assert_int_equal(OSSL_PROVIDER_get_params(which->gatekey, params), 1);
    return tally;
}

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_make_key(FIXTURE_PASSWORD_HANDLE, FIXTURE_PASSWORD, "password.pem");
    return 0;
}

/* Each test counts from nothing. */
static int load(void **state)
{
    (void)state;
    fixture_load(&fixture);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    fixture_unload(&fixture);
    return 0;
}

static void counts_what_it_handed_out_and_the_time_of_it(void **state)
{
    struct signing_key key = signing_key_load(&fixture, "gatekey:");
    struct tally before = ask(&fixture), first, second;

    (void)state;
    assert_int_equal(before.signatures, 0);
    assert_int_equal(before.total_us, 0);
    assert_true(signing_works(&key, 1));
    first = ask(&fixture);
    assert_int_equal(first.signatures, 1);
    assert_true(first.last_us > 0);
    assert_int_equal(first.total_us, first.last_us);
    assert_true(signing_works(&key, 2));
    second = ask(&fixture);
    assert_int_equal(second.signatures, 2);
    assert_int_equal(second.total_us, first.last_us + second.last_us);
    assert_int_equal(second.failures, 0);
    signing_key_free(&key);
}

/* libssl asks in vain for many an algorithm before it signs once. */
static void counts_nothing_that_only_begins(void **state)
{
    EVP_PKEY *key = fixture_read_uri(&fixture, "gatekey:", NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t size = 0;

    (void)state;
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, key, NULL),
                     1);
    assert_int_equal(EVP_DigestSign(ctx, NULL, &size, (const uint8_t *)"x", 1), 1);
    assert_int_equal(ask(&fixture).signatures, 0);
    assert_int_equal(ask(&fixture).failures, 0);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

static void counts_those_apart_that_could_not_be_made(void **state)
{
    EVP_PKEY *key = fixture_read_pem(&fixture, fixture_path("password.pem"), "another password");
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);

    (void)state;
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, key, NULL),
                     1);
    assert_int_not_equal(EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"x", 1), 1);
    fixture_assert_says("wrong password");
    assert_int_equal(ask(&fixture).failures, 1);
    assert_int_equal(ask(&fixture).signatures, 0);
    assert_int_equal(ask(&fixture).total_us, 0);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

static void counts_each_of_many_threads(void **state)
{
    struct signing_key key = signing_key_load(&fixture, "gatekey:");

    (void)state;
    signing_end(signing_start(&key, 1, THREADS, TIMES));
    assert_int_equal(ask(&fixture).signatures, THREADS * TIMES);
    assert_int_equal(ask(&fixture).failures, 0);
    signing_key_free(&key);
}

static void counts_for_one_library_context_alone(void **state)
{
    struct fixture other;
    struct signing_key key = signing_key_load(&fixture, "gatekey:");

    (void)state;
    fixture_load(&other);
    assert_true(signing_works(&key, 1));
    assert_int_equal(ask(&fixture).signatures, 1);
    assert_int_equal(ask(&other).signatures, 0);
    signing_key_free(&key);
    fixture_unload(&other);
}

static void says_what_can_be_asked_for(void **state)
{
    static const char *const names[] = { "gatekey-signatures", "gatekey-signature-us",
                                         "gatekey-signature-last-us",
                                         "gatekey-signature-failures" };
    const OSSL_PARAM *table = OSSL_PROVIDER_gettable_params(fixture.gatekey);

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_non_null(OSSL_PARAM_locate_const(table, names[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_what_it_handed_out_and_the_time_of_it, load, unload),
        cmocka_unit_test_setup_teardown(counts_nothing_that_only_begins, load, unload),
        cmocka_unit_test_setup_teardown(counts_those_apart_that_could_not_be_made, load, unload),
        cmocka_unit_test_setup_teardown(counts_each_of_many_threads, load, unload),
        cmocka_unit_test_setup_teardown(counts_for_one_library_context_alone, load, unload),
        cmocka_unit_test_setup_teardown(says_what_can_be_asked_for, load, unload),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
