/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets are read from files that others cannot read. */
#include "identity/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "secret" /* in the test's own empty working directory */

static int without_file(void **state)
{
    (void)state;
    unlink(SECRET);
    return 0;
}

static void write_secret(const char *text, size_t size, mode_t mode)
{
    FILE *file = fopen(SECRET, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(SECRET, mode), 0);
}

static void assert_read(const char *text, const char *wanted)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };

    write_secret(text, strlen(text), 0600);
    assert_int_equal(gk_secret_read(SECRET, 8, &content, NULL), GK_OK);
    assert_int_equal(content.size, strlen(wanted));
    assert_string_equal(content.data, wanted);
}

static void assert_refused(enum gk_status wanted, const char *says)
{
    struct gk_content content = { 0 };
    struct gk_error err = { 0 };
    char sentence[1024];

    assert_int_equal(gk_secret_read(SECRET, 8, &content, &err), wanted);
    assert_null(content.data);
    gk_error_sentence(&err, NULL, sentence, sizeof(sentence));
    assert_non_null(strstr(sentence, says));
}

static void drops_one_line_end_and_no_more(void **state)
{
    (void)state;
    assert_read("abc", "abc");
    assert_read("abc\n", "abc");
    assert_read("abc\r\n", "abc");
    assert_read("abc\n\n", "abc\n");
    assert_read(" abc ", " abc ");
    assert_read("12345678\n", "12345678");
}

static void refuses_what_others_may_read(void **state)
{
    static const mode_t refused[] = { 0604, 0602, 0601, 0620, 0644, 0666 };
    static const mode_t fine[] = { 0400, 0440, 0600, 0640 };

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        write_secret("abc", 3, refused[i]);
        assert_refused(GK_REFUSED, "secret holds a secret and has mode 06");
    }
    write_secret("abc", 3, 0644);
    assert_refused(GK_REFUSED, "and has mode 0644); chmod 600 secret");
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        CLEANUP(gk_content_clear) struct gk_content content = { 0 };

        unlink(SECRET);
        write_secret("abc", 3, fine[i]);
        assert_int_equal(gk_secret_read(SECRET, 8, &content, NULL), GK_OK);
    }
}

static void refuses_what_is_no_secret(void **state)
{
    (void)state;
    assert_refused(GK_NO_FILE, "secret");
    write_secret("", 0, 0600);
    assert_refused(GK_BAD_FILE, "not a secret of 1 to 8 characters");
    write_secret("\n", 1, 0600);
    assert_refused(GK_BAD_FILE, "not a secret");
    write_secret("a\0b", 3, 0600);
    assert_refused(GK_BAD_FILE, "not a secret");
    write_secret("123456789", 9, 0600);
    assert_refused(GK_BAD_FILE, "not a secret");
    unlink(SECRET);
    assert_int_equal(mkfifo(SECRET, 0600), 0);
    assert_refused(GK_BAD_FILE, "is not a regular file");
}

static void follows_a_symbolic_link_to_the_file_s_own_modes(void **state)
{
    (void)state;
    write_secret("abc", 3, 0644);
    assert_int_equal(rename(SECRET, "elsewhere"), 0);
    assert_int_equal(symlink("elsewhere", SECRET), 0);
    assert_refused(GK_REFUSED, "has mode 0644");
    unlink("elsewhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(drops_one_line_end_and_no_more, without_file),
        cmocka_unit_test_setup(refuses_what_others_may_read, without_file),
        cmocka_unit_test_setup(refuses_what_is_no_secret, without_file),
        cmocka_unit_test_setup(follows_a_symbolic_link_to_the_file_s_own_modes, without_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
