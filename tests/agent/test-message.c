/* SPDX-License-Identifier: Apache-2.0 */
/* EnOS envelopes: what we write, and what we refuse to read. */
#include "agent/enos/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void writes_a_request(void **state)
{
    CLEANUP(json_freep) json_t *params = json_pack("{s:i}", "time", 7);
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };
    size_t size = 0;

    (void)state;
    assert_int_equal(
        enos_request_format("12", "thing/measurepoint/post", params, &text, &size, &err), GK_OK);
    assert_string_equal(text, "{\"id\":\"12\",\"version\":\"1.0\","
                              "\"method\":\"thing.measurepoint.post\",\"params\":{\"time\":7}}");
    assert_int_equal(size, strlen(text));
}

static void refuses_to_write_half_a_mebibyte(void **state)
{
    CLEANUP(gk_freep) char *blob = calloc(1, ENOS_MESSAGE_MAX + 1);
    CLEANUP(json_freep) json_t *params = NULL;
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };
    size_t size = 0;

    (void)state;
    memset(blob, 'x', ENOS_MESSAGE_MAX);
    params = json_pack("[s]", blob);
    assert_int_equal(enos_request_format("1", "thing/log/post", params, &text, &size, &err),
                     GK_USAGE);
    assert_null(text);
    assert_non_null(strstr(err.advice, "split"));
}

static void writes_a_reply_with_the_same_id(void **state)
{
    CLEANUP(json_freep) json_t *id = json_string("a7");
    CLEANUP(json_freep) json_t *number = json_integer(7);
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(gk_freep) char *second = NULL;
    CLEANUP(gk_freep) char *third = NULL;
    struct gk_error err = { 0 };
    size_t size = 0;

    (void)state;
    assert_int_equal(enos_reply_format(id, 200, NULL, NULL, &text, &size, &err), GK_OK);
    assert_string_equal(text, "{\"id\":\"a7\",\"code\":200,\"data\":{}}");
    assert_int_equal(enos_reply_format(number, 2001, NULL, "no", &second, &size, &err), GK_OK);
    assert_string_equal(second, "{\"id\":7,\"code\":2001,\"data\":{},\"message\":\"no\"}");
    assert_int_equal(enos_reply_format(NULL, 200, NULL, NULL, &third, &size, &err), GK_OK);
    assert_string_equal(third, "{\"code\":200,\"data\":{}}");
}

static void writes_a_reply_with_the_data_as_it_came(void **state)
{
    static const char written[] = "{\"a\": 0.1 }";
    const struct enos_text data = { written, strlen(written) };
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(gk_freep) char *none = NULL;
    struct gk_error err = { 0 };
    size_t size = 0;

    (void)state;
    assert_int_equal(enos_reply_format(NULL, 200, &data, "a \"b\"", &text, &size, &err), GK_OK);
    assert_string_equal(text, "{\"code\":200,\"data\":{\"a\": 0.1 },\"message\":\"a \\\"b\\\"\"}");
    assert_int_equal(size, strlen(text));
    assert_int_equal(enos_reply_format(NULL, 200,
                                       &(const struct enos_text){ written, ENOS_MESSAGE_MAX + 1 },
                                       NULL, &none, &size, &err),
                     GK_USAGE);
}

static void takes_the_space_out_of_a_text(void **state)
{
    static const char written[] = " { \"a b\\\" \" :\n[ 0.10 ,\t\" \\\\\" , 1 ]\r}";
    CLEANUP(gk_freep)
    char *compact = enos_text_compact(&(const struct enos_text){ written, strlen(written) });
    CLEANUP(gk_freep) char *nothing = enos_text_compact(&(const struct enos_text){ NULL, 0 });

    (void)state;
    assert_string_equal(compact, "{\"a b\\\" \":[0.10,\" \\\\\",1]}");
    assert_string_equal(nothing, "");
}

static void answers_only_200_or_from_2000(void **state)
{
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };
    size_t size = 0;

    (void)state;
    assert_true(enos_code_is_ours(200));
    assert_true(enos_code_is_ours(2000));
    assert_false(enos_code_is_ours(1999));
    assert_false(enos_code_is_ours(0));
    assert_false(enos_code_is_ours(-1));
    assert_int_equal(enos_reply_format(NULL, 500, NULL, NULL, &text, &size, &err), GK_USAGE);
}

static enum gk_status read_reply(const char *text, struct enos_reply *reply)
{
    struct gk_error err = { 0 };

    return enos_reply_parse(text, strlen(text), reply, &err);
}

static void reads_a_reply(void **state)
{
    struct enos_reply reply = { 0 };

    (void)state;
    assert_int_equal(read_reply("{\"id\":\"7\",\"code\":200,\"data\":{}}", &reply), GK_OK);
    assert_string_equal(reply.id, "7");
    assert_int_equal(reply.code, 200);
    assert_string_equal(reply.message, "");
    assert_non_null(reply.data);
    enos_reply_clear(&reply);
    assert_int_equal(read_reply("{\"id\":7,\"code\":1206,\"message\":\"bad\"}", &reply), GK_OK);
    assert_string_equal(reply.id, "7");
    assert_int_equal(reply.code, 1206);
    assert_string_equal(reply.message, "bad");
    assert_null(reply.data);
    enos_reply_clear(&reply);
}

static void refuses_replies_that_make_no_sense(void **state)
{
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "200",
        "{",
        "{\"id\":\"7\",\"code\":200} x",
        "{\"code\":200}",
        "{\"id\":\"7\"}",
        "{\"id\":\"7\",\"code\":\"200\"}",
        "{\"id\":\"\",\"code\":200}",
        "{\"id\":{},\"code\":200}",
        "{\"id\":\"7\",\"id\":\"8\",\"code\":200}",
        "{\"id\":\"7\",\"code\":99999999999999999999}",
        "{\"id\":\"7\",\"code\":200,\"message\":\"\xff\"}",
    };
    struct enos_reply reply = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        print_message("%s\n", texts[i]);
        assert_int_equal(read_reply(texts[i], &reply), GK_HUB_GARBLED);
        assert_null(reply.whole);
    }
}

static void refuses_a_bottomless_nest(void **state)
{
    CLEANUP(gk_freep) char *text = calloc(1, 200001);
    struct enos_reply reply = { 0 };

    (void)state;
    memset(text, '[', 200000);
    assert_int_equal(read_reply(text, &reply), GK_HUB_GARBLED);
}

static void reads_a_command(void **state)
{
    static const char text[] = "{\"id\":\"9\",\"version\":\"1.0\",\"method\":\"thing.service.x\","
                               "\"params\":{\"a\":1}}";
    struct enos_request request = { 0 };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(enos_request_parse(text, strlen(text), &request, &err), GK_OK);
    assert_string_equal(json_string_value(request.id), "9");
    assert_string_equal(request.method, "thing.service.x");
    assert_int_equal(json_object_size(request.params), 1);
    assert_int_equal(request.params_text.size, 7);
    assert_memory_equal(request.params_text.at, "{\"a\":1}", 7);
    enos_request_clear(&request);
    assert_int_equal(enos_request_parse("{}", 2, &request, &err), GK_OK);
    assert_null(request.id);
    assert_null(request.params);
    assert_null(request.params_text.at);
    enos_request_clear(&request);
}

static void refuses_commands_that_make_no_sense(void **state)
{
    static const char long_id[] =
        "{\"id\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}";
    struct enos_request request = { 0 };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(enos_request_parse("[1]", 3, &request, &err), GK_HUB_GARBLED);
    assert_int_equal(enos_request_parse("{\"id\":[]}", 9, &request, &err), GK_HUB_GARBLED);
    assert_int_equal(enos_request_parse(long_id, strlen(long_id), &request, &err), GK_HUB_GARBLED);
    assert_int_equal(enos_request_parse("", ENOS_MESSAGE_MAX + 1, &request, &err), GK_HUB_GARBLED);
    assert_int_equal(enos_request_parse("{\0}", 3, &request, &err), GK_HUB_GARBLED);
    assert_int_equal(enos_request_parse("{\"par\\u0061ms\":1}", 17, &request, &err),
                     GK_HUB_GARBLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_a_request),
        cmocka_unit_test(refuses_to_write_half_a_mebibyte),
        cmocka_unit_test(writes_a_reply_with_the_same_id),
        cmocka_unit_test(writes_a_reply_with_the_data_as_it_came),
        cmocka_unit_test(takes_the_space_out_of_a_text),
        cmocka_unit_test(answers_only_200_or_from_2000),
        cmocka_unit_test(reads_a_reply),
        cmocka_unit_test(refuses_replies_that_make_no_sense),
        cmocka_unit_test(refuses_a_bottomless_nest),
        cmocka_unit_test(reads_a_command),
        cmocka_unit_test(refuses_commands_that_make_no_sense),
    };

    return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
