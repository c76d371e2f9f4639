/* SPDX-License-Identifier: Apache-2.0 */
/* EnOS's REST API: the published vectors, and replies that are not what they should be. */
#include "agent/enos/rest.h"

#include "cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define STAMP "1572574909697"

static const struct enos_parameter device[] = {
    { "action", "apply" }, { "orgId", "o1" }, { "productKey", "pk1" }, { "deviceKey", "dk1" }
};

static void encrypts_a_token_request_as_vector_r1(void **state)
{
    char hex[ENOS_HEX_SIZE];

    (void)state;
    assert_int_equal(enos_token_encrypt(NULL, "AK", STAMP, "SK", hex, NULL), GK_OK);
    assert_string_equal(hex, "a12f8decfcc0bcaf56a5b6d15c5b5b1d60a3d2740299dfc38f29be43e144b7a9");
}

static void signs_a_body_as_vector_r2(void **state)
{
    char hex[ENOS_HEX_SIZE];

    (void)state;
    assert_int_equal(enos_request_sign(NULL, "TOK", device, 4, "{\"csr\":\"X\",\"validDay\":365}",
                                       STAMP, "SK", hex, NULL),
                     GK_OK);
    assert_string_equal(hex, "aaa94f216f71707fba3b4e03f167c1f0e43ec39655e6fb2b4918d92b192bf787");
}

static void signs_without_a_body_as_vector_r3(void **state)
{
    struct enos_parameter list[4];
    char hex[ENOS_HEX_SIZE];

    (void)state;
    memcpy(list, device, sizeof(list));
    list[0].value = "list";
    assert_int_equal(enos_request_sign(NULL, "TOK", list, 4, NULL, STAMP, "SK", hex, NULL), GK_OK);
    assert_string_equal(hex, "7ec9f32849682f62e8a3b3470fa8571330b463a3587f19707bfe9406d0ba2759");
}

/* The digest that EnOS's page prints does not follow from its own inputs; this one does. */
static void signs_the_published_example_as_vector_r4(void **state)
{
    const struct enos_parameter query[] = { { "k3", "v3" }, { "k1", "v1" }, { "k2", "v2" } };
    char hex[ENOS_HEX_SIZE];

    (void)state;
    assert_int_equal(enos_request_sign(NULL, "xxxxaaaxxxx", query, 3,
                                       "{\n  \"count\": 20,\n  \"page\": 1,\n"
                                       "  \"desc\": \"description\"\n}",
                                       STAMP, "xxxappSecretxxx", hex, NULL),
                     GK_OK);
    assert_string_equal(hex, "ad6dc6fc97f4290f3724e94eab38168d8613c41c3a4569b4b8b0efbce96a816c");
}

static void writes_a_query_that_no_value_can_break(void **state)
{
    const struct enos_parameter query[] = { { "action", "get" },
                                            { "deviceKey", "a&b=c d/\xc3\xa4" } };
    char *text = enos_query_format(query, 2);

    (void)state;
    assert_string_equal(text, "action=get&deviceKey=a%26b%3Dc%20d%2F%C3%A4");
    free(text);
}

/* A reply as it came, and what it is taken for. */
static enum gk_status reply(long http, const char *body, json_t **data, bool *expired,
                            struct gk_error *err)
{
    *data = NULL;
    return enos_rest_reply_parse(http, body, strlen(body), data, expired, err);
}

static void takes_replies_of_both_services(void **state)
{
    struct gk_error err = { 0 };
    bool expired;
    json_t *data;

    (void)state;
    assert_int_equal(
        reply(200, "{\"code\":0,\"msg\":\"OK\",\"data\":{\"a\":1}}", &data, &expired, &err), GK_OK);
    assert_int_equal(json_integer_value(json_object_get(data, "a")), 1);
    json_decref(data);
    assert_int_equal(reply(200, "{\"status\":0,\"data\":[]}", &data, &expired, &err), GK_OK);
    json_decref(data);
    assert_int_equal(reply(200, "{\"stauts\":0}", &data, &expired, &err), GK_OK);
    assert_true(json_is_null(data));
    json_decref(data);
}

static void says_what_the_codes_mean(void **state)
{
    static const struct {
        long http;
        const char *body;
        enum gk_status status;
        bool expired;
    } cases[] = {
        { 200, "{\"code\":11404,\"msg\":\"no such device\"}", GK_HUB_REFUSED, false },
        { 200, "{\"code\":99400,\"msg\":\"Duplicate Subject\"}", GK_DUPLICATE_SUBJECT, false },
        { 400, "{\"code\":99400,\"msg\":\"invalid csr\"}", GK_HUB_REFUSED, false },
        { 200, "{\"code\":99403}", GK_HUB_CREDENTIALS, false },
        { 200, "{\"code\":11833,\"msg\":\"bound\"}", GK_BOUND_ELSEWHERE, false },
        { 200, "{\"code\":99400,\"msg\":\"Certificate is revoked, cannot be RENEWED\"}", GK_REVOKED,
          false },
        { 200, "{\"code\":99400,\"msg\":\"certificate has expired, cannot renew\"}", GK_EXPIRED,
          false },
        { 200, "{\"code\":99400,\"msg\":\"the certificate is revoked already\"}", GK_HUB_REFUSED,
          false },
        { 200, "{\"code\":99500,\"msg\":\"cannot renew what is revoked\"}", GK_HUB_REFUSED, false },
        { 200, "{\"status\":1002,\"msg\":\"appKey\"}", GK_HUB_CREDENTIALS, false },
        { 401, "{\"status\":1203,\"msg\":\"token\"}", GK_HUB_CREDENTIALS, true },
        { 401, "", GK_HUB_CREDENTIALS, true },
        { 403, "<html>", GK_HUB_CREDENTIALS, false },
        { 429, "", GK_THROTTLED, false },
        { 503, "busy", GK_UNREACHABLE, false },
        { 500, "", GK_HUB_REFUSED, false },
        { 302, "", GK_HUB_REFUSED, false },
    };
    struct gk_error err = { 0 };
    bool expired;
    json_t *data;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(reply(cases[i].http, cases[i].body, &data, &expired, &err),
                         cases[i].status);
        assert_int_equal(expired, cases[i].expired);
        assert_null(data);
    }
}

static void refuses_replies_that_are_none(void **state)
{
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "{}",
        "\"code\"",
        "{\"code\":\"0\"}",
        "{\"code\":0.0}",
        "{\"code\":0,\"code\":1}",
        "{\"code\":0}garbage",
        "\xff\xfe",
    };
    struct gk_error err = { 0 };
    json_t *data;

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_int_equal(reply(200, bodies[i], &data, NULL, &err), GK_HUB_GARBLED);
        assert_null(data);
    }
}

static void survives_a_reply_nested_without_end(void **state)
{
    struct gk_error err = { 0 };
    size_t size = 200000;
    char *body = malloc(size + 1);
    json_t *data = NULL;

    (void)state;
    memset(body, '[', size);
    body[size] = '\0';
    assert_int_equal(enos_rest_reply_parse(200, body, size, &data, NULL, &err), GK_HUB_GARBLED);
    free(body);
}

static void strips_the_hubs_words_of_what_a_terminal_obeys(void **state)
{
    struct gk_error err = { 0 };
    char clean[8];
    json_t *data;

    (void)state;
    assert_int_equal(
        reply(200, "{\"code\":99500,\"msg\":\"a\\u001b[31mb\\r\\nc\\u0007\\u009bd\\u007f\"}", &data,
              NULL, &err),
        GK_HUB_REFUSED);
    assert_string_equal(err.object, "code 99500: a[31mbcd");
    enos_text_clean("12345\xc3\xa4\xc3\xa4", clean, sizeof(clean));
    assert_string_equal(clean, "12345\xc3\xa4");
}

static void takes_a_token(void **state)
{
    struct gk_error err = { 0 };
    json_t *good = json_pack("{ss si}", "accessToken", "T", "expire", 7200);
    json_t *bad[] = { json_object(), json_pack("{si}", "accessToken", 1),
                      json_pack("{ss}", "accessToken", "a\r\nHost: b"), json_null() };
    char token[16];

    (void)state;
    assert_int_equal(enos_token_parse(good, token, sizeof(token), &err), GK_OK);
    assert_string_equal(token, "T");
    assert_int_equal(enos_token_parse(good, token, 1, &err), GK_HUB_GARBLED);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(enos_token_parse(bad[i], token, sizeof(token), &err), GK_HUB_GARBLED);
        json_decref(bad[i]);
    }
    json_decref(good);
}

static void takes_a_device(void **state)
{
    struct enos_device found;
    struct gk_error err = { 0 };
    json_t *good = json_pack("{ss ss ss ss sn}", "assetId", "A", "productKey", "P", "deviceKey",
                             "D", "deviceSecret", "S", "status");
    json_t *bad = json_pack("{si}", "assetId", 1);
    json_t *worse = json_pack("{ss}", "assetId", "A\x1b]0;B");
    json_t *worst = json_pack("{ss}", "assetId",
                              "A\xc2\x9b"
                              "2J");

    (void)state;
    assert_int_equal(enos_device_parse(good, &found, &err), GK_OK);
    assert_string_equal(found.device_secret, "S");
    assert_string_equal(found.status, "");
    assert_int_equal(enos_device_parse(bad, &found, &err), GK_HUB_GARBLED);
    assert_int_equal(enos_device_parse(worse, &found, &err), GK_HUB_GARBLED);
    assert_int_equal(enos_device_parse(worst, &found, &err), GK_HUB_GARBLED);
    assert_int_equal(enos_device_parse(json_null(), &found, &err), GK_HUB_GARBLED);
    json_decref(good);
    json_decref(bad);
    json_decref(worse);
    json_decref(worst);
}

static void takes_a_serial_in_every_spelling(void **state)
{
    struct enos_certificate c;
    struct gk_error err = { 0 };
    json_t *replies[] = {
        json_pack("{ss ss ss}", "cert", "C", "caCert", "I", "certSN", "32720"),
        json_pack("{ss ss ss}", "cert", "C", "caCert", "I", "certSn", "32720"),
        json_pack("{ss ss si}", "cert", "C", "caCert", "I", "certSN", 32720),
    };
    json_t *bad[] = {
        json_pack("{ss ss ss}", "cert", "C", "caCert", "I", "certSN", "-1"),
        json_pack("{ss ss ss}", "cert", "C", "caCert", "I", "certSN", ""),
        json_pack("{ss ss si}", "cert", "C", "caCert", "I", "certSN", 0),
        json_pack("{ss ss}", "cert", "C", "certSN", "1"),
        json_pack("{ss si ss}", "cert", "C", "caCert", 1, "certSN", "1"),
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(enos_certificate_parse(replies[i], &c, &err), GK_OK);
        assert_string_equal(c.serial, "32720");
        json_decref(replies[i]);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(enos_certificate_parse(bad[i], &c, &err), GK_HUB_GARBLED);
        json_decref(bad[i]);
    }
}

static void takes_the_chains_address_where_there_is_one(void **state)
{
    struct enos_certificate c;
    struct gk_error err = { 0 };
    json_t *reply = json_pack("{ss ss ss ss}", "cert", "C", "caCert", "I", "certSN", "1",
                              "certChainURL", "https://hub/enos/CA/cacert");

    (void)state;
    assert_int_equal(enos_certificate_parse(reply, &c, &err), GK_OK);
    assert_string_equal(c.chain_url, "https://hub/enos/CA/cacert");
    json_object_set_new(reply, "certChainURL", json_string("https://hub/\x1b[2J"));
    assert_int_equal(enos_certificate_parse(reply, &c, &err), GK_OK);
    assert_null(c.chain_url);
    json_object_del(reply, "certChainURL");
    assert_int_equal(enos_certificate_parse(reply, &c, &err), GK_OK);
    assert_null(c.chain_url);
    json_decref(reply);
}

static void takes_a_list_of_certificates(void **state)
{
    struct enos_record records[2];
    struct gk_error err = { 0 };
    size_t count = 9;
    json_t *list = json_pack("[{ss si} {si si}]", "certSN", "7", "certStatus", 0, "certSn", 8,
                             "certStatus", 1);

    (void)state;
    assert_int_equal(enos_list_parse(list, records, 2, &count, &err), GK_OK);
    assert_int_equal(count, 2);
    assert_string_equal(records[0].serial, "7");
    assert_true(records[0].valid);
    assert_string_equal(records[1].serial, "8");
    assert_false(records[1].valid);
    assert_true(records[1].revoked);
    assert_false(records[0].revoked);
    assert_int_equal(enos_list_parse(list, records, 1, &count, &err), GK_HUB_GARBLED);
    assert_int_equal(enos_list_parse(json_null(), records, 2, &count, &err), GK_HUB_GARBLED);
    json_object_clear(json_array_get(list, 0));
    assert_int_equal(enos_list_parse(list, records, 2, &count, &err), GK_HUB_GARBLED);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encrypts_a_token_request_as_vector_r1),
        cmocka_unit_test(signs_a_body_as_vector_r2),
        cmocka_unit_test(signs_without_a_body_as_vector_r3),
        cmocka_unit_test(signs_the_published_example_as_vector_r4),
        cmocka_unit_test(writes_a_query_that_no_value_can_break),
        cmocka_unit_test(takes_replies_of_both_services),
        cmocka_unit_test(says_what_the_codes_mean),
        cmocka_unit_test(refuses_replies_that_are_none),
        cmocka_unit_test(survives_a_reply_nested_without_end),
        cmocka_unit_test(strips_the_hubs_words_of_what_a_terminal_obeys),
        cmocka_unit_test(takes_a_token),
        cmocka_unit_test(takes_a_device),
        cmocka_unit_test(takes_a_serial_in_every_spelling),
        cmocka_unit_test(takes_the_chains_address_where_there_is_one),
        cmocka_unit_test(takes_a_list_of_certificates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
