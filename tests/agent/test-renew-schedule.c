/* SPDX-License-Identifier: Apache-2.0 */
/* When a certificate is renewed, and how often what failed is tried again. */
#include "agent/command/renew-schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DAY 86400
#define BEGIN 1800000000

static const struct renewal_life year = { BEGIN, BEGIN + 360 * DAY };
static const struct renewal_life minute = { BEGIN, BEGIN + 60 };

static void is_due_at_two_thirds(void **state)
{
    (void)state;
    assert_int_equal(renewal_due_at(&year), BEGIN + 240 * DAY);
    assert_int_equal(renewal_due_at(&minute), BEGIN + 40);
    /* The largest that a certificate can say (RFC 5280, 4.1.2.5) is no overflow. */
    assert_true(renewal_due_at(&(struct renewal_life){ 0, 253402300799 }) > 0);
}

static void does_not_wait_before_the_first_try(void **state)
{
    (void)state;
    assert_int_equal(renewal_wait(&year, 0, renewal_due_at(&year)), 0);
    assert_true(renewal_may_retry(&year, 0, 0, BEGIN));
}

static void waits_longer_after_each_failure(void **state)
{
    int64_t now = renewal_due_at(&year), last = 0;

    (void)state;
    assert_int_equal(renewal_wait(&year, 1, now), 300);
    for (int64_t failures = 1; failures < 8; failures++) {
        int64_t wait = renewal_wait(&year, failures, now);

        assert_true(wait > last);
        last = wait;
    }
    /* A day at most, however often it failed. */
    assert_int_equal(renewal_wait(&year, 1000, now), DAY);
    assert_int_equal(renewal_wait(&year, INT64_MAX, now), DAY);
}

static void tries_more_often_as_the_end_draws_near(void **state)
{
    int64_t last = DAY + 1;

    (void)state;
    for (int64_t left = 16 * DAY; left > DAY / 8; left /= 2) {
        int64_t wait = renewal_wait(&year, 1000, year.end - left);

        assert_true(wait < last);
        assert_int_equal(wait, left / 16);
        last = wait;
    }
    assert_int_equal(renewal_wait(&year, 1000, year.end - 60), 300);
}

static void tries_every_hour_after_the_end(void **state)
{
    (void)state;
    assert_int_equal(renewal_wait(&year, 1000, year.end), 3600);
    assert_int_equal(renewal_wait(&year, 1000, year.end + 1000 * DAY), 3600);
}

/* Whatever fails, a certificate gets many chances: with hourly runs of the timer, and without. */
static void leaves_many_tries(void **state)
{
    static const struct renewal_life *const lives[] = { &year, &minute };

    (void)state;
    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
        int64_t now = renewal_due_at(lives[i]), failures = 0;

        while (now < lives[i]->end) {
            failures++;
            now += renewal_wait(lives[i], failures, now);
        }
        assert_in_range(failures, 12, 300);
    }
}

static void is_not_kept_waiting_by_a_clock_that_went_back(void **state)
{
    int64_t now = renewal_due_at(&year);

    (void)state;
    assert_false(renewal_may_retry(&year, now - 299, 1, now));
    assert_true(renewal_may_retry(&year, now - 300, 1, now));
    assert_true(renewal_may_retry(&year, now + 1, 1, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_due_at_two_thirds),
        cmocka_unit_test(does_not_wait_before_the_first_try),
        cmocka_unit_test(waits_longer_after_each_failure),
        cmocka_unit_test(tries_more_often_as_the_end_draws_near),
        cmocka_unit_test(tries_every_hour_after_the_end),
        cmocka_unit_test(leaves_many_tries),
        cmocka_unit_test(is_not_kept_waiting_by_a_clock_that_went_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
