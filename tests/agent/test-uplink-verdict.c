/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a message by the hub's code, and for how long it is tried. */
#include "agent/service/uplink-verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR_MS 3600000

static void what_breaks_the_rules_is_not_sent_again(void **state)
{
    static const int codes[] = { 702, 746, 800, 1008, 1204, 1206, 1212, 1220, 1260, 1299 };
    const struct uplink_trial first = { .tries = 1 };

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        assert_int_equal(uplink_class_of(codes[i]), UPLINK_PERMANENT);
    }
    assert_true(uplink_gives_up(UPLINK_PERMANENT, &first));
}

static void what_may_be_allowed_tomorrow_is_tried_some_times(void **state)
{
    (void)state;
    assert_int_equal(uplink_class_of(1009), UPLINK_DOUBTFUL);
    assert_int_equal(uplink_class_of(723), UPLINK_DOUBTFUL);
    assert_false(uplink_gives_up(UPLINK_DOUBTFUL, &(struct uplink_trial){ .tries = 7 }));
    assert_true(uplink_gives_up(UPLINK_DOUBTFUL, &(struct uplink_trial){ .tries = 8 }));
    assert_false(
        uplink_gives_up(UPLINK_DOUBTFUL, &(struct uplink_trial){ .tries = 2, .others = true }));
    assert_true(
        uplink_gives_up(UPLINK_DOUBTFUL, &(struct uplink_trial){ .tries = 3, .others = true }));
}

static void an_ill_hub_is_waited_for(void **state)
{
    static const int codes[] = { 429, 500, 503, 1000, 1007, 1300, 199, 201, -1 };
    const struct uplink_trial all = { .tries = 100, .since_ms = HOUR_MS - 1 };

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        assert_int_equal(uplink_class_of(codes[i]), UPLINK_TEMPORARY);
    }
    assert_false(uplink_gives_up(UPLINK_TEMPORARY, &all));
    assert_true(uplink_gives_up(UPLINK_TEMPORARY,
                                &(struct uplink_trial){ .tries = 8, .since_ms = HOUR_MS }));
    assert_true(
        uplink_gives_up(UPLINK_TEMPORARY, &(struct uplink_trial){ .tries = 8, .others = true }));
}

/* Each cut falls on the message that is under way; that it is always the same says little. */
static void a_bad_link_is_no_fault_of_a_message(void **state)
{
    (void)state;
    assert_int_equal(uplink_class_of(0), UPLINK_SILENT);
    assert_false(uplink_gives_up(
        UPLINK_SILENT,
        &(struct uplink_trial){ .tries = 100, .others = true, .since_ms = HOUR_MS - 1 }));
    assert_true(
        uplink_gives_up(UPLINK_SILENT, &(struct uplink_trial){ .tries = 8, .since_ms = HOUR_MS }));
}

static void tries_grow_apart_to_a_minute(void **state)
{
    (void)state;
    assert_int_equal(uplink_backoff_ms(0), 1000);
    assert_int_equal(uplink_backoff_ms(1), 1000);
    assert_int_equal(uplink_backoff_ms(2), 2000);
    assert_int_equal(uplink_backoff_ms(6), 32000);
    assert_int_equal(uplink_backoff_ms(7), 60000);
    assert_int_equal(uplink_backoff_ms(UINT32_MAX), 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_breaks_the_rules_is_not_sent_again),
        cmocka_unit_test(what_may_be_allowed_tomorrow_is_tried_some_times),
        cmocka_unit_test(an_ill_hub_is_waited_for),
        cmocka_unit_test(a_bad_link_is_no_fault_of_a_message),
        cmocka_unit_test(tries_grow_apart_to_a_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
