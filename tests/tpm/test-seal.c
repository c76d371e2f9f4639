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

static char *seal_to(const char *owner_password, const char *pcrs)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with(owner_password);
    char *text = NULL;

    assert_int_equal(
        gk_admin_seal(admin, (const uint8_t *)secret, strlen(secret), pcrs, &text, NULL), GK_OK);
    return text;
}

static char *seal_by(const char *owner_password)
{
    return seal_to(owner_password, NULL);
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
    assert_int_equal(
        gk_admin_seal(admin, (const uint8_t *)secret, strlen(secret), NULL, &text, &err),
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
    assert_int_equal(gk_admin_seal(admin, large, 0, NULL, &text, NULL), GK_USAGE);
    assert_int_equal(gk_admin_seal(admin, large, sizeof(large), NULL, &text, NULL), GK_USAGE);
    assert_int_equal(
        gk_admin_seal(admin, large, GK_SECRET_MAX_SIZE,
                      "sha384:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23", &text,
                      NULL),
        GK_OK);
    assert_int_equal(gk_admin_unseal(admin, text, strlen(text), opened, &size, NULL), GK_OK);
    assert_int_equal(size, GK_SECRET_MAX_SIZE);
}

#define EXTEND(pcr) "tpm2_pcrextend " pcr ":sha256=" DIGEST
#define DIGEST "00000000000000000000000000000000000000000000000000000000000000ff"

static void opens_only_while_the_pcrs_are_what_they_were(void **state)
{
    CLEANUP(gk_freep) char *text = seal_to("", "sha256:0,16,23");
    CLEANUP(gk_freep) char *anew = NULL;
    struct gk_error err = { 0 };

    (void)state;
    assert_non_null(strstr(text, "Sealed to PCRs: sha256:0,16,23\n"));
    assert_int_equal(open_by("", text, NULL), GK_OK);
    fixture_run(EXTEND("1")); /* no part of it */
    assert_int_equal(open_by("", text, NULL), GK_OK);
    fixture_run(EXTEND("16"));
    assert_int_equal(open_by("", text, &err), GK_PCRS_CHANGED);
    fixture_assert_says(
        &err, "PCRs are not what the secret was sealed to (bank sha256, PCR 16, TPM 0x99d");
    fixture_assert_says(&err, "gatekey enroll --secret-file");
    fixture_run(EXTEND("23"));
    assert_int_equal(open_by("", text, &err), GK_PCRS_CHANGED);
    fixture_assert_says(&err, "PCR 16, 23");
    fixture_assert_nothing_left_loaded();
    /* Sealed anew it holds to what they are now, and the old file comes back with the old state. */
    anew = seal_to("", "sha256:0,16,23");
    assert_int_equal(open_by("", anew, NULL), GK_OK);
    fixture_run("tpm2_pcrreset 16 23");
    assert_int_equal(open_by("", text, NULL), GK_OK);
    assert_int_equal(open_by("", anew, &err), GK_PCRS_CHANGED);
    fixture_assert_nothing_left_loaded();
}

/* Without the policy, with the empty password that other sealed secrets have. */
static void no_password_goes_around_the_pcrs(void **state)
{
    CLEANUP(gk_freep) char *text = NULL;
    FILE *file = fopen("sealed", "w");

    (void)state;
    fixture_run("d=$(mktemp -d) && tpm2_createprimary -Q -C o -G ecc256 -c $d/p " ROOT_ATTRIBUTES
                " && "
                "tpm2_evictcontrol -Q -C o -c $d/p 0x81000001 && tpm2_flushcontext -t; rm -r $d");
    text = seal_to("", "sha256:16");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    /* After version, root, a selection and a digest come the two areas, as tpm2_load takes them. */
    fixture_run("sed -e '1,/BEGIN/d' -e '/END/,$d' sealed | base64 -d | tail -c +51 >areas && "
                "s=$((0x$(od -An -tx1 -N2 areas | tr -d ' ') + 2)) && "
                "head -c $s areas >public && tail -c +$((s + 1)) areas >private && "
                "tpm2_load -Q -C 0x81000001 -u public -r private -c object && "
                "tpm2_flushcontext -t && ! tpm2_unseal -c object 2>refusal");
    fixture_run("grep -q 0x12F refusal || { cat refusal; exit 1; }");
    /* Under its policy the same object opens. */
    fixture_run("tpm2_unseal -Q -c object -p pcr:sha256:16 >opened && tpm2_flushcontext -t -l");
    fixture_run("grep -q 'a device secret of EnOS' opened");
}

static void says_what_a_text_was_sealed_to(void **state)
{
    CLEANUP(gk_freep) char *to_tpm = seal_by("");
    CLEANUP(gk_freep) char *to_pcrs = seal_to("", "sha256:0,16");

    (void)state;
    assert_true(gk_sealed_to(to_tpm, strlen(to_tpm), NULL));
    assert_false(gk_sealed_to(to_tpm, strlen(to_tpm), "sha256:0,16"));
    assert_true(gk_sealed_to(to_pcrs, strlen(to_pcrs), "sha256:16,0,0"));
    assert_false(gk_sealed_to(to_pcrs, strlen(to_pcrs), "sha256:16"));
    assert_false(gk_sealed_to(to_pcrs, strlen(to_pcrs), "sha384:0,16"));
    assert_false(gk_sealed_to(to_pcrs, strlen(to_pcrs), NULL));
    assert_false(gk_sealed_to("", 0, NULL));
}

static void refuses_pcrs_that_are_none(void **state)
{
    static const char *const wrong[] = { "",          "sha256",    "sha256:",    "sha256:24",
                                         "sha256:1,", "sha256:-1", "sha256:1 2", "md5:1",
                                         "sha25:1",   ":1",        "sha256:1;2" };
    CLEANUP(gk_admin_closep) struct gk_admin *admin = admin_with("");
    char *text = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(gk_admin_seal(admin, (const uint8_t *)secret, 5, wrong[i], &text, NULL),
                         GK_USAGE);
    }
    assert_null(text);
}

/* The TPM would leave it out of the policy without a word. */
static void says_when_the_tpm_has_no_such_pcr(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    struct gk_error err = { 0 };
    char *text = NULL;

    (void)state;
    fixture_run("tpm2_pcrallocate -Q sha256:all+sha384:none");
    fixture_power_cycle(true);
    admin = admin_with("");
    assert_int_equal(gk_admin_seal(admin, (const uint8_t *)secret, 5, "sha384:0,7", &text, &err),
                     GK_NOT_OFFERED);
    fixture_assert_says(&err, "this TPM has no PCR 0 in its bank sha384");
    fixture_assert_says(&err, "tpm2_pcrread");
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
        cmocka_unit_test_setup(opens_only_while_the_pcrs_are_what_they_were, each_on_an_empty_tpm),
        cmocka_unit_test_setup(no_password_goes_around_the_pcrs, each_on_an_empty_tpm),
        cmocka_unit_test_setup(says_what_a_text_was_sealed_to, each_on_an_empty_tpm),
        cmocka_unit_test_setup(refuses_pcrs_that_are_none, each_on_an_empty_tpm),
        /* The last: it takes a bank away. */
        cmocka_unit_test_setup(says_when_the_tpm_has_no_such_pcr, each_on_an_empty_tpm),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
