/* SPDX-License-Identifier: Apache-2.0 */
/* What local programs hand over: taken apart as text, and joined again. */
#include "agent/enos/envelope.h"
#include "agent/enos/handed.h"
#include "agent/enos/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define POST "thing/measurepoint/post"
#define BATCH "thing/measurepoint/post/batch"
#define NOW 1795000000123

/* Takes it, and it must be so. */
static void takes_as(const char *rest, const char *payload, const char *body, const char *asked,
                     const char *members)
{
    CLEANUP(enos_handed_clear) struct enos_handed handed = { 0 };
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };

    if (enos_handed_parse(rest, payload, strlen(payload), false, NOW, &handed, &err) != GK_OK) {
        fail_msg("%s is refused: %s", payload, err.object);
    }
    text = strndup(handed.body, handed.size);
    assert_string_equal(text, body);
    assert_string_equal(handed.asked != NULL ? handed.asked : "none",
                        asked != NULL ? asked : "none");
    assert_string_equal(handed.members != NULL ? handed.members : "none",
                        members != NULL ? members : "none");
}

static void refuses(const char *rest, const char *payload, const char *words)
{
    struct enos_handed handed = { 0 };
    struct gk_error err = { 0 };

    assert_int_equal(enos_handed_parse(rest, payload, strlen(payload), false, NOW, &handed, &err),
                     GK_USAGE);
    if (strstr(err.object, words) == NULL) {
        fail_msg("%s: %s does not say %s", payload, err.object, words);
    }
    assert_null(handed.body);
}

static void gives_the_time_to_what_has_none(void **state)
{
    (void)state;
    takes_as(POST, "{\"measurepoints\":{\"a\":1}}",
             "{\"measurepoints\":{\"a\":1},\"time\":1795000000123}", NULL, NULL);
    takes_as(POST, "{\"time\":5}", "{\"time\":5}", NULL, NULL);
    takes_as(POST, " { } \n", "{ \"time\":1795000000123}", NULL, NULL);
    takes_as(POST, "{\"a\":{\"time\":1}}", "{\"a\":{\"time\":1},\"time\":1795000000123}", NULL,
             NULL);
    takes_as(POST, "{\"t\\u0069me\":5}", "{\"t\\u0069me\":5}", NULL, NULL);
    takes_as("thing/event/alarm/post", "{}", "{\"time\":1795000000123}", NULL, NULL);
    takes_as("thing/event/alarm", "{}", "{}", NULL, NULL);
    takes_as("thing/attribute/update", "{}", "{}", NULL, NULL);
    takes_as(
        BATCH, "[{\"x\":\"}],\\\"\"} ,{\"time\":7},{}, 5]",
        "[{\"x\":\"}],\\\"\",\"time\":1795000000123} ,{\"time\":7},{\"time\":1795000000123}, 5]",
        NULL, NULL);
    takes_as(BATCH, "[]", "[]", NULL, NULL);
}

static void leaves_numbers_as_they_are_written(void **state)
{
    (void)state;
    takes_as("thing/tag/x", "{\"a\":0.1,\"b\":1.10,\"c\":1E2,\"d\":-0.0}",
             "{\"a\":0.1,\"b\":1.10,\"c\":1E2,\"d\":-0.0}", NULL, NULL);
}

static void opens_an_envelope(void **state)
{
    (void)state;
    takes_as("thing/tag/query", "{\"id\":\"a7\",\"params\":{\"tags\":[]}}", "{\"tags\":[]}",
             "\"a7\"", NULL);
    takes_as(
        "thing/tag/query",
        "{\"params\" : [1] , \"id\" : 12 , \"version\":\"1.1\",\"method\":\"thing.tag.query\"}",
        "[1]", "12", NULL);
    takes_as(
        BATCH,
        "{\"skipInvalidMeasurepoints\":true,\"params\":[{\"time\":1}],\"x\" : { \"params\":2}}",
        "[{\"time\":1}]", NULL, "{\"skipInvalidMeasurepoints\":true,\"x\":{ \"params\":2}}");
    takes_as(POST, "{\"params\":{}}", "{\"time\":1795000000123}", NULL, NULL);
}

static void takes_the_bare_params_for_what_they_are(void **state)
{
    CLEANUP(enos_handed_clear) struct enos_handed handed = { 0 };
    const char *text = "{\"params\":{},\"id\":1}";

    (void)state;
    assert_int_equal(enos_handed_parse("thing/tag/x", text, strlen(text), true, NOW, &handed, NULL),
                     GK_OK);
    assert_int_equal(handed.size, strlen(text));
    assert_null(handed.asked);
}

static void refuses_what_the_hub_would(void **state)
{
    (void)state;
    refuses("thing/#", "{}", "topic");
    refuses("thing/service/a_reply", "{}", "topic");
    refuses(POST, "", "no JSON");
    refuses(POST, "{\"a\":", "no JSON");
    refuses(POST, "{} {}", "no JSON");
    refuses(POST, "{\"a\":1,\"a\":2}", "no JSON");
    refuses(POST, "5", "no JSON");
    refuses(POST, "{\"params\":5}", "params must be");
    refuses(POST, "{\"params\":{},\"id\":true}", "an id must be");
    refuses(POST, "{\"params\":{},\"id\":\"\"}", "an id must be");
    refuses(POST, "{\"params\":{},\"method\":\"thing.event.a.post\"}", "is not that of topic");
    refuses(POST, "{\"params\":{},\"method\":7}", "is not that of topic");
    refuses(POST, "{\"par\\u0061ms\":{}}", "without");
    refuses(POST, "{\"params\":{},\"m\\u0065thod\":\"x\"}", "is not that of topic");
    refuses(POST, "{\"params\":{},\"v\\u0065rsion\":\"x\"}", "without");
}

static void refuses_a_nul(void **state)
{
    struct enos_handed handed = { 0 };
    static const char text[] = "{\"a\":[1\0]}";

    (void)state;
    assert_int_equal(
        enos_handed_parse("thing/tag/x", text, sizeof(text) - 1, false, NOW, &handed, NULL),
        GK_USAGE);
    assert_int_equal(enos_handed_parse("thing/tag/x", NULL, 0, false, NOW, &handed, NULL),
                     GK_USAGE);
}

static void counts_the_envelope_to_the_size(void **state)
{
    CLEANUP(gk_freep) char *text = malloc(ENOS_MESSAGE_MAX + 16);
    struct enos_handed handed = { 0 };

    (void)state;
    assert_non_null(text);
    for (size_t size = ENOS_MESSAGE_MAX - 200; size <= ENOS_MESSAGE_MAX + 1; size++) {
        struct enos_envelope envelope = { 0 };
        const char *whole = NULL;
        size_t length = 0;

        memset(text, 'x', size);
        memcpy(text, "{\"a\":\"", 6);
        memcpy(text + size - 2, "\"}", 3);
        if (enos_handed_parse("thing/tag/x", text, size, false, NOW, &handed, NULL) != GK_OK) {
            assert_true(size > ENOS_MESSAGE_MAX - 120);
            continue;
        }
        assert_int_equal(enos_envelope_add(&envelope, handed.body, handed.size, NULL), GK_OK);
        assert_int_equal(enos_envelope_close(&envelope, "9223372036854775807", "thing/tag/x", false,
                                             handed.members, &whole, &length, NULL),
                         GK_OK);
        assert_true(length <= ENOS_MESSAGE_MAX);
        enos_envelope_clear(&envelope);
        enos_handed_clear(&handed);
    }
}

static void takes_raw_data_as_it_is(void **state)
{
    CLEANUP(enos_handed_clear) struct enos_handed handed = { 0 };

    (void)state;
    assert_int_equal(enos_handed_parse(ENOS_RAW_UP, " \0\xff", 3, false, NOW, &handed, NULL),
                     GK_OK);
    assert_true(handed.raw);
    assert_int_equal(handed.size, 3);
}

static void joins_messages_without_reading_them(void **state)
{
    CLEANUP(enos_envelope_clear) struct enos_envelope envelope = { 0 };
    const char *text = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(enos_envelope_add(&envelope, "{\"a\":1}", 7, NULL), GK_OK);
    assert_int_equal(enos_envelope_add(&envelope, "{}", 2, NULL), GK_OK);
    assert_int_equal(enos_envelope_close(&envelope, "12", BATCH, true,
                                         "{\"skipInvalidMeasurepoints\":true}", &text, &size, NULL),
                     GK_OK);
    assert_int_equal(size, strlen("{\"id\":\"12\",\"version\":\"1.0\",\"method\":"
                                  "\"thing.measurepoint.post.batch\",\"params\":[{\"a\":1},{}],"
                                  "\"skipInvalidMeasurepoints\":true}"));
    assert_memory_equal(text,
                        "{\"id\":\"12\",\"version\":\"1.0\",\"method\":"
                        "\"thing.measurepoint.post.batch\",\"params\":[{\"a\":1},{}],"
                        "\"skipInvalidMeasurepoints\":true}",
                        size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_time_to_what_has_none),
        cmocka_unit_test(leaves_numbers_as_they_are_written),
        cmocka_unit_test(opens_an_envelope),
        cmocka_unit_test(takes_the_bare_params_for_what_they_are),
        cmocka_unit_test(refuses_what_the_hub_would),
        cmocka_unit_test(refuses_a_nul),
        cmocka_unit_test(counts_the_envelope_to_the_size),
        cmocka_unit_test(takes_raw_data_as_it_is),
        cmocka_unit_test(joins_messages_without_reading_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
