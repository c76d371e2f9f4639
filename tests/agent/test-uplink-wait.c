/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told what the hub said: those that wait on the socket, and applications by their ids. */
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define POINTS "thing/measurepoint/post"
#define EVENT "thing/event/full/post"
#define HOUR_MS 3600000

/* Stored by one commit, so that they go in one batch. */
static void store_points(const char *const *params, unsigned count)
{
    static struct paper_promise promises[8];

    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(paper_take(POINTS, params[i], &promises[i]), GK_OK);
    }
    loop_settle();
}

/* --- on the socket --------------------------------------------------------------------------- */

struct heard {
    unsigned times;
    json_int_t code;
    enum gk_status status;
    char id[24];
};

static void on_heard(void *context, const char *id, json_int_t code, json_t *data,
                     const struct gk_error *err)
{
    struct heard *heard = context;

    (void)data;
    heard->times++;
    heard->code = code;
    heard->status = err != NULL ? err->status : GK_OK;
    snprintf(heard->id, sizeof(heard->id), "%s", id);
}

static void tells_each_who_waits_once(void **state)
{
    struct heard heard[4] = { 0 };
    struct gk_error err = { 0 };
    int64_t first;
    char id[24];

    (void)state;
    store_points((const char *const[]){ "{\"n\":0}", "{\"n\":1}" }, 2);
    first = paper_store_number(POINTS, 2) - 2;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(
            uplink_wait(paper_service.uplink, first + i, i < 3 ? 0 : 20, on_heard, &heard[i], &err),
            GK_OK);
    }
    uplink_forget(paper_service.uplink, &heard[1]);
    paper_connect();
    paper_answer(0, 200);
    loop_pass(19999);
    assert_int_equal(heard[0].times + heard[2].times, 2);
    snprintf(id, sizeof(id), "%lld", (long long)first + 2);
    assert_string_equal(heard[2].id, id);
    assert_int_equal(heard[2].code, 200);
    assert_int_equal(heard[1].times, 0);
    assert_int_equal(heard[3].times, 0);
    loop_pass(1);
    assert_int_equal(heard[3].times, 1);
    assert_int_equal(heard[3].status, GK_UNREACHABLE);
    loop_pass(HOUR_MS);
    paper_store_number(EVENT, 3);
    paper_answer(1, 1200);
    assert_int_equal(heard[0].times + heard[1].times + heard[2].times + heard[3].times, 3);
}

static void lets_a_thousand_wait_and_no_more(void **state)
{
    struct heard heard = { 0 };
    struct gk_error err = { 0 };
    int64_t id = paper_store_number(EVENT, 1);

    (void)state;
    for (unsigned i = 0; i < 1024; i++) {
        assert_int_equal(uplink_wait(paper_service.uplink, id, 0, on_heard, &heard, &err), GK_OK);
    }
    assert_int_equal(uplink_wait(paper_service.uplink, id, 0, on_heard, &heard, &err), GK_BUSY);
    paper_connect();
    paper_answer(0, 200);
    assert_int_equal(heard.times, 1024);
    assert_int_equal(uplink_wait(paper_service.uplink, id, 1, on_heard, &heard, &err), GK_OK);
    loop_pass(1000);
    assert_int_equal(heard.times, 1025);
}

/* --- applications ---------------------------------------------------------------------------- */

static void tells_an_application_by_its_own_id(void **state)
{
    (void)state;
    paper_broker_is_there = true;
    paper_store(POINTS, "{\"id\":\"a\",\"params\":{\"n\":1}}");
    paper_connect();
    paper_answer(0, 200);
    assert_string_equal(paper_told, "answer/thing/measurepoint/post {\"id\":\"a\",\"code\":200,"
                                    "\"data\":{}}");
    paper_told[0] = '\0';
    paper_store_number(POINTS, 2);
    paper_answer(1, 200);
    assert_string_equal(paper_told, "");
    paper_store(EVENT, "{\"id\":7,\"params\":{\"n\":1}}");
    paper_answer(2, 1200);
    assert_memory_equal(paper_told, "answer/thing/event/full/post {\"id\":7,\"code\":1200,", 49);
}

static void tells_those_of_a_batch_that_asked(void **state)
{
    static const char *const params[] = { "{\"id\":1,\"params\":{\"n\":1}}", "{\"n\":2}",
                                          "{\"id\":3,\"params\":{\"n\":3}}" };

    (void)state;
    paper_broker_is_there = true;
    store_points(params, 3);
    paper_connect();
    assert_int_equal(paper[0].entries, 3);
    paper_store(POINTS, "{\"id\":4,\"params\":{\"n\":4}}"); /* behind it */
    paper_answer(0, 200);
    assert_int_equal(paper_told_count, 2);
    assert_non_null(strstr(paper_told, "{\"id\":3,"));
    paper_answer(1, 200);
    assert_int_equal(paper_told_count, 3);
    assert_int_equal(paper_retained, 0);
}

/* Who is not there any more does not want it either. */
static void keeps_no_answer_for_an_application_that_left(void **state)
{
    (void)state;
    paper_store(POINTS, "{\"id\":1,\"params\":{\"n\":1}}");
    paper_connect();
    paper_answer(0, 200);
    assert_int_equal(paper_told_count, 0);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, paper_begin, paper_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(tells_each_who_waits_once),
        CLAIM(lets_a_thousand_wait_and_no_more),
        CLAIM(tells_an_application_by_its_own_id),
        CLAIM(tells_those_of_a_batch_that_asked),
        CLAIM(keeps_no_answer_for_an_application_that_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
