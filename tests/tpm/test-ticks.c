/* SPDX-License-Identifier: Apache-2.0 */
/* What a TPM says of time when it runs, loses its power, and is cleared. */
#include "tests/tpm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct gk_clock read_clock(void)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    struct gk_clock clock = { 0 };

    assert_int_equal(gk_admin_open(fixture_tcti(), NULL, &admin, NULL), GK_OK);
    assert_int_equal(gk_admin_clock(admin, &clock, NULL), GK_OK);
    return clock;
}

static void let_it_run(long ms)
{
    nanosleep(&(const struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* A TPM that was just cleared, and has run for a while. */
static int each_anew(void **state)
{
    (void)state;
    fixture_run("tpm2_clear -Q -c p");
    let_it_run(300);
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What it said when it was powered, so that it does not matter how long ago that is. */
static int64_t at_power_on(const struct gk_clock *clock)
{
    return (int64_t)clock->ms - (int64_t)clock->up_ms;
}

static void runs_as_fast_as_ours(void **state)
{
    int64_t before = now_ms();
    struct gk_clock first = read_clock();
    int64_t between = now_ms();
    struct gk_clock second;
    int64_t least, most;

    (void)state;
    let_it_run(1000);
    least = now_ms() - between;
    second = read_clock();
    most = now_ms() - before;
    assert_in_range(second.ms - first.ms, least * 85 / 100, most * 115 / 100 + 1);
    assert_in_range(second.up_ms - first.up_ms, least * 85 / 100, most * 115 / 100 + 1);
    assert_int_equal(second.resets, first.resets);
    assert_int_equal(second.restarts, first.restarts);
    assert_true(first.safe && second.safe);
}

static void goes_on_after_an_orderly_stop(void **state)
{
    struct gk_clock first = read_clock(), second;

    (void)state;
    fixture_power_cycle(true);
    second = read_clock();
    assert_true(at_power_on(&second) >= (int64_t)first.ms);
    assert_int_equal(second.resets, first.resets + 1);
    assert_int_equal(second.restarts, 0);
    assert_true(second.safe);
}

static void goes_back_and_is_not_safe_after_a_power_cut(void **state)
{
    struct gk_clock first = read_clock(), second;

    (void)state;
    fixture_power_cycle(false);
    second = read_clock();
    assert_in_range(at_power_on(&second), 0, first.ms - 1);
    assert_int_equal(second.resets, first.resets + 1);
    assert_false(second.safe);
    /* An orderly stop does not mend that. */
    fixture_power_cycle(true);
    assert_false(read_clock().safe);
}

static void begins_anew_when_it_is_cleared(void **state)
{
    struct gk_clock first, second;

    (void)state;
    fixture_power_cycle(false);
    let_it_run(300);
    first = read_clock();
    fixture_run("tpm2_clear -Q -c p");
    second = read_clock();
    assert_true(at_power_on(&second) < at_power_on(&first));
    assert_true(second.up_ms > first.up_ms);
    assert_int_equal(second.resets, 0);
    assert_int_equal(second.restarts, 0);
    assert_true(second.safe);
}

static void says_when_there_is_no_tpm_any_more(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    struct gk_clock clock = { .ms = 7 };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(gk_admin_open("device:/dev/full", NULL, &admin, NULL), GK_OK);
    assert_int_not_equal(gk_admin_clock(admin, &clock, &err), GK_OK);
    fixture_assert_says(&err, "the TPM's clock");
    assert_int_equal(clock.ms, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(runs_as_fast_as_ours, each_anew),
        cmocka_unit_test_setup(goes_on_after_an_orderly_stop, each_anew),
        cmocka_unit_test_setup(goes_back_and_is_not_safe_after_a_power_cut, each_anew),
        cmocka_unit_test_setup(begins_anew_when_it_is_cleared, each_anew),
        cmocka_unit_test(says_when_there_is_no_tpm_any_more),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
