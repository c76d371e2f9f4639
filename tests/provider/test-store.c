/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/store.c and context.c: the URIs, and where the provider looks. */
#include "tests/provider/fixture.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[512];
static char tcti[512];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "%s", getenv("GATEKEY_TEST_DIR"));
    snprintf(tcti, sizeof(tcti), "%s", getenv("GATEKEY_TCTI"));
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_make_key(FIXTURE_PASSWORD_HANDLE, FIXTURE_PASSWORD, "password.pem");
    return 0;
}

/* Each test begins with the environment of the first. */
static int begin(void **state)
{
    (void)state;
    setenv("GATEKEY_TCTI", tcti, 1);
    return 0;
}

static int can_sign(struct fixture *fixture, EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);
    int done;

    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture->libctx, NULL, key, NULL),
                     1);
    done = EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"x", 1);
    EVP_MD_CTX_free(ctx);
    return done;
}

static void assert_signs(struct fixture *fixture, const char *uri)
{
    EVP_PKEY *key = fixture_read_uri(fixture, uri, NULL);

    assert_non_null(key);
    assert_true(can_sign(fixture, key));
    EVP_PKEY_free(key);
    fixture_assert_silence();
}

static void finds_the_key_by_uri(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_load(&fixture);
    assert_signs(&fixture, "gatekey:");
    assert_signs(&fixture, "gatekey:handle=0x81000100");
    fixture_unload(&fixture);
}

static void says_how_a_uri_is_written(void **state)
{
    static const char *const wrong[] = {
        "gatekey:key",
        "gatekey:handle=",
        "gatekey:handle=81000100",
        "gatekey:handle=0x8100010",
        "gatekey:handle=0x810001000",
        "gatekey:handle=0x8100010g",
        "gatekey:handle=0x40000001",
        "gatekey:handle=0x81800000",
        "gatekey:handle=0x81000100;x",
        "gatekey:handle=0x-1000100",
        "gatekey:handle=0x 1000100",
        "gatekey:handle=0x81000100?",
        "gatekey:handle=0x81000100?pass=x",
        "gatekey:certs",
        "gatekey:Cert",
        "gatekey:cert?pass",
        "gatekey://cert",
        "gatekey:?pass",
        "gatekey: ",
    };
    struct fixture fixture;

    (void)state;
    fixture_load(&fixture);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_null(fixture_read_uri(&fixture, wrong[i], NULL));
        fixture_assert_says("write gatekey: (the key), gatekey:cert, gatekey:chain, or "
                            "gatekey:handle=0x81000100");
    }
    fixture_unload(&fixture);
}

static void says_when_there_is_no_key(void **state)
{
    struct fixture fixture;
    char text[600];

    (void)state;
    fixture_load(&fixture);
    assert_null(fixture_read_uri(&fixture, "gatekey:handle=0x81000107", NULL));
    fixture_assert_says(
        "cannot load the device key: no key at that handle (0x81000107, TPM 0x18b TPM_RC_HANDLE); "
        "run gatekey enroll");
    fixture_unload(&fixture);

    fixture_load(&fixture);
    rename(fixture_path("device.pem"), "away");
    assert_null(fixture_read_uri(&fixture, "gatekey:", NULL));
    rename("away", fixture_path("device.pem"));
    snprintf(text, sizeof(text),
             "cannot load the device key: no such file (%s/device.pem); run gatekey enroll",
             folder);
    fixture_assert_says(text);
    /* Nothing of the failure sticks. */
    assert_signs(&fixture, "gatekey:");
    fixture_unload(&fixture);
}

static EVP_PKEY *load_handle(struct fixture *fixture, const char *uri, const char *password)
{
    EVP_PKEY *key = fixture_read_uri(fixture, uri, password);

    assert_non_null(key);
    fixture_assert_silence();
    return key;
}

/* A TPM does not tell, so the URI does; nobody is asked otherwise. */
static void a_handle_s_password_is_asked_for_where_the_uri_says_so(void **state)
{
    struct fixture fixture;
    EVP_PKEY *key;

    (void)state;
    fixture_load(&fixture);
    key = load_handle(&fixture, "gatekey:handle=0x81000101?pass", FIXTURE_PASSWORD);
    assert_int_equal(fixture_times_asked(), 1);
    assert_true(can_sign(&fixture, key));
    fixture_assert_silence();
    EVP_PKEY_free(key);

    key = load_handle(&fixture, "gatekey:handle=0x81000101?pass", "wrong");
    assert_false(can_sign(&fixture, key));
    fixture_assert_says("wrong password (0x81000101, TPM 0x9a2 TPM_RC_BAD_AUTH: it does not count "
                        "as a failed attempt); give the key's own password as the pass phrase");
    EVP_PKEY_free(key);

    key = load_handle(&fixture, "gatekey:handle=0x81000101?pass", "");
    assert_false(can_sign(&fixture, key));
    fixture_assert_says("a password is needed and none was given (0x81000101); give it");
    EVP_PKEY_free(key);

    assert_int_equal(fixture_times_asked(), 2);
    key = load_handle(&fixture, "gatekey:handle=0x81000101", FIXTURE_PASSWORD);
    assert_int_equal(fixture_times_asked(), 0);
    assert_false(can_sign(&fixture, key));
    fixture_assert_says("write gatekey:handle=0x81000101?pass, and give it");
    EVP_PKEY_free(key);
    fixture_unload(&fixture);
}

/* Let two files change places: device.pem is what "gatekey:" reads. */
static void swap(const char *one, const char *other)
{
    char first[600], second[600];

    snprintf(first, sizeof(first), "%s/%s", folder, one);
    snprintf(second, sizeof(second), "%s/%s", folder, other);
    assert_int_equal(renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE), 0);
}

/* With nobody to ask, and with somebody who has no answer. */
static void loads_a_key_whose_password_nobody_gives_in_silence(void **state)
{
    struct fixture fixture;
    OSSL_STORE_CTX *store;
    OSSL_STORE_INFO *info;
    EVP_PKEY *key;

    (void)state;
    swap("device.pem", "password.pem");
    fixture_load(&fixture);
    store = OSSL_STORE_open_ex("gatekey:", fixture.libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    info = OSSL_STORE_load(store);
    key = fixture_read_uri(&fixture, "gatekey:", NULL);
    swap("device.pem", "password.pem");
    assert_int_equal(OSSL_STORE_INFO_get_type(info), OSSL_STORE_INFO_PKEY);
    assert_non_null(key);
    fixture_assert_silence();
    assert_false(can_sign(&fixture, key));
    fixture_assert_says("a password is needed and none was given");
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    EVP_PKEY_free(key);
    fixture_unload(&fixture);
}

static int must_not_ask(UI *ui, UI_STRING *string)
{
    (void)ui;
    (void)string;
    fail_msg("a password was asked for");
    return 0;
}

static void assert_gives_public(struct fixture *fixture, const char *uri, const EVP_PKEY *device)
{
    UI_METHOD *method = UI_create_method("must not ask");
    OSSL_STORE_CTX *store;
    OSSL_STORE_INFO *info;

    UI_method_set_reader(method, must_not_ask);
    store = OSSL_STORE_open_ex(uri, fixture->libctx, NULL, method, NULL, NULL, NULL, NULL);
    assert_int_equal(OSSL_STORE_expect(store, OSSL_STORE_INFO_PUBKEY), 1);
    info = OSSL_STORE_load(store);
    assert_non_null(info);
    assert_int_equal(OSSL_STORE_INFO_get_type(info), OSSL_STORE_INFO_PUBKEY);
    assert_int_equal(EVP_PKEY_eq(OSSL_STORE_INFO_get0_PUBKEY(info), device), 1);
    fixture_assert_silence();
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    UI_destroy_method(method);
}

static void gives_the_public_key_and_asks_nobody(void **state)
{
    struct fixture fixture;
    EVP_PKEY *device, *locked;

    (void)state;
    fixture_load(&fixture);
    device = fixture_read_uri(&fixture, "gatekey:", NULL);
    locked = fixture_read_uri(&fixture, "gatekey:handle=0x81000101", NULL);
    assert_gives_public(&fixture, "gatekey:", device);
    assert_gives_public(&fixture, "gatekey:handle=0x81000100", device);
    swap("device.pem", "password.pem");
    assert_gives_public(&fixture, "gatekey:", locked);
    swap("device.pem", "password.pem");
    EVP_PKEY_free(device);
    EVP_PKEY_free(locked);
    fixture_unload(&fixture);
}

static void loads_the_file_s_key_without_a_tpm(void **state)
{
    struct fixture fixture;
    EVP_PKEY *key;

    (void)state;
    setenv("GATEKEY_TCTI", "device:/nonexistent/tpm", 1);
    fixture_load(&fixture);
    key = fixture_read_uri(&fixture, "gatekey:", NULL);
    assert_non_null(key);
    fixture_assert_silence();
    assert_false(can_sign(&fixture, key));
    fixture_assert_says("cannot sign with the device key: no TPM answered");
    EVP_PKEY_free(key);
    fixture_unload(&fixture);
}

static void says_when_the_tcti_is_none(void **state)
{
    struct fixture fixture;

    (void)state;
    setenv("GATEKEY_TCTI", "a TPM somewhere", 1);
    fixture_load(&fixture);
    assert_null(fixture_read_uri(&fixture, "gatekey:", NULL));
    fixture_assert_says("this is not a TPM connection (TCTI) (\"a TPM somewhere\")");
    fixture_unload(&fixture);
}

static void the_environment_is_the_one_at_loading(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_load(&fixture);
    unsetenv("GATEKEY_IDENTITY");
    setenv("GATEKEY_TCTI", "device:/nonexistent/tpm", 1);
    assert_signs(&fixture, "gatekey:");
    fixture_unload(&fixture);
}

static void two_contexts_and_a_reload_do_not_disturb_each_other(void **state)
{
    struct fixture one, other;
    EVP_PKEY *key;

    (void)state;
    fixture_load(&one);
    fixture_load(&other);
    key = fixture_read_uri(&one, "gatekey:", NULL);
    assert_signs(&other, "gatekey:");
    fixture_unload(&other);
    assert_true(can_sign(&one, key));
    fixture_load(&other);
    assert_signs(&other, "gatekey:");
    EVP_PKEY_free(key);
    fixture_unload(&one);
    fixture_unload(&other);
}

static void a_key_outlives_the_unloading_of_its_provider(void **state)
{
    struct fixture fixture;
    EVP_PKEY *key;

    (void)state;
    fixture_load(&fixture);
    key = fixture_read_uri(&fixture, "gatekey:", NULL);
    OSSL_PROVIDER_unload(fixture.gatekey);
    assert_int_equal(EVP_PKEY_get_bits(key), 2048);
    EVP_PKEY_free(key);
    OSSL_PROVIDER_unload(fixture.base);
    OSSL_LIB_CTX_free(fixture.libctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(finds_the_key_by_uri, begin),
        cmocka_unit_test_setup(says_how_a_uri_is_written, begin),
        cmocka_unit_test_setup(says_when_there_is_no_key, begin),
        cmocka_unit_test_setup(a_handle_s_password_is_asked_for_where_the_uri_says_so, begin),
        cmocka_unit_test_setup(loads_a_key_whose_password_nobody_gives_in_silence, begin),
        cmocka_unit_test_setup(gives_the_public_key_and_asks_nobody, begin),
        cmocka_unit_test_setup(loads_the_file_s_key_without_a_tpm, begin),
        cmocka_unit_test_setup(says_when_the_tcti_is_none, begin),
        cmocka_unit_test_setup(the_environment_is_the_one_at_loading, begin),
        cmocka_unit_test_setup(two_contexts_and_a_reload_do_not_disturb_each_other, begin),
        cmocka_unit_test_setup(a_key_outlives_the_unloading_of_its_provider, begin),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
