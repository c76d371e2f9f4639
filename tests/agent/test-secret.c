/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets are read from files that others cannot read, and one is kept sealed to the TPM. */
#include "agent/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/stat.h>

struct fixture {
    char directory[64], path[96];
    struct agent_config config;
    struct agent_secret secret;
    struct gk_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->directory, "test-secret.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/secret", f->directory);
    f->config.directory = f->directory;
    f->config.tcti = getenv("GATEKEY_TCTI");
    assert_non_null(f->config.tcti);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[96];

    snprintf(command, sizeof(command), "rm -rf %s", f->directory);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static enum gk_status read_bytes(struct fixture *f, const void *bytes, size_t size, unsigned mode)
{
    FILE *file;

    /* The file before it may be read-only, which stops everybody but root. */
    unlink(f->path);
    file = fopen(f->path, "w");
    assert_non_null(file);
    fwrite(bytes, 1, size, file);
    fclose(file);
    assert_int_equal(chmod(f->path, mode), 0);
    return agent_secret_read_file(f->path, &f->secret, &f->err);
}

static enum gk_status read_text(struct fixture *f, const char *text, unsigned mode)
{
    return read_bytes(f, text, strlen(text), mode);
}

static void drops_one_line_feed_and_no_more(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(read_text(f, "abc\n", 0600), GK_OK);
    assert_string_equal(f->secret.text, "abc");
    assert_int_equal(f->secret.size, 3);
    assert_int_equal(read_text(f, "abc\r\n", 0400), GK_OK);
    assert_string_equal(f->secret.text, "abc");
    assert_int_equal(read_text(f, " abc\n\n", 0640), GK_OK);
    assert_string_equal(f->secret.text, " abc\n");
}

static void refuses_a_secret_that_others_can_read(void **state)
{
    static const unsigned modes[] = { 0644, 0604, 0602, 0620, 0666 };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(read_text(f, "hunter2", modes[i]), GK_REFUSED);
        assert_non_null(strstr(f->err.advice, "chmod 600"));
        assert_null(strstr(f->err.object, "hunter2"));
    }
}

static void refuses_what_is_no_secret(void **state)
{
    struct fixture *f = *state;
    char large[200];

    memset(large, 'x', sizeof(large));
    assert_int_equal(read_text(f, "", 0600), GK_BAD_FILE);
    assert_int_equal(read_text(f, "\n", 0600), GK_BAD_FILE);
    assert_int_equal(read_bytes(f, "a\0b", 3, 0600), GK_BAD_FILE);
    assert_int_equal(read_bytes(f, large, 129, 0600), GK_BAD_FILE);
    assert_int_equal(read_bytes(f, large, 128, 0600), GK_OK);
    assert_int_equal(read_bytes(f, large, 200, 0600), GK_BAD_FILE);
}

static void finds_a_credential_of_systemd(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(read_text(f, "abc", 0400), GK_OK);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(agent_secret_read_file("credential:secret", &f->secret, &f->err), GK_NO_FILE);
    assert_non_null(strstr(f->err.advice, "LoadCredential=secret"));
    setenv("CREDENTIALS_DIRECTORY", f->directory, 1);
    assert_int_equal(agent_secret_read_file("credential:secret", &f->secret, &f->err), GK_OK);
    assert_string_equal(f->secret.text, "abc");
}

static void no_file_is_the_empty_password(void **state)
{
    struct fixture *f = *state;
    struct gk_auth auth = { .size = 5 };

    assert_int_equal(agent_auth_read_file(NULL, &auth, &f->err), GK_OK);
    assert_int_equal(auth.size, 0);
    assert_int_equal(read_text(f, "pass\n", 0600), GK_OK);
    assert_int_equal(agent_auth_read_file(f->path, &auth, &f->err), GK_OK);
    assert_int_equal(auth.size, 4);
    assert_memory_equal(auth.bytes, "pass", 4);
}

static void a_stored_secret_comes_back_from_this_tpm(void **state)
{
    struct fixture *f = *state;
    char command[160];
    struct stat about;

    assert_int_equal(agent_secret_load(&f->config, &f->secret, &f->err), GK_NOT_ENROLLED);
    assert_int_equal(agent_secret_store(&f->config, "s3cret", 6, &f->err), GK_OK);
    assert_int_equal(agent_secret_load(&f->config, &f->secret, &f->err), GK_OK);
    assert_string_equal(f->secret.text, "s3cret");
    snprintf(command, sizeof(command), "%s/secret.tpm", f->directory);
    assert_int_equal(stat(command, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0640);
    snprintf(command, sizeof(command), "grep -q s3cret %s/secret.tpm", f->directory);
    assert_int_not_equal(system(command), 0);
}

static void says_when_there_is_no_tpm(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(agent_secret_store(&f->config, "s3cret", 6, &f->err), GK_OK);
    f->config.tcti = (char *)"device:/nonexistent";
    assert_int_equal(agent_secret_load(&f->config, &f->secret, &f->err), GK_NO_TPM);
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(drops_one_line_feed_and_no_more), CLAIM(refuses_a_secret_that_others_can_read),
        CLAIM(refuses_what_is_no_secret),       CLAIM(finds_a_credential_of_systemd),
        CLAIM(no_file_is_the_empty_password),   CLAIM(a_stored_secret_comes_back_from_this_tpm),
        CLAIM(says_when_there_is_no_tpm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
