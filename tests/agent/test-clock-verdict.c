/* SPDX-License-Identifier: Apache-2.0 */
/* Every case of what a clock may have done, and that none is taken for another. */
#include "tests/agent/noon.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The machine started again an hour ago, its TPM with it. */
static struct agent_clock_look after_power_off(bool orderly)
{
    struct agent_clock_look look = two_hours_later();

    look.moment = (struct agent_moment){ 1 * HOUR, ELSEWHERE };
    look.tpm = (struct gk_clock){ .ms = (orderly ? 90 * DAY : 90 * DAY - 20 * 60 * S) + HOUR,
                                  .up_ms = HOUR,
                                  .resets = 8,
                                  .safe = orderly };
    return look;
}

/* Only the machine did: its TPM kept its power. */
static struct agent_clock_look after_soft_reboot(void)
{
    struct agent_clock_look look = two_hours_later();

    look.moment = (struct agent_moment){ 1 * HOUR, ELSEWHERE };
    return look;
}

/* A TPM that began anew half an hour ago, in the same machine that runs on. */
static void clear_tpm(struct agent_clock_look *look)
{
    look->tpm.ms = HOUR / 2;
    look->tpm.resets = 0;
    look->tpm.restarts = 0;
    look->tpm.safe = true;
}

static struct agent_clock_mark at_noon_but_never_set(void)
{
    struct agent_clock_mark mark = noon;

    mark.settled = false;
    return mark;
}

/* Without a battery: it started in 1970 and nothing has set it yet. */
static struct agent_clock_mark in_1970(void)
{
    struct agent_clock_mark mark = at_noon_but_never_set();

    mark.wall_ms = 10 * HOUR;
    mark.last_ms = 10 * HOUR;
    return mark;
}

struct outcome {
    enum agent_clock_verdict verdict;
    enum agent_clock_tpm tpm;
    int64_t off_ms;
    const char *says;
};

/* Which mark and look, how far the wall clock is moved from there, and what comes of it. */
struct row {
    const char *title;
    enum { NOTHING, NOON_SET, NOON_UNSET, JANUARY_1970 } mark;
    enum { RUNNING, ORDERLY, UNORDERLY, SOFT } look;
    int64_t moved_ms;
    enum { SYNCHRONISED = 0, UNSYNCHRONISED = 1, NO_BATTERY = 2, CLEARED = 4, NO_TPM = 8 } how;
    struct outcome outcome;
};

#define BARE (UNSYNCHRONISED | NO_BATTERY)
#define TO_1970(ms) ((ms) - (NOON + 2 * HOUR))

/* clang-format off */
static const struct row rows[] = {
    { "first start", NOTHING, RUNNING, 0, 0,
      { AGENT_CLOCK_NEW, AGENT_TPM_UNKNOWN, 0, "nothing was known" } },

    /* while it runs, and across a restart of the service: the time since boot is the witness */
    { "nothing happened", NOON_SET, RUNNING, 0, 0,
      { AGENT_CLOCK_RIGHT, AGENT_TPM_RAN, 0, "went on as the time since boot did" } },
    { "slewed, a leap second", NOON_SET, RUNNING, -S, 0,
      { AGENT_CLOCK_RIGHT, AGENT_TPM_RAN, -S, "time since boot" } },
    { "just tolerated", NOON_SET, RUNNING, 60 * S, 0,
      { AGENT_CLOCK_RIGHT, AGENT_TPM_RAN, 60 * S, "time since boot" } },
    { "step forward", NOON_SET, RUNNING, 62 * S, 0,
      { AGENT_CLOCK_FORWARD, AGENT_TPM_RAN, 62 * S,
        "set forward by 62 s: it stands at 2028-01-01T14:01:02Z, and by the time since boot "
        "it is 2028-01-01T14:00:00Z" } },
    { "step back", NOON_SET, RUNNING, -HOUR, 0,
      { AGENT_CLOCK_BACK, AGENT_TPM_RAN, -HOUR, "set back by 3600 s" } },
    { "step back while not synchronised any more", NOON_SET, RUNNING, -HOUR, BARE,
      { AGENT_CLOCK_BACK, AGENT_TPM_RAN, -HOUR, "set back by 3600 s" } },
    { "step back to before the floor", NOON_SET, RUNNING, -40 * DAY, 0,
      { AGENT_CLOCK_BACK, AGENT_TPM_RAN, -40 * DAY, "set back by 3456000 s" } },
    { "nothing happened, TPM cleared", NOON_SET, RUNNING, 0, CLEARED,
      { AGENT_CLOCK_RIGHT, AGENT_TPM_CLEARED, 0, "time since boot" } },
    { "step forward, TPM cleared", NOON_SET, RUNNING, HOUR, CLEARED,
      { AGENT_CLOCK_FORWARD, AGENT_TPM_CLEARED, HOUR, "time since boot" } },
    { "step forward, no TPM", NOON_SET, RUNNING, HOUR, NO_TPM,
      { AGENT_CLOCK_FORWARD, AGENT_TPM_UNKNOWN, HOUR, "time since boot" } },

    /* first settings */
    { "first setting forward", NOON_UNSET, RUNNING, 400 * DAY, 0,
      { AGENT_CLOCK_FIRST_SET, AGENT_TPM_RAN, 400 * DAY,
        "first time since the machine started, from 2028-01-01T14:00:00Z to 2029-02-04" } },
    { "first setting back", NOON_UNSET, RUNNING, -HOUR, 0,
      { AGENT_CLOCK_FIRST_SET, AGENT_TPM_RAN, -HOUR, "first time" } },
    { "first setting by hand", NOON_UNSET, RUNNING, HOUR, UNSYNCHRONISED,
      { AGENT_CLOCK_FIRST_SET, AGENT_TPM_RAN, HOUR, "first time" } },
    { "first setting to a time that was over before", NOON_UNSET, RUNNING, -5 * DAY, 0,
      { AGENT_CLOCK_WENT_BACK, AGENT_TPM_RAN, -3 * DAY + 2 * HOUR, "stood at 2027-12-30T12:00" } },
    { "1970, not set", JANUARY_1970, RUNNING, TO_1970(12 * HOUR), BARE,
      { AGENT_CLOCK_UNSET, AGENT_TPM_RAN, 12 * HOUR - FLOOR_S * S,
        "stands at 1970-01-01T12:00:00Z, before 2027-12-02T12:00:00Z, and was not set" } },
    { "1970, set", JANUARY_1970, RUNNING, 0, NO_BATTERY,
      { AGENT_CLOCK_FIRST_SET, AGENT_TPM_RAN, NOON - 10 * HOUR, "from 1970-01-01T12:00:00Z" } },
    { "1970, set wrong", JANUARY_1970, RUNNING, -1000 * DAY, BARE,
      { AGENT_CLOCK_WENT_BACK, AGENT_TPM_RAN, -998 * DAY + 2 * HOUR, "went back" } },

    /* the machine started again, and its TPM did not: the TPM's clock is the witness */
    { "soft reboot", NOON_SET, SOFT, 0, 0,
      { AGENT_CLOCK_RIGHT, AGENT_TPM_RAN, 0, "went on as the TPM's clock did" } },
    { "soft reboot, within 15 %", NOON_SET, SOFT, 18 * 60 * S, 0,
      { AGENT_CLOCK_RIGHT, AGENT_TPM_RAN, 18 * 60 * S, "the TPM's clock" } },
    { "soft reboot, forward", NOON_SET, SOFT, 20 * 60 * S, 0,
      { AGENT_CLOCK_FORWARD, AGENT_TPM_RAN, 20 * 60 * S,
        "by the TPM's clock it is 2028-01-01T14:00" } },
    { "soft reboot, back", NOON_SET, SOFT, -20 * 60 * S, 0,
      { AGENT_CLOCK_BACK, AGENT_TPM_RAN, -20 * 60 * S, "set back by 1200 s" } },
    { "soft reboot, back, on battery", NOON_SET, SOFT, -HOUR, UNSYNCHRONISED,
      { AGENT_CLOCK_BACK, AGENT_TPM_RAN, -HOUR, "set back" } },
    { "soft reboot, forward, on battery, never set", NOON_UNSET, SOFT, HOUR, UNSYNCHRONISED,
      { AGENT_CLOCK_FORWARD, AGENT_TPM_RAN, HOUR, "by the TPM's clock" } },
    { "soft reboot without battery", NOON_SET, SOFT, -HOUR, BARE,
      { AGENT_CLOCK_UNSET, AGENT_TPM_RAN, -HOUR, "was not set" } },
    { "soft reboot of a clock never set", JANUARY_1970, SOFT, 0, NO_BATTERY,
      { AGENT_CLOCK_UNPROVABLE, AGENT_TPM_RAN, 0, "it had not been set before" } },

    /* power-off: nothing counts the time */
    { "orderly power-off", NOON_SET, ORDERLY, 0, 0,
      { AGENT_CLOCK_UNPROVABLE, AGENT_TPM_OFF, 0, "the TPM's clock stood still as well" } },
    { "unorderly power-off", NOON_SET, UNORDERLY, 0, 0,
      { AGENT_CLOCK_UNPROVABLE, AGENT_TPM_UNSAFE, 0, "without a shutdown" } },
    { "a year on the shelf, or forward", NOON_SET, ORDERLY, 366 * DAY, 0,
      { AGENT_CLOCK_UNPROVABLE, AGENT_TPM_OFF, 0, "more cannot be proved" } },
    { "power-off, TPM cleared", NOON_SET, ORDERLY, 0, CLEARED,
      { AGENT_CLOCK_UNPROVABLE, AGENT_TPM_CLEARED, 0, "the TPM was cleared" } },
    { "power-off, no TPM", NOON_SET, ORDERLY, 0, NO_TPM,
      { AGENT_CLOCK_UNPROVABLE, AGENT_TPM_UNKNOWN, 0, "is not known" } },
    { "orderly power-off, back", NOON_SET, ORDERLY, -3 * HOUR, 0,
      { AGENT_CLOCK_WENT_BACK, AGENT_TPM_OFF, -HOUR,
        "went back by 3600 s while the machine was off: it stands at 2028-01-01T11:00:00Z, "
        "and stood at 2028-01-01T12:00:00Z before" } },
    { "unorderly power-off, back", NOON_SET, UNORDERLY, -3 * HOUR, 0,
      { AGENT_CLOCK_WENT_BACK, AGENT_TPM_UNSAFE, -HOUR, "went back" } },
    { "power-off, TPM cleared, back", NOON_SET, ORDERLY, -3 * HOUR, CLEARED,
      { AGENT_CLOCK_WENT_BACK, AGENT_TPM_CLEARED, -HOUR, "went back" } },
    { "power-off, back, on battery", NOON_SET, ORDERLY, -3 * HOUR, UNSYNCHRONISED,
      { AGENT_CLOCK_WENT_BACK, AGENT_TPM_OFF, -HOUR, "went back" } },
    { "power-off, back, within tolerance", NOON_SET, ORDERLY, -2 * HOUR - 60 * S, 0,
      { AGENT_CLOCK_UNPROVABLE, AGENT_TPM_OFF, 0, "did not go back" } },
    { "power-off without battery, a little back", NOON_SET, UNORDERLY, -3 * HOUR, BARE,
      { AGENT_CLOCK_UNSET, AGENT_TPM_UNSAFE, -HOUR, "was not set" } },
    { "power-off without battery, 1970", NOON_SET, UNORDERLY, TO_1970(HOUR), BARE,
      { AGENT_CLOCK_UNSET, AGENT_TPM_UNSAFE, HOUR - NOON, "1970-01-01T01:00:00Z" } },
    { "power-off in 1970, 1970 again", JANUARY_1970, UNORDERLY, TO_1970(HOUR), BARE,
      { AGENT_CLOCK_UNSET, AGENT_TPM_UNSAFE, HOUR - NOON + 2 * DAY, "1970-01-01T01:00:00Z" } },
    { "power-off, 1970, and believed to be set", NOON_SET, ORDERLY, TO_1970(HOUR), NO_BATTERY,
      { AGENT_CLOCK_WENT_BACK, AGENT_TPM_OFF, HOUR - NOON, "went back" } },

    /* the floor alone */
    { "first start before the floor", NOTHING, RUNNING, -31 * DAY, 0,
      { AGENT_CLOCK_BEFORE_FLOOR, AGENT_TPM_UNKNOWN, -DAY + 2 * HOUR,
        "before 2027-12-02T12:00:00Z, which has certainly passed" } },
    { "first start before the floor, empty battery", NOTHING, RUNNING, -31 * DAY, UNSYNCHRONISED,
      { AGENT_CLOCK_UNSET, AGENT_TPM_UNKNOWN, -DAY + 2 * HOUR, "was not set" } },
};
/* clang-format on */

static struct agent_clock_mark mark_of(const struct row *row)
{
    switch (row->mark) {
    case NOTHING:
        break;
    case NOON_SET:
        return noon;
    case NOON_UNSET:
        return at_noon_but_never_set();
    case JANUARY_1970:
        return in_1970();
    }
    return (struct agent_clock_mark){ .known = false };
}

static struct agent_clock_look look_of(const struct row *row)
{
    struct agent_clock_look look = row->look == RUNNING ? two_hours_later()
                                   : row->look == SOFT  ? after_soft_reboot()
                                                        : after_power_off(row->look == ORDERLY);

    look.wall_ms += row->moved_ms;
    look.synchronised = (row->how & UNSYNCHRONISED) == 0;
    look.has_battery = (row->how & NO_BATTERY) == 0;
    look.has_tpm = (row->how & NO_TPM) == 0;
    if ((row->how & CLEARED) != 0) {
        clear_tpm(&look);
    }
    return look;
}

static void no_case_is_taken_for_another(void **state)
{
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct agent_clock_mark mark = mark_of(row);
        struct agent_clock_look look = look_of(row);
        struct agent_clock_judgement found = agent_clock_judge(&mark, &look, FLOOR_S, TOLERANCE_S);

        if (found.verdict != row->outcome.verdict || found.tpm != row->outcome.tpm ||
            found.off_ms != row->outcome.off_ms ||
            strstr(found.sentence, row->outcome.says) == NULL) {
            printf("%s: %s, TPM %s, off by %" PRId64 " s: %s\n", row->title,
                   agent_clock_verdict_name(found.verdict), agent_clock_tpm_name(found.tpm),
                   found.off_ms / S, found.sentence);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* --- what the TPM went through --------------------------------------------------------------- */

static enum agent_clock_tpm tpm_after(struct gk_clock now)
{
    struct agent_clock_look look = after_power_off(true);

    look.tpm = now;
    return agent_clock_judge(&noon, &look, FLOOR_S, TOLERANCE_S).tpm;
}

static void tells_what_the_tpm_went_through(void **state)
{
    (void)state;
    assert_int_equal(tpm_after((struct gk_clock){ 91 * DAY, 34 * HOUR, 7, 0, true }),
                     AGENT_TPM_RAN);
    /* Not safe is about what was before: since the mark it has run. */
    assert_int_equal(tpm_after((struct gk_clock){ 91 * DAY, 34 * HOUR, 7, 0, false }),
                     AGENT_TPM_RAN);
    assert_int_equal(tpm_after((struct gk_clock){ 90 * DAY + S, S, 8, 0, true }), AGENT_TPM_OFF);
    assert_int_equal(tpm_after((struct gk_clock){ 90 * DAY - HOUR, S, 8, 0, false }),
                     AGENT_TPM_UNSAFE);
    /* A machine that slept. */
    assert_int_equal(tpm_after((struct gk_clock){ 90 * DAY + S, S, 7, 1, true }), AGENT_TPM_OFF);
    /* Cleared: at once, after longer than its clock had stood at, and with resets since. */
    assert_int_equal(tpm_after((struct gk_clock){ S, 10 * HOUR + 2 * S, 0, 0, true }),
                     AGENT_TPM_CLEARED);
    assert_int_equal(tpm_after((struct gk_clock){ 91 * DAY, 110 * DAY, 7, 0, true }),
                     AGENT_TPM_CLEARED);
    assert_int_equal(tpm_after((struct gk_clock){ 5 * DAY, HOUR, 9, 0, true }), AGENT_TPM_CLEARED);
    assert_int_equal(tpm_after((struct gk_clock){ 99 * DAY, 19 * HOUR, 3, 5, true }),
                     AGENT_TPM_CLEARED);
    assert_int_equal(tpm_after((struct gk_clock){ 91 * DAY, HOUR, 7, 0, true }), AGENT_TPM_CLEARED);
}

/* With a TPM whose counters stand at 0 because it was cleared when it was made ready. */
static void a_clear_is_no_step_even_where_no_counter_tells(void **state)
{
    struct agent_clock_mark mark = noon;
    struct agent_clock_look look = after_soft_reboot();
    struct agent_clock_judgement found;

    (void)state;
    mark.tpm = (struct gk_clock){ .ms = HOUR, .up_ms = 9 * HOUR, .safe = true };
    look.wall_ms = NOON + 5 * DAY;
    look.tpm = (struct gk_clock){ .ms = 2 * DAY, .up_ms = 9 * HOUR + 5 * DAY, .safe = true };
    found = agent_clock_judge(&mark, &look, FLOOR_S, TOLERANCE_S);
    assert_int_equal(found.verdict, AGENT_CLOCK_UNPROVABLE);
    assert_int_equal(found.tpm, AGENT_TPM_CLEARED);
}

/* The floor rose: a revocation list is newer than a clock that was set. */
static void a_clock_that_was_set_is_overtaken_by_the_floor(void **state)
{
    struct agent_clock_look look = two_hours_later();
    struct agent_clock_judgement found;

    (void)state;
    look.synchronised = false;
    found = agent_clock_judge(&noon, &look, (NOON + 3 * HOUR) / S, TOLERANCE_S);
    assert_int_equal(found.verdict, AGENT_CLOCK_BEFORE_FLOOR);
    assert_int_equal(found.off_ms, -HOUR);
}

/* Time since boot does not go back; where it seems to, it is not the same. */
static void another_time_since_boot_is_another_boot(void **state)
{
    struct agent_clock_look look = two_hours_later();

    (void)state;
    look.has_tpm = false;
    look.moment.since_boot_ms = HOUR;
    assert_int_equal(agent_clock_judge(&noon, &look, FLOOR_S, TOLERANCE_S).verdict,
                     AGENT_CLOCK_UNPROVABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_case_is_taken_for_another),
        cmocka_unit_test(tells_what_the_tpm_went_through),
        cmocka_unit_test(a_clear_is_no_step_even_where_no_counter_tells),
        cmocka_unit_test(a_clock_that_was_set_is_overtaken_by_the_floor),
        cmocka_unit_test(another_time_since_boot_is_another_boot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
