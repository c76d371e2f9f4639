/* SPDX-License-Identifier: Apache-2.0 */
/* gatekeyd on a disk that is full, or was: it goes on, says so once, and takes messages again. */
#include "tests/agent/disk.h"
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define EVENT "thing/event/full/post"
#define LOG "thing/log/post"
#define MINUTE_MS 60000

static int begin(void **state)
{
    (void)state;
    disk_format(3);
    disk_limit(0);
    paper_reset();
    return 0;
}

static void goes_on_without_a_spool_and_tries_each_minute(void **state)
{
    struct paper_promise promise;

    (void)state;
    disk_limit(1);
    paper_start();
    assert_false(spool_is_open(paper_service.spool));
    assert_non_null(strstr(paper_log, "cannot open the spool, so that nothing is taken: "));
    assert_int_equal(paper_take(EVENT, "{\"n\":1}", &promise), GK_DISK_FULL);
    for (unsigned i = 0; i < 3; i++) {
        loop_pass(MINUTE_MS);
    }
    assert_int_equal(paper_logged, 1); /* once for as long as it lasts */
    paper_connect();
    loop_pass(5 * MINUTE_MS);
    assert_int_equal(paper_logged, 2); /* and once that there is nothing to be sent */
    disk_limit(0);
    loop_pass(MINUTE_MS - 1);
    assert_false(spool_is_open(paper_service.spool));
    loop_pass(1);
    assert_true(spool_is_open(paper_service.spool));
    assert_string_equal(paper_log, "the spool can be used again");
    paper_store_number(EVENT, 2);
    assert_int_equal(paper_counters().queued, 1);
}

static void sends_what_waits_once_it_can_be_read(void **state)
{
    (void)state;
    paper_start();
    paper_store_number(EVENT, 1);
    paper_stop();
    disk_limit(1);
    paper_start();
    paper_connect();
    assert_int_equal(paper_count, 0);
    disk_limit(0);
    loop_pass(MINUTE_MS);
    assert_int_equal(paper_count, 1);
    paper_answer(0, 200);
    loop_pass(SPOOL_SETTLE_MS);
    assert_int_equal(paper_counters().acknowledged, 1);
    assert_int_equal(paper_counters().accepted, 1);
}

/* The disk fills up while messages come: whoever handed one over is told, and nothing is lost. */
static void tells_each_whose_message_was_not_stored(void **state)
{
    struct paper_promise one, two;

    (void)state;
    paper_start();
    paper_store_number(EVENT, 1);
    disk_limit(1);
    assert_int_equal(paper_take(EVENT, "{\"n\":2}", &one), GK_OK);
    assert_int_equal(paper_take(EVENT, "{\"n\":3}", &two), GK_OK);
    loop_settle();
    assert_int_equal(one.told, 1);
    assert_int_equal(two.told, 1);
    assert_int_equal(one.status, GK_DISK_FULL);
    assert_int_equal(two.status, GK_DISK_FULL);
    assert_int_equal(paper_logged, 1);
    assert_int_equal(paper_take(EVENT, "{\"n\":4}", &one), GK_OK);
    loop_settle();
    assert_int_equal(one.status, GK_DISK_FULL);
    assert_int_equal(paper_logged, 1);
    disk_limit(0);
    paper_store_number(EVENT, 5);
    assert_int_equal(paper_counters().queued, 2);
    disk_limit(1);
    assert_int_equal(paper_take(EVENT, "{\"n\":6}", &one), GK_OK);
    loop_settle();
    assert_int_equal(paper_logged, 2); /* it had worked in between */
    paper_balance();
}

/* What the hub took is not sent again for that it cannot be written down. */
static void goes_on_sending_while_the_disk_is_full(void **state)
{
    (void)state;
    paper_start();
    paper_store_number(EVENT, 1);
    paper_store_number(EVENT, 2);
    paper_connect();
    disk_limit(1);
    paper_answer(0, 200);
    paper_answer(1, 200);
    loop_pass(10 * SPOOL_SETTLE_MS);
    assert_int_equal(paper_count, 2);
    assert_false(paper_is_saved());
    disk_limit(0);
    loop_pass(SPOOL_SETTLE_MS);
    assert_true(paper_is_saved());
    assert_int_equal(paper_counters().acknowledged, 2);
    assert_int_equal(paper_count, 2);
    paper_balance();
}

/* Refusals are kept in memory until they can be written; beyond a thousand, their messages wait. */
static void keeps_a_thousand_refusals_for_a_full_disk(void **state)
{
    static struct paper_promise promises[1002];
    char params[32];

    (void)state;
    paper_start();
    for (unsigned i = 0; i < 1002; i++) {
        snprintf(params, sizeof(params), "{\"n\":%u}", i);
        assert_int_equal(paper_take(EVENT, params, &promises[i]), GK_OK);
    }
    paper_connect();
    disk_limit(1);
    for (unsigned i = 0; i < 1001; i++) {
        paper_answer(paper_open(), 1200);
    }
    assert_int_equal(paper_count, 1001);
    assert_non_null(strstr(paper_log, "cannot set a message aside: "));
    loop_pass(MINUTE_MS);
    assert_int_equal(paper_count, 1002);
    assert_string_equal(paper[1001].text, paper[1000].text);
    disk_limit(0);
    paper_answer(1001, 1200);
    paper_answer(1002, 200);
    loop_pass(SPOOL_SETTLE_MS);
    assert_int_equal(paper_counters().refused, 1001);
    assert_int_equal(paper_counters().acknowledged, 1);
    paper_balance();
}

/* A message dropped for want of room is back when that could not be written, and is sent. */
static void sends_what_came_back(void **state)
{
    static char params[200000];
    struct paper_promise promise;
    int64_t first;

    (void)state;
    paper_config.spool_bytes = 300000;
    paper_start();
    snprintf(params, sizeof(params), "{\"time\":1,\"t\":\"%0190000d\"}", 1);
    first = paper_store(LOG, params);
    paper_store(LOG, "{\"time\":1}");
    disk_limit(1);
    assert_int_equal(paper_take(LOG, params, &promise), GK_OK);
    paper_connect(); /* sees what is left, before the commit fails */
    assert_int_equal(promise.status, GK_DISK_FULL);
    assert_int_equal(paper[0].last, first + 1);
    paper_answer(0, 200);
    assert_int_equal(paper[1].last, first);
    disk_limit(0);
    paper_answer(1, 200);
    loop_pass(SPOOL_SETTLE_MS);
    assert_int_equal(paper_count, 2);
    assert_int_equal(paper_counters().acknowledged, 2);
    assert_int_equal(paper_counters().dropped, 0);
    paper_balance();
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, begin, paper_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(goes_on_without_a_spool_and_tries_each_minute),
        CLAIM(sends_what_waits_once_it_can_be_read),
        CLAIM(tells_each_whose_message_was_not_stored),
        CLAIM(goes_on_sending_while_the_disk_is_full),
        CLAIM(keeps_a_thousand_refusals_for_a_full_disk),
        CLAIM(sends_what_came_back),
    };
    int failed;

    disk_register();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_format(0);
    return failed;
}
