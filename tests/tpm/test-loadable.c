/* SPDX-License-Identifier: Apache-2.0 */
/* Loadable keys: which are taken, which are refused and in what words. */
#include "tests/tpm/loadable.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Some keys are made for one scheme; the TPM is not asked for another. */
static void says_what_a_key_with_a_scheme_of_its_own_can_do(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct gk_error err = { 0 };

    (void)state;
    loadable_make("fixed", "0x81000001", "-G rsa2048:rsassa-sha256:null -a '" SIGNING "'");
    key = loadable_read("fixed", PERSISTENT, false, false);
    assert_int_equal(loadable_sign_by(key, NULL, GK_RSASSA, GK_SHA256, 0, NULL), GK_OK);
    proxy_count(loadable_proxy);
    assert_int_equal(loadable_sign(key, &err), GK_NOT_OFFERED);
    fixture_assert_says(&err, "is made for RSA-PKCS1 with SHA-256 only); ask for that");
    assert_int_equal(loadable_sign_by(key, NULL, GK_RSASSA, GK_SHA384, 0, &err), GK_NOT_OFFERED);
    assert_int_equal(proxy_count(loadable_proxy), 0);
}

static void needs_the_key_s_password(void **state)
{
    struct gk_auth right = fixture_auth("correct horse"), wrong = fixture_auth("battery staple");
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct gk_error err = { 0 };

    (void)state;
    loadable_make_under("locked", "o", "ecc",
                        "-G rsa2048:null -p 'correct horse' -a '" SIGNING "|noda'");
    key = loadable_read("locked", OWNER, false, true);
    assert_int_equal(loadable_sign(key, &err), GK_NEED_AUTH);
    assert_int_equal(proxy_count(loadable_proxy), 0);
    assert_int_equal(loadable_sign_by(key, &wrong, GK_RSASSA, GK_SHA256, 0, &err), GK_BAD_AUTH);
    fixture_assert_says(&err, "wrong password (a loaded key under 0x40000001, TPM 0x9a2");
    fixture_assert_nothing_left_loaded();
    assert_int_equal(loadable_sign_by(key, &right, GK_RSASSA, GK_SHA256, 0, &err), GK_OK);
    assert_int_equal(loadable_sign_by(key, &right, GK_RSASSA, GK_SHA256, 0, &err), GK_OK);
}

static void needs_the_parent_s_password(void **state)
{
    struct gk_auth right = fixture_auth("secret"), wrong = fixture_auth("public");
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct gk_error err = { 0 };

    (void)state;
    loadable_make("child", "0x81000002 -P secret", "-G rsa2048:null -a '" SIGNING "'");
    key = loadable_read("child", PERSISTENT_WITH_PASSWORD, false, false);
    assert_int_equal(loadable_sign(key, &err), GK_NEED_AUTH);
    fixture_assert_says(&err, "(its parent 0x81000002, TPM 0x9a2");
    fixture_assert_says(&err, "; name a file that holds it as parent-auth-file in openssl.cnf");
    gk_key_set_parent_auth(key, &wrong);
    assert_int_equal(loadable_sign(key, &err), GK_BAD_AUTH);
    fixture_assert_says(&err, "its parent 0x81000002");
    gk_key_set_parent_auth(key, &right);
    loadable_assert_costs(key, LOADABLE_COST, LOADABLE_COST);
}

static void needs_the_hierarchy_s_password(void **state)
{
    struct gk_auth right = fixture_auth("ownerpass");
    CLEANUP(gk_key_freep) struct gk_key *key = loadable_read("owner", OWNER, false, false);
    struct gk_error err = { 0 };

    (void)state;
    fixture_run("tpm2_changeauth -Q -c o ownerpass");
    assert_int_equal(loadable_sign(key, &err), GK_NEED_AUTH);
    fixture_assert_says(&err, "its parent 0x40000001");
    gk_key_set_parent_auth(key, &right);
    loadable_assert_costs(key, LOADABLE_COST_FIRST, LOADABLE_COST);
    fixture_run("tpm2_changeauth -Q -c o -p ownerpass");
}

static void *sign_and_copy(void *context)
{
    enum gk_status status = loadable_sign(context, NULL);

    gk_key_free(gk_key_copy(context));
    return status == GK_OK ? context : NULL;
}

static void leaves_no_password_on_the_stack(void **state)
{
    enum { STACK_SIZE = 1 << 21 }; /* ThreadSanitizer takes a megabyte of it */
    static struct gk_auth password;
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    CLEANUP(gk_freep) uint8_t *stack = NULL;
    pthread_attr_t attributes;
    pthread_t thread;
    void *signed_with;

    (void)state;
    password = fixture_auth("secret");
    loadable_make("child", "0x81000002 -P secret", "-G rsa2048:null -a '" SIGNING "'");
    key = loadable_read("child", PERSISTENT_WITH_PASSWORD, false, false);
    gk_key_set_parent_auth(key, &password);
    stack = aligned_alloc(4096, STACK_SIZE);
    assert_non_null(stack);
    memset(stack, 0, STACK_SIZE);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK_SIZE), 0);
    assert_int_equal(pthread_create(&thread, &attributes, sign_and_copy, key), 0);
    assert_int_equal(pthread_join(thread, &signed_with), 0);
    pthread_attr_destroy(&attributes);
    assert_ptr_equal(signed_with, key);
    assert_null(memmem(stack, STACK_SIZE, password.bytes, password.size));
}

static void says_that_the_parent_is_missing_or_another(void **state)
{
    CLEANUP(gk_key_freep)
    struct gk_key *missing = loadable_read("persistent", 0x81000055, false, false);
    CLEANUP(gk_key_freep)
    struct gk_key *other = loadable_read("persistent", ENDORSEMENT, false, false);
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(loadable_sign(missing, &err), GK_NO_KEY);
    fixture_assert_says(&err, "no key at that handle (its parent 0x81000055, TPM 0x18b");
    fixture_assert_says(&err, "; make the parent there again");
    assert_int_equal(loadable_sign(other, &err), GK_NOT_LOADED);
    fixture_assert_says(&err, "this TPM does not load that key (its parent 0x4000000b, TPM 0x1df");
}

static void says_that_a_hierarchy_is_switched_off(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *other = loadable_read("owner", ENDORSEMENT, false, false);
    CLEANUP(gk_key_freep) struct gk_key *key = loadable_read("owner", OWNER, false, false);
    struct gk_error err = { 0 };

    (void)state;
    fixture_run("tpm2_hierarchycontrol -Q -C e ehEnable clear");
    assert_int_equal(loadable_sign(other, &err), GK_TPM_FAILED);
    fixture_assert_says(&err, "TPM_RC_HIERARCHY: this hierarchy is switched off); use a key under "
                              "the owner's");
    fixture_run("tpm2_hierarchycontrol -Q -C p ehEnable set");
    fixture_run("tpm2_hierarchycontrol -Q -C o shEnable clear");
    assert_int_equal(loadable_sign(key, &err), GK_TPM_FAILED);
    fixture_assert_says(&err, "TPM_RC_HIERARCHY: this hierarchy is switched off); switch it on");
    fixture_run("tpm2_hierarchycontrol -Q -C p shEnable set");
}

static void refuses_what_it_cannot_use_by_name(void **state)
{
    static const struct {
        const char *settings;
        enum gk_status status;
        const char *says;
    } kinds[] = {
        { "-G ecc -a '" SIGNING "'", GK_NOT_RSA2048, "only RSA with 2048 bits" },
        { "-G rsa1024:null -a '" SIGNING "'", GK_NOT_RSA2048, "only RSA with 2048 bits" },
        { "-G rsa2048:rsassa-sha256:null -a '" SIGNING "|restricted'", GK_WRONG_KIND,
          "the key is restricted" },
        { "-G rsa2048:null -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt'",
          GK_WRONG_KIND, "the key is not for signing" },
        { "-G rsa2048:null -a 'fixedtpm|fixedparent|sensitivedataorigin|sign'", GK_WRONG_KIND,
          "the key is used by a policy only" },
        { "-i secret.txt -a 'fixedtpm|fixedparent|userwithauth'", GK_NOT_RSA2048,
          "only RSA with 2048 bits" },
    };

    (void)state;
    fixture_run("echo secret >secret.txt");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct gk_key *key = NULL;
        struct gk_error err = { 0 };

        loadable_make("kind", "0x81000001", kinds[i].settings);
        assert_int_equal(loadable_try_read("kind", PERSISTENT, &key, &err), kinds[i].status);
        fixture_assert_says(&err, kinds[i].says);
        assert_null(key);
    }
}

static void refuses_a_parent_that_can_be_none(void **state)
{
    static const struct {
        uint32_t parent;
        const char *says;
    } parents[] = {
        { 0x80000000, "its parent 0x80000000 is a transient handle" },
        { 0x01800001, "its parent 0x01800001 is an NV index" },
        { 0x40000009, "is neither a persistent handle nor a hierarchy" },
        { 0x00000007, "is neither a persistent handle nor a hierarchy" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        struct gk_key *key = NULL;
        struct gk_error err = { 0 };

        assert_int_equal(loadable_try_read("owner", parents[i].parent, &key, &err), GK_WRONG_KIND);
        fixture_assert_says(&err, parents[i].says);
    }
}

/* Every truncation is refused, none is read beyond its end. */
static void refuses_garbled_areas(void **state)
{
    uint8_t public_area[1024], private_area[1024];
    struct gk_loadable whole = { .parent = OWNER,
                                 .public_area = public_area,
                                 .private_area = private_area };
    struct gk_key *key = NULL;

    (void)state;
    whole.public_size = loadable_read_file("owner", "pub", public_area, sizeof(public_area));
    whole.private_size = loadable_read_file("owner", "priv", private_area, sizeof(private_area));
    for (size_t size = 0; size <= whole.public_size + 1; size++) {
        struct gk_loadable cut = whole;

        cut.public_size = size;
        if (size != whole.public_size) {
            assert_int_equal(gk_key_from_loadable(&cut, &key, NULL), GK_BAD_REFERENCE);
        }
    }
    for (size_t size = 0; size <= whole.private_size + 1; size++) {
        struct gk_loadable cut = whole;

        cut.private_size = size;
        if (size != whole.private_size) {
            assert_int_equal(gk_key_from_loadable(&cut, &key, NULL), GK_BAD_REFERENCE);
        }
    }
}

static void is_not_written_as_a_reference(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = loadable_read("owner", OWNER, false, false);
    struct gk_error err = { 0 };
    char *text = NULL;

    (void)state;
    assert_int_equal(gk_key_format(key, &text, &err), GK_WRONG_KIND);
    assert_null(text);
}

static void says_that_the_tpm_was_cleared(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct gk_error err = { 0 };

    (void)state;
    loadable_make_under("doomed", "o", "ecc", "-G rsa2048:null -a '" SIGNING "'");
    key = loadable_read("doomed", OWNER, false, false);
    assert_int_equal(loadable_sign(key, NULL), GK_OK);
    fixture_run("tpm2_clear -Q");
    assert_int_equal(loadable_sign(key, &err), GK_NOT_LOADED);
    fixture_assert_says(&err, "or the TPM was cleared since; make a new key");
    fixture_assert_nothing_left_loaded();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOADABLE_TEST(says_what_a_key_with_a_scheme_of_its_own_can_do),
        LOADABLE_TEST(needs_the_key_s_password),
        LOADABLE_TEST(needs_the_parent_s_password),
        LOADABLE_TEST(needs_the_hierarchy_s_password),
        LOADABLE_TEST(leaves_no_password_on_the_stack),
        LOADABLE_TEST(says_that_the_parent_is_missing_or_another),
        LOADABLE_TEST(says_that_a_hierarchy_is_switched_off),
        LOADABLE_TEST(refuses_what_it_cannot_use_by_name),
        LOADABLE_TEST(refuses_a_parent_that_can_be_none),
        LOADABLE_TEST(refuses_garbled_areas),
        LOADABLE_TEST(is_not_written_as_a_reference),
        LOADABLE_TEST(says_that_the_tpm_was_cleared),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, loadable_set_up, loadable_tear_down);
}
