/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/fork.c: parents and children that sign, whoever is first, last or in the midst.
 */
#include "tests/provider/signing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 8
#define CHILDREN 6
#define CHILD_SIGNATURES 4
#define LIMIT_S 120 /* whoever hangs is ended by SIGALRM */
#define CHILD_LIMIT_S 60

static struct fixture fixture;
static struct signing_key key;

static int load(void **state)
{
    (void)state;
    fixture_load(&fixture);
    key = signing_key_load(&fixture, "gatekey:");
    alarm(LIMIT_S);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    alarm(0);
    signing_key_free(&key);
    fixture_unload(&fixture);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    return 0;
}

static bool signs_repeatedly(int times)
{
    bool works = true;

    for (int i = 0; i < times; i++) {
        works = signing_works(&key, i) && works;
    }
    return works;
}

/* How a child ends: at once, after giving everything back, or with all the exit handlers. */
enum ending { DROP, GIVE_BACK, EXIT };

static pid_t start_child(int signatures, enum ending ending)
{
    pid_t child;

    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool works;

        alarm(CHILD_LIMIT_S);
        works = signs_repeatedly(signatures);
        if (ending == GIVE_BACK) {
            signing_key_free(&key);
            fixture_unload(&fixture);
        }
        if (ending == EXIT) {
            exit(works ? 0 : 1);
        }
        _exit(works ? 0 : 1);
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
    assert_true(signs_repeatedly(1));
    child = start_child(CHILD_SIGNATURES, GIVE_BACK);
    assert_true(signs_repeatedly(1));
    assert_child_succeeds(child);
    assert_true(signs_repeatedly(1));
}

static void a_child_may_be_the_first_to_sign(void **state)
{
    (void)state;
    assert_child_succeeds(start_child(CHILD_SIGNATURES, EXIT));
    assert_child_succeeds(start_child(CHILD_SIGNATURES, DROP));
    assert_true(signs_repeatedly(CHILD_SIGNATURES));
}

/* Whether it signed or not, and however it ends. */
static void what_a_child_gives_back_its_parent_keeps(void **state)
{
    (void)state;
    assert_true(signs_repeatedly(1));
    for (int signatures = 0; signatures < 2; signatures++) {
        for (enum ending ending = DROP; ending <= EXIT; ending++) {
            assert_child_succeeds(start_child(signatures, ending));
            assert_true(signs_repeatedly(1));
        }
    }
}

static void a_child_of_a_child_signs(void **state)
{
    pid_t child;

    (void)state;
    assert_true(signs_repeatedly(1));
    child = fork();
    if (child == 0) {
        int status = -1;
        pid_t grandchild = start_child(1, GIVE_BACK);
        bool works = signs_repeatedly(1) && waitpid(grandchild, &status, 0) == grandchild;

        _exit(works && status == 0 ? 0 : 1);
    }
    assert_child_succeeds(child);
    assert_true(signs_repeatedly(1));
}

/* Locks of OpenSSL's own are copied in whatever state they are: a child born while threads sign may
 * neither give everything back (seen: OSSL_LIB_CTX_free waits for a reader that is no more) nor be
 * born while those threads use something for the first time. */
static void children_born_while_threads_sign_can_sign(void **state)
{
    struct signing *signing = signing_start(&key, 1, THREADS, 0);
    pid_t children[CHILDREN];

    (void)state;
    for (int i = 0; i < CHILDREN; i++) {
        signing_wait(signing, (2 + i) * THREADS);
        children[i] = start_child(CHILD_SIGNATURES, DROP);
    }
    for (int i = 0; i < CHILDREN; i++) {
        assert_child_succeeds(children[i]);
    }
    signing_end(signing);
}

/* At nearly every moment one of the threads is at the TPM, so the forks fall into signatures. */
static void many_forks_in_the_midst_of_signatures_hold_nobody_up(void **state)
{
    enum { FORKS = 30 };
    struct signing *signing = signing_start(&key, 1, THREADS, 0);

    (void)state;
    signing_wait(signing, 2 * THREADS);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = start_child(1, DROP);

        usleep((useconds_t)i * 50);
        assert_child_succeeds(child);
    }
    signing_end(signing);
    assert_true(signs_repeatedly(1));
}

/* "cmd:" starts a program for every connection, while others fork for reasons of their own. */
static void a_tcti_may_fork_itself(void **state)
{
    struct fixture direct = fixture;
    struct signing_key direct_key = key;
    struct signing *signing;
    char tcti[1024];
    const char *before = getenv("GATEKEY_TCTI");

    (void)state;
    if (strstr(getenv("GATEKEY_TCTI"), "path=") == NULL) {
        skip(); /* in a machine with a TPM of the kernel's; bridge.py speaks to swtpm */
    }
    snprintf(tcti, sizeof(tcti), "cmd:/usr/bin/python3 %s/tests/provider/bridge.py %s",
             getenv("abs_top_srcdir"), strstr(before, "path=") + 5);
    setenv("GATEKEY_TCTI", tcti, 1);
    fixture_load(&fixture);
    key = signing_key_load(&fixture, "gatekey:handle=0x81000100");
    signing = signing_start(&key, 1, 2, 3);
    for (int i = 0; i < 20; i++) {
        assert_child_succeeds(start_child(0, DROP));
    }
    signing_end(signing);
    signing_key_free(&key);
    fixture_unload(&fixture);
    fixture = direct;
    key = direct_key;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, load, unload)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_and_its_parent_both_sign),
        TEST(a_child_may_be_the_first_to_sign),
        TEST(what_a_child_gives_back_its_parent_keeps),
        TEST(a_child_of_a_child_signs),
        TEST(children_born_while_threads_sign_can_sign),
        TEST(many_forks_in_the_midst_of_signatures_hold_nobody_up),
        TEST(a_tcti_may_fork_itself), /* the last: it leaves its TCTI in the environment */
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
