/* SPDX-License-Identifier: Apache-2.0 */
/* What applications send through the local broker: acknowledged when it is on disk, and not before.
 */
#include "agent/service/relay-internal.h"
#include "tests/agent/disk.h"
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define UP "gatekey/up/"
#define EVENT "thing/event/full/post"

static struct relay relay;
static enum gk_status answered; /* what the commander says to an answer */

enum gk_status __wrap_commander_answer(struct commander *commander, const char *rest,
                                       const void *payload, size_t size, struct gk_error *err);

enum gk_status __wrap_commander_answer(struct commander *commander, const char *rest,
                                       const void *payload, size_t size, struct gk_error *err)
{
    (void)commander;
    (void)payload;
    (void)size;
    assert_string_equal(rest, "thing/service/x");
    return answered == GK_OK ? GK_OK : gk_fail(err, answered, "x");
}

static int begin(void **state)
{
    disk_format(5);
    disk_limit(0);
    relay = (struct relay){ .service = &paper_service };
    answered = GK_OK;
    return paper_begin(state);
}

/* As the broker delivers it. */
static void deliver_as(const char *topic, const char *text, bool retain)
{
    struct mosquitto_message message = { .payloadlen = (int)strlen(text), .retain = retain };
    CLEANUP(gk_freep) char *name = strdup(topic);
    CLEANUP(gk_freep) char *payload = strdup(text);

    message.topic = name;
    message.payload = payload;
    relay_receive(&relay, &message);
}

static void deliver(const char *topic, const char *text)
{
    deliver_as(topic, text, false);
}

static void acknowledges_after_the_disk(void **state)
{
    (void)state;
    deliver(UP EVENT, "{\"n\":1}");
    deliver(UP EVENT, "{\"n\":2}");
    assert_int_equal(relay.uncommitted, 2);
    assert_int_equal(paper_counters().queued, 0);
    relay_commit(&relay);
    assert_false(relay.failed);
    assert_int_equal(relay.uncommitted, 0);
    assert_int_equal(paper_counters().queued, 2);
    relay_commit(&relay);
    assert_false(relay.failed);
    assert_int_equal(relay.taken, 2);
    deliver(UP EVENT, "{\"n\":3}");
    loop_settle(); /* or with what others handed over */
    assert_int_equal(relay.uncommitted, 0);
}

static void acknowledges_nothing_any_more_when_the_disk_is_full(void **state)
{
    (void)state;
    deliver(UP EVENT, "{\"n\":1}");
    disk_limit(1);
    relay_commit(&relay);
    assert_true(relay.failed);
    assert_int_equal(relay.uncommitted, 0);
    disk_limit(0);
    deliver(UP EVENT, "{\"n\":2}"); /* it comes again, behind the first */
    assert_int_equal(relay.uncommitted, 0);
    relay_commit(&relay);
    assert_true(relay.failed);
    assert_int_equal(paper_counters().accepted, 0);
}

/* With what others handed over, whose commit it is. */
static void hears_of_a_full_disk_from_others(void **state)
{
    (void)state;
    deliver(UP EVENT, "{\"n\":1}");
    disk_limit(1);
    loop_settle();
    assert_true(relay.failed);
    assert_int_equal(relay.uncommitted, 0);
}

/* Whoever could not be told has no promise, whatever became of the message. */
static void takes_no_silence_for_a_promise(void **state)
{
    (void)state;
    deliver(UP EVENT, "{\"n\":1}");
    intake_forget(paper_service.intake, &relay);
    relay_commit(&relay);
    assert_true(relay.failed);
}

static void answers_a_bad_one_and_goes_on(void **state)
{
    (void)state;
    deliver(UP EVENT, "{\"id\":\"7\",\"params\":5}");
    assert_false(relay.failed);
    assert_int_equal(relay.uncommitted, 0);
    assert_int_equal(relay.refused, 1);
    assert_memory_equal(paper_told, "error/" EVENT " {\"error\":\"cannot take this message: ", 59);
    assert_non_null(strstr(paper_told, "\"id\":\"7\""));
    deliver(UP "thing/event/revokeMe/post", "{}"); /* nobody here may */
    assert_int_equal(relay.refused, 2);
    deliver(UP EVENT, "{\"id\":{\"a\":1},\"params\":5}");
    assert_null(strstr(paper_told, "\"id\":")); /* that is none */
    deliver(UP EVENT, "{\"n\":2}");
    relay_commit(&relay);
    assert_int_equal(paper_counters().queued, 1);
    assert_false(relay.failed);
}

static void lets_come_again_what_cannot_be_taken_now(void **state)
{
    (void)state;
    paper_takes = GK_NOT_ENROLLED;
    deliver(UP EVENT, "{\"n\":1}");
    assert_true(relay.failed);
    assert_int_equal(relay.uncommitted, 0);
    assert_int_equal(relay.deferred, 1);
    assert_int_equal(relay.refused, 0);
    assert_string_equal(paper_told, "");
    paper_takes = GK_OK;
    deliver(UP EVENT, "{\"n\":2}"); /* nor what comes behind it */
    relay_commit(&relay);
    assert_int_equal(paper_counters().accepted, 0);
}

/* It comes with each subscription; it was taken when it was published. */
static void takes_nothing_that_was_retained(void **state)
{
    (void)state;
    deliver_as(UP EVENT, "{\"n\":1}", true);
    loop_settle();
    assert_int_equal(paper_counters().accepted, 0);
    assert_int_equal(relay.uncommitted, 0);
}

static void waits_for_nothing_over_a_connection_that_is_gone(void **state)
{
    (void)state;
    deliver(UP EVENT, "{\"n\":1}");
    relay_forget(&relay);
    assert_int_equal(relay.uncommitted, 0);
    loop_settle();
    assert_int_equal(relay.uncommitted, 0);
    assert_false(relay.failed);
    assert_int_equal(paper_counters().accepted, 1);
}

static unsigned told;

static void on_done(void *context, int64_t id, const struct gk_error *err)
{
    (void)context;
    (void)id;
    assert_null(err);
    told++;
}

static enum gk_status answer(const char *topic)
{
    struct gk_error err = { 0 };

    told = 0;
    return relay_take(&relay, topic, "{}", 2, on_done, NULL, &err);
}

static void takes_answers_to_commands(void **state)
{
    (void)state;
    assert_int_equal(answer("gatekey/reply/thing/service/x"), GK_OK);
    assert_int_equal(told, 1);
    assert_int_equal(relay.answers, 1);
    answered = GK_NO_MESSAGE; /* nobody waits for it: it need not come again */
    assert_int_equal(answer("gatekey/reply/thing/service/x"), GK_REFUSED);
    answered = GK_NO_MEMORY;
    assert_int_equal(answer("gatekey/reply/thing/service/x"), GK_NO_MEMORY);
    assert_int_equal(answer("gatekey/down/thing/service/x"), GK_USAGE);
    assert_int_equal(told, 0);
    assert_int_equal(relay.answers, 1);
    assert_int_equal(relay.refused, 1);
    assert_int_equal(relay.deferred, 1);
    assert_int_equal(relay.taken, 0);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, begin, paper_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(acknowledges_after_the_disk),
        CLAIM(acknowledges_nothing_any_more_when_the_disk_is_full),
        CLAIM(hears_of_a_full_disk_from_others),
        CLAIM(takes_no_silence_for_a_promise),
        CLAIM(answers_a_bad_one_and_goes_on),
        CLAIM(lets_come_again_what_cannot_be_taken_now),
        CLAIM(takes_nothing_that_was_retained),
        CLAIM(waits_for_nothing_over_a_connection_that_is_gone),
        CLAIM(takes_answers_to_commands),
    };
    int failed;

    disk_register();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_format(0);
    return failed;
}
