/* SPDX-License-Identifier: Apache-2.0 */
/* Where the identity lies, and reading its files. */
#include "identity/identity.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CONFIG "gatekey.conf" /* in the test's own empty working directory */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_place(const struct gk_environment *environment, const char *identity,
                         const char *tcti, const char *directory_wanted, const char *tcti_wanted)
{
    CLEANUP(gk_place_clear) struct gk_place place = { 0 };

    assert_int_equal(gk_place_find(environment, identity, tcti, CONFIG, &place, NULL), GK_OK);
    assert_string_equal(place.directory, directory_wanted);
    assert_string_equal(place.tcti, tcti_wanted);
}

static void assert_config_refused(const char *text, const char *says)
{
    CLEANUP(gk_place_clear) struct gk_place place = { 0 };
    struct gk_error err = { 0 };
    char sentence[1024];

    write_file(CONFIG, text);
    assert_int_equal(gk_place_find(NULL, NULL, NULL, CONFIG, &place, &err), GK_BAD_CONFIG);
    gk_error_sentence(&err, NULL, sentence, sizeof(sentence));
    assert_non_null(strstr(sentence, says));
    assert_null(place.directory);
}

static int without_config(void **state)
{
    (void)state;
    unlink(CONFIG);
    return 0;
}

static void without_anything_takes_the_default(void **state)
{
    (void)state;
    assert_place(NULL, NULL, NULL, GK_DEFAULT_DIRECTORY, GK_DEFAULT_TCTI);
}

static void environment_goes_before_setting_before_file(void **state)
{
    struct gk_environment environment = { .tcti = (char *)"swtpm:path=/env" };

    (void)state;
    write_file(CONFIG, "[identity]\ndirectory = /file\n[tpm]\ntcti = device:/dev/file\n");
    assert_place(NULL, NULL, NULL, "/file", "device:/dev/file");
    assert_place(NULL, "/setting", NULL, "/setting", "device:/dev/file");
    assert_place(&environment, "/setting", "device:/dev/x", "/setting", "swtpm:path=/env");
    environment.identity = (char *)"/env";
    assert_place(&environment, "/setting", NULL, "/env", "swtpm:path=/env");
}

static void looks_at_its_two_keys_only(void **state)
{
    (void)state;
    write_file(CONFIG, "# a comment\n[hub]\nno_such_key = 1\n[identity]\ndirectory = /d\n"
                       "key = gatekey:\n[tpm]\nhandle = 0x81000100\n");
    assert_place(NULL, NULL, NULL, "/d", GK_DEFAULT_TCTI);
}

static void names_the_line_it_cannot_read(void **state)
{
    char longer[512] = "\n[tpm]\ntcti = ";

    (void)state;
    assert_config_refused("[tpm]\nno equals sign\n", CONFIG ":2");
    assert_config_refused("[tpm]\ntcti =\n", CONFIG ":2");
    assert_config_refused("[tpm]\ntcti = device:/a\n\ntcti = device:/b\n", CONFIG ":4");
    memset(longer + strlen(longer), 'x', 300);
    assert_config_refused(longer, CONFIG ":3: the line is longer than 198");
}

static void reads_no_file_when_nothing_is_left_to_ask(void **state)
{
    (void)state;
    write_file(CONFIG, "broken");
    assert_place(NULL, "/d", "device:/t", "/d", "device:/t");
}

static void copies_the_environment(void **state)
{
    struct gk_environment environment;

    (void)state;
    setenv("GATEKEY_IDENTITY", "/copied", 1);
    setenv("GATEKEY_TCTI", "", 1);
    gk_environment_capture(&environment);
    unsetenv("GATEKEY_IDENTITY");
    assert_string_equal(environment.identity, "/copied");
    assert_null(environment.tcti);
    gk_environment_clear(&environment);
    assert_null(environment.identity);
}

/* A program that becomes a service goes to another folder afterwards. */
static void takes_a_relative_directory_from_where_the_program_is(void **state)
{
    CLEANUP(gk_freep) char *here = getcwd(NULL, 0);
    struct gk_environment environment;
    char wanted[4200];

    (void)state;
    assert_non_null(here);
    setenv("GATEKEY_IDENTITY", "some/where", 1);
    gk_environment_capture(&environment);
    unsetenv("GATEKEY_IDENTITY");
    snprintf(wanted, sizeof(wanted), "%s/some/where", here);
    assert_string_equal(environment.identity, wanted);
    gk_environment_clear(&environment);
}

static void assert_read(const char *name, enum gk_status status, const char *says)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    struct gk_error err = { 0 };
    char sentence[1024];

    assert_int_equal(gk_identity_read(".", name, &content, &err), status);
    gk_error_sentence(&err, NULL, sentence, sizeof(sentence));
    assert_non_null(strstr(sentence, says));
    assert_null(content.data);
}

static void reads_a_file_whole(void **state)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    char text[20001];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    write_file(GK_FILE_CERTIFICATE, text);
    assert_int_equal(gk_identity_read(".", GK_FILE_CERTIFICATE, &content, NULL), GK_OK);
    assert_int_equal(content.size, sizeof(text) - 1);
    assert_string_equal(content.data, text);
}

static void refuses_what_is_no_plain_file(void **state)
{
    (void)state;
    assert_read("missing.pem", GK_NO_FILE, "no such file (./missing.pem)");
    assert_int_equal(symlink(GK_FILE_CERTIFICATE, "link.pem"), 0);
    assert_read("link.pem", GK_BAD_FILE, "./link.pem is a symbolic link");
    assert_int_equal(mkdir("folder.pem", 0755), 0);
    assert_read("folder.pem", GK_BAD_FILE, "./folder.pem is not a regular file");
    assert_int_equal(mkfifo("fifo.pem", 0644), 0);
    assert_read("fifo.pem", GK_BAD_FILE, "./fifo.pem is not a regular file");
}

static void refuses_a_file_that_is_too_large(void **state)
{
    (void)state;
    write_file("large.pem", "");
    assert_int_equal(truncate("large.pem", (off_t)GK_FILE_MAX + 1), 0);
    assert_read("large.pem", GK_BAD_FILE, "larger than 1048576 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_anything_takes_the_default, without_config),
        cmocka_unit_test_setup(environment_goes_before_setting_before_file, without_config),
        cmocka_unit_test_setup(looks_at_its_two_keys_only, without_config),
        cmocka_unit_test_setup(names_the_line_it_cannot_read, without_config),
        cmocka_unit_test_setup(reads_no_file_when_nothing_is_left_to_ask, without_config),
        cmocka_unit_test(copies_the_environment),
        cmocka_unit_test(takes_a_relative_directory_from_where_the_program_is),
        cmocka_unit_test(reads_a_file_whole),
        cmocka_unit_test(refuses_what_is_no_plain_file),
        cmocka_unit_test(refuses_a_file_that_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
