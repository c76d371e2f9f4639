/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that are loaded for each signature: what they cost, and that nothing of them stays behind.
 */
#include "tests/tpm/loadable.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TPM_RC_RETRY 0x922U
#define TPM_RC_OBJECT_MEMORY 0x902U
#define TPM_RC_INTEGRITY 0x1dfU

static void costs_three_commands_under_a_persistent_parent(void **state)
{
    CLEANUP(gk_key_freep)
    struct gk_key *key = loadable_read("persistent", PERSISTENT, false, false);

    (void)state;
    assert_true(gk_key_is_loadable(key));
    assert_int_equal(gk_key_handle(key), 0);
    assert_int_equal(gk_key_parent(key), PERSISTENT);
    loadable_assert_costs(key, LOADABLE_COST, LOADABLE_COST);
}

static void makes_the_parent_once_under_a_hierarchy(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = loadable_read("owner", OWNER, false, false);
    CLEANUP(gk_key_freep) struct gk_key *zero = loadable_read("owner", 0, false, false);
    CLEANUP(gk_key_freep) struct gk_key *copy = NULL;

    (void)state;
    loadable_assert_costs(key, LOADABLE_COST_FIRST, LOADABLE_COST);
    assert_int_equal(gk_key_parent(zero), OWNER);
    loadable_assert_costs(zero, LOADABLE_COST_FIRST, LOADABLE_COST);
    /* A copy starts afresh. */
    copy = gk_key_copy(key);
    assert_true(gk_key_identical(copy, key));
    loadable_assert_costs(copy, LOADABLE_COST_FIRST, LOADABLE_COST);
}

static void loads_under_every_hierarchy_and_template(void **state)
{
    static const struct {
        const char *name, *hierarchy, *algorithm;
        uint32_t parent;
        bool rsa;
    } parents[] = {
        { "e", "e", "ecc", ENDORSEMENT, false },
        { "p", "p", "ecc", PLATFORM, false },
        { "n", "n", "ecc", NULL_HIERARCHY, false },
        { "rsa", "o", "rsa2048", OWNER, true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        CLEANUP(gk_key_freep) struct gk_key *key = NULL;

        loadable_make_under(parents[i].name, parents[i].hierarchy, parents[i].algorithm,
                            "-G rsa2048:null -a '" SIGNING "'");
        key = loadable_read(parents[i].name, parents[i].parent, parents[i].rsa, false);
        loadable_assert_costs(key, LOADABLE_COST_FIRST, LOADABLE_COST);
    }
}

static void signs_every_scheme_and_hash(void **state)
{
    static const enum gk_hash hashes[] = { GK_SHA256, GK_SHA384, GK_SHA512 };
    CLEANUP(gk_key_freep) struct gk_key *key = loadable_read("owner", OWNER, false, false);

    (void)state;
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        size_t size = gk_hash_size(hashes[i]);

        assert_int_equal(loadable_sign_by(key, NULL, GK_RSAPSS, hashes[i], size, NULL), GK_OK);
        assert_int_equal(loadable_sign_by(key, NULL, GK_RSASSA, hashes[i], 0, NULL), GK_OK);
    }
}

static void pads_in_software_where_the_key_also_decrypts(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;

    (void)state;
    loadable_make("both", "0x81000001", "-G rsa2048:null -a '" SIGNING "|decrypt'");
    key = loadable_read("both", PERSISTENT, false, false);
    assert_true(gk_key_pads_in_software(key));
    assert_int_equal(loadable_sign_by(key, NULL, GK_RSAPSS, GK_SHA256, 20, NULL), GK_OK);
    assert_int_equal(proxy_count(loadable_proxy), LOADABLE_COST);
}

static void fill_slots(void)
{
    fixture_run("for i in 1 2 3; do tpm2_createprimary -Q -C n -G ecc || exit 1; done");
}

/* As programs that were killed leave a TPM without a resource manager. */
static void names_the_slots_that_are_taken(void **state)
{
    CLEANUP(gk_key_freep)
    struct gk_key *key = loadable_read("persistent", PERSISTENT, false, false);
    struct gk_error err = { 0 };

    (void)state;
    fill_slots();
    assert_int_equal(loadable_sign(key, &err), GK_TPM_MEMORY);
    fixture_assert_says(&err, "the TPM has no free slot for another object (taken: 0x80000000 "
                              "0x80000001 0x80000002, TPM 0x902");
    fixture_assert_says(&err, "; free those that no running program uses, as with "
                              "tpm2_flushcontext 0x80000000, or use device:/dev/tpmrm0");
    /* A persistent parent takes a slot as well while the TPM uses it. */
    fixture_run("tpm2_flushcontext 0x80000001");
    fixture_run("tpm2_flushcontext 0x80000000");
    assert_int_equal(loadable_sign(key, &err), GK_OK);
    fixture_run("tpm2_flushcontext -t");
}

static void waits_for_slots_that_are_taken_for_a_moment(void **state)
{
    CLEANUP(gk_key_freep)
    struct gk_key *key = loadable_read("persistent", PERSISTENT, false, false);

    (void)state;
    proxy_fault_next(loadable_proxy, PROXY_ANSWER, 4, TPM_RC_OBJECT_MEMORY);
    assert_int_equal(loadable_sign(key, NULL), GK_OK);
    assert_int_equal(proxy_count(loadable_proxy), 4 + LOADABLE_COST);
}

/*
 * Each command in turn meets each kind of failure, and what can be cleaned up is: the proxy does
 * not pass a mistreated command on, so the TPM has loaded only what we were told of.
 */
static void leaves_nothing_behind_whatever_fails(void **state)
{
    static const struct {
        enum proxy_fault fault;
        unsigned count;
        uint32_t code;
    } faults[] = {
        { PROXY_CUT, 1, 0 },
        { PROXY_CUT, 2, 0 },
        { PROXY_GARBLE, 1, 0 },
        { PROXY_GARBLE, 2, 0 },
        { PROXY_ANSWER, 1, TPM_RC_RETRY },
        { PROXY_ANSWER, 1, TPM_RC_OBJECT_MEMORY },
        { PROXY_ANSWER, 1, TPM_RC_INTEGRITY },
        { PROXY_ANSWER, 1, 0x101 /* TPM_RC_FAILURE */ },
        { PROXY_ANSWER, 1, 0x18b /* TPM_RC_HANDLE */ },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        for (unsigned skip = 0; skip < LOADABLE_COST_FIRST; skip++) {
            CLEANUP(gk_key_freep) struct gk_key *key = loadable_read("owner", OWNER, false, false);

            proxy_fault_after(loadable_proxy, skip, faults[i].fault, faults[i].count,
                              faults[i].code);
            (void)loadable_sign(key, NULL);
            proxy_fault_next(loadable_proxy, PROXY_CUT, 0, 0);
            /* What a line that broke twice left is flushed by whoever comes next. */
            assert_int_equal(loadable_sign(key, NULL), GK_OK);
            fixture_assert_nothing_left_loaded();
        }
    }
}

/* The same handle may hold another program's object by the time the line works again. */
static void flushes_nobody_else_s_object_after_a_broken_line(void **state)
{
    CLEANUP(gk_key_freep)
    struct gk_key *key = loadable_read("persistent", PERSISTENT, false, false);

    (void)state;
    /* Load passes, Sign and every attempt to go on are cut: the key stays behind, at 0x80000001, as
     * its parent had the first slot while it was loaded. */
    proxy_fault_after(loadable_proxy, 1, PROXY_CUT, 3, 0);
    assert_int_equal(loadable_sign(key, NULL), GK_NO_TPM);
    fixture_run("tpm2_getcap handles-transient | grep -q 0x80000001");
    fixture_run("tpm2_flushcontext -t && tpm2_createprimary -Q -C n -G ecc && "
                "tpm2_createprimary -Q -C n -G ecc && tpm2_flushcontext 0x80000000");
    assert_int_equal(loadable_sign(key, NULL), GK_OK);
    fixture_run("tpm2_getcap handles-transient | grep -q 0x80000001");
    fixture_run("tpm2_flushcontext -t");
    fixture_assert_nothing_left_loaded();
}

static void *sign_some(void *context)
{
    const struct gk_key *key = context;

    for (int i = 0; i < 10; i++) {
        if (loadable_sign(key, NULL) != GK_OK) {
            return context;
        }
    }
    return NULL;
}

static void serves_several_threads_and_processes(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = loadable_read("owner", OWNER, false, false);
    pthread_t threads[4];
    pid_t children[4];
    void *failed;
    int status;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            /* A TPM without a resource manager, and more users than slots. */
            assert_int_equal(gk_tpm_new(fixture_tcti(), &loadable_tpm, NULL), GK_OK);
            _exit(sign_some(key) == NULL ? 0 : 1);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sign_some, key), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
}

/* As power off and on: swtpm's CMD_INIT (swtpm_ioctls(3)), then what firmware does. */
static void reset_tpm(void)
{
    fixture_run("python3 -c 'import os, socket\n"
                "control = socket.socket(socket.AF_UNIX)\n"
                "control.connect(os.environ[\"GATEKEY_TCTI\"].split(\"=\")[1] + \".ctrl\")\n"
                "control.send(bytes([0, 0, 0, 2, 0, 0, 0, 0]))\n"
                "assert control.recv(4) == bytes(4)' && tpm2_startup -c");
}

/* What was saved before a reset is of no use after it. */
static void loads_anew_after_a_reset(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = loadable_read("owner", OWNER, false, false);

    (void)state;
    loadable_assert_costs(key, LOADABLE_COST_FIRST, LOADABLE_COST);
    reset_tpm();
    loadable_warm_up();
    loadable_assert_costs(key, LOADABLE_COST_FIRST + 1, LOADABLE_COST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOADABLE_TEST(costs_three_commands_under_a_persistent_parent),
        LOADABLE_TEST(makes_the_parent_once_under_a_hierarchy),
        LOADABLE_TEST(loads_under_every_hierarchy_and_template),
        LOADABLE_TEST(signs_every_scheme_and_hash),
        LOADABLE_TEST(pads_in_software_where_the_key_also_decrypts),
        LOADABLE_TEST(names_the_slots_that_are_taken),
        LOADABLE_TEST(waits_for_slots_that_are_taken_for_a_moment),
        LOADABLE_TEST(leaves_nothing_behind_whatever_fails),
        LOADABLE_TEST(flushes_nobody_else_s_object_after_a_broken_line),
        LOADABLE_TEST(serves_several_threads_and_processes),
        LOADABLE_TEST(loads_anew_after_a_reset),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, loadable_set_up, loadable_tear_down);
}
