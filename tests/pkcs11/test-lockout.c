/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of PINs with keys of other makers, and of the TPM's lockout, which ours never come near. */
#include "tests/pkcs11/fixture.h"
#include "tpm/devkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TRIES 3

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE type, const char *pin)
{
    return p11->C_Login(session, type, (CK_UTF8CHAR *)pin, strlen(pin));
}

/* TPM2_PT_LOCKOUT_COUNTER, as tpm2-tools read it. */
static int lockout_counter(void)
{
    FILE *pipe = popen("tpm2_getcap properties-variable", "r");
    char line[256];
    unsigned counter = 0;
    bool found = false;

    assert_non_null(pipe);
    while (fgets(line, sizeof(line), pipe) != NULL) {
        found = sscanf(line, "TPM2_PT_LOCKOUT_COUNTER: 0x%x", &counter) == 1 || found;
    }
    assert_int_equal(pclose(pipe), 0);
    assert_true(found);
    return (int)counter;
}

static void wrong_pins_do_not_lock_the_tpm(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    int before = lockout_counter();

    (void)state;
    for (int i = 0; i < 40; i++) {
        assert_rv(login(session, CKU_USER, "another password"), CKR_PIN_INCORRECT);
    }
    assert_int_equal(lockout_counter(), before);
    assert_rv(login(session, CKU_USER, FIXTURE_PIN), CKR_OK);
}

/* A key of somebody else's making, with the password "right", for tpm2_create's options. */
static void make_key_of_others(const char *options, uint32_t handle)
{
    CLEANUP(gk_tpm_freep) struct gk_tpm *tpm = NULL;
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };
    char commands[1024];

    snprintf(commands, sizeof(commands),
             "cd \"$GATEKEY_TEST_DIR\" && tpm2_createprimary -Q -C o -c primary.ctx && "
             "tpm2_create -Q -C primary.ctx -p right %s -u key.pub -r key.priv && "
             "tpm2_flushcontext -t && "
             "tpm2_load -Q -C primary.ctx -u key.pub -r key.priv -c key.ctx && "
             "tpm2_evictcontrol -Q -C o -c key.ctx 0x%08x && tpm2_flushcontext -t",
             options, handle);
    assert_int_equal(system(commands), 0);
    assert_int_equal(gk_tpm_new(getenv("GATEKEY_TCTI"), &tpm, &err), GK_OK);
    assert_int_equal(gk_key_read(tpm, handle, &key, &err), GK_OK);
    gk_key_set_needs_auth(key);
    assert_int_equal(gk_key_format(key, &text, &err), GK_OK);
    fixture_write("device.pem", text, strlen(text));
    fixture_remove("cert.pem");
}

static void a_key_for_one_scheme_takes_its_pin_too(void **state)
{
    CK_SESSION_HANDLE session;

    (void)state;
    make_key_of_others("-G rsa2048:rsapss-sha384:null "
                       "-a 'sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda'",
                       0x81000103);
    session = fixture_open();
    assert_rv(login(session, CKU_USER, "wrong"), CKR_PIN_INCORRECT);
    assert_rv(login(session, CKU_USER, "right"), CKR_OK);
}

/* Of a key whose wrong passwords the TPM counts. The last of the tests: it leaves the TPM locked.
 */
static void a_locked_tpm_is_told(void **state)
{
    CK_SESSION_HANDLE session;
    CK_UTF8CHAR pin[65] = "x";

    (void)state;
    make_key_of_others("-G rsa2048:null "
                       "-a 'sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth'",
                       0x81000102);
    session = fixture_open();
    assert_rv(p11->C_Login(session, CKU_USER, pin, 0), CKR_PIN_INCORRECT);
    assert_rv(p11->C_Login(session, CKU_USER, pin, 65), CKR_PIN_INCORRECT);
    assert_rv(login(session, CKU_SO, "wrong"), CKR_SESSION_READ_ONLY_EXISTS);
    assert_int_equal(lockout_counter(), 0);
    assert_rv(login(session, CKU_USER, "right"), CKR_OK);
    assert_rv(p11->C_Logout(session), CKR_OK);
    for (int i = 1; i <= TRIES; i++) {
        assert_rv(login(session, CKU_USER, "wrong"), CKR_PIN_INCORRECT);
        assert_int_equal(lockout_counter(), i);
    }
    assert_rv(login(session, CKU_USER, "right"), CKR_PIN_LOCKED);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, fixture_begin_with_pin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_pins_do_not_lock_the_tpm),
        TEST(a_key_for_one_scheme_takes_its_pin_too),
        TEST(a_locked_tpm_is_told),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, NULL);
}
