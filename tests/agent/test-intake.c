/* SPDX-License-Identifier: Apache-2.0 */
/* What may be handed over, when it is on disk, and who is told. */
#include "config.h"
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define EVENT "thing/event/full/post"
#define BODY "{\"n\":1}"

static json_int_t figure(const char *name)
{
    CLEANUP(json_freep) json_t *status = json_object();

    intake_describe(paper_service.intake, status);
    return json_integer_value(json_object_get(status, name));
}

static void tells_when_it_is_on_disk_and_not_before(void **state)
{
    struct paper_promise one, two;

    (void)state;
    assert_int_equal(paper_take(EVENT, BODY, &one), GK_OK);
    assert_int_equal(paper_take(EVENT, BODY, &two), GK_OK);
    assert_int_equal(one.told, 0);
    assert_int_equal(paper_counters().queued, 0);
    loop_settle();
    assert_int_equal(one.told, 1);
    assert_int_equal(two.told, 1);
    assert_int_equal(two.id, one.id + 1);
    assert_int_equal(paper_counters().queued, 2);
    loop_settle();
    assert_int_equal(one.told, 1);
    assert_int_equal(figure("handed_over"), 2);
    assert_int_equal(figure("turned_away"), 0);
}

/* --- a stream without a pause ---------------------------------------------------------------- */

struct stream {
    struct paper_promise promises[5000];
    const char *body;
    size_t count, max, before; /* before: how many came when the first was told */
    unsigned each_ms;
};
static struct stream stream;

/* As a socket that always has more to read. */
static int on_more(sd_event_source *source, void *context)
{
    (void)context;
    if (stream.count > 0 && stream.promises[0].told > 0 && stream.before == 0) {
        stream.before = stream.count;
    }
    if (stream.count < stream.max) {
        assert_int_equal(paper_take(EVENT, stream.body, &stream.promises[stream.count++]), GK_OK);
        loop_skip(stream.each_ms);
    } else {
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
    }
    return 0;
}

/* How many came before the first was on disk. */
static size_t waits_for(const char *body, size_t max, unsigned each_ms)
{
    sd_event_source *source;

    stream = (struct stream){ .body = body, .max = max, .each_ms = each_ms };
    sd_event_add_defer(NULL, &source, on_more, NULL);
    sd_event_source_set_enabled(source, SD_EVENT_ON);
    loop_settle();
    sd_event_source_unref(source);
    assert_int_equal(stream.promises[max - 1].told, 1);
    return stream.before;
}

static void waits_for_no_stream_to_end(void **state)
{
    static char large[100000];

    (void)state;
    assert_int_equal(waits_for(BODY, 600, 0), 256);
    snprintf(large, sizeof(large), "{\"t\":\"%060000d\"}", 1);
    assert_int_equal(waits_for(large, 40, 0), 18); /* a MiB */
    assert_int_equal(waits_for(BODY, 100, 1), 21); /* 20 ms after the first */
    assert_int_equal(waits_for(BODY, 100, 1), 21);
}

/* --- what is turned away --------------------------------------------------------------------- */

static void takes_nothing_for_nobody(void **state)
{
    struct paper_promise promise;

    (void)state;
    paper_takes = GK_NOT_ENROLLED;
    assert_int_equal(paper_take(EVENT, BODY, &promise), GK_NOT_ENROLLED);
    loop_settle();
    assert_int_equal(promise.told, 0);
    paper_takes = GK_OK;
    assert_int_equal(paper_take("", BODY, &promise), GK_USAGE);
    assert_int_equal(paper_take(EVENT, "{", &promise), GK_USAGE);
    loop_settle();
    assert_int_equal(promise.told, 0);
    assert_int_equal(paper_counters().accepted, 0);
    assert_int_equal(figure("turned_away"), 3);
    assert_int_equal(figure("handed_over"), 0);
}

static void keeps_four_thousand_waiting_and_no_more(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4096; i++) {
        assert_int_equal(paper_take(EVENT, BODY, &stream.promises[i]), GK_OK);
    }
    assert_int_equal(paper_take(EVENT, BODY, &stream.promises[4096]), GK_BUSY);
    loop_settle();
    for (unsigned i = 0; i < 4096; i++) {
        assert_int_equal(stream.promises[i].told, 1);
        assert_int_equal(stream.promises[i].id, stream.promises[0].id + i);
    }
    assert_int_equal(stream.promises[4096].told, 0);
    assert_int_equal(paper_take(EVENT, BODY, &stream.promises[0]), GK_OK);
}

static enum gk_status take_as(const char *topic, bool trusted)
{
    const struct intake_message message = {
        .topic = topic, .payload = BODY, .size = strlen(BODY), .trusted = trusted
    };
    struct gk_error err = { 0 };

    return intake_take(paper_service.intake, &message, NULL, NULL, &err);
}

/* Whoever sends them has this gateway's certificate revoked, or one issued for his key. */
static void lets_nobody_speak_of_certificates(void **state)
{
    static const char *const topics[] = { "thing/event/revokeMe/post",
                                          "thing/event/certificateRequest/post",
                                          "thing/event/certificateSuperseded/post",
                                          "thing/event/REVOKEME/post",
                                          "thing/event/revokeMe.x/post" };
    static const char *const others[] = { "thing/event/revokeMeNot/post", "thing/event/revoke/post",
                                          "thing/attribute/revokeMe/post" };

    (void)state;
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        assert_int_equal(take_as(topics[i], false), GK_REFUSED);
        assert_int_equal(take_as(topics[i], true), GK_OK);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(take_as(others[i], false), GK_OK);
    }
    loop_settle();
    assert_int_equal(paper_counters().accepted, 8);
}

/* --- who is gone ----------------------------------------------------------------------------- */

static void tells_nobody_who_is_gone(void **state)
{
    struct paper_promise one, two;

    (void)state;
    assert_int_equal(paper_take(EVENT, BODY, &one), GK_OK);
    assert_int_equal(paper_take(EVENT, BODY, &two), GK_OK);
    intake_forget(paper_service.intake, &one);
    loop_settle();
    assert_int_equal(one.told, 0);
    assert_int_equal(two.told, 1);
    assert_int_equal(paper_counters().queued, 2); /* it was taken all the same */
}

static struct paper_promise third;

/* Hands the next over, and ends somebody who was to be told after it. */
static void on_stored(void *context, int64_t id, const struct gk_error *err)
{
    (void)id;
    assert_null(err);
    assert_int_equal(paper_take(EVENT, BODY, &third), GK_OK);
    intake_forget(paper_service.intake, context);
}

static void may_be_used_while_it_tells(void **state)
{
    const struct intake_message message = { .topic = EVENT, .payload = BODY, .size = strlen(BODY) };
    struct paper_promise gone = { 0 }, stays;
    struct gk_error err = { 0 };

    (void)state;
    third = gone;
    assert_int_equal(intake_take(paper_service.intake, &message, on_stored, &gone, &err), GK_OK);
    assert_int_equal(paper_take(EVENT, BODY, &gone), GK_OK);
    assert_int_equal(paper_take(EVENT, BODY, &stays), GK_OK);
    loop_settle();
    assert_int_equal(gone.told, 0);
    assert_int_equal(stays.told, 1);
    assert_int_equal(third.told, 1);
    assert_int_equal(paper_counters().queued, 4);
}

/* --- time ------------------------------------------------------------------------------------ */

static void believes_no_clock_before_the_build(void **state)
{
    (void)state;
    assert_int_equal(intake_time_ms(paper_service.intake), LOOP_BOOT_MS + (int64_t)loop_now_ms());
    loop_boot_ms = 0;
    assert_int_equal(intake_time_ms(paper_service.intake), GK_BUILD_DATE * 1000);
    loop_boot_ms = LOOP_BOOT_MS;
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, paper_begin, paper_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(tells_when_it_is_on_disk_and_not_before),
        CLAIM(waits_for_no_stream_to_end),
        CLAIM(takes_nothing_for_nobody),
        CLAIM(keeps_four_thousand_waiting_and_no_more),
        CLAIM(lets_nobody_speak_of_certificates),
        CLAIM(tells_nobody_who_is_gone),
        CLAIM(may_be_used_while_it_tells),
        CLAIM(believes_no_clock_before_the_build),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
