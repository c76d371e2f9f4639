/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to the hub's commands: in order, until the hub has them, and for no longer than it waits.
 */
#include "agent/service/answers.h"
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define REST "thing/service/x_reply"

static struct answers answers;

static int begin(void **state)
{
    answers = (struct answers){ .service = &paper_service };
    return paper_begin(state);
}

static int end(void **state)
{
    answers_clear(&answers);
    return paper_end(state);
}

/* The payload says which it is, and is filled up to that size. */
static enum answers_outcome put_sized(unsigned n, size_t size, uint64_t life_ms)
{
    char *payload = malloc(size + 16);
    int head = snprintf(payload, 16, "%u", n);

    memset(payload + head, ' ', size);
    return answers_put(&answers, REST, payload, size > (size_t)head ? size : (size_t)head,
                       loop_now_ms() + life_ms);
}

static enum answers_outcome put(unsigned n)
{
    return put_sized(n, 0, 30000);
}

/* What went out from there on, as "1 2 3 ". */
static const char *sent_since(size_t first)
{
    static char text[400];
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = first; i < paper_count; i++) {
        assert_string_equal(paper[i].rest, REST);
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%lu ",
                                   strtoul(paper[i].text, NULL, 10));
    }
    return text;
}

static void sends_again_what_the_hub_did_not_acknowledge(void **state)
{
    (void)state;
    paper_connect();
    for (unsigned i = 1; i <= 4; i++) {
        assert_int_equal(put(i), ANSWERS_SENT);
    }
    assert_string_equal(sent_since(0), "1 2 3 4 ");
    answers_acknowledged(&answers, paper[1].mid);
    answers_acknowledged(&answers, 4711);
    assert_int_equal(paper_count, 4);
    paper_cut();
    paper_connect();
    answers_up(&answers);
    assert_string_equal(sent_since(4), "1 3 4 ");
    assert_int_equal(answers.sent, 4); /* each counts once */
    for (size_t i = 4; i < 7; i++) {
        answers_acknowledged(&answers, paper[i].mid);
    }
    assert_int_equal(answers_due(&answers), UINT64_MAX);
    answers_up(&answers);
    assert_int_equal(paper_count, 7);
}

/* The acknowledgement of the connection before is of something else on this one. */
static void takes_no_old_acknowledgement_for_a_new_one(void **state)
{
    int old;

    (void)state;
    paper_connect();
    assert_int_equal(put(1), ANSWERS_SENT);
    old = paper[0].mid;
    paper_link = GK_BUSY;
    answers_up(&answers);
    answers_acknowledged(&answers, old);
    assert_int_not_equal(answers_due(&answers), UINT64_MAX);
    paper_link = GK_OK;
    answers_acknowledged(&answers, 4711); /* there is room again */
    assert_string_equal(sent_since(1), "1 ");
}

static void holds_them_in_order_while_nothing_goes(void **state)
{
    (void)state;
    assert_int_equal(put(1), ANSWERS_HELD); /* no connection yet */
    paper_connect();
    paper_link = GK_BUSY;
    assert_int_equal(put(2), ANSWERS_HELD);
    answers_up(&answers);
    assert_int_equal(paper_count, 0);
    assert_int_equal(answers.sent, 0);
    paper_link = GK_OK;
    answers_acknowledged(&answers, 4711);
    assert_string_equal(sent_since(0), "1 2 ");
    assert_int_equal(answers.sent, 2);
}

static void drops_what_nobody_waits_for_any_more(void **state)
{
    (void)state;
    assert_int_equal(put_sized(1, 0, 30000), ANSWERS_HELD);
    assert_int_equal(put_sized(2, 0, 10000), ANSWERS_HELD);
    assert_int_equal(put_sized(3, 0, 20000), ANSWERS_HELD);
    assert_int_equal(answers_due(&answers), loop_now_ms() + 10000);
    loop_pass(9999);
    answers_expire(&answers);
    assert_int_equal(paper_logged, 0);
    loop_pass(1);
    answers_expire(&answers);
    assert_int_equal(paper_logged, 1);
    assert_non_null(strstr(paper_log, REST));
    assert_int_equal(answers_due(&answers), loop_now_ms() + 10000);
    paper_connect();
    answers_up(&answers);
    assert_string_equal(sent_since(0), "1 3 ");
}

static void keeps_sixteen_and_a_mebibyte(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ANSWERS_MAX; i++) {
        assert_int_equal(put(i), ANSWERS_HELD);
    }
    assert_int_equal(put(16), ANSWERS_LOST);
    assert_int_equal(paper_logged, 1);
    paper_connect();
    assert_int_equal(put(17), ANSWERS_SENT); /* it goes, and is not sent again */
    paper_cut();
    answers_clear(&answers);
    assert_int_equal(put_sized(1, ANSWERS_BYTES - 1000, 30000), ANSWERS_HELD);
    assert_int_equal(put_sized(2, 1001, 30000), ANSWERS_LOST);
    assert_int_equal(put_sized(3, 1000, 30000), ANSWERS_HELD);
}

/* What the link will never take must not stand in the way of the next. */
static void gives_up_what_can_never_be_sent(void **state)
{
    (void)state;
    assert_int_equal(put(1), ANSWERS_HELD);
    assert_int_equal(put(2), ANSWERS_HELD);
    paper_connect();
    paper_link = GK_USAGE;
    assert_int_equal(put(3), ANSWERS_LOST);
    assert_int_equal(paper_logged, 1);
    answers_up(&answers);
    assert_int_equal(paper_logged, 3);
    assert_int_equal(answers_due(&answers), UINT64_MAX);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(sends_again_what_the_hub_did_not_acknowledge),
        CLAIM(takes_no_old_acknowledgement_for_a_new_one),
        CLAIM(holds_them_in_order_while_nothing_goes),
        CLAIM(drops_what_nobody_waits_for_any_more),
        CLAIM(keeps_sixteen_and_a_mebibyte),
        CLAIM(gives_up_what_can_never_be_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
