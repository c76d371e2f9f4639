/* SPDX-License-Identifier: Apache-2.0 */
/* What the uplink does with what the hub did not take: again, in parts, set aside, another link. */
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define POINTS "thing/measurepoint/post"
#define EVENT "thing/event/full/post"
#define OTHER "thing/attribute/update"
#define MINUTE_MS 60000
#define HOUR_MS 3600000

/* --- what the hub refused -------------------------------------------------------------------- */

static char refused[2000];

static bool list_refusal(void *context, const struct spool_refusal *refusal)
{
    size_t length = strlen(refused);

    (void)context;
    snprintf(refused + length, sizeof(refused) - length, "%lld:%.*s ", (long long)refusal->code,
             (int)refusal->message.size, (const char *)refusal->message.body);
    return true;
}

/* Those set aside and written, as CODE:BODY. */
static const char *set_aside(void)
{
    struct gk_error err = { 0 };

    loop_pass(SPOOL_SETTLE_MS);
    refused[0] = '\0';
    assert_int_equal(spool_refused(paper_service.spool, 0, list_refusal, NULL, &err), GK_OK);
    return refused;
}

static void sets_a_bad_message_aside_and_goes_on(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    paper_store_number(EVENT, 2);
    paper_connect();
    paper_answer(0, 1260);
    assert_int_equal(paper_count, 2); /* at once */
    assert_non_null(strstr(paper_log, "is set aside: "));
    paper_answer(1, 200);
    assert_string_equal(set_aside(), "1260:{\"n\":1,\"time\":1} ");
    assert_int_equal(paper_counters().refused, 1);
    assert_int_equal(paper_counters().acknowledged, 1);
    paper_balance();
}

/* The time of each try since the first, where the hub answers each with that code at once. */
static void expect_tries(int code, const unsigned *after_s, size_t count)
{
    uint64_t begin = loop_now_ms();

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(paper_count, i + 1);
        assert_int_equal(paper[i].sent_ms - begin, (uint64_t)after_s[i] * 1000);
        assert_string_equal(paper[i].text, paper[0].text);
        paper_answer(i, code);
        if (i + 1 < count) {
            loop_pass((uint64_t)(after_s[i + 1] - after_s[i]) * 1000 - 1);
            assert_int_equal(paper_count, i + 1);
            loop_pass(1);
        }
    }
}

static void tries_again_ever_more_seldom(void **state)
{
    static const unsigned after_s[] = { 0, 1, 3, 7, 15, 31, 63, 123, 183 };

    (void)state;
    paper_store_number(EVENT, 1);
    paper_connect();
    expect_tries(500, after_s, sizeof(after_s) / sizeof(after_s[0]));
    assert_string_equal(set_aside(), "");
}

static void gives_a_doubtful_message_eight_tries(void **state)
{
    static const unsigned after_s[] = { 0, 1, 3, 7, 15, 31, 63, 123 };

    (void)state;
    paper_store_number(EVENT, 1);
    paper_connect();
    expect_tries(1009, after_s, sizeof(after_s) / sizeof(after_s[0]));
    assert_string_equal(set_aside(), "1009:{\"n\":1,\"time\":1} ");
}

/* Then it is not the hub that is ill. */
static void gives_it_three_where_others_are_taken(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    paper_store_number(OTHER, 2);
    paper_connect();
    paper_answer(0, 1009);
    paper_answer(1, 200);
    loop_pass(1000);
    paper_answer(2, 1009);
    loop_pass(2000);
    paper_answer(3, 1009);
    assert_string_equal(set_aside(), "1009:{\"n\":1,\"time\":1} ");
}

/* What the hub took before it first refused this one says nothing of it. */
static void what_was_taken_before_does_not_count(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    paper_store_number(OTHER, 2);
    paper_connect();
    paper_answer(1, 200);
    paper_answer(0, 1009);
    loop_pass(1000);
    paper_answer(2, 1009);
    loop_pass(2000);
    paper_answer(3, 1009);
    assert_string_equal(set_aside(), "");
}

/* A program that gets it wrong may do so a hundred times a second. */
static void says_once_a_minute_what_it_set_aside(void **state)
{
    (void)state;
    paper_connect();
    for (unsigned i = 0; i < 4; i++) {
        loop_pass(i == 3 ? MINUTE_MS - 3000 : 1000);
        paper_store_number(EVENT, i);
        paper_answer(paper_count - 1, 1200);
        assert_int_equal(paper_logged, 1);
        assert_non_null(strstr(paper_log, "thing/event/full/post: code 1200, no"));
    }
    loop_pass(1000 - 1);
    paper_store_number(EVENT, 4);
    paper_answer(paper_count - 1, 1200);
    assert_int_equal(paper_logged, 1);
    loop_pass(1);
    paper_store_number(EVENT, 5);
    paper_answer(paper_count - 1, 1200);
    assert_int_equal(paper_logged, 3);
    assert_string_equal(paper_log, "4 more were set aside since it was last said");
}

static void waits_an_hour_for_an_ill_hub(void **state)
{
    uint64_t begin, last = 0;

    (void)state;
    paper_store_number(EVENT, 1);
    paper_connect();
    begin = loop_now_ms();
    while (loop_now_ms() - begin < HOUR_MS + MINUTE_MS) {
        if (paper_open_count() > 0) {
            assert_int_equal(paper_counters().refused, 0);
            last = loop_now_ms();
            paper_answer(paper_open(), 500);
        }
        loop_pass(1000);
    }
    assert_true(last - begin >= HOUR_MS && last - begin < HOUR_MS + MINUTE_MS);
    assert_string_equal(set_aside(), "500:{\"n\":1,\"time\":1} ");
}

/* --- batches --------------------------------------------------------------------------------- */

static void pile_up(unsigned count)
{
    static struct paper_promise promises[1000];
    char params[32];

    for (unsigned i = 0; i < count; i++) {
        snprintf(params, sizeof(params), "{\"n\":%u,\"time\":1}", i);
        assert_int_equal(paper_take(POINTS, params, &promises[i]), GK_OK);
    }
    loop_settle();
}

/* The numbers in a request, as "3 4 5 ". */
static const char *numbers(const struct paper_request *request)
{
    static char text[8000];
    size_t length = 0;

    text[0] = '\0';
    for (const char *at = request->text; (at = strstr(at, "{\"n\":")) != NULL; at++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%u ",
                                   (unsigned)strtoul(at + 5, NULL, 10));
    }
    return text;
}

static bool holds(const struct paper_request *request, unsigned n)
{
    char wanted[32];

    snprintf(wanted, sizeof(wanted), "{\"n\":%u,", n);
    return strstr(request->text, wanted) != NULL;
}

/* The one message that spoils a batch is found in halves; the rest arrives once, in order. */
static void finds_the_bad_one_of_a_batch(void **state)
{
    unsigned next = 0;

    (void)state;
    pile_up(100);
    paper_connect();
    while (paper_open_count() > 0) {
        size_t i = paper_open();
        bool bad = holds(&paper[i], 77);

        for (size_t n = 0; n < paper[i].entries && (!bad || paper[i].entries == 1); n++) {
            assert_true(holds(&paper[i], next++));
        }
        paper_answer(i, bad ? 1200 : 200);
    }
    assert_int_equal(next, 100);
    assert_string_equal(set_aside(), "1200:{\"n\":77,\"time\":1} ");
    assert_int_equal(paper_counters().acknowledged, 99);
    assert_true(paper_count < 20); /* one by one it would be a hundred */
    paper_balance();
}

static void halves_what_was_refused_and_no_more_than_that(void **state)
{
    (void)state;
    pile_up(5);
    paper_connect();
    assert_string_equal(numbers(&paper[0]), "0 1 2 3 4 ");
    paper_answer(0, 1200);
    assert_string_equal(numbers(&paper[1]), "0 1 2 ");
    pile_up(4); /* 0 to 3 again, behind the refused ones */
    paper_answer(1, 200);
    /* Twice as many are tried again, but nothing that was not suspected. */
    assert_string_equal(numbers(&paper[2]), "3 4 ");
    paper_answer(2, 200);
    assert_string_equal(numbers(&paper[3]), "0 1 2 3 ");
    assert_int_equal(paper_count, 4);
}

/* What was suspected may be gone before its turn: what lies behind it is not suspected. */
static void goes_on_behind_suspects_that_were_dropped(void **state)
{
    struct gk_error err = { 0 };
    uint64_t count;
    int64_t last;

    (void)state;
    pile_up(4);
    paper_connect();
    last = paper[0].last;
    paper_answer(0, 1200);
    assert_string_equal(numbers(&paper[1]), "0 1 ");
    for (int64_t id = last - 1; id <= last; id++) {
        assert_int_equal(spool_drop(paper_service.spool, id, &count, &err), GK_OK);
    }
    paper_store_number(POINTS, 4);
    paper_answer(1, 200);
    assert_string_equal(numbers(&paper[2]), "4 ");
}

/* An ill hub may be ill of one message: after three tries that is looked into. */
static void suspects_a_batch_that_was_tried_three_times(void **state)
{
    (void)state;
    pile_up(4);
    paper_connect();
    paper_answer(0, 500);
    loop_pass(1000);
    assert_int_equal(paper[1].entries, 4);
    paper_answer(1, 500);
    loop_pass(2000);
    assert_int_equal(paper[2].entries, 4);
    paper_answer(2, 500);
    assert_int_equal(paper_count, 4); /* at once */
    assert_string_equal(numbers(&paper[3]), "0 1 ");
    /* It may be the hub all the same: a part has three tries as well. */
    paper_answer(3, 500);
    assert_int_equal(paper_count, 4);
    loop_pass(1000);
    assert_string_equal(numbers(&paper[4]), "0 1 ");
    paper_answer(4, 200);
    assert_string_equal(numbers(&paper[5]), "2 3 ");
}

/* --- silence --------------------------------------------------------------------------------- */

static void asks_once_more_before_it_doubts_the_link(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    paper_connect();
    loop_pass(29999);
    assert_int_equal(paper_count, 1);
    loop_pass(1);
    assert_int_equal(paper_count, 2);
    assert_string_equal(paper[1].text, paper[0].text);
    assert_int_equal(paper_reconnects, 0);
    loop_pass(30000);
    assert_int_equal(paper_reconnects, 1);
}

/* A new connection is no remedy against a message that the hub does not answer. */
static void keeps_a_link_on_which_others_are_answered(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    paper_connect();
    for (unsigned i = 0; i < 12; i++) {
        loop_pass(10000);
        paper_store_number(OTHER, i);
        paper_answer(paper_count - 1, 200);
    }
    assert_int_equal(paper_reconnects, 0);
    assert_string_equal(set_aside(), "");
}

/* Until the uplink asks for another connection, and gets it; when that was. */
static uint64_t next_reconnect(void)
{
    unsigned before = paper_reconnects;
    uint64_t now;

    for (unsigned i = 0; paper_reconnects == before && i < 2000; i++) {
        loop_pass(1000);
    }
    now = loop_now_ms();
    paper_cut();
    paper_connect();
    return now;
}

/* The hub may be what is silent: it must not be reconnected to over and over. */
static void bears_longer_with_a_silent_hub_each_time(void **state)
{
    static const uint64_t patience_ms[] = { 60000, 120000, 240000, 480000, 960000, 960000 };
    const uint64_t try_ms = 60000 + 60000 + 1000; /* the backoff, and two silences of 30 s */
    uint64_t last;

    (void)state;
    paper_store_number(EVENT, 1);
    paper_connect();
    last = next_reconnect();
    for (unsigned i = 0; i < sizeof(patience_ms) / sizeof(patience_ms[0]); i++) {
        uint64_t now = next_reconnect();

        assert_in_range(now - last, patience_ms[i], patience_ms[i] + try_ms);
        last = now;
    }
    /* An answer, whatever it says, begins that anew. */
    loop_pass(MINUTE_MS);
    paper_answer(paper_open(), 500);
    last = next_reconnect();
    assert_in_range(next_reconnect() - last, 60000, 60000 + try_ms);
}

/* What went down with a connection is sent at once over the next, twice; then it may be why. */
static void suspects_what_connections_go_down_with(void **state)
{
    (void)state;
    paper_store_number(EVENT, 1);
    paper_connect();
    for (unsigned i = 0; i < 2; i++) {
        paper_cut();
        paper_connect();
        assert_int_equal(paper_count, i + 2);
    }
    paper_cut();
    paper_connect();
    assert_int_equal(paper_count, 3);
    loop_pass(3999);
    assert_int_equal(paper_count, 3);
    loop_pass(1);
    assert_int_equal(paper_count, 4);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, paper_begin, paper_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(sets_a_bad_message_aside_and_goes_on),
        CLAIM(tries_again_ever_more_seldom),
        CLAIM(gives_a_doubtful_message_eight_tries),
        CLAIM(gives_it_three_where_others_are_taken),
        CLAIM(what_was_taken_before_does_not_count),
        CLAIM(says_once_a_minute_what_it_set_aside),
        CLAIM(waits_an_hour_for_an_ill_hub),
        CLAIM(finds_the_bad_one_of_a_batch),
        CLAIM(halves_what_was_refused_and_no_more_than_that),
        CLAIM(goes_on_behind_suspects_that_were_dropped),
        CLAIM(suspects_a_batch_that_was_tried_three_times),
        CLAIM(asks_once_more_before_it_doubts_the_link),
        CLAIM(keeps_a_link_on_which_others_are_answered),
        CLAIM(bears_longer_with_a_silent_hub_each_time),
        CLAIM(suspects_what_connections_go_down_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
