/* SPDX-License-Identifier: Apache-2.0 */
/* A sentence that was written can be taken apart again. */
#include "agent/sentence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void every_status_comes_back_with_its_object(void **state)
{
    (void)state;
    for (int i = GK_OK + 1; i < GK_STATUS_COUNT; i++) {
        enum gk_status status = (enum gk_status)i;
        struct gk_error in = { 0 }, out = { 0 };
        char sentence[1024];

        gk_fail(&in, status, "an (odd) object");
        gk_error_sentence(&in, "do it", sentence, sizeof(sentence));
        assert_int_equal(agent_sentence_read(sentence, status, &out), status);
        assert_string_equal(out.object, "an (odd) object");
        assert_string_equal(out.advice, "");
    }
}

static void an_advice_of_its_own_comes_back(void **state)
{
    struct gk_error in = { 0 }, out = { 0 };
    char sentence[1024];

    (void)state;
    gk_fail_tpm(&in, GK_NO_TPM, 0x18b, "/dev/tpm9");
    gk_advise(&in, "plug it in");
    gk_error_sentence(&in, NULL, sentence, sizeof(sentence));
    assert_int_equal(agent_sentence_read(sentence, GK_NO_TPM, &out), GK_NO_TPM);
    assert_string_equal(out.object, "/dev/tpm9, TPM 0x18b");
    assert_string_equal(out.advice, "plug it in");
}

static void an_object_may_be_missing(void **state)
{
    struct gk_error in = { 0 }, out = { 0 };
    char sentence[1024];

    (void)state;
    gk_fail(&in, GK_NO_MEMORY, NULL);
    gk_error_sentence(&in, "do it", sentence, sizeof(sentence));
    assert_int_equal(agent_sentence_read(sentence, GK_NO_MEMORY, &out), GK_NO_MEMORY);
    assert_string_equal(out.object, "");
}

static void other_words_stay_as_they_are(void **state)
{
    struct gk_error out = { 0 };

    (void)state;
    assert_int_equal(agent_sentence_read("what?", GK_NO_TPM, &out), GK_NO_TPM);
    assert_string_equal(out.object, "what?");
}

static void statuses_are_known_by_their_names(void **state)
{
    (void)state;
    assert_int_equal(agent_status_of("GK_REVOKED"), GK_REVOKED);
    assert_int_equal(agent_status_of("GK_NOBODY"), GK_INTERNAL);
    assert_int_equal(agent_status_of(NULL), GK_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_comes_back_with_its_object),
        cmocka_unit_test(an_advice_of_its_own_comes_back),
        cmocka_unit_test(an_object_may_be_missing),
        cmocka_unit_test(other_words_stay_as_they_are),
        cmocka_unit_test(statuses_are_known_by_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
