/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to the TPM: how many commands go out, and what happens when one goes wrong. */
#include "tests/tpm/fault.h"
#include "tests/tpm/fixture.h"
#include "tests/tpm/proxy.h"
#include "tpm/internal.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HANDLE 0x81000100U
#define TPM_RC_RETRY 0x922U
#define TPM_RC_LOCKOUT 0x921U
#define TPM_RC_INITIALIZE 0x100U
#define TPM_RC_OBJECT_MEMORY 0x902U
#define TPM_RC_SESSION_MEMORY 0x903U
#define TPM_RC_NV_SPACE 0x14bU
#define TPM_RC_FAILURE 0x101U
#define TPM_RC_SCHEME 0x092U
#define TPM_RC_AUTH_FAIL 0x08eU
#define TPM_RC_BAD_AUTH 0x0a2U
#define TPM_RC_NV_RATE 0x920U
#define TPM_RC_P2 0x240U
#define TPM_RC_S1 0x900U

static struct proxy *proxy;
static struct gk_tpm *tpm;
static struct gk_key *key;

static int set_up(void **state)
{
    (void)state;
    key = fixture_key(HANDLE, NULL);
    proxy = proxy_start();
    assert_int_equal(gk_tpm_new(proxy_tcti(proxy), &tpm, NULL), GK_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gk_tpm_free(tpm);
    proxy_stop(proxy);
    gk_key_free(key);
    return 0;
}

static int no_fault_left(void **state)
{
    (void)state;
    proxy_fault_next(proxy, PROXY_CUT, 0, 0);
    proxy_count(proxy);
    return 0;
}

static enum gk_status sign_at(struct gk_tpm *where, struct gk_error *err)
{
    static const uint8_t digest[GK_HASH_MAX_SIZE];
    uint8_t signature[GK_RSA2048_SIZE];

    return gk_key_sign(where, key, NULL, fixture_crypto(), GK_RSAPSS, GK_SHA256, digest, 32,
                       signature, err);
}

static enum gk_status sign(struct gk_error *err)
{
    return sign_at(tpm, err);
}

static void costs_one_command_a_signature(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sign(NULL), GK_OK);
        assert_int_equal(proxy_count(proxy), 1);
    }
}

static void asks_again_when_the_tpm_says_retry(void **state)
{
    (void)state;
    proxy_fault_next(proxy, PROXY_ANSWER, 4, TPM_RC_RETRY);
    assert_int_equal(sign(NULL), GK_OK);
    assert_int_equal(proxy_count(proxy), 5);
}

static void gives_up_on_a_tpm_that_says_retry_for_ever(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    proxy_fault_next(proxy, PROXY_ANSWER, 1000, TPM_RC_RETRY);
    assert_int_equal(sign(&err), GK_TPM_BUSY);
    fixture_assert_says(&err, "the TPM stays busy");
    assert_in_range(proxy_count(proxy), 5, 20);
}

static void connects_anew_after_a_cut_line(void **state)
{
    (void)state;
    proxy_fault_next(proxy, PROXY_CUT, 1, 0);
    assert_int_equal(sign(NULL), GK_OK);
    assert_int_equal(proxy_count(proxy), 2);
}

static void says_so_when_the_line_is_cut_again(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    proxy_fault_next(proxy, PROXY_CUT, 2, 0);
    assert_int_equal(sign(&err), GK_NO_TPM);
    fixture_assert_says(&err, "no TPM answered");
    assert_int_equal(proxy_count(proxy), 2);
    assert_int_equal(sign(&err), GK_OK);
}

static void survives_a_garbled_answer(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    proxy_fault_next(proxy, PROXY_GARBLE, 2, 0);
    assert_int_equal(sign(&err), GK_TPM_GARBLED);
    fixture_assert_says(&err, "the TPM's answer makes no sense");
    assert_int_equal(sign(&err), GK_OK);
}

/* Flushing others' objects would free neither sessions nor what is persistent. */
static void blames_no_object_for_want_of_something_else(void **state)
{
    static const struct {
        uint32_t code;
        const char *says;
    } wants[] = {
        { TPM_RC_SESSION_MEMORY, "TPM_RC_SESSION_MEMORY: of sessions); free one with "
                                 "tpm2_flushcontext -l" },
        { TPM_RC_NV_SPACE, "TPM_RC_NV_SPACE: its memory is full); free a persistent object" },
    };

    (void)state;
    fixture_run("tpm2_createprimary -Q -C n -G ecc");
    for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
        struct gk_error err = { 0 };

        proxy_fault_next(proxy, PROXY_ANSWER, 1 + TPM_SLOT_TRIES, wants[i].code);
        assert_int_equal(sign(&err), GK_TPM_MEMORY);
        fixture_assert_says(&err, wants[i].says);
    }
    fixture_run("tpm2_flushcontext -t");
}

enum { WAITING = 8 };
static pthread_barrier_t all_refused;

static void *wait_for_slot(void *took_ms)
{
    int64_t began_ms;

    pthread_barrier_wait(&all_refused);
    began_ms = clock_now_ms();
    tpm_wait_for_slot(6);
    *(int64_t *)took_ms = clock_now_ms() - began_ms;
    return NULL;
}

static void those_refused_together_come_back_apart(void **state)
{
    int64_t took_ms[WAITING], shortest = INT64_MAX, longest = 0;
    pthread_t threads[WAITING];

    (void)state;
    assert_int_equal(pthread_barrier_init(&all_refused, NULL, WAITING), 0);
    for (size_t i = 0; i < WAITING; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_slot, &took_ms[i]), 0);
    }
    for (size_t i = 0; i < WAITING; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        shortest = took_ms[i] < shortest ? took_ms[i] : shortest;
        longest = took_ms[i] > longest ? took_ms[i] : longest;
    }
    pthread_barrier_destroy(&all_refused);
    assert_true(shortest >= 128);
    assert_true(longest - shortest > 16);
}

/* A swtpm whose only connection somebody holds takes a command and answers none. */
static void waits_once_for_a_tpm_that_does_not_answer(void **state)
{
    CLEANUP(gk_tpm_freep) struct gk_tpm *silent = NULL;
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(gk_tpm_new(fault_tcti(), &silent, NULL), GK_OK);
    fault_plan("* * silence\n");
    assert_int_equal(sign_at(silent, &err), GK_NO_TPM);
    assert_int_equal(fault_count(), 1);
    fixture_assert_says(&err, "no TPM answered (");
    fixture_assert_says(&err, "); find the program that holds it open, or restart the TPM");
    fault_plan("%s", "");
    assert_int_equal(sign_at(silent, &err), GK_OK);
}

static void names_what_the_tpm_refused_for(void **state)
{
    static const struct {
        uint32_t code;
        enum gk_status status;
        const char *says;
    } refusals[] = {
        { TPM_RC_LOCKOUT, GK_LOCKED,
          "the TPM is in lockout (0x81000100, TPM 0x921 TPM_RC_LOCKOUT); wait" },
        { TPM_RC_INITIALIZE, GK_TPM_FAILED,
          "TPM 0x100 TPM_RC_INITIALIZE: it was not started); run tpm2_startup -c" },
        { TPM_RC_FAILURE, GK_TPM_FAILED,
          "the TPM refused (0x81000100, TPM 0x101 TPM_RC_FAILURE: it is in failure mode); switch" },
        { TPM_RC_SCHEME | TPM_RC_P2, GK_TPM_FAILED, "TPM 0x2d2 TPM_RC_SCHEME: the key is bound" },
        { TPM_RC_AUTH_FAIL | TPM_RC_S1, GK_BAD_AUTH,
          "wrong password (0x81000100, TPM 0x98e TPM_RC_AUTH_FAIL: it counts as a failed" },
        { TPM_RC_BAD_AUTH | TPM_RC_S1, GK_BAD_AUTH,
          "wrong password (0x81000100, TPM 0x9a2 TPM_RC_BAD_AUTH: it does not count as a" },
        { 0xb0000 | 5, GK_TPM_FAILED, "TPM 0xb0005 TSS2_RESMGR_RC_BAD_REFERENCE)" },
        { 0xc0000 | TPM_RC_NV_RATE, GK_TPM_BUSY, "TPM 0xc0920 TPM_RC_NV_RATE: it spares its" },
        /* Nothing is known of it: no name is better than a wrong one. */
        { 0x17f, GK_TPM_FAILED, "(0x81000100, TPM 0x17f); look the code up with" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct gk_error err = { 0 };

        proxy_fault_next(proxy, PROXY_ANSWER, 1, refusals[i].code);
        assert_int_equal(sign(&err), refusals[i].status);
        fixture_assert_says(&err, refusals[i].says);
        assert_int_equal(sign(&err), GK_OK);
    }
}

/* A persistent key takes a slot as well while the TPM uses it. */
static void waits_for_a_slot_that_is_taken_for_a_moment(void **state)
{
    (void)state;
    proxy_fault_next(proxy, PROXY_ANSWER, 4, TPM_RC_OBJECT_MEMORY);
    assert_int_equal(sign(NULL), GK_OK);
    assert_int_equal(proxy_count(proxy), 5);
}

static void names_the_slots_that_others_left_taken(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    fixture_run("for i in 1 2 3; do tpm2_createprimary -Q -C n -G ecc || exit 1; done");
    assert_int_equal(sign(&err), GK_TPM_MEMORY);
    fixture_assert_says(&err, "the TPM has no free slot for another object (taken: 0x80000000 "
                              "0x80000001 0x80000002, TPM 0x902 TPM_RC_OBJECT_MEMORY); free");
    fixture_assert_says(&err, "as with tpm2_flushcontext 0x80000000, or use device:/dev/tpmrm0");
    fixture_run("tpm2_flushcontext 0x80000000");
    assert_int_equal(sign(&err), GK_OK);
    fixture_run("tpm2_flushcontext -t");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(costs_one_command_a_signature, no_fault_left),
        cmocka_unit_test_setup(asks_again_when_the_tpm_says_retry, no_fault_left),
        cmocka_unit_test_setup(gives_up_on_a_tpm_that_says_retry_for_ever, no_fault_left),
        cmocka_unit_test_setup(connects_anew_after_a_cut_line, no_fault_left),
        cmocka_unit_test_setup(says_so_when_the_line_is_cut_again, no_fault_left),
        cmocka_unit_test_setup(survives_a_garbled_answer, no_fault_left),
        cmocka_unit_test_setup(waits_for_a_slot_that_is_taken_for_a_moment, no_fault_left),
        cmocka_unit_test_setup(names_the_slots_that_others_left_taken, no_fault_left),
        cmocka_unit_test_setup(blames_no_object_for_want_of_something_else, no_fault_left),
        cmocka_unit_test_setup(those_refused_together_come_back_apart, no_fault_left),
        cmocka_unit_test_setup(waits_once_for_a_tpm_that_does_not_answer, no_fault_left),
        cmocka_unit_test_setup(names_what_the_tpm_refused_for, no_fault_left),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
