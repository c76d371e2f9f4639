/* SPDX-License-Identifier: Apache-2.0 */
/* Tests error.c: the table is complete, and every failure becomes one sentence with a next step. */
#include "error.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *sentence(const struct gk_error *err, const char *operation)
{
    static char text[1024];

    gk_error_sentence(err, operation, text, sizeof(text));
    return text;
}

static void every_status_has_its_texts(void **state)
{
    (void)state;
    for (int i = 0; i < GK_STATUS_COUNT; i++) {
        enum gk_status status = (enum gk_status)i;
        const char *cause = gk_status_cause(status);
        const char *advice = gk_status_advice(status);

        assert_true(strncmp(gk_status_name(status), "GK_", 3) == 0);
        assert_true(strlen(cause) > 0);
        /* Only success needs no next step. */
        assert_int_equal(advice[0] == '\0', status == GK_OK);
    }
}

static void no_text_ends_the_sentence_early(void **state)
{
    (void)state;
    for (int i = 0; i < GK_STATUS_COUNT; i++) {
        const char *texts[] = { gk_status_cause((enum gk_status)i),
                                gk_status_advice((enum gk_status)i) };

        for (size_t j = 0; j < 2; j++) {
            size_t len = strlen(texts[j]);

            assert_null(strchr(texts[j], '\n'));
            assert_true(len == 0 || strchr(".,;:!", texts[j][len - 1]) == NULL);
            assert_true(len == 0 || !isspace((unsigned char)texts[j][len - 1]));
        }
    }
}

static void names_are_the_enumerators(void **state)
{
    (void)state;
    assert_string_equal(gk_status_name(GK_OK), "GK_OK");
    assert_string_equal(gk_status_name(GK_NO_TPM), "GK_NO_TPM");
    assert_string_equal(gk_status_name(GK_INTERNAL), "GK_INTERNAL");
}

static void a_status_from_nowhere_is_an_internal_error(void **state)
{
    (void)state;
    assert_string_equal(gk_status_name((enum gk_status)4711), "GK_INTERNAL");
    assert_string_equal(gk_status_cause(GK_STATUS_COUNT), gk_status_cause(GK_INTERNAL));
}

static void says_operation_cause_object_code_and_next_step(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(gk_fail_tpm(&err, GK_NO_KEY, 0x18b, "0x%x", 0x81000100U), GK_NO_KEY);
    assert_string_equal(sentence(&err, "sign with the device key"),
                        "cannot sign with the device key: no key at that handle "
                        "(0x81000100, TPM 0x18b); run gatekey enroll");
}

static void leaves_out_what_is_not_there(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    (void)gk_fail(&err, GK_NOT_ENROLLED, NULL);
    assert_string_equal(sentence(&err, NULL), "this gateway is not enrolled; run gatekey enroll");
    (void)gk_fail_tpm(&err, GK_NO_KEY, 0x18b, NULL);
    assert_string_equal(sentence(&err, NULL),
                        "no key at that handle (TPM 0x18b); run gatekey enroll");
    snprintf(err.tpm_words, sizeof(err.tpm_words), "TPM_RC_HANDLE: a bad one");
    assert_string_equal(sentence(&err, NULL), "no key at that handle (TPM 0x18b TPM_RC_HANDLE: "
                                              "a bad one); run gatekey enroll");
}

static void advice_of_its_own_goes_before_the_tables(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    (void)gk_fail(&err, GK_NO_KEY, "0x%x", 0x81000100U);
    gk_advise(&err, "run %s", "gatekey key create");
    assert_string_equal(sentence(&err, NULL),
                        "no key at that handle (0x81000100); run gatekey key create");
}

static void a_new_failure_forgets_the_old_one(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    (void)gk_fail_tpm(&err, GK_NO_KEY, 0x18b, "old");
    gk_advise(&err, "do the old thing");
    (void)gk_fail(&err, GK_NO_FILE, "after %s", err.object);
    assert_int_equal(err.status, GK_NO_FILE);
    assert_int_equal(err.tpm_code, 0);
    assert_string_equal(err.object, "after old");
    assert_string_equal(err.advice, "");
}

static void a_long_object_is_cut_and_ended(void **state)
{
    struct gk_error err = { 0 };
    char path[1000];

    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    (void)gk_fail(&err, GK_NO_FILE, "%s", path);
    assert_int_equal(strlen(err.object), sizeof(err.object) - 1);
    gk_advise(&err, "%s", path);
    assert_int_equal(strlen(err.advice), sizeof(err.advice) - 1);
    assert_true(strlen(sentence(&err, "read")) > 500);
}

static void a_sentence_is_cut_to_the_size_given(void **state)
{
    struct gk_error err = { 0 };
    char text[12];

    (void)state;
    (void)gk_fail(&err, GK_NO_FILE, "/etc/gatekey/gatekey.conf");
    memset(text, '#', sizeof(text));
    gk_error_sentence(&err, "read", text, sizeof(text) - 1);
    assert_string_equal(text, "cannot rea");
    assert_int_equal(text[11], '#');
}

static void nobody_needs_to_listen(void **state)
{
    (void)state;
    assert_int_equal(gk_fail(NULL, GK_NO_FILE, "%s", "unheard"), GK_NO_FILE);
    assert_int_equal(gk_fail_tpm(NULL, GK_NO_KEY, 1, NULL), GK_NO_KEY);
    gk_advise(NULL, "unheard");
}

static void errno_becomes_a_status(void **state)
{
    static const struct {
        int number;
        enum gk_status status;
    } rows[] = {
        { ENOENT, GK_NO_FILE },     { ENOTDIR, GK_NO_FILE },   { EACCES, GK_FILE_DENIED },
        { EPERM, GK_FILE_DENIED },  { EROFS, GK_FILE_DENIED }, { ENOSPC, GK_DISK_FULL },
        { EDQUOT, GK_DISK_FULL },   { ENOMEM, GK_NO_MEMORY },  { EIO, GK_FILE_FAILED },
        { EISDIR, GK_FILE_FAILED },
    };
    struct gk_error err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(gk_fail_file(&err, rows[i].number, "/x/y"), rows[i].status);
        assert_non_null(strstr(err.object, "/x/y"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_texts),
        cmocka_unit_test(no_text_ends_the_sentence_early),
        cmocka_unit_test(names_are_the_enumerators),
        cmocka_unit_test(a_status_from_nowhere_is_an_internal_error),
        cmocka_unit_test(says_operation_cause_object_code_and_next_step),
        cmocka_unit_test(leaves_out_what_is_not_there),
        cmocka_unit_test(advice_of_its_own_goes_before_the_tables),
        cmocka_unit_test(a_new_failure_forgets_the_old_one),
        cmocka_unit_test(a_long_object_is_cut_and_ended),
        cmocka_unit_test(a_sentence_is_cut_to_the_size_given),
        cmocka_unit_test(nobody_needs_to_listen),
        cmocka_unit_test(errno_becomes_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
