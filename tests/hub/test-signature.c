/* SPDX-License-Identifier: Apache-2.0 */
/* The hub's signatures against EnOS's published examples and vectors computed from its rules. */
#include "tests/hub/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LONG_CID "test{ip=1.2.3.4,version=enos-mqtt-2.2.16,compress=DEFAULT}"

static void assert_connect(const char *method, const char *cid, const char *product_key,
                           const char *timestamp, const char *expected)
{
    char hex[HUB_SIGNATURE_SIZE];

    assert_true(hub_signature_connect(method, cid, "test", product_key, timestamp, "abcdefg", hex));
    assert_true(hub_signature_equal(hex, expected));
}

static void signs_the_published_connects(void **state)
{
    (void)state;
    assert_connect("sha256", "123456", "654321", "1548753362502",
                   "B99032D49C706F7B27B22AB5CD2DD3C56A31E1BCBBC83BA0A2A6BB3272FBB166");
    assert_connect("sha256", "123", "123", "1524448722000",
                   "A4F9AD91051E3CA89440E0157029DD358C3A2C556D3C543B9FD5A38484785AC9");
}

static void signs_a_client_id_with_braces_as_it_stands(void **state)
{
    (void)state;
    assert_connect("sha256", LONG_CID, "654321", "1548753362502",
                   "0CD61296422DC338F059D03BCBAD4E6E1FBFE2A208E9B92D637F98CB6883805B");
}

static void knows_the_old_methods_and_their_aliases(void **state)
{
    (void)state;
    assert_connect("sha1", "123456", "654321", "1548753362502",
                   "53D00561032C47B8555B768A08FDE176A6F0D267");
    assert_connect("hmacSha1", "123456", "654321", "1548753362502",
                   "53D00561032C47B8555B768A08FDE176A6F0D267");
    assert_connect("md5", "123456", "654321", "1548753362502", "B040B0189975E6704DBB2C217189FA3B");
    assert_connect("hmacmd5", "123456", "654321", "1548753362502",
                   "B040B0189975E6704DBB2C217189FA3B");
    assert_true(hub_signature_is_weak("hmacmd5"));
    assert_true(hub_signature_is_weak("SHA1"));
    assert_false(hub_signature_is_weak("hmacsha256"));
}

static void refuses_a_method_it_does_not_know(void **state)
{
    char hex[HUB_SIGNATURE_SIZE];

    (void)state;
    assert_false(hub_signature_connect("sha512", "1", "2", "3", "4", "5", hex));
    assert_false(hub_signature_connect("", "1", "2", "3", "4", "5", hex));
}

static void signs_a_token_request(void **state)
{
    char hex[HUB_SIGNATURE_SIZE];

    (void)state;
    assert_true(hub_signature_token("AK", "1572574909697", "SK", hex));
    assert_string_equal(hex, "a12f8decfcc0bcaf56a5b6d15c5b5b1d60a3d2740299dfc38f29be43e144b7a9");
}

static void assert_request(const char *action, const char *body, const char *expected)
{
    struct hub_parameter query[] = {
        { "action", action },
        { "orgId", "o1" },
        { "productKey", "pk1" },
        { "deviceKey", "dk1" },
    };
    char hex[HUB_SIGNATURE_SIZE];

    assert_true(
        hub_signature_request("TOK", query, 4, body, strlen(body), "1572574909697", "SK", hex));
    assert_string_equal(hex, expected);
}

static void signs_a_request_with_and_without_a_body(void **state)
{
    (void)state;
    assert_request("apply", "{\"csr\":\"X\",\"validDay\":365}",
                   "aaa94f216f71707fba3b4e03f167c1f0e43ec39655e6fb2b4918d92b192bf787");
    assert_request("list", "", "7ec9f32849682f62e8a3b3470fa8571330b463a3587f19707bfe9406d0ba2759");
}

/* The digest printed beside this published example does not follow from its inputs; this is the
 * rule's. */
static void signs_the_published_request_by_the_rule(void **state)
{
    struct hub_parameter query[] = { { "k3", "v3" }, { "k1", "v1" }, { "k2", "v2" } };
    const char *body = "{\n  \"count\": 20,\n  \"page\": 1,\n  \"desc\": \"description\"\n}";
    char hex[HUB_SIGNATURE_SIZE];

    (void)state;
    assert_true(hub_signature_request("xxxxaaaxxxx", query, 3, body, strlen(body), "1572574909697",
                                      "xxxappSecretxxx", hex));
    assert_string_equal(hex, "ad6dc6fc97f4290f3724e94eab38168d8613c41c3a4569b4b8b0efbce96a816c");
}

static void compares_whole_digests_in_any_case(void **state)
{
    (void)state;
    assert_true(hub_signature_equal("00abcdef", "00ABcdEF"));
    assert_false(hub_signature_equal("00abcdef", "00ABcdE"));
    assert_false(hub_signature_equal("00abcdef", "00ABcdEF0"));
    assert_false(hub_signature_equal("00abcdef", "10ABcdEF"));
    assert_false(hub_signature_equal("00abcdef", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_the_published_connects),
        cmocka_unit_test(signs_a_client_id_with_braces_as_it_stands),
        cmocka_unit_test(knows_the_old_methods_and_their_aliases),
        cmocka_unit_test(refuses_a_method_it_does_not_know),
        cmocka_unit_test(signs_a_token_request),
        cmocka_unit_test(signs_a_request_with_and_without_a_body),
        cmocka_unit_test(signs_the_published_request_by_the_rule),
        cmocka_unit_test(compares_whole_digests_in_any_case),
    };

    return cmocka_run_group_tests_name("signature", tests, NULL, NULL);
}
