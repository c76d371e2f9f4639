/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a CONNECT apart, and telling a device's own topics from all others. */
#include "tests/hub/connect.h"
#include "tests/hub/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void takes_a_client_id_apart(void **state)
{
    CLEANUP(hub_connect_clear) struct hub_connect c = { 0 };

    (void)state;
    assert_true(hub_connect_parse("123456|securemode=2,signmethod=sha256,timestamp=1548753362502|",
                                  "test&654321", &c));
    assert_string_equal(c.cid, "123456");
    assert_string_equal(c.secure_mode, "2");
    assert_string_equal(c.sign_method, "sha256");
    assert_string_equal(c.timestamp, "1548753362502");
    assert_string_equal(c.device_key, "test");
    assert_string_equal(c.product_key, "654321");
}

static void takes_any_order_blanks_and_unknown_parts(void **state)
{
    CLEANUP(hub_connect_clear) struct hub_connect c = { 0 };

    (void)state;
    assert_true(hub_connect_parse("a| timestamp=1.5 ,lang=C, signMethod=hmacsha256,x,securemode=3|",
                                  "a&b&c", &c));
    assert_string_equal(c.secure_mode, "3");
    assert_string_equal(c.sign_method, "hmacsha256");
    assert_string_equal(c.timestamp, "1.5");
    assert_string_equal(c.device_key, "a&b");
    assert_string_equal(c.product_key, "c");
}

static void keeps_braces_and_bars_of_the_cid(void **state)
{
    CLEANUP(hub_connect_clear) struct hub_connect c = { 0 };

    (void)state;
    assert_true(hub_connect_parse(
        "d{ip=1.2.3.4,version=x}|y|securemode=2,signmethod=md5,timestamp=|", "d&p", &c));
    assert_string_equal(c.cid, "d{ip=1.2.3.4,version=x}|y");
    assert_string_equal(c.timestamp, "");
}

static void refuses_what_it_cannot_take_apart(void **state)
{
    static const char *const ids[] = {
        "",
        "|",
        "||",
        "a",
        "a|",
        "a|securemode=2,signmethod=sha256,timestamp=1",
        "a|securemode=2|",
        "a|securemode,signmethod,timestamp|",
    };
    static const char *const users[] = { "", "a", "&", "a&", "&b" };
    struct hub_connect c = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_false(hub_connect_parse(ids[i], "a&b", &c));
    }
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        assert_false(
            hub_connect_parse("a|securemode=2,signmethod=sha256,timestamp=1|", users[i], &c));
    }
    assert_false(hub_connect_parse(NULL, "a&b", &c));
    assert_false(hub_connect_parse("a|securemode=2,signmethod=sha256,timestamp=1|", NULL, &c));
    assert_null(c.memory);
}

static void knows_a_devices_two_trees(void **state)
{
    const char *rest = NULL;

    (void)state;
    assert_int_equal(hub_topic_tree("/sys/p/d/thing/event/x/post", "p", "d", &rest), HUB_TREE_SYS);
    assert_string_equal(rest, "thing/event/x/post");
    assert_int_equal(hub_topic_tree("/ext/session/p/d/#", "p", "d", &rest), HUB_TREE_EXT);
    assert_string_equal(rest, "#");
}

static void takes_no_wildcard_for_a_key(void **state)
{
    static const char *const foreign[] = {
        "#",
        "/sys/#",
        "/sys/p/#",
        "/sys/+/d/x",
        "/sys/p/+/x",
        "/sys/p/d",
        "/sys/p/d/",
        "sys/p/d/x",
        "/sys/p/dd/x",
        "/sys/pp/d/x",
        "/sys/d/p/x",
        "/ext/p/d/x",
        "/ext/session/p",
        "",
        "/sys/p/d2/x",
    };
    const char *rest = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        assert_int_equal(hub_topic_tree(foreign[i], "p", "d", &rest), HUB_TREE_NONE);
    }
    assert_null(rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_client_id_apart),
        cmocka_unit_test(takes_any_order_blanks_and_unknown_parts),
        cmocka_unit_test(keeps_braces_and_bars_of_the_cid),
        cmocka_unit_test(refuses_what_it_cannot_take_apart),
        cmocka_unit_test(knows_a_devices_two_trees),
        cmocka_unit_test(takes_no_wildcard_for_a_key),
    };

    return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
