/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and the hub's answers: which belongs to which, for how long one waits, who is told. */
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define EVENT "thing/event/full/post"
#define OTHER "thing/attribute/update"
#define PENDING_MAX 24 /* as in publisher.c */

struct heard {
    unsigned times;
    json_int_t code;
    enum gk_status status;
    char id[24];
    char object[320];
    bool has_data;
};
static struct heard heard[PENDING_MAX + 1];

static void on_answer(void *context, const char *id, json_int_t code, json_t *data,
                      const struct gk_error *err)
{
    struct heard *one = context;

    one->times++;
    one->code = code;
    one->status = err != NULL ? err->status : GK_OK;
    one->has_data = data != NULL;
    snprintf(one->id, sizeof(one->id), "%s", id);
    snprintf(one->object, sizeof(one->object), "%s", err != NULL ? err->object : "");
}

static int begin(void **state)
{
    memset(heard, 0, sizeof(heard));
    paper_begin(state);
    paper_connect();
    return 0;
}

static enum gk_status send_sized(size_t i, const char *rest, size_t size)
{
    static char text[300000];
    struct publisher_request request = { .rest = rest, .text = text };
    struct gk_error err = { 0 };
    char id[24];
    int head = snprintf(text, sizeof(text), "{\"id\":\"%zu\",\"params\":{", i);

    memset(text + head, ' ', sizeof(text) - (size_t)head);
    request.size = size > (size_t)head + 2 ? size : (size_t)head + 2;
    memcpy(text + request.size - 2, "}}", 2);
    snprintf(id, sizeof(id), "%zu", i);
    request.id = id;
    return publisher_send(paper_service.publisher, &request, on_answer, &heard[i], &err);
}

static enum gk_status send_one(size_t i, const char *rest)
{
    return send_sized(i, rest, 0);
}

static bool receive(const char *rest, const char *text)
{
    return publisher_receive(paper_service.publisher, rest, text, strlen(text));
}

static json_int_t figure(const char *name)
{
    CLEANUP(json_freep) json_t *status = json_object();

    publisher_describe(paper_service.publisher, status);
    return json_integer_value(json_object_get(status, name));
}

static void tells_by_topic_and_id_whose_answer_it_is(void **state)
{
    (void)state;
    assert_int_equal(send_one(1, EVENT), GK_OK);
    assert_int_equal(send_one(2, EVENT), GK_OK);
    assert_int_equal(send_one(3, OTHER), GK_OK);
    assert_true(receive(EVENT "_reply", "{\"id\":\"3\",\"code\":200}"));
    assert_true(receive(EVENT "_reply", "{\"id\":\"4\",\"code\":200}"));
    assert_true(receive(EVENT "_reply", "no JSON"));
    assert_int_equal(heard[1].times + heard[2].times + heard[3].times, 0);
    assert_false(receive(EVENT, "{\"id\":\"1\",\"code\":200}"));
    assert_false(receive("thing/service/x", "{\"id\":\"1\",\"code\":200}"));
    assert_true(receive(EVENT "_reply", "{\"id\":\"2\",\"code\":200,\"data\":{\"a\":1}}"));
    assert_int_equal(heard[1].times, 0);
    assert_int_equal(heard[2].times, 1);
    assert_int_equal(heard[2].code, 200);
    assert_int_equal(heard[2].status, GK_OK);
    assert_true(heard[2].has_data);
    assert_string_equal(heard[2].id, "2");
    assert_true(receive(EVENT "_reply", "{\"id\":\"2\",\"code\":200}"));
    assert_int_equal(heard[2].times, 1);
    assert_true(receive(OTHER "_reply", "{\"id\":\"3\",\"code\":1200,\"message\":\"why\"}"));
    assert_int_equal(heard[3].code, 1200);
    assert_int_equal(heard[3].status, GK_HUB_REFUSED);
    assert_string_equal(heard[3].object, OTHER ": code 1200, why");
    assert_int_equal(figure("requests"), 3);
    assert_int_equal(figure("unanswered"), 0);
}

static void waits_half_a_minute_and_longer_for_what_is_large(void **state)
{
    (void)state;
    assert_int_equal(send_sized(1, EVENT, 200 * 1024), GK_OK);
    loop_pass(1000);
    assert_int_equal(send_one(2, EVENT), GK_OK);
    loop_pass(29999);
    assert_int_equal(heard[2].times, 0);
    loop_pass(1);
    assert_int_equal(heard[2].times, 1);
    assert_int_equal(heard[2].code, 0);
    assert_int_equal(heard[2].status, GK_UNREACHABLE);
    assert_int_equal(heard[1].times, 0);
    /* 200 KiB at 4 KiB/s are 50 s. */
    loop_pass(80000 - 31000 - 1);
    assert_int_equal(heard[1].times, 0);
    loop_pass(1);
    assert_int_equal(heard[1].times, 1);
    assert_int_equal(figure("unanswered"), 2);
    assert_int_equal(send_one(3, EVENT), GK_OK);
    loop_pass(30000);
    assert_int_equal(heard[3].times, 1);
    assert_true(receive(EVENT "_reply", "{\"id\":\"3\",\"code\":200}"));
    assert_int_equal(heard[3].times, 1); /* too late */
}

static void has_two_dozen_under_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < PENDING_MAX; i++) {
        assert_int_equal(send_one(i, EVENT), GK_OK);
    }
    assert_int_equal(send_one(PENDING_MAX, EVENT), GK_BUSY);
    assert_int_equal(paper_count, PENDING_MAX);
    assert_true(receive(EVENT "_reply", "{\"id\":\"5\",\"code\":200}"));
    assert_int_equal(send_one(PENDING_MAX, EVENT), GK_OK);
    loop_pass(30000);
    for (size_t i = 0; i <= PENDING_MAX; i++) {
        assert_int_equal(heard[i].times, 1);
    }
}

static void sends_nothing_it_could_not_wait_for(void **state)
{
    (void)state;
    paper_link = GK_BUSY;
    assert_int_equal(send_one(1, EVENT), GK_BUSY);
    paper_link = GK_OK;
    paper_cut();
    assert_int_equal(send_one(2, EVENT), GK_UNREACHABLE);
    loop_pass(60000);
    assert_int_equal(heard[1].times + heard[2].times, 0);
    assert_int_equal(figure("requests"), 0);
}

static void subscribes_again_where_that_failed(void **state)
{
    (void)state;
    paper_subscribing = GK_BUSY;
    assert_int_equal(send_one(1, EVENT), GK_BUSY);
    assert_int_equal(paper_count, 0);
    paper_subscribing = GK_OK;
    assert_int_equal(send_one(1, EVENT), GK_OK);
    assert_int_equal(paper_subscribed, 2);
}

static void tells_all_when_the_connection_ends(void **state)
{
    (void)state;
    assert_int_equal(send_one(1, EVENT), GK_OK);
    assert_int_equal(send_one(2, OTHER), GK_OK);
    publisher_forget(paper_service.publisher, &heard[2]);
    paper_cut();
    assert_int_equal(heard[1].times, 1);
    assert_int_equal(heard[1].code, 0);
    assert_int_equal(heard[1].status, GK_UNREACHABLE);
    assert_int_equal(heard[2].times, 0); /* nobody wants to know any more */
    assert_int_equal(figure("unanswered"), 2);
    loop_pass(60000);
    assert_int_equal(heard[1].times, 1);
    assert_false(receive(EVENT "_reply", "{\"id\":\"1\",\"code\":200}"));
}

static void tells_whom_the_hub_will_not_answer(void **state)
{
    (void)state;
    assert_int_equal(send_one(1, EVENT), GK_OK);
    assert_int_equal(send_one(2, OTHER), GK_OK);
    publisher_refused(paper_service.publisher, EVENT "_reply");
    assert_int_equal(heard[1].times, 1);
    assert_int_equal(heard[1].status, GK_HUB_REFUSED);
    assert_int_equal(heard[2].times, 0);
    publisher_refused(paper_service.publisher, OTHER "_reply");
    assert_int_equal(heard[2].times, 1);
    paper_subscribed = 0;
    assert_int_equal(send_one(3, OTHER), GK_OK);
    assert_int_equal(send_one(3, EVENT), GK_OK);
    assert_int_equal(paper_subscribed, 2); /* they are asked again */
}

static void raw_data_ends_with_its_own_acknowledgement(void **state)
{
    const struct publisher_request raw = {
        .id = "1", .rest = "thing/model/up_raw", .text = "x", .size = 1, .raw = true
    };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(publisher_send(paper_service.publisher, &raw, on_answer, &heard[1], &err),
                     GK_OK);
    assert_int_equal(publisher_send(paper_service.publisher, &raw, on_answer, &heard[2], &err),
                     GK_OK);
    assert_int_equal(paper_subscribed, 0);
    publisher_acknowledged(paper_service.publisher, paper[1].mid);
    assert_int_equal(heard[1].times, 0);
    assert_int_equal(heard[2].times, 1);
    assert_int_equal(heard[2].code, 200);
    publisher_acknowledged(paper_service.publisher, 4711);
    assert_int_equal(heard[1].times, 0);
    loop_pass(30000);
    assert_int_equal(heard[1].status, GK_UNREACHABLE);
}

static void name_topic(char *topic, size_t size, unsigned i)
{
    snprintf(topic, size, "thing/event/e%u/post", i);
}

/* The hub handles what comes in order, so that once for each topic and connection is enough. */
static void subscribes_once_to_each_answer(void **state)
{
    char topic[64];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(send_one(1, EVENT), GK_OK);
    }
    assert_int_equal(paper_subscribed, 1);
    paper_cut();
    paper_connect();
    assert_int_equal(send_one(1, EVENT), GK_OK);
    assert_int_equal(paper_subscribed, 2);
    loop_pass(10000);
    /* 64 topics: the one that nobody has used for longest, and nobody waits on, makes room. */
    for (unsigned i = 0; i < 63; i++) {
        name_topic(topic, sizeof(topic), i);
        assert_int_equal(send_one(2, topic), GK_OK);
        paper_answer(paper_count - 1, 200);
    }
    assert_int_equal(paper_unsubscribed, 0);
    assert_int_equal(paper_subscribed, 65);
    name_topic(topic, sizeof(topic), 0);
    assert_int_equal(send_one(2, topic), GK_OK);
    paper_answer(paper_count - 1, 200);
    assert_int_equal(send_one(3, OTHER), GK_OK);
    assert_int_equal(paper_unsubscribed, 1);
    assert_true(receive(EVENT "_reply", "{\"id\":\"9\",\"code\":200}")); /* it is waited on */
    assert_true(receive("thing/event/e0/post_reply", "{\"id\":\"9\",\"code\":200}"));
    assert_false(receive("thing/event/e1/post_reply", "{\"id\":\"9\",\"code\":200}"));
    assert_true(receive("thing/event/e2/post_reply", "{\"id\":\"9\",\"code\":200}"));
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, begin, paper_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(tells_by_topic_and_id_whose_answer_it_is),
        CLAIM(waits_half_a_minute_and_longer_for_what_is_large),
        CLAIM(has_two_dozen_under_way),
        CLAIM(sends_nothing_it_could_not_wait_for),
        CLAIM(subscribes_again_where_that_failed),
        CLAIM(tells_all_when_the_connection_ends),
        CLAIM(tells_whom_the_hub_will_not_answer),
        CLAIM(raw_data_ends_with_its_own_acknowledgement),
        CLAIM(subscribes_once_to_each_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
