/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/fork.c, and of one key in many hands: threads and children that sign at once.
 */
#include "tests/provider/fixture.h"

#include <openssl/err.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 8
#define SIGNATURES 12 /* of each thread */
#define CHILDREN 6
#define CHILD_SIGNATURES 4

static struct fixture fixture;
static EVP_PKEY *device;
static EVP_PKEY *device_public;
static atomic_int signed_so_far;

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_load(&fixture);
    device = fixture_read_uri(&fixture, "gatekey:", NULL);
    assert_non_null(device);
    device_public = fixture_public(&fixture, device);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(device);
    EVP_PKEY_free(device_public);
    fixture_unload(&fixture);
    return 0;
}

/* Sign and verify; cmocka's asserts are for its own thread only. */
static int signs(int number)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_MD_CTX *check = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);
    const uint8_t *data = (const uint8_t *)&number;
    int done =
        EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, device, NULL) == 1 &&
        EVP_DigestSign(ctx, signature, &size, data, sizeof(number)) == 1 &&
        EVP_DigestVerifyInit_ex(check, NULL, "SHA256", fixture.libctx, NULL, device_public, NULL) ==
            1 &&
        EVP_DigestVerify(check, signature, size, data, sizeof(number)) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_MD_CTX_free(check);
    return done;
}

static void *sign_repeatedly(void *failures)
{
    for (int i = 0; i < SIGNATURES; i++) {
        if (!signs(i)) {
            ++*(int *)failures;
            ERR_print_errors_fp(stderr);
        }
        atomic_fetch_add(&signed_so_far, 1);
    }
    return NULL;
}

/* Until the threads are in full swing: then at nearly every moment one of them is at the TPM. */
static void wait_for_signatures(int number)
{
    while (atomic_load(&signed_so_far) < number) {
        nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
    }
}

static void start_threads(pthread_t threads[THREADS], int failures[THREADS])
{
    atomic_store(&signed_so_far, 0);
    for (int i = 0; i < THREADS; i++) {
        failures[i] = 0;
        assert_int_equal(pthread_create(&threads[i], NULL, sign_repeatedly, &failures[i]), 0);
    }
}

static void join_threads(pthread_t threads[THREADS], const int failures[THREADS])
{
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(failures[i], 0);
    }
}

/* A child that signs, gives everything back as an orderly program does, and says how it went. */
static pid_t start_child(void)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        int done = 1;

        alarm(30);
        for (int i = 0; i < CHILD_SIGNATURES; i++) {
            done = signs(i) && done;
        }
        EVP_PKEY_free(device);
        EVP_PKEY_free(device_public);
        fixture_unload(&fixture);
        _exit(done ? 0 : 1);
    }
    return child;
}

static void assert_child_succeeds(pid_t child)
{
    int status = -1;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_child_and_its_parent_both_sign(void **state)
{
    pid_t child;

    (void)state;
    assert_true(signs(1));
    child = start_child();
    assert_true(signs(2));
    assert_child_succeeds(child);
    assert_true(signs(3));
}

static void threads_share_one_key(void **state)
{
    pthread_t threads[THREADS];
    int failures[THREADS];

    (void)state;
    start_threads(threads, failures);
    join_threads(threads, failures);
}

static void children_born_while_threads_sign_can_sign(void **state)
{
    pthread_t threads[THREADS];
    int failures[THREADS];
    pid_t children[CHILDREN];

    (void)state;
    start_threads(threads, failures);
    for (int i = 0; i < CHILDREN; i++) {
        wait_for_signatures(1 + i * SIGNATURES);
        children[i] = start_child();
    }
    join_threads(threads, failures);
    for (int i = 0; i < CHILDREN; i++) {
        assert_child_succeeds(children[i]);
    }
}

/* First use from all threads at once: what is made lazily is made once. */
static void threads_race_for_the_first_use(void **state)
{
    pthread_t threads[THREADS];
    int failures[THREADS];

    (void)state;
    EVP_PKEY_free(device);
    EVP_PKEY_free(device_public);
    fixture_unload(&fixture);
    fixture_load(&fixture);
    device = fixture_read_pem(&fixture, fixture_path("device.pem"), NULL);
    assert_non_null(device);
    device_public = fixture_public(&fixture, device);
    start_threads(threads, failures);
    join_threads(threads, failures);
}

static void *sign_a_few(void *failures)
{
    for (int i = 0; i < 3; i++) {
        *(int *)failures += !signs(i);
    }
    return NULL;
}

/* "cmd:" starts a program for every connection, while others fork for reasons of their own. */
static void a_tcti_may_fork_itself(void **state)
{
    struct fixture direct = fixture;
    char tcti[1024];
    pthread_t threads[2];
    int failures[2] = { 0 };

    (void)state;
    snprintf(tcti, sizeof(tcti), "cmd:/usr/bin/python3 %s/tests/provider/bridge.py %s",
             getenv("abs_top_srcdir"), strstr(getenv("GATEKEY_TCTI"), "path=") + 5);
    alarm(60);
    EVP_PKEY_free(device);
    setenv("GATEKEY_TCTI", tcti, 1);
    fixture_load(&fixture);
    device = fixture_read_uri(&fixture, "gatekey:handle=0x81000100", NULL);
    assert_non_null(device);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sign_a_few, &failures[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();

        if (child == 0) {
            _exit(0);
        }
        assert_child_succeeds(child);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(failures[i], 0);
    }
    alarm(0);
    fixture_unload(&direct);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_and_its_parent_both_sign),
        cmocka_unit_test(threads_share_one_key),
        cmocka_unit_test(children_born_while_threads_sign_can_sign),
        cmocka_unit_test(threads_race_for_the_first_use),
        cmocka_unit_test(a_tcti_may_fork_itself),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
