/* SPDX-License-Identifier: Apache-2.0 */
/* The token: what becomes of it in each state of the identity directory. */
#include "tests/pkcs11/files.h"
#include "tests/pkcs11/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static int begin(void **state)
{
    (void)state;
    files_begin();
    return 0;
}

/* --- files that are not there, do not fit or are no good --- */

static void is_uninitialised_without_a_key(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;

    (void)state;
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, NULL);
    token = sample_token();
    assert_int_equal(token->status, GK_NO_FILE);
    assert_null(token->key);
    assert_int_equal(token->count, 0);
    assert_string_equal(token->serial, "");
    assert_string_equal(token->label, FILES_DIRECTORY);
}

static void has_keys_before_there_is_a_certificate(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    token = sample_token();
    assert_int_equal(token->status, GK_OK);
    assert_int_equal(token->count, 2 + SAMPLE_PROFILES);
    assert_value(sample_object(token, CKO_PRIVATE_KEY, 0), CKA_SUBJECT, NULL, 0);
    assert_int_equal(strlen(token->serial), 16);
}

static void takes_both_from_one_file_while_a_key_is_renewed(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.newer_leaf.pem, sample.issuer.pem);
    files_write(GK_FILE_IDENTITY, sample.newer_device, sample.newer_leaf.pem);
    token = sample_token();
    assert_int_equal(sample_count(token, CKO_CERTIFICATE), 1);
    assert_value(sample_object(token, CKO_CERTIFICATE, 0), CKA_VALUE, sample.newer_leaf.der,
                 (size_t)sample.newer_leaf.size);
    assert_value(sample_object(token, CKO_CERTIFICATE, 0), CKA_ID, token->id, P11_ID_SIZE);
    assert_value(sample_object(token, CKO_PRIVATE_KEY, 0), CKA_ID, token->id, P11_ID_SIZE);
}

static void looks_at_no_third_file_where_two_fit(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, sample.issuer.pem);
    files_write(GK_FILE_IDENTITY, sample.newer_device, sample.newer_leaf.pem);
    token = sample_token();
    assert_value(sample_object(token, CKO_CERTIFICATE, 0), CKA_VALUE, sample.leaf.der,
                 (size_t)sample.leaf.size);
}

static void assert_certificate_is_anothers(void)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = sample_token();
    const struct p11_object *certificate = sample_object(token, CKO_CERTIFICATE, 0);

    assert_int_equal(token->status, GK_OK);
    assert_value(certificate, CKA_VALUE, sample.newer_leaf.der, (size_t)sample.newer_leaf.size);
    assert_number(certificate, CKA_CERTIFICATE_CATEGORY, 3);
    assert_memory_not_equal(p11_object_find(certificate, CKA_ID)->value, token->id, P11_ID_SIZE);
    assert_value(sample_object(token, CKO_PRIVATE_KEY, 0), CKA_SUBJECT, NULL, 0);
}

static void shows_a_certificate_of_another_key_as_what_it_is(void **state)
{
    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.newer_leaf.pem, NULL);
    assert_certificate_is_anothers();
    files_write(GK_FILE_IDENTITY, sample.device, sample.newer_leaf.pem);
    assert_certificate_is_anothers();
    files_write(GK_FILE_IDENTITY, "damaged", sample.leaf.pem);
    assert_certificate_is_anothers();
    files_write(GK_FILE_IDENTITY, sample.device, "-----BEGIN CERTIFICATE-----\n");
    assert_certificate_is_anothers();
}

static void keeps_the_keys_where_the_certificate_is_damaged(void **state)
{
    CLEANUP(gk_freep) char *private = files_pem("PRIVATE KEY", "abc", 3);
    const char *const damaged[] = { "-----BEGIN CERTIFICATE-----\n", private };

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(p11_token_releasep) struct p11_token *token = NULL;

        files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, damaged[i]);
        token = sample_token();
        assert_int_equal(token->status, GK_OK);
        assert_int_equal(token->count, 2 + SAMPLE_PROFILES);
        assert_false(p11_token_is_stale(token, FILES_DIRECTORY));
    }
}

static void says_what_is_wrong_with_the_key(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;
    char sentence[1024];

    (void)state;
    files_write(GK_FILE_DEVICE, "nothing", NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, NULL);
    token = sample_token();
    assert_int_equal(token->status, GK_BAD_REFERENCE);
    assert_int_equal(token->count, 0);
    assert_null(token->key);
    gk_error_sentence(&token->error, NULL, sentence, sizeof(sentence));
    assert_non_null(strstr(sentence, FILES_DIRECTORY "/device.pem: it holds no PEM block"));
    assert_false(p11_token_is_stale(token, FILES_DIRECTORY));
}

static void is_only_what_is_wrong_where_nothing_is_known(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;
    struct gk_error why = { 0 };

    (void)state;
    gk_fail(&why, GK_BAD_CONFIG, "gatekey.conf:3");
    token = p11_token_none(&why);
    assert_int_equal(token->status, GK_BAD_CONFIG);
    assert_string_equal(token->error.object, "gatekey.conf:3");
    assert_string_equal(token->label, "gatekey");
    assert_int_equal(token->count, 0);
}

/* --- labels --- */

static void is_called_like_its_directory(void **state)
{
    static const char *const labels[][2] = {
        { "/var/lib/none", "none" },
        { "none", "none" },
        { "./none//", "none" },
        { "/", "gatekey" },
        { "", "gatekey" },
        { "/none/0123456789012345678901234567890123456789", "01234567890123456789012345678901" },
        /* The character that would be cut is left out. */
        { "/none/0123456789012345678901234567890\xc3\xa4", "0123456789012345678901234567890" },
        { "/none/012345678901234567890123456789\xc3\xa4",
          "012345678901234567890123456789\xc3\xa4" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        CLEANUP(p11_token_releasep) struct p11_token *token = p11_token_read(labels[i][0]);

        assert_string_equal(token->label, labels[i][1]);
    }
}

/* --- changes --- */

static void sees_each_file_change(void **state)
{
    static const char *const names[] = { GK_FILE_DEVICE, GK_FILE_CERTIFICATE, GK_FILE_IDENTITY };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 2; j++) {
            CLEANUP(p11_token_releasep) struct p11_token *token = sample_token();

            assert_false(p11_token_is_stale(token, FILES_DIRECTORY));
            files_write(names[i], sample.device, NULL);
            assert_true(p11_token_is_stale(token, FILES_DIRECTORY));
        }
    }
    files_begin();
}

static void reads_again_what_could_not_be_read(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = NULL;
    struct rlimit limit, none;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){ 0, limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    token = sample_token();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(token->status, GK_NO_DESCRIPTOR);
    assert_true(p11_token_is_stale(token, FILES_DIRECTORY));
}

/* Number objects as the library does. */
static void number(struct p11_token *token, CK_OBJECT_HANDLE first)
{
    for (size_t i = 0; i < token->count; i++) {
        if (token->objects[i].handle == 0) {
            token->objects[i].handle = first++;
        }
    }
}

static void keeps_the_handles_of_what_stays(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *older = NULL, *token = NULL;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, sample.issuer.pem);
    older = sample_token();
    number(older, 1);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, NULL);
    token = sample_token();
    p11_token_inherit(token, older);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(token->objects[i].handle, older->objects[i].handle);
    }
    assert_ptr_equal(p11_token_object(token, 3), &token->objects[2]);
    assert_null(p11_token_object(token, older->objects[3].handle));
    assert_non_null(p11_token_object(older, older->objects[3].handle));
    assert_null(p11_token_object(token, 0));
}

static void gives_what_has_changed_no_old_handle(void **state)
{
    CLEANUP(p11_token_releasep) struct p11_token *older = NULL, *token = NULL;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.leaf.pem, sample.issuer.pem);
    older = sample_token();
    number(older, 1);
    files_write(GK_FILE_DEVICE, sample.newer_device, NULL);
    files_write(GK_FILE_CERTIFICATE, sample.newer_leaf.pem, sample.issuer.pem);
    token = sample_token();
    p11_token_inherit(token, older);
    for (size_t i = 0; i < token->count; i++) {
        assert_int_equal(token->objects[i].handle, i < 3 ? 0 : older->objects[i].handle);
    }
    assert_null(p11_token_object(token, 0));
}

static void lives_as_long_as_it_is_held(void **state)
{
    struct p11_token *token;

    (void)state;
    files_write(GK_FILE_DEVICE, sample.device, NULL);
    token = sample_token();
    assert_ptr_equal(p11_token_hold(token), token);
    p11_token_release(token);
    assert_int_equal(token->status, GK_OK);
    p11_token_release(token);
    p11_token_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(is_uninitialised_without_a_key, begin),
        cmocka_unit_test_setup(has_keys_before_there_is_a_certificate, begin),
        cmocka_unit_test_setup(takes_both_from_one_file_while_a_key_is_renewed, begin),
        cmocka_unit_test_setup(looks_at_no_third_file_where_two_fit, begin),
        cmocka_unit_test_setup(shows_a_certificate_of_another_key_as_what_it_is, begin),
        cmocka_unit_test_setup(keeps_the_keys_where_the_certificate_is_damaged, begin),
        cmocka_unit_test_setup(says_what_is_wrong_with_the_key, begin),
        cmocka_unit_test_setup(is_only_what_is_wrong_where_nothing_is_known, begin),
        cmocka_unit_test_setup(is_called_like_its_directory, begin),
        cmocka_unit_test_setup(sees_each_file_change, begin),
        cmocka_unit_test_setup(reads_again_what_could_not_be_read, begin),
        cmocka_unit_test_setup(keeps_the_handles_of_what_stays, begin),
        cmocka_unit_test_setup(gives_what_has_changed_no_old_handle, begin),
        cmocka_unit_test_setup(lives_as_long_as_it_is_held, begin),
    };

    return cmocka_run_group_tests(tests, sample_begin, sample_end);
}
