/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing a secret to the TPM and opening it again. */
#include "tests/tpm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOT_ATTRIBUTES \
    "-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt'"

static const char secret[] = "a device secret of EnOS";

static struct gk_admin *admin_with(const char *owner_password)
{
    struct gk_auth owner = fixture_auth(owner_password);
    struct gk_admin *admin = NULL;

    assert_int_equal(gk_admin_open(fixture_tcti(), &owner, &admin, NULL), GK_OK);
    return admin;
}

static char *seal_by(const char *owner_password)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with(owner_password);
    char *text = NULL;

    assert_int_equal(gk_admin_seal(admin, (const uint8_t *)secret, strlen(secret), &text, NULL),
                     GK_OK);
    return text;
}

static enum gk_status open_by(const char *owner_password, const char *text, struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with(owner_password);
    uint8_t opened[GK_SECRET_MAX_SIZE];
    size_t size = 0;
    enum gk_status status = gk_admin_unseal(admin, text, strlen(text), opened, &size, err);

    if (status == GK_OK) {
        assert_int_equal(size, strlen(secret));
        assert_memory_equal(opened, secret, size);
    }
    return status;
}

static int each_on_an_empty_tpm(void **state)
{
    (void)state;
    fixture_run("tpm2_clear -Q -c p");
    return 0;
}

static void opens_what_it_sealed(void **state)
{
    CLEANUP(gk_freep) char *text = seal_by("");

    (void)state;
    assert_null(strstr(text, secret));
    assert_int_equal(open_by("", text, NULL), GK_OK);
    fixture_assert_nothing_left_loaded();
}

static void another_tpm_cannot_open_it(void **state)
{
    CLEANUP(gk_freep) char *text = seal_by("");
    struct gk_error err = { 0 };

    (void)state;
    /* Clearing gives the owner hierarchy another seed, as another TPM has. */
    fixture_run("tpm2_clear -Q -c p");
    assert_int_equal(open_by("", text, &err), GK_SEAL_BROKEN);
    fixture_assert_says(&err, "cannot be opened by this TPM");
    fixture_assert_nothing_left_loaded();
}

/* A service that does not know the owner's password unseals by a persistent storage root key. */
static void needs_no_owner_where_the_storage_root_is_persistent(void **state)
{
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };

    (void)state;
    fixture_run("d=$(mktemp -d) && tpm2_createprimary -Q -C o -G ecc256 -c $d/p " ROOT_ATTRIBUTES
                " && "
                "tpm2_evictcontrol -Q -C o -c $d/p 0x81000001 && tpm2_flushcontext -t; rm -r $d");
    fixture_run("tpm2_changeauth -Q -c owner ownerpass");
    text = seal_by("");
    assert_int_equal(open_by("", text, NULL), GK_OK);
    fixture_run("tpm2_evictcontrol -Q -C o -P ownerpass -c 0x81000001");
    assert_int_equal(open_by("ownerpass", text, &err), GK_SEAL_BROKEN);
    fixture_assert_says(&err, "storage root key at 0x81000001 is gone");
    fixture_assert_nothing_left_loaded();
}

/* Without noDA a password that we do not know would be tried, and count towards the TPM's lockout.
 */
static void leaves_a_storage_root_with_a_password_alone(void **state)
{
    CLEANUP(gk_freep) char *text = NULL;

    (void)state;
    fixture_run("d=$(mktemp -d) && tpm2_createprimary -Q -C o -G ecc256 -p secret -c $d/p && "
                "tpm2_evictcontrol -Q -C o -c $d/p 0x81000001 && tpm2_flushcontext -t; rm -r $d");
    text = seal_by("");
    assert_int_equal(open_by("", text, NULL), GK_OK);
    fixture_run("tpm2_getcap properties-variable | grep -q 'LOCKOUT_COUNTER: 0x0'");
}

static void says_when_the_storage_root_has_a_password(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };

    (void)state;
    fixture_run(
        "d=$(mktemp -d) && tpm2_createprimary -Q -C o -G ecc256 -p secret -c $d/p " ROOT_ATTRIBUTES
        " && tpm2_evictcontrol -Q -C o -c $d/p 0x81000001 && tpm2_flushcontext -t; rm -r $d");
    admin = admin_with("");
    assert_int_equal(gk_admin_seal(admin, (const uint8_t *)secret, strlen(secret), &text, &err),
                     GK_TPM_FAILED);
    fixture_assert_says(&err, "the storage root key at 0x81000001 has a password");
    gk_admin_close(TAKE(admin));
    fixture_assert_nothing_left_loaded();
}

static void says_when_the_owner_authorisation_is_wrong(void **state)
{
    CLEANUP(gk_freep) char *text = seal_by("");
    struct gk_error err = { 0 };

    (void)state;
    fixture_run("tpm2_changeauth -Q -c owner ownerpass");
    assert_int_equal(open_by("wrong", text, &err), GK_BAD_OWNER_AUTH);
    assert_int_equal(open_by("ownerpass", text, &err), GK_OK);
}

static void refuses_a_garbled_file(void **state)
{
    CLEANUP(gk_freep) char *text = seal_by("");
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(open_by("", "nothing of the kind", &err), GK_BAD_FILE);
    /* Cut in the middle of the armour, then a byte changed in the sealed part. */
    text[strlen(text) / 2] = '!';
    assert_int_equal(open_by("", text, &err), GK_BAD_FILE);
}

static void refuses_a_tampered_secret(void **state)
{
    CLEANUP(gk_freep) char *text = seal_by("");
    char *end = strstr(text, "\n-----END");
    struct gk_error err = { 0 };

    (void)state;
    assert_non_null(end);
    end[-10] = end[-10] == 'A' ? 'B' : 'A';
    assert_int_equal(open_by("", text, &err), GK_SEAL_BROKEN);
}

static void seals_a_short_secret_only(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with("");
    uint8_t large[GK_SECRET_MAX_SIZE + 1] = { 1 }, opened[GK_SECRET_MAX_SIZE];
    CLEANUP(gk_freep) char *text = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(gk_admin_seal(admin, large, 0, &text, NULL), GK_USAGE);
    assert_int_equal(gk_admin_seal(admin, large, sizeof(large), &text, NULL), GK_USAGE);
    assert_int_equal(gk_admin_seal(admin, large, GK_SECRET_MAX_SIZE, &text, NULL), GK_OK);
    assert_int_equal(gk_admin_unseal(admin, text, strlen(text), opened, &size, NULL), GK_OK);
    assert_int_equal(size, GK_SECRET_MAX_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(opens_what_it_sealed, each_on_an_empty_tpm),
        cmocka_unit_test_setup(another_tpm_cannot_open_it, each_on_an_empty_tpm),
        cmocka_unit_test_setup(needs_no_owner_where_the_storage_root_is_persistent,
                               each_on_an_empty_tpm),
        cmocka_unit_test_setup(leaves_a_storage_root_with_a_password_alone, each_on_an_empty_tpm),
        cmocka_unit_test_setup(says_when_the_storage_root_has_a_password, each_on_an_empty_tpm),
        cmocka_unit_test_setup(says_when_the_owner_authorisation_is_wrong, each_on_an_empty_tpm),
        cmocka_unit_test_setup(refuses_a_garbled_file, each_on_an_empty_tpm),
        cmocka_unit_test_setup(refuses_a_tampered_secret, each_on_an_empty_tpm),
        cmocka_unit_test_setup(seals_a_short_secret_only, each_on_an_empty_tpm),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
