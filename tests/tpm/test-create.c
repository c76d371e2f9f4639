/* SPDX-License-Identifier: Apache-2.0 */
/* Making, describing and destroying the device key, on a TPM of the test's own without resource
 * manager. */
#include "tests/tpm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HANDLE 0x81000100U

/* What a remember callback saw, and what it is to answer. */
struct memory {
    unsigned calls;
    uint32_t handle;
    enum gk_status answer;
};

static enum gk_status remember(void *context, const struct gk_key *key, struct gk_error *err)
{
    struct memory *memory = context;

    memory->calls++;
    memory->handle = gk_key_handle(key);
    if (memory->answer != GK_OK) {
        return gk_fail(err, memory->answer, "the disk");
    }
    return GK_OK;
}

/* Write-ahead: when the reference is to be remembered, nothing is persistent yet. */
static enum gk_status remember_finds_nothing_yet(void *context, const struct gk_key *key,
                                                 struct gk_error *err)
{
    fixture_run("test -z \"$(tpm2_getcap handles-persistent | grep -i 0x81000100)\"");
    return remember(context, key, err);
}

static struct gk_admin *admin_with(const char *owner_password)
{
    struct gk_auth owner = fixture_auth(owner_password);
    struct gk_admin *admin = NULL;

    assert_int_equal(gk_admin_open(fixture_tcti(), &owner, &admin, NULL), GK_OK);
    return admin;
}

static int each_on_an_empty_tpm(void **state)
{
    (void)state;
    fixture_run("tpm2_clear -Q -c p");
    return 0;
}

static void makes_a_key_that_cannot_leave(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with("");
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct memory memory = { 0 };

    (void)state;
    assert_int_equal(gk_admin_key_create(admin, HANDLE, NULL, fixture_crypto(),
                                         remember_finds_nothing_yet, &memory, &key, NULL),
                     GK_OK);
    assert_int_equal(memory.calls, 1);
    assert_int_equal(memory.handle, HANDLE);
    assert_false(gk_key_needs_auth(key));
    assert_false(gk_key_pads_in_software(key));
    fixture_run("tpm2_readpublic -c 0x81000100 | tr -d '\\n' | grep -q "
                "'value: fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign  raw'");
    fixture_run("tpm2_readpublic -c 0x81000100 | grep -q 'bits: 2048'");
    fixture_assert_nothing_left_loaded();
}

static void never_overwrites_what_lies_at_the_handle(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with("");
    CLEANUP(gk_key_freep) struct gk_key *key = fixture_key(HANDLE, NULL), *second = NULL;
    CLEANUP(gk_key_freep) struct gk_key *there = NULL;
    struct memory memory = { 0 };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(gk_admin_key_create(admin, HANDLE, NULL, fixture_crypto(), remember, &memory,
                                         &second, &err),
                     GK_HANDLE_TAKEN);
    fixture_assert_says(&err, "the handle holds an object that is not ours (0x81000100)");
    assert_int_equal(memory.calls, 0);
    assert_int_equal(gk_admin_key_describe(admin, HANDLE, &there, NULL), GK_OK);
    assert_true(gk_key_identical(key, there));
    fixture_assert_nothing_left_loaded();
}

static void leaves_no_trace_of_a_key_that_could_not_be_remembered(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with("");
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct memory memory = { .answer = GK_DISK_FULL };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(
        gk_admin_key_create(admin, HANDLE, NULL, fixture_crypto(), remember, &memory, &key, &err),
        GK_DISK_FULL);
    fixture_assert_says(&err, "the disk is full (the disk)");
    assert_int_equal(gk_admin_key_describe(admin, HANDLE, &key, NULL), GK_NO_KEY);
    fixture_assert_nothing_left_loaded();
}

static void says_when_the_owner_authorisation_is_wrong(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *without = NULL, *with = NULL;
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct memory memory = { 0 };
    struct gk_error err = { 0 };

    (void)state;
    fixture_run("tpm2_changeauth -Q -c owner ownerpass");
    without = admin_with("");
    assert_int_equal(
        gk_admin_key_create(without, HANDLE, NULL, fixture_crypto(), remember, &memory, &key, &err),
        GK_BAD_OWNER_AUTH);
    fixture_assert_says(&err, "owner authorisation is wrong or missing");
    with = admin_with("ownerpass");
    assert_int_equal(
        gk_admin_key_create(with, HANDLE, NULL, fixture_crypto(), remember, &memory, &key, &err),
        GK_OK);
    /* Evicting wants it as well, and leaves the key where it is without. */
    assert_int_equal(gk_admin_key_evict(without, key, &err), GK_BAD_OWNER_AUTH);
    assert_int_equal(gk_admin_key_evict(with, key, &err), GK_OK);
    fixture_assert_nothing_left_loaded();
}

static void destroys_only_its_own_key(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with("");
    CLEANUP(gk_key_freep) struct gk_key *old = fixture_key(HANDLE, NULL), *new = NULL;
    CLEANUP(gk_key_freep) struct gk_key *there = NULL;
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(gk_admin_key_evict(admin, old, NULL), GK_OK);
    assert_int_equal(gk_admin_key_evict(admin, old, &err), GK_NO_KEY);
    new = fixture_key(HANDLE, NULL);
    assert_int_equal(gk_admin_key_evict(admin, old, &err), GK_HANDLE_TAKEN);
    assert_int_equal(gk_admin_key_describe(admin, HANDLE, &there, NULL), GK_OK);
    assert_true(gk_key_identical(new, there));
    fixture_assert_nothing_left_loaded();
}

static void tells_foreign_objects_from_keys(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct gk_error err = { 0 };

    (void)state;
    fixture_run("d=$(mktemp -d) && tpm2_createprimary -Q -C o -G ecc -c $d/p && "
                "tpm2_evictcontrol -Q -C o -c $d/p 0x81000100 && tpm2_flushcontext -t; rm -r $d");
    admin = admin_with("");
    assert_int_equal(gk_admin_key_describe(admin, HANDLE, &key, &err), GK_NOT_RSA2048);
    assert_int_equal(gk_admin_key_describe(admin, HANDLE + 1, &key, &err), GK_NO_KEY);
}

/* Two slots are taken and the third is enough for the parent, but not for the key as well; the
 * parent, which is ours, is not named. */
static void names_the_slots_that_are_taken(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with("");
    struct memory memory = { .answer = GK_OK };
    struct gk_error err = { 0 };
    struct gk_key *key = NULL;

    (void)state;
    fixture_run("tpm2_createprimary -Q -C n -G ecc && tpm2_createprimary -Q -C n -G ecc");
    assert_int_equal(
        gk_admin_key_create(admin, HANDLE, NULL, fixture_crypto(), remember, &memory, &key, &err),
        GK_TPM_MEMORY);
    assert_null(key);
    fixture_assert_says(&err, "(taken: 0x80000000 0x80000001, TPM 0x");
    fixture_assert_says(&err, "; free those that no running program uses, as with "
                              "tpm2_flushcontext 0x80000000");
    fixture_run("tpm2_flushcontext -t");
    fixture_assert_nothing_left_loaded();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(makes_a_key_that_cannot_leave, each_on_an_empty_tpm),
        cmocka_unit_test_setup(never_overwrites_what_lies_at_the_handle, each_on_an_empty_tpm),
        cmocka_unit_test_setup(leaves_no_trace_of_a_key_that_could_not_be_remembered,
                               each_on_an_empty_tpm),
        cmocka_unit_test_setup(says_when_the_owner_authorisation_is_wrong, each_on_an_empty_tpm),
        cmocka_unit_test_setup(destroys_only_its_own_key, each_on_an_empty_tpm),
        cmocka_unit_test_setup(names_the_slots_that_are_taken, each_on_an_empty_tpm),
        cmocka_unit_test_setup(tells_foreign_objects_from_keys, each_on_an_empty_tpm),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
