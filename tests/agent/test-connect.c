/* SPDX-License-Identifier: Apache-2.0 */
/* The EnOS CONNECT: five published and computed vectors, and names that must not reach a topic. */
#include "agent/enos/connect.h"

#include "cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct vector {
    const char *name;
    struct enos_connect_input input;
    const char *password;
} vectors[] = {
    { "C1",
      { ENOS_STATIC, "sha256", "123456", "test", "654321", "1548753362502", "abcdefg" },
      "B99032D49C706F7B27B22AB5CD2DD3C56A31E1BCBBC83BA0A2A6BB3272FBB166" },
    { "C2",
      { ENOS_DYNAMIC, "sha256", "123", "test", "123", "1524448722000", "abcdefg" },
      "A4F9AD91051E3CA89440E0157029DD358C3A2C556D3C543B9FD5A38484785AC9" },
    { "C3",
      { ENOS_STATIC, "sha256", "test{ip=1.2.3.4,version=enos-mqtt-2.2.16,compress=DEFAULT}", "test",
        "654321", "1548753362502", "abcdefg" },
      "0CD61296422DC338F059D03BCBAD4E6E1FBFE2A208E9B92D637F98CB6883805B" },
    { "C4",
      { ENOS_STATIC, "sha1", "123456", "test", "654321", "1548753362502", "abcdefg" },
      "53D00561032C47B8555B768A08FDE176A6F0D267" },
    { "C5",
      { ENOS_STATIC, "md5", "123456", "test", "654321", "1548753362502", "abcdefg" },
      "B040B0189975E6704DBB2C217189FA3B" },
};

static void signs_every_vector(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct enos_connect connect;
        struct gk_error err = { 0 };

        print_message("%s\n", vectors[i].name);
        assert_int_equal(enos_connect_sign(NULL, NULL, &vectors[i].input, &connect, &err), GK_OK);
        assert_string_equal(connect.password, vectors[i].password);
    }
}

static void spells_client_id_and_user_name(void **state)
{
    struct enos_connect connect;
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(enos_connect_sign(NULL, NULL, &vectors[0].input, &connect, &err), GK_OK);
    assert_string_equal(connect.client_id,
                        "123456|securemode=2,signmethod=sha256,timestamp=1548753362502|");
    assert_string_equal(connect.user_name, "test&654321");
    assert_int_equal(enos_connect_sign(NULL, NULL, &vectors[1].input, &connect, &err), GK_OK);
    assert_string_equal(connect.client_id,
                        "123|securemode=3,signmethod=sha256,timestamp=1524448722000|");
    enos_connect_clear(&connect);
    assert_string_equal(connect.password, "");
}

static void refuses_names_that_break_out_of_a_topic(void **state)
{
    static const char *const names[] = { "",    "a/b",  "a+",   "#",    "a|b",     "a&b",
                                         "a b", "a\nb", "a\"b", "a\\b", "\x80\xff" };
    char long_name[ENOS_NAME_MAX + 2];
    char topic[ENOS_TOPIC_MAX];

    (void)state;
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_false(enos_name_is_valid(NULL));
    assert_false(enos_name_is_valid(long_name));
    assert_true(enos_name_is_valid(long_name + 1));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct enos_connect_input input = vectors[0].input;
        struct enos_connect connect;
        struct gk_error err = { 0 };

        assert_false(enos_name_is_valid(names[i]));
        assert_false(enos_topic("pk", names[i], "thing", topic));
        input.device_key = names[i];
        assert_int_equal(enos_connect_sign(NULL, NULL, &input, &connect, &err), GK_BAD_CONFIG);
    }
}

static void refuses_a_bar_in_the_client_id(void **state)
{
    struct enos_connect_input input = vectors[0].input;
    struct enos_connect connect;
    struct gk_error err = { 0 };

    (void)state;
    input.cid = "a|securemode=3";
    assert_int_equal(enos_connect_sign(NULL, NULL, &input, &connect, &err), GK_BAD_CONFIG);
}

static void says_which_hash_is_missing(void **state)
{
    struct enos_connect_input input = vectors[0].input;
    struct enos_connect connect;
    struct gk_error err = { 0 };

    (void)state;
    input.method = "crc32";
    assert_int_equal(enos_connect_sign(NULL, NULL, &input, &connect, &err), GK_CRYPTO_FAILED);
    assert_non_null(strstr(err.object, "crc32"));
}

static void spells_topics_and_takes_them_apart(void **state)
{
    char topic[ENOS_TOPIC_MAX];

    (void)state;
    assert_true(enos_topic("pk", "dk", "thing/measurepoint/post", topic));
    assert_string_equal(topic, "/sys/pk/dk/thing/measurepoint/post");
    assert_string_equal(enos_topic_rest("pk", "dk", topic), "thing/measurepoint/post");
    assert_null(enos_topic_rest("pk", "d", topic));
    assert_null(enos_topic_rest("pk", "dk2", topic));
    assert_true(enos_session_topic("pk", "dk", "thing/activate/info", topic));
    assert_string_equal(topic, "/ext/session/pk/dk/thing/activate/info");
}

static void knows_a_command_from_our_own_reply(void **state)
{
    (void)state;
    assert_string_equal(enos_service_of("thing/service/reboot"), "reboot");
    assert_string_equal(enos_service_of("thing/service/measurepoint/set"), "measurepoint/set");
    assert_null(enos_service_of("thing/service/reboot_reply"));
    assert_null(enos_service_of("thing/service/"));
    assert_null(enos_service_of("thing/service//x"));
    assert_null(enos_service_of("thing/service/a b"));
    assert_null(enos_service_of("thing/event/x/post"));
}

static void lets_applications_publish_requests_only(void **state)
{
    (void)state;
    assert_true(enos_rest_is_publishable("thing/measurepoint/post"));
    assert_true(enos_rest_is_publishable("thing/event/over_heat/post"));
    assert_false(enos_rest_is_publishable("thing/service/reboot_reply"));
    assert_false(enos_rest_is_publishable("thing/+/post"));
    assert_false(enos_rest_is_publishable("#"));
    assert_false(enos_rest_is_publishable("/thing"));
    assert_false(enos_rest_is_publishable("thing/"));
    assert_false(enos_rest_is_publishable(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_every_vector),
        cmocka_unit_test(spells_client_id_and_user_name),
        cmocka_unit_test(refuses_names_that_break_out_of_a_topic),
        cmocka_unit_test(refuses_a_bar_in_the_client_id),
        cmocka_unit_test(says_which_hash_is_missing),
        cmocka_unit_test(spells_topics_and_takes_them_apart),
        cmocka_unit_test(knows_a_command_from_our_own_reply),
        cmocka_unit_test(lets_applications_publish_requests_only),
    };

    return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
