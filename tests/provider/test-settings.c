/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of provider/context.c and password.c: every key of our section in openssl.cnf counts. */
#include "tests/provider/fixture.h"

#include <openssl/conf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* With a test below for each; says_no_more_than_it_reads() holds the documents to this list. */
static const char *const keys[] = { "identity-directory", "tcti", "auth-file", "parent-auth-file",
                                    "assume-fips" };

static char folder[512];
static char tcti[512];
static char password_file[600];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "%s", getenv("GATEKEY_TEST_DIR"));
    snprintf(tcti, sizeof(tcti), "%s", getenv("GATEKEY_TCTI"));
    snprintf(password_file, sizeof(password_file), "%s/password", folder);
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_make_key(FIXTURE_PASSWORD_HANDLE, FIXTURE_PASSWORD, "password.pem");
    return 0;
}

/* Each test begins with the environment of the first, and a good password file. */
static int begin(void **state)
{
    (void)state;
    setenv("GATEKEY_IDENTITY", folder, 1);
    setenv("GATEKEY_TCTI", tcti, 1);
    fixture_write("password", FIXTURE_PASSWORD "\n", strlen(FIXTURE_PASSWORD) + 1);
    assert_int_equal(chmod(password_file, 0600), 0);
    return 0;
}

static void load_config(struct fixture *fixture, const char *settings)
{
    char modules[512], text[4096];

    snprintf(text, sizeof(text),
             "openssl_conf = init\n[init]\nproviders = p\n[p]\ndefault = d\ngatekey = g\n"
             "[d]\nactivate = 1\n[g]\nactivate = 1\n%s\n",
             settings);
    fixture_write("test.cnf", text, strlen(text));
    snprintf(modules, sizeof(modules), "%s/.libs", getenv("abs_top_builddir"));
    *fixture = (struct fixture){ .libctx = OSSL_LIB_CTX_new() };
    OSSL_PROVIDER_set_default_search_path(fixture->libctx, modules);
    assert_int_equal(OSSL_LIB_CTX_load_config(fixture->libctx, fixture_path("test.cnf")), 1);
    assert_int_equal(OSSL_PROVIDER_available(fixture->libctx, "gatekey"), 1);
}

static void load_with(struct fixture *fixture, const char *key, const char *value)
{
    char line[1024];

    snprintf(line, sizeof(line), "%s = %s", key, value);
    load_config(fixture, line);
}

static void unload(struct fixture *fixture)
{
    OSSL_LIB_CTX_free(fixture->libctx);
}

static int can_sign(struct fixture *fixture, EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);
    int done;

    assert_non_null(key);
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture->libctx, NULL, key, NULL),
                     1);
    done = EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"x", 1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return done;
}

static void identity_directory_counts(void **state)
{
    struct fixture fixture;
    char path[600];

    (void)state;
    unsetenv("GATEKEY_IDENTITY");
    load_with(&fixture, "identity-directory", folder);
    assert_true(can_sign(&fixture, fixture_read_uri(&fixture, "gatekey:", NULL)));
    fixture_assert_silence();
    unload(&fixture);

    snprintf(path, sizeof(path), "%s/elsewhere", folder);
    load_with(&fixture, "identity-directory", path);
    assert_null(fixture_read_uri(&fixture, "gatekey:", NULL));
    fixture_assert_says("elsewhere/device.pem");
    unload(&fixture);
}

static void tcti_counts(void **state)
{
    struct fixture fixture;

    (void)state;
    unsetenv("GATEKEY_TCTI");
    load_with(&fixture, "tcti", tcti);
    assert_true(can_sign(&fixture, fixture_read_uri(&fixture, "gatekey:", NULL)));
    fixture_assert_silence();
    unload(&fixture);

    load_with(&fixture, "tcti", "device:/nonexistent/tpm");
    assert_null(fixture_read_uri(&fixture, "gatekey:handle=0x81000100", NULL));
    fixture_assert_says("/nonexistent/tpm");
    unload(&fixture);
}

static void the_environment_goes_before_openssl_cnf(void **state)
{
    struct fixture fixture;

    (void)state;
    load_config(&fixture, "identity-directory = /nonexistent\ntcti = device:/nonexistent/tpm");
    assert_true(can_sign(&fixture, fixture_read_uri(&fixture, "gatekey:", NULL)));
    fixture_assert_silence();
    unload(&fixture);
}

/* Both ways to a key file; nobody is asked, not even where somebody would answer. */
static void auth_file_counts_and_goes_before_a_pass_phrase(void **state)
{
    struct fixture fixture;
    char locked[600], uri[700];

    (void)state;
    snprintf(locked, sizeof(locked), "%s/password.pem", folder);
    snprintf(uri, sizeof(uri), "file:%s", locked);
    load_with(&fixture, "auth-file", password_file);
    assert_true(can_sign(&fixture, fixture_read_pem(&fixture, locked, "wrong")));
    assert_true(can_sign(&fixture, fixture_read_uri(&fixture, uri, "wrong")));
    assert_int_equal(fixture_times_asked(), 0);
    /* A key without a password is not given one. */
    assert_true(can_sign(&fixture, fixture_read_uri(&fixture, "gatekey:", NULL)));
    fixture_assert_silence();
    unload(&fixture);
}

static void auth_file_is_read_when_the_key_is_loaded(void **state)
{
    struct fixture fixture;
    EVP_PKEY *key;

    (void)state;
    load_with(&fixture, "auth-file", password_file);
    key = fixture_read_pem(&fixture, fixture_path("password.pem"), NULL);
    unlink(password_file);
    assert_true(can_sign(&fixture, key));
    fixture_assert_silence();
    unload(&fixture);
}

static void auth_file_may_come_after_the_key_but_before_the_signature(void **state)
{
    struct fixture fixture;
    EVP_PKEY *key;

    (void)state;
    unlink(password_file);
    load_with(&fixture, "auth-file", password_file);
    key = fixture_read_pem(&fixture, fixture_path("password.pem"), NULL);
    assert_non_null(key);
    fixture_assert_silence();
    assert_int_equal(EVP_PKEY_up_ref(key), 1);
    assert_false(can_sign(&fixture, key));
    fixture_assert_says("cannot sign with the device key: no such file");
    assert_int_equal(begin(NULL), 0);
    assert_true(can_sign(&fixture, key));
    fixture_assert_silence();
    unload(&fixture);
}

/* The file as it is refused, and what is said of it. */
static void assert_refused(const char *content, unsigned mode, const char *says)
{
    struct fixture fixture;

    fixture_write("password", content, strlen(content));
    assert_int_equal(chmod(password_file, mode), 0);
    load_with(&fixture, "auth-file", password_file);
    assert_false(
        can_sign(&fixture, fixture_read_pem(&fixture, fixture_path("password.pem"), NULL)));
    fixture_assert_says(says);
    unload(&fixture);
}

static void refuses_an_auth_file_that_is_no_secret(void **state)
{
    char text[1400];

    (void)state;
    snprintf(text, sizeof(text), "(%s holds a secret and has mode 0644); chmod 600 %s",
             password_file, password_file);
    assert_refused(FIXTURE_PASSWORD, 0644, text);
    assert_refused(FIXTURE_PASSWORD, 0620, "has mode 0620");
    assert_refused("\n", 0600, "not a secret of 1 to 64 characters");
    assert_refused("12345678901234567890123456789012345678901234567890123456789012345", 0600,
                   "not a secret of 1 to 64 characters");
    assert_refused("another password", 0600, "cannot sign with the device key: wrong password");
}

static void refuses_an_auth_file_that_depends_on_the_working_directory(void **state)
{
    struct fixture fixture;

    (void)state;
    load_with(&fixture, "auth-file", "password");
    assert_false(
        can_sign(&fixture, fixture_read_pem(&fixture, fixture_path("password.pem"), NULL)));
    fixture_assert_says("(auth-file = password in openssl.cnf); write a path that begins with /");
    unload(&fixture);
}

/* The password alone, in whatever way it might be given by the environment. */
static void takes_no_password_from_the_environment(void **state)
{
    static const char *const names[] = { "GATEKEY_AUTH", "GATEKEY_AUTH_FILE", "GATEKEY_PASSWORD" };
    struct fixture fixture;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv(names[i], i == 1 ? password_file : FIXTURE_PASSWORD, 1);
    }
    load_config(&fixture, "");
    assert_false(
        can_sign(&fixture, fixture_read_pem(&fixture, fixture_path("password.pem"), NULL)));
    fixture_assert_says("a password is needed and none was given (0x81000101); give it as the "
                        "program's pass phrase, or by auth-file in openssl.cnf");
    unload(&fixture);
}

static int is_known(const char *key, size_t size)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strlen(keys[i]) == size && strncmp(keys[i], key, size) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Every "START key = " in that file is a key of ours, and they are as many as we have. */
static void assert_documents(const char *name, const char *from, const char *start)
{
    char path[1024], line[2048];
    size_t count = 0;
    int inside = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", getenv("abs_top_srcdir"), name);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *key = line + strlen(start);
        size_t size;

        inside = inside || strncmp(line, from, strlen(from)) == 0;
        if (!inside || strncmp(line, start, strlen(start)) != 0) {
            continue;
        }
        size = strcspn(key, " \n");
        if (strncmp(key + size, " = ", 3) == 0) {
            count++;
            if (!is_known(key, size)) {
                fail_msg("%s documents a key that is not read: %s", name, line);
            }
        }
    }
    fclose(file);
    assert_int_equal(count, sizeof(keys) / sizeof(keys[0]));
}

static void says_no_more_than_it_reads(void **state)
{
    (void)state;
    assert_documents("conf/openssl-gatekey.cnf", "[gatekey_provider]", "# ");
    assert_documents("docs/gatekey-provider.7", ".Sh SETTINGS", ".It Cm ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(identity_directory_counts, begin),
        cmocka_unit_test_setup(tcti_counts, begin),
        cmocka_unit_test_setup(the_environment_goes_before_openssl_cnf, begin),
        cmocka_unit_test_setup(auth_file_counts_and_goes_before_a_pass_phrase, begin),
        cmocka_unit_test_setup(auth_file_is_read_when_the_key_is_loaded, begin),
        cmocka_unit_test_setup(auth_file_may_come_after_the_key_but_before_the_signature, begin),
        cmocka_unit_test_setup(refuses_an_auth_file_that_is_no_secret, begin),
        cmocka_unit_test_setup(refuses_an_auth_file_that_depends_on_the_working_directory, begin),
        cmocka_unit_test_setup(takes_no_password_from_the_environment, begin),
        cmocka_unit_test_setup(says_no_more_than_it_reads, begin),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
