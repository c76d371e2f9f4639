/* SPDX-License-Identifier: Apache-2.0 */
/* What the uplink sends of what waits: which first, how much together, how fast. */
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define POINTS "thing/measurepoint/post"
#define BATCH POINTS "/batch"
#define RESUME "thing/measurepoint/resume"
#define EVENT "thing/event/full/post"
#define RAW "thing/model/up_raw"
#define LOG "thing/log/post"

static json_int_t figure(const char *name)
{
    CLEANUP(json_freep) json_t *status = json_object();

    uplink_describe(paper_service.uplink, status);
    return json_integer_value(json_object_get(status, name));
}

/* So many points, the first of which has that number; a single commit makes them durable. */
static int64_t pile_up(unsigned count, const char *params)
{
    static struct paper_promise promises[4000];

    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(paper_take(POINTS, params, &promises[i]), GK_OK);
    }
    loop_settle();
    assert_int_equal(promises[count - 1].told, 1);
    return promises[0].id;
}

/* Whatever is asked is answered with 200, until nothing is. */
static void answer_all(void)
{
    while (paper_open_count() > 0) {
        paper_answer(paper_open(), 200);
    }
}

static void sends_first_what_is_never_dropped(void **state)
{
    (void)state;
    paper_store_number(POINTS, 1);
    paper_store_number(LOG, 2);
    paper_store_number(EVENT, 3);
    paper_connect();
    assert_int_equal(paper_count, 3);
    assert_string_equal(paper[0].rest, EVENT);
    assert_string_equal(paper[1].rest, LOG);
    assert_string_equal(paper[2].rest, POINTS);
    assert_non_null(strstr(paper[2].text, "\"method\":\"thing.measurepoint.post\",\"params\":{"));
}

static void sends_nothing_without_a_connection(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    loop_pass(3600000);
    assert_int_equal(paper_count, 0);
    paper_connect();
    assert_int_equal(paper_count, 1);
    answer_all();
    paper_cut();
    paper_store_number(EVENT, 2);
    loop_pass(3600000);
    assert_int_equal(paper_count, 1);
}

static void settles_what_was_taken_and_nothing_else(void **state)
{
    int64_t first = paper_store_number(EVENT, 1);

    (void)state;
    paper_store_number(LOG, 2);
    paper_connect();
    assert_int_equal(paper[0].last, first);
    paper_answer(0, 200);
    loop_pass(SPOOL_SETTLE_MS);
    assert_int_equal(paper_counters().acknowledged, 1);
    assert_int_equal(paper_counters().queued, 1);
    paper_answer(1, 200);
    loop_pass(SPOOL_SETTLE_MS - 1);
    assert_false(paper_is_saved()); /* a sync for each would wear the disk */
    loop_pass(1);
    assert_true(paper_is_saved());
    assert_int_equal(paper_counters().acknowledged, 2);
    assert_int_equal(paper_counters().queued, 0);
    paper_balance();
}

static void settles_in_time_however_much_goes_on(void **state)
{
    unsigned unsaved = 0;

    (void)state;
    paper_connect();
    for (unsigned i = 0; i < 24; i++) {
        if (i % 4 == 0) {
            paper_store_number(EVENT, i);
            paper_answer(i / 4, 200);
        }
        loop_pass(1000);
        unsaved = paper_is_saved() ? 0 : unsaved + 1;
        assert_true(unsaved <= SPOOL_SETTLE_MS / 1000);
    }
}

static void joins_a_thousand_at_most(void **state)
{
    int64_t first = pile_up(2001, "{\"a\":1}");

    (void)state;
    paper_connect();
    assert_int_equal(paper_count, 1); /* one at a time */
    answer_all();
    assert_int_equal(paper_count, 3);
    assert_string_equal(paper[0].rest, BATCH);
    assert_int_equal(paper[0].entries, 1000);
    assert_int_equal(paper[1].entries, 1000);
    assert_string_equal(paper[2].rest, POINTS);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(paper[i].last, first + (i < 2 ? 1000 * i + 999 : 2000));
    }
    assert_int_equal(figure("batches"), 2);
    assert_int_equal(figure("sent"), 2001);
    assert_int_equal(figure("sent_again"), 0);
}

static void joins_as_many_bytes_as_the_hub_takes(void **state)
{
    char params[60000];
    size_t held = 0;

    (void)state;
    snprintf(params, sizeof(params), "{\"t\":\"%0*d\"}", 50000, 7);
    pile_up(20, params);
    paper_connect();
    answer_all();
    for (size_t i = 0; i < paper_count; i++) {
        assert_true(paper[i].size < 256 * 1024);
        assert_int_equal(paper[i].entries, 5);
        held += paper[i].entries;
    }
    assert_int_equal(held, 20);
}

/* The hub takes params of one kind as an array, and nothing else. */
static void joins_only_what_may_be_joined(void **state)
{
    (void)state;
    paper_store_number(POINTS, 1);
    paper_store(POINTS, "{\"id\":\"7\",\"params\":{\"n\":2},\"extra\":true}");
    paper_store_number(POINTS, 3);
    paper_store(POINTS, "[{\"n\":4}]");
    paper_store_number(POINTS, 5);
    paper_store_number(POINTS, 6);
    paper_connect();
    answer_all();
    assert_int_equal(paper_count, 5);
    for (unsigned i = 0; i < 4; i++) {
        assert_string_equal(paper[i].rest, POINTS);
        assert_int_equal(paper[i].entries, 1);
    }
    assert_non_null(strstr(paper[1].text, "\"extra\":true"));
    assert_string_equal(paper[4].rest, BATCH);
    assert_int_equal(paper[4].entries, 2);
}

static void fills_in_what_is_older_than_a_minute(void **state)
{
    (void)state;
    paper_store_number(POINTS, 1);
    loop_pass(1);
    paper_store_number(POINTS, 2);
    paper_store_number(POINTS, 3);
    paper_store_number(EVENT, 4);
    loop_pass(60000); /* a minute is not more than a minute */
    paper_connect();
    answer_all();
    assert_string_equal(paper[0].rest, EVENT);
    assert_string_equal(paper[1].rest, RESUME);
    assert_int_equal(paper[1].entries, 1);
    assert_string_equal(paper[2].rest, BATCH);
    assert_int_equal(paper[2].entries, 2);
    assert_int_equal(paper_count, 3);
    paper_cut();
    pile_up(2, "{\"a\":1}");
    paper_store(BATCH, "[{\"n\":5}]");
    loop_pass(60001);
    paper_connect();
    assert_string_equal(paper[3].rest, RESUME "/batch");
    assert_string_equal(paper[4].rest, RESUME "/batch");
}

static void fills_nothing_in_where_it_is_not_wanted(void **state)
{
    (void)state;
    paper_config.resume_after_s = 0;
    paper_store_number(POINTS, 1);
    loop_pass(1000000);
    paper_connect();
    assert_string_equal(paper[0].rest, POINTS);
}

/* A later one must not arrive where an earlier one of its topic was refused for the moment. */
static void sends_one_of_a_topic_at_a_time(void **state)
{
    int64_t first = paper_store_number(EVENT, 1), second = paper_store_number(EVENT, 2), other;

    (void)state;
    other = paper_store_number("thing/attribute/update", 3);
    paper_connect();
    assert_int_equal(paper_count, 1);
    assert_int_equal(paper[0].last, first);
    paper_answer(0, 200);
    assert_int_equal(paper_count, 3);
    assert_int_equal(paper[1].last, second);
    assert_int_equal(paper[2].last, other);
}

static void has_four_under_way_in_a_lane(void **state)
{
    char topic[64];

    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        snprintf(topic, sizeof(topic), "thing/event/e%u/post", i);
        paper_store_number(topic, i);
    }
    paper_connect();
    assert_int_equal(paper_count, 4);
    assert_int_equal(figure("under_way"), 4);
    paper_answer(2, 200);
    assert_int_equal(paper_count, 5);
    answer_all();
    assert_int_equal(paper_count, 9);
    assert_int_equal(figure("under_way"), 0);
    loop_pass(SPOOL_SETTLE_MS);
    assert_int_equal(paper_counters().acknowledged, 9);
}

/* Nobody answers raw data; the hub's PUBACK is the promise. */
static void raw_data_ends_with_its_acknowledgement(void **state)
{
    (void)state;
    paper_store(RAW, "\xff\x01");
    paper_store(RAW, "two");
    paper_connect();
    assert_int_equal(paper_count, 2); /* it is not refused, so they need not wait for each other */
    assert_string_equal(paper[0].text, "\xff\x01");
    assert_string_equal(paper[1].text, "two");
    assert_string_equal(paper[1].rest, RAW);
    paper_answer(1, 200);
    loop_pass(SPOOL_SETTLE_MS);
    assert_int_equal(paper_counters().acknowledged, 1);
    paper_cut();
    paper_connect();
    assert_int_equal(paper_count, 3);
    assert_string_equal(paper[2].text, "\xff\x01");
}

static void what_was_cut_off_goes_again_as_it_was(void **state)
{
    int64_t first = pile_up(3, "{\"a\":1}");

    (void)state;
    paper_store_number(EVENT, 1);
    paper_connect();
    assert_int_equal(paper_count, 2);
    paper_cut();
    pile_up(2, "{\"a\":2}");
    paper_connect();
    assert_int_equal(paper_count, 4);
    assert_string_equal(paper[2].text, paper[0].text);
    assert_int_equal(paper[3].last, first + 2);
    assert_int_equal(paper[3].entries, 3); /* the hub tells by the id that it got them already */
    assert_string_equal(paper[3].text, paper[1].text);
    assert_int_equal(figure("sent_again"), 4);
    answer_all();
    loop_pass(SPOOL_SETTLE_MS);
    assert_int_equal(paper_counters().acknowledged, 6);
    paper_balance();
}

static void keeps_to_the_rate(void **state)
{
    (void)state;
    paper_config.uplink_rate = 1000;
    for (unsigned i = 0; i < 20; i++) {
        paper_store_number("thing/event/a/post", i);
    }
    paper_connect();
    for (unsigned i = 0; i < 500; i++) {
        answer_all();
        loop_pass(10);
    }
    assert_int_equal(paper_count, 20);
    for (size_t i = 0, bytes = 0; i < paper_count; i++) {
        uint64_t since_ms = paper[i].sent_ms - paper[0].sent_ms;

        /* Up to 50 ms early; the loop above looks every 10 ms. */
        assert_true(since_ms + 50 >= bytes);
        assert_true(since_ms <= bytes + 20);
        bytes += paper[i].size;
    }
}

static void pauses_for_as_long_as_the_hub_asks(void **state)
{
    (void)state;
    paper_connect();
    uplink_pause(paper_service.uplink, 5000);
    paper_store_number(EVENT, 1);
    loop_pass(4999);
    assert_int_equal(paper_count, 0);
    loop_pass(1);
    assert_int_equal(paper_count, 1);
}

/* The link's window is full: its place is kept, and the next acknowledgement lets it go. */
static void goes_on_when_the_link_takes_more(void **state)
{
    int64_t first = paper_store_number(EVENT, 1);

    (void)state;
    paper_store_number(EVENT, 2);
    paper_link = GK_BUSY;
    paper_connect();
    assert_int_equal(paper_count, 0);
    paper_link = GK_OK;
    loop_settle();
    assert_int_equal(paper_count, 0);
    publisher_acknowledged(paper_service.publisher, 999); /* another part's */
    assert_int_equal(paper_count, 1);
    assert_int_equal(paper[0].last, first);
    assert_int_equal(figure("sent_again"), 0);
}

static void goes_on_when_the_hub_answers_over_a_full_link(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    paper_connect();
    paper_link = GK_BUSY;
    paper_store_number(LOG, 2);
    paper_link = GK_OK;
    paper_answer(0, 200);
    assert_int_equal(paper_count, 2);
}

static void tries_a_full_link_every_second(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    paper_link = GK_BUSY;
    paper_connect();
    loop_pass(999);
    paper_link = GK_OK;
    assert_int_equal(paper_count, 0);
    loop_pass(1);
    assert_int_equal(paper_count, 1);
}

static void tries_a_link_that_fails_after_a_second(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    paper_link = GK_UNREACHABLE;
    paper_connect();
    paper_link = GK_OK;
    loop_pass(999);
    assert_int_equal(paper_count, 0);
    loop_pass(1);
    assert_int_equal(paper_count, 1);
}

static bool see(void *context, const struct spool_message *message)
{
    (void)message;
    ++*(unsigned *)context;
    return true;
}

static unsigned points_waiting(void)
{
    struct gk_error err = { 0 };
    unsigned count = 0;

    assert_int_equal(spool_next(paper_service.spool, SPOOL_POINTS, 0, see, &count, &err), GK_OK);
    return count;
}

static void drops_what_is_too_old_every_minute(void **state)
{
    (void)state;
    paper_config.uplink_rate = 1; /* one event goes, and nothing else for hours */
    paper_store_number(EVENT, 1);
    paper_connect();
    paper_store_number(POINTS, 2);
    loop_pass(3570000);
    paper_store_number(EVENT, 3); /* each looks, and at most once a minute */
    loop_pass(59999);
    paper_store_number(EVENT, 4);
    assert_int_equal(points_waiting(), 1);
    loop_pass(1);
    paper_store_number(EVENT, 5);
    assert_int_equal(points_waiting(), 0);
    loop_pass(SPOOL_SETTLE_MS);
    assert_int_equal(paper_counters().dropped, 1);
    paper_balance();
}

static void drops_nothing_by_a_wrong_clock(void **state)
{
    (void)state;
    paper_clock_is_right = false;
    paper_store_number(POINTS, 1);
    loop_pass(2 * 3600000);
    paper_connect();
    loop_pass(SPOOL_SETTLE_MS);
    assert_int_equal(paper_counters().dropped, 0);
    assert_int_equal(paper_count, 1);
}

static void sends_what_an_owner_dropped_no_more(void **state)
{
    int64_t first = paper_store_number(EVENT, 1);
    struct gk_error err = { 0 };
    uint64_t count;

    (void)state;
    paper_store_number(EVENT, 2);
    paper_connect();
    paper_cut();
    assert_int_equal(spool_drop(paper_service.spool, first, &count, &err), GK_OK);
    assert_int_equal(intake_commit(paper_service.intake, &err), GK_OK);
    paper_connect();
    assert_int_equal(paper_count, 2);
    assert_int_equal(paper[1].last, first + 1);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, paper_begin, paper_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(sends_first_what_is_never_dropped),
        CLAIM(sends_nothing_without_a_connection),
        CLAIM(settles_what_was_taken_and_nothing_else),
        CLAIM(settles_in_time_however_much_goes_on),
        CLAIM(joins_a_thousand_at_most),
        CLAIM(joins_as_many_bytes_as_the_hub_takes),
        CLAIM(joins_only_what_may_be_joined),
        CLAIM(fills_in_what_is_older_than_a_minute),
        CLAIM(fills_nothing_in_where_it_is_not_wanted),
        CLAIM(sends_one_of_a_topic_at_a_time),
        CLAIM(has_four_under_way_in_a_lane),
        CLAIM(raw_data_ends_with_its_acknowledgement),
        CLAIM(what_was_cut_off_goes_again_as_it_was),
        CLAIM(keeps_to_the_rate),
        CLAIM(pauses_for_as_long_as_the_hub_asks),
        CLAIM(goes_on_when_the_link_takes_more),
        CLAIM(goes_on_when_the_hub_answers_over_a_full_link),
        CLAIM(tries_a_full_link_every_second),
        CLAIM(tries_a_link_that_fails_after_a_second),
        CLAIM(drops_what_is_too_old_every_minute),
        CLAIM(drops_nothing_by_a_wrong_clock),
        CLAIM(sends_what_an_owner_dropped_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
