/* SPDX-License-Identifier: Apache-2.0 */
/* What the verdicts on a clock come to, one look after the other. */
#include "tests/agent/noon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct story {
    struct agent_clock_mark mark;
    struct agent_clock_report report;
    struct agent_clock_look look;
    struct agent_clock_judgement found;
};

static enum agent_clock_news tell(struct story *story, enum agent_clock_verdict expected)
{
    enum agent_clock_news news;

    story->found = agent_clock_judge(&story->mark, &story->look, FLOOR_S, TOLERANCE_S);
    if (story->found.verdict != expected) {
        fail_msg("%s, and not %s: %s", agent_clock_verdict_name(story->found.verdict),
                 agent_clock_verdict_name(expected), story->found.sentence);
    }
    news = agent_clock_report(&story->report, &story->look, &story->found, TOLERANCE_S);
    story->mark = agent_clock_remember(&story->mark, &story->look, &story->found);
    return news;
}

static void pass(struct story *story, int64_t ms)
{
    story->look.wall_ms += ms;
    story->look.moment.since_boot_ms += ms;
    story->look.tpm.ms += (uint64_t)ms;
    story->look.tpm.up_ms += (uint64_t)ms;
}

static void start_again(struct story *story, int64_t off_ms)
{
    story->look.moment.boot[0]++;
    story->look.moment.since_boot_ms = S;
    story->look.wall_ms += off_ms;
    story->look.tpm.up_ms = S;
    story->look.tpm.resets++;
    story->look.synchronised = false;
}

static void a_step_is_told_once_and_can_be_undone(void **state)
{
    struct story story = { .mark = noon, .look = two_hours_later() };

    (void)state;
    assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_NO_NEWS);
    story.look.wall_ms += DAY;
    assert_int_equal(tell(&story, AGENT_CLOCK_FORWARD), AGENT_CLOCK_TAMPERED);
    assert_int_equal(story.report.seconds, DAY / S);
    assert_int_equal(story.report.at, (NOON + 2 * HOUR + DAY) / S);
    assert_string_equal(story.report.detail, story.found.sentence);
    pass(&story, HOUR);
    assert_int_equal(tell(&story, AGENT_CLOCK_FORWARD), AGENT_CLOCK_NO_NEWS);
    story.look.wall_ms += DAY; /* once more */
    assert_int_equal(tell(&story, AGENT_CLOCK_FORWARD), AGENT_CLOCK_TAMPERED);
    assert_int_equal(story.report.seconds, 2 * DAY / S);
    story.look.wall_ms -= 2 * DAY;
    assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_RIGHT_AGAIN);
    assert_false(story.report.stands);
    assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_NO_NEWS);
}

static void small_steps_add_up(void **state)
{
    struct story story = { .mark = noon, .look = two_hours_later() };

    (void)state;
    for (int i = 0; i < 3; i++) {
        story.look.wall_ms -= 20 * S;
        assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_NO_NEWS);
    }
    story.look.wall_ms -= 20 * S;
    assert_int_equal(tell(&story, AGENT_CLOCK_BACK), AGENT_CLOCK_TAMPERED);
}

/* NTP comes back after a month, and the oscillator was off by 50 millionths. */
static void drift_is_no_step(void **state)
{
    struct story story = { .mark = noon, .look = two_hours_later() };

    (void)state;
    for (int month = 0; month < 12; month++) {
        pass(&story, 30 * DAY);
        story.look.wall_ms += 30 * DAY / 1000000 * 50;
        assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_NO_NEWS);
    }
}

/* What was reported is not forgotten by switching off and on; a wrong clock is none to count from.
 */
static void a_restart_excuses_nothing(void **state)
{
    struct story story = { .mark = noon, .look = two_hours_later() };

    (void)state;
    story.look.wall_ms += 300 * DAY;
    assert_int_equal(tell(&story, AGENT_CLOCK_FORWARD), AGENT_CLOCK_TAMPERED);
    pass(&story, HOUR);
    assert_int_equal(tell(&story, AGENT_CLOCK_FORWARD), AGENT_CLOCK_NO_NEWS);
    assert_int_equal(story.mark.last_ms, NOON + 3 * HOUR);
    /* The right time is no step back from the wrong one. */
    start_again(&story, -300 * DAY + 60 * S);
    assert_int_equal(tell(&story, AGENT_CLOCK_UNPROVABLE), AGENT_CLOCK_NO_NEWS);
    assert_true(story.report.stands && story.report.held);
    pass(&story, HOUR);
    assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_NO_NEWS);
    assert_true(story.report.stands);
}

static void a_clock_that_went_back_is_right_once_it_is_set(void **state)
{
    struct story story = { .mark = noon, .look = two_hours_later() };

    (void)state;
    assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_NO_NEWS);
    start_again(&story, -HOUR);
    assert_int_equal(tell(&story, AGENT_CLOCK_WENT_BACK), AGENT_CLOCK_TAMPERED);
    pass(&story, HOUR / 2);
    assert_int_equal(tell(&story, AGENT_CLOCK_WENT_BACK), AGENT_CLOCK_NO_NEWS);
    story.look.wall_ms += HOUR;
    story.look.synchronised = true;
    assert_int_equal(tell(&story, AGENT_CLOCK_UNPROVABLE), AGENT_CLOCK_RIGHT_AGAIN);
    story.look.wall_ms += DAY;
    assert_int_equal(tell(&story, AGENT_CLOCK_FORWARD), AGENT_CLOCK_TAMPERED);
}

static void without_a_battery_it_is_set_once_in_each_boot(void **state)
{
    struct story story = { .mark = noon, .look = two_hours_later() };

    (void)state;
    story.look.has_battery = false;
    for (int boot = 0; boot < 3; boot++) {
        int64_t right = story.look.wall_ms + HOUR;

        start_again(&story, HOUR - right);
        assert_int_equal(tell(&story, AGENT_CLOCK_UNSET), AGENT_CLOCK_NO_NEWS);
        /* Once more, before anybody sets it. */
        start_again(&story, -60 * S);
        assert_int_equal(tell(&story, AGENT_CLOCK_UNSET), AGENT_CLOCK_NO_NEWS);
        pass(&story, 30 * S);
        assert_int_equal(tell(&story, AGENT_CLOCK_UNSET), AGENT_CLOCK_NO_NEWS);
        story.look.wall_ms = right;
        story.look.synchronised = true;
        assert_int_equal(tell(&story, AGENT_CLOCK_FIRST_SET), AGENT_CLOCK_NO_NEWS);
        story.look.wall_ms += 2 * HOUR;
        story.look.synchronised = false;
        assert_int_equal(tell(&story, AGENT_CLOCK_FORWARD), AGENT_CLOCK_TAMPERED);
        story.look.wall_ms -= 2 * HOUR;
        assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_RIGHT_AGAIN);
    }
}

static void a_first_setting_by_hand_is_the_only_one(void **state)
{
    struct story story = { .mark = noon, .look = two_hours_later() };

    (void)state;
    start_again(&story, HOUR);
    assert_int_equal(tell(&story, AGENT_CLOCK_UNPROVABLE), AGENT_CLOCK_NO_NEWS);
    story.look.wall_ms += HOUR;
    assert_int_equal(tell(&story, AGENT_CLOCK_FIRST_SET), AGENT_CLOCK_NO_NEWS);
    story.look.wall_ms += HOUR;
    assert_int_equal(tell(&story, AGENT_CLOCK_FORWARD), AGENT_CLOCK_TAMPERED);
}

static void the_last_right_time_outlives_boots_without_one(void **state)
{
    struct story story = { .mark = noon, .look = two_hours_later() };
    int64_t right = NOON + 2 * HOUR;

    (void)state;
    story.look.has_battery = false;
    assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_NO_NEWS);
    for (int boot = 0; boot < 3; boot++) {
        start_again(&story, HOUR - story.look.wall_ms);
        assert_int_equal(tell(&story, AGENT_CLOCK_UNSET), AGENT_CLOCK_NO_NEWS);
    }
    story.look.wall_ms = right - HOUR;
    assert_int_equal(tell(&story, AGENT_CLOCK_WENT_BACK), AGENT_CLOCK_TAMPERED);
    story.look.wall_ms = right + HOUR;
    assert_int_equal(tell(&story, AGENT_CLOCK_FIRST_SET), AGENT_CLOCK_RIGHT_AGAIN);
}

/* A hardware clock that was set to local time: hours ahead until NTP corrects it. */
static void a_hardware_clock_ahead_is_corrected_in_each_boot(void **state)
{
    struct story story = { .mark = noon, .look = two_hours_later() };

    (void)state;
    for (int boot = 0; boot < 3; boot++) {
        start_again(&story, 9 * HOUR);
        assert_int_equal(tell(&story, AGENT_CLOCK_UNPROVABLE), AGENT_CLOCK_NO_NEWS);
        pass(&story, 60 * S);
        story.look.wall_ms -= 8 * HOUR;
        story.look.synchronised = true;
        assert_int_equal(tell(&story, AGENT_CLOCK_FIRST_SET), AGENT_CLOCK_NO_NEWS);
        pass(&story, HOUR);
        assert_int_equal(tell(&story, AGENT_CLOCK_RIGHT), AGENT_CLOCK_NO_NEWS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_told_once_and_can_be_undone),
        cmocka_unit_test(small_steps_add_up),
        cmocka_unit_test(drift_is_no_step),
        cmocka_unit_test(a_restart_excuses_nothing),
        cmocka_unit_test(a_clock_that_went_back_is_right_once_it_is_set),
        cmocka_unit_test(without_a_battery_it_is_set_once_in_each_boot),
        cmocka_unit_test(a_first_setting_by_hand_is_the_only_one),
        cmocka_unit_test(the_last_right_time_outlives_boots_without_one),
        cmocka_unit_test(a_hardware_clock_ahead_is_corrected_in_each_boot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
