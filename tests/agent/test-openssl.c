/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own OpenSSL context: which keys it loads, which it refuses, and what it never reads.
 */
#include "agent/openssl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <sys/stat.h>

struct fixture {
    char directory[256];
    char path[288];
    char uri[304];
    struct agent_config config;
    struct agent_openssl *openssl;
    struct gk_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(getcwd(f->directory, sizeof(f->directory) - sizeof("/openssl.XXXXXX")));
    strcat(f->directory, "/openssl.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/key.pem", f->directory);
    snprintf(f->uri, sizeof(f->uri), "file:%s", f->path);
    f->config.tcti = (char *)"device:/nonexistent";
    f->config.directory = f->directory;
    f->config.provider = (char *)"default";
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    agent_openssl_free(f->openssl);
    unlink(f->path);
    rmdir(f->directory);
    free(f);
    return 0;
}

static void write_key(const struct fixture *f, const char *type, unsigned bits,
                      const char *password)
{
    EVP_PKEY *key = bits != 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type, (size_t)bits)
                              : EVP_PKEY_Q_keygen(NULL, NULL, type, "P-256");
    FILE *file = fopen(f->path, "w");

    assert_non_null(key);
    assert_non_null(file);
    assert_int_equal(
        PEM_write_PKCS8PrivateKey(file, key, password != NULL ? EVP_aes_128_cbc() : NULL, password,
                                  password != NULL ? (int)strlen(password) : 0, NULL, NULL),
        1);
    fclose(file);
    EVP_PKEY_free(key);
}

static enum gk_status load(struct fixture *f)
{
    EVP_PKEY *key = NULL;
    enum gk_status status;

    if (f->openssl == NULL) {
        assert_int_equal(agent_openssl_new(&f->config, &f->openssl, &f->err), GK_OK);
    }
    status = agent_openssl_load_key(f->openssl, f->uri, &key, &f->err);
    assert_true((status == GK_OK) == (key != NULL));
    EVP_PKEY_free(key);
    return status;
}

static void loads_a_software_key_by_uri(void **state)
{
    struct fixture *f = *state;

    write_key(f, "RSA", 2048, NULL);
    assert_int_equal(load(f), GK_OK);
}

static void refuses_rsa_3072(void **state)
{
    struct fixture *f = *state;

    write_key(f, "RSA", 3072, NULL);
    assert_int_equal(load(f), GK_NOT_RSA2048);
    assert_string_equal(f->err.object, f->uri);
}

static void refuses_an_ec_key(void **state)
{
    struct fixture *f = *state;

    write_key(f, "EC", 0, NULL);
    assert_int_equal(load(f), GK_NOT_RSA2048);
}

static void asks_nobody_for_a_pass_phrase(void **state)
{
    struct fixture *f = *state;

    write_key(f, "RSA", 2048, "open sesame");
    assert_int_equal(load(f), GK_NO_KEY);
}

static void takes_the_pass_phrase_from_its_file(void **state)
{
    struct fixture *f = *state;
    char file[300];
    FILE *password;

    snprintf(file, sizeof(file), "%s/password", f->directory);
    password = fopen(file, "w");
    assert_non_null(password);
    fputs("open sesame\n", password);
    fclose(password);
    assert_int_equal(chmod(file, 0600), 0);
    f->config.key_auth_file = file;
    write_key(f, "RSA", 2048, "open sesame");
    assert_int_equal(load(f), GK_OK);
    unlink(file);
}

static void says_which_key_is_missing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f), GK_NO_KEY);
    assert_non_null(strstr(f->err.object, f->uri));
}

static void says_which_provider_is_missing(void **state)
{
    struct fixture *f = *state;
    char text[600];

    f->config.provider = (char *)"/nonexistent/absent.so";
    assert_int_equal(agent_openssl_new(&f->config, &f->openssl, &f->err), GK_BAD_CONFIG);
    assert_null(f->openssl);
    gk_error_sentence(&f->err, "start", text, sizeof(text));
    assert_non_null(strstr(text, "/nonexistent/absent.so"));
    assert_non_null(strstr(text, "install that OpenSSL provider"));
}

static void never_reads_the_systems_configuration(void **state)
{
    struct fixture *f = *state;
    char poison[288];
    EVP_MD *md;
    FILE *file;

    /* A file that would make any program which reads it fail at once. */
    snprintf(poison, sizeof(poison), "%s/poison.cnf", f->directory);
    file = fopen(poison, "w");
    assert_non_null(file);
    fputs("openssl_conf = i\nconfig_diagnostics = 1\n[i]\nproviders = p\n[p]\nnothing = n\n"
          "[n]\nmodule = /nonexistent/nothing.so\nactivate = 1\n",
          file);
    fclose(file);
    assert_int_equal(setenv("OPENSSL_CONF", poison, 1), 0);
    assert_int_equal(agent_openssl_new(&f->config, &f->openssl, &f->err), GK_OK);
    assert_int_equal(OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL), 1);
    unlink(poison);
    md = EVP_MD_fetch(NULL, "SHA256", NULL);
    assert_non_null(md);
    EVP_MD_free(md);
}

/* Only the module in the build tree; no key, so no TPM. */
static void knows_who_counts_signatures(void **state)
{
    struct fixture *f = *state;
    struct agent_signatures signatures = { 7, 7, 7, 7 };
    char module[512];

    assert_int_equal(agent_openssl_new(&f->config, &f->openssl, &f->err), GK_OK);
    assert_false(agent_openssl_signatures(f->openssl, &signatures));
    assert_int_equal(signatures.made, 7);
    agent_openssl_free(f->openssl);
    f->openssl = NULL;
    snprintf(module, sizeof(module), "%s/.libs/gatekey.so", getenv("abs_top_builddir"));
    f->config.provider = module;
    assert_int_equal(agent_openssl_new(&f->config, &f->openssl, &f->err), GK_OK);
    assert_true(agent_openssl_signatures(f->openssl, &signatures));
    assert_int_equal(signatures.made, 0);
    assert_int_equal(signatures.failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, while this process has not met OpenSSL yet. */
        cmocka_unit_test_setup_teardown(never_reads_the_systems_configuration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(loads_a_software_key_by_uri, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_rsa_3072, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_an_ec_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_nobody_for_a_pass_phrase, set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_the_pass_phrase_from_its_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_which_key_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_which_provider_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_who_counts_signatures, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("openssl", tests, NULL, NULL);
}
