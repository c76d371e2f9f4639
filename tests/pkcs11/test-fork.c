/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of what a fork does: the child is another application, which has not initialised the
 * module yet, and whatever it does its parent never notices.
 *
 * A child says what went wrong by its exit status; it fails no assertion.
 */
#include "tests/pkcs11/calls.h"
#include "tests/pkcs11/rounds.h"

#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT_S 1500 /* whoever hangs is ended by SIGALRM */
#define CHILD_LIMIT_S 1200
#define THREADS 6

static EVP_PKEY *plain;

static int set_up(void **state)
{
    fixture_set_up(state);
    plain = fixture_public("plain.pem");
    alarm(LIMIT_S);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(plain);
    return 0;
}

static pid_t start_child(int (*child)(void))
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(CHILD_LIMIT_S);
        _exit(child());
    }
    return pid;
}

static void assert_succeeds(pid_t child)
{
    int status = -1;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void run_child(int (*child)(void))
{
    assert_succeeds(start_child(child));
}

/* 0, or the row of the function that answered anything else, from 1. */
static int nothing_is_initialized(void)
{
    for (size_t i = 0; i < calls_count; i++) {
        const struct calls_row *row = &calls_rows[i];

        if (row->takes != CALLS_ALWAYS && (row->well(0, 1) != CKR_CRYPTOKI_NOT_INITIALIZED ||
                                           row->with_nulls(0, 0) != CKR_CRYPTOKI_NOT_INITIALIZED)) {
            return (int)i + 1;
        }
    }
    return 0;
}

static int initializes_signs_and_ends(void)
{
    if (p11->C_Initialize(NULL) != CKR_OK) {
        return 101;
    }
    for (int i = 0; i < 3; i++) {
        if (rounds_go(plain, i, NULL) != CKR_OK) {
            return 102 + i;
        }
    }
    return p11->C_Finalize(NULL) == CKR_OK ? nothing_is_initialized() : 105;
}

static int initializes_and_ends(void)
{
    return p11->C_Initialize(NULL) == CKR_OK && p11->C_Finalize(NULL) == CKR_OK ? 0 : 101;
}

static int initializes_and_is_gone(void)
{
    return p11->C_Initialize(NULL) == CKR_OK && rounds_go(plain, 1, NULL) == CKR_OK ? 0 : 101;
}

/* As nginx leaves its workers, which may end and begin more than once. */
static int begins_twice_without_an_environment(void)
{
    clearenv();
    for (int i = 0; i < 2; i++) {
        if (p11->C_Initialize(NULL) != CKR_OK || rounds_go(plain, i, NULL) != CKR_OK ||
            p11->C_Finalize(NULL) != CKR_OK) {
            return 101 + i;
        }
    }
    return 0;
}

/* As a program that starts workers for several identities. */
static int follows_an_environment_of_its_own(void)
{
    CK_TOKEN_INFO token;

    setenv("GATEKEY_IDENTITY", "/nowhere/another", 1);
    return p11->C_Initialize(NULL) == CKR_OK && p11->C_GetTokenInfo(0, &token) == CKR_OK &&
                   memcmp(token.label, "another ", 8) == 0
               ? 0
               : 101;
}

static int does_nothing(void)
{
    return 0;
}

static void a_child_may_be_the_first_to_initialise(void **state)
{
    (void)state;
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    run_child(nothing_is_initialized);
    run_child(initializes_signs_and_ends);
    assert_rv(p11->C_Initialize(NULL), CKR_OK);
    assert_rv(rounds_go(plain, 1, NULL), CKR_OK);
}

static void a_child_is_told_that_it_has_not_initialised(void **state)
{
    (void)state;
    run_child(nothing_is_initialized);
    assert_rv(rounds_go(plain, 1, NULL), CKR_OK);
    fixture_open();
    run_child(nothing_is_initialized);
    assert_rv(rounds_go(plain, 1, NULL), CKR_OK);
}

static void a_child_initialises_before_and_after_the_first_use(void **state)
{
    (void)state;
    run_child(initializes_signs_and_ends);
    assert_rv(rounds_go(plain, 1, NULL), CKR_OK);
    run_child(initializes_signs_and_ends);
    assert_rv(rounds_go(plain, 2, NULL), CKR_OK);
}

static void a_child_keeps_the_settings_of_its_parent(void **state)
{
    (void)state;
    run_child(begins_twice_without_an_environment);
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    run_child(begins_twice_without_an_environment);
    run_child(follows_an_environment_of_its_own);
    assert_rv(p11->C_Initialize(NULL), CKR_OK);
}

/* Sessions, operations under way, found objects: all of it is still the parent's. */
static void the_parent_never_notices(void **state)
{
    static int (*const children[])(void) = { does_nothing, nothing_is_initialized,
                                             initializes_and_ends, initializes_signs_and_ends,
                                             initializes_and_is_gone };
    CK_MECHANISM signs = { CKM_SHA256_RSA_PKCS, NULL, 0 }, digests = { CKM_SHA256, NULL, 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
        CK_SESSION_HANDLE session = fixture_open();
        CK_OBJECT_HANDLE key = fixture_find_class(session, CKO_PRIVATE_KEY), found;
        uint8_t result[FIXTURE_SIGNATURE_SIZE];
        CK_ULONG size = sizeof(result), number;

        assert_rv(p11->C_SignInit(session, &signs, key), CKR_OK);
        assert_rv(p11->C_SignUpdate(session, (CK_BYTE *)"a mess", 6), CKR_OK);
        assert_rv(p11->C_DigestInit(session, &digests), CKR_OK);
        assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
        run_child(children[i]);
        assert_rv(p11->C_FindObjects(session, &found, 1, &number), CKR_OK);
        assert_int_equal(number, 1);
        assert_rv(p11->C_DigestUpdate(session, (CK_BYTE *)"x", 1), CKR_OK);
        assert_rv(p11->C_SignUpdate(session, (CK_BYTE *)"age", 3), CKR_OK);
        assert_rv(p11->C_SignFinal(session, result, &size), CKR_OK);
        assert_true(fixture_verifies(plain, CKM_SHA256_RSA_PKCS, 0, "a message", 9, result));
        assert_int_equal(fixture_find_class(fixture_open(), CKO_PRIVATE_KEY), key);
    }
}

static int has_a_child_of_its_own(void)
{
    int status = -1;
    pid_t grandchild;

    if (p11->C_Initialize(NULL) != CKR_OK || rounds_go(plain, 1, NULL) != CKR_OK) {
        return 101;
    }
    grandchild = fork();
    if (grandchild == 0) {
        int wrong = nothing_is_initialized();

        _exit(wrong != 0 ? wrong : initializes_signs_and_ends());
    }
    if (rounds_go(plain, 2, NULL) != CKR_OK || waitpid(grandchild, &status, 0) != grandchild) {
        return 102;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 103;
}

static void a_child_of_a_child_is_a_child(void **state)
{
    (void)state;
    assert_rv(rounds_go(plain, 1, NULL), CKR_OK);
    run_child(has_a_child_of_its_own);
    assert_rv(rounds_go(plain, 2, NULL), CKR_OK);
}

/* Each waits for the other's byte. */
static int to_child[2], to_parent[2];

static bool pass(int from, int to)
{
    char turn;

    return read(from, &turn, 1) == 1 && rounds_go(plain, turn, NULL) == CKR_OK &&
           write(to, &turn, 1) == 1;
}

static int takes_turns(void)
{
    int rounds = rounds_wanted(25);

    if (p11->C_Initialize(NULL) != CKR_OK) {
        return 101;
    }
    for (int i = 0; i < rounds; i++) {
        if (!pass(to_child[0], to_parent[1])) {
            return 102;
        }
    }
    return p11->C_Finalize(NULL) == CKR_OK ? 0 : 103;
}

static void parent_and_child_sign_in_turn(void **state)
{
    int rounds = rounds_wanted(25);
    pid_t child;

    (void)state;
    assert_rv(rounds_go(plain, 1, NULL), CKR_OK);
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    child = start_child(takes_turns);
    close(to_child[0]);
    close(to_parent[1]); /* so that a child that dies is noticed */
    assert_int_equal(write(to_child[1], "x", 1), 1);
    for (int i = 1; i < rounds; i++) {
        assert_true(pass(to_parent[0], to_child[1]));
    }
    assert_succeeds(child);
    close(to_child[1]);
    close(to_parent[0]);
}

/* At nearly every moment one of the threads is at the TPM, so the forks fall into signatures. */
static void forks_in_the_midst_of_signatures_hold_nobody_up(void **state)
{
    int forks = rounds_wanted(40) < 200 ? rounds_wanted(40) : 200;
    struct rounds *rounds = rounds_start(plain, THREADS, 0);

    (void)state;
    rounds_wait(rounds, THREADS);
    for (int i = 0; i < forks; i++) {
        pid_t one = start_child(initializes_and_ends), two = start_child(nothing_is_initialized);

        assert_succeeds(one);
        assert_succeeds(two);
        usleep((useconds_t)i * 50);
    }
    rounds_end(rounds);
    assert_rv(rounds_go(plain, 1, NULL), CKR_OK);
}

/* With the module alone, as OpenSSL's state is whatever a thread left it in. */
static int signs_unchecked(void)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof(class) };
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_ULONG count = 0;

    if (p11->C_Initialize(NULL) != CKR_OK ||
        p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK ||
        p11->C_FindObjectsInit(session, &template, 1) != CKR_OK ||
        p11->C_FindObjects(session, &key, 1, &count) != CKR_OK || count != 1) {
        return 101;
    }
    return fixture_sign(session, key, "x", 1, signature) == CKR_OK ? 0 : 102;
}

static void children_born_in_the_midst_of_signatures_sign(void **state)
{
    struct rounds *rounds = rounds_start(plain, THREADS, 0);

    (void)state;
    for (int i = 0; i < 20; i++) {
        rounds_wait(rounds, THREADS + i);
        run_child(signs_unchecked);
    }
    rounds_end(rounds);
}

static int is_not_logged_in(void)
{
    CK_SESSION_HANDLE session;
    CK_SESSION_INFO info;

    if (p11->C_Initialize(NULL) != CKR_OK ||
        p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK ||
        p11->C_GetSessionInfo(session, &info) != CKR_OK || info.state != CKS_RO_PUBLIC_SESSION) {
        return 101;
    }
    if (p11->C_Logout(session) != CKR_USER_NOT_LOGGED_IN) {
        return 102;
    }
    return p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN, strlen(FIXTURE_PIN)) ==
                       CKR_OK &&
                   p11->C_Finalize(NULL) == CKR_OK
               ? 0
               : 103;
}

static void a_login_is_not_inherited_and_not_lost(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];

    (void)state;
    assert_rv(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN, strlen(FIXTURE_PIN)),
              CKR_OK);
    run_child(is_not_logged_in);
    assert_rv(fixture_sign(session, 0, "x", 1, signature), CKR_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_may_be_the_first_to_initialise),
        TEST(a_child_is_told_that_it_has_not_initialised),
        TEST(a_child_initialises_before_and_after_the_first_use),
        TEST(a_child_keeps_the_settings_of_its_parent),
        TEST(the_parent_never_notices),
        TEST(a_child_of_a_child_is_a_child),
        TEST(parent_and_child_sign_in_turn),
        TEST(forks_in_the_midst_of_signatures_hold_nobody_up),
        TEST(children_born_in_the_midst_of_signatures_sign),
        cmocka_unit_test_setup_teardown(a_login_is_not_inherited_and_not_lost,
                                        fixture_begin_with_pin, fixture_end),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
