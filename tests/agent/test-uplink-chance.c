/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promise, on days that chance makes: what was told to be on disk reaches the hub or its
 * owner's list, in the order of its topic, and what the hub has is not sent again. The hub answers
 * whatever it likes, late or never, links are cut and full, disks are full, the service begins
 * anew. GATEKEY_ROUNDS=N lives through more such days.
 */
#include "tests/agent/disk.h"
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TOPICS 6
#define MESSAGES 1000
#define STEPS 400

static const char *const topics[TOPICS] = { "thing/measurepoint/post", "thing/log/post",
                                            "thing/event/a/post",      "thing/event/b/post",
                                            "thing/attribute/update",  "thing/model/up_raw" };
#define RAW 5 /* the last: nobody answers it, and none of it waits for another */

static struct message {
    struct paper_promise promise;
    bool bad;       /* the hub refuses it for good */
    bool is_stored; /* as whoever handed it over was told */
    bool has;       /* the hub has it, and said so */
    bool is_aside;  /* its owner finds it in the list */
} messages[TOPICS][MESSAGES];
static unsigned count[TOPICS];
static bool up, forgetful; /* forgetful: what the hub took could not be written at the end */
static unsigned day;

static unsigned chance(unsigned limit)
{
    return (unsigned)random() % limit;
}

/* --- the hub --------------------------------------------------------------------------------- */

static bool is_it(void *context, const struct spool_message *message)
{
    int64_t *id = context;

    *id = message->id == *id ? 0 : *id;
    return false;
}

static bool waits(unsigned topic, int64_t id)
{
    struct gk_error err = { 0 };
    int64_t sought = id;

    assert_int_equal(
        spool_next(paper_service.spool, spool_lane_of(topics[topic]), id - 1, is_it, &sought, &err),
        GK_OK);
    return sought == 0;
}

/* Whatever came before it in its topic is over. */
static void check_order(unsigned topic, unsigned n)
{
    for (unsigned i = 0; i < n && topic != RAW; i++) {
        const struct message *before = &messages[topic][i];

        if (before->is_stored && !before->has && waits(topic, before->promise.id)) {
            fail_msg("day %u: %s number %u passed number %u", day, topics[topic], n, i);
        }
    }
}

static void take(unsigned topic, unsigned n)
{
    struct message *message = &messages[topic][n];

    assert_true(topic < TOPICS && n < count[topic]);
    if (!message->is_stored) {
        fail_msg("day %u: %s number %u was sent and not stored", day, topics[topic], n);
    }
    if (message->has && !forgetful) {
        fail_msg("day %u: %s number %u was sent though the hub has it", day, topics[topic], n);
    }
    check_order(topic, n);
    message->has = true;
}

/* What is in a request: which topic, and which numbers from which on. */
static void read_request(const struct paper_request *request, unsigned *topic, unsigned *numbers)
{
    CLEANUP(json_freep) json_t *whole = json_loads(request->text, 0, NULL);
    json_t *params = json_object_get(whole, "params");

    if (request->mid != 0) {
        *topic = RAW;
        numbers[0] = (unsigned)strtoul(request->text, NULL, 10);
        return;
    }
    for (size_t i = 0; i < request->entries; i++) {
        const json_t *entry = json_is_array(params) ? json_array_get(params, i) : params;

        *topic = (unsigned)json_integer_value(json_object_get(entry, "topic"));
        numbers[i] = (unsigned)json_integer_value(json_object_get(entry, "n"));
        assert_true(i == 0 || numbers[i] > numbers[i - 1]);
    }
}

static int verdict(bool bad)
{
    static const int codes[] = { 500, 1009, 429 };

    if (bad) {
        return 1200;
    }
    return chance(8) == 0 ? codes[chance(3)] : 200;
}

static void answer(size_t which, bool kind)
{
    static unsigned numbers[MESSAGES];
    struct paper_request *request = &paper[which];
    unsigned topic = 0;
    bool bad = false;
    int code;

    read_request(request, &topic, numbers);
    for (size_t i = 0; i < request->entries; i++) {
        bad = bad || messages[topic][numbers[i]].bad;
    }
    code = kind && !bad ? 200 : verdict(bad);
    for (size_t i = 0; i < request->entries; i++) {
        if (code == 200 || topic == RAW) {
            take(topic, numbers[i]);
        } else if (code == 1200 && request->entries == 1) {
            check_order(topic, numbers[i]);
        }
    }
    paper_answer(which, code);
}

/* --- what happens ---------------------------------------------------------------------------- */

static void hand_over(void)
{
    unsigned topic = chance(TOPICS), begin = count[topic];

    for (unsigned i = chance(topic == 0 ? 40 : 3) + 1; i > 0 && count[topic] < MESSAGES; i--) {
        unsigned n = count[topic]++;
        struct message *message = &messages[topic][n];
        char params[64];

        *message = (struct message){ .bad = topic != RAW && chance(30) == 0 };
        snprintf(params, sizeof(params), topic == RAW ? "%u" : "{\"time\":1,\"n\":%u,\"topic\":%u}",
                 n, topic);
        (void)!paper_take(topics[topic], params, &message->promise);
    }
    loop_settle();
    for (unsigned n = begin; n < count[topic]; n++) {
        struct message *message = &messages[topic][n];

        message->is_stored = message->promise.told == 1 && message->promise.status == GK_OK;
    }
}

/* The hub answers in time or not at all: nobody waits for it any more. */
static void forget_late(void)
{
    for (size_t i = 0; i < paper_count; i++) {
        paper[i].answered = paper[i].answered || loop_now_ms() - paper[i].sent_ms >= 30000;
    }
}

static void answer_some(bool kind)
{
    forget_late();
    for (unsigned i = chance(6) + 1; i > 0 && paper_open_count() > 0; i--) {
        size_t left = chance((unsigned)paper_open_count()) + 1, which = 0;

        while (left > 0) {
            left -= paper[which++].answered ? 0 : 1;
        }
        answer(which - 1, kind);
    }
}

static void change_connection(void)
{
    if (up) {
        paper_cut();
    } else {
        paper_connect();
    }
    up = !up;
}

static void begin_anew(bool full)
{
    if (up) {
        change_connection();
    }
    forgetful = forgetful || full;
    paper_stop();
    paper_start();
}

static void live(bool *full)
{
    switch (chance(20)) {
    case 0:
        change_connection();
        break;
    case 1:
        *full = !*full;
        disk_limit(*full ? 1 : 0);
        break;
    case 2:
        paper_link = paper_link == GK_OK ? GK_BUSY : GK_OK;
        break;
    case 3:
        if (chance(5) == 0) {
            begin_anew(*full);
        }
        break;
    case 4:
    case 5:
    case 6:
        loop_pass(chance(3) == 0 ? chance(90000) : chance(3000));
        break;
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
        hand_over();
        break;
    default:
        answer_some(false);
    }
}

/* --- the evening ----------------------------------------------------------------------------- */

/* Everything works again, for some hours. */
static void recover(void)
{
    disk_limit(0);
    paper_link = GK_OK;
    loop_pass(60000);
    if (!up) {
        change_connection();
    }
    for (unsigned i = 0; i < 20000 && paper_counters().queued > 0; i++) {
        forget_late();
        while (paper_open_count() > 0) {
            answer(paper_open(), true);
        }
        loop_pass(1000);
    }
    loop_pass(SPOOL_SETTLE_MS);
}

static bool note_aside(void *context, const struct spool_refusal *refusal)
{
    (void)context;
    for (unsigned topic = 0; topic < TOPICS; topic++) {
        for (unsigned n = 0; n < count[topic]; n++) {
            struct message *message = &messages[topic][n];

            message->is_aside = message->is_aside ||
                                (message->is_stored && message->promise.id == refusal->message.id);
        }
    }
    return true;
}

static void settle_accounts(void)
{
    struct spool_counters counters = paper_counters();
    struct gk_error err = { 0 };
    unsigned stored = 0, aside = 0;

    assert_int_equal(spool_refused(paper_service.spool, 0, note_aside, NULL, &err), GK_OK);
    for (unsigned topic = 0; topic < TOPICS; topic++) {
        for (unsigned n = 0; n < count[topic]; n++) {
            const struct message *message = &messages[topic][n];

            stored += message->is_stored;
            aside += message->is_aside;
            if (message->is_stored && !message->has && !message->is_aside) {
                fail_msg("day %u: %s number %u was lost", day, topics[topic], n);
            }
            assert_true(!message->bad || !message->has);
        }
    }
    assert_int_equal(counters.accepted, stored);
    assert_int_equal(counters.refused, aside);
    assert_int_equal(counters.queued + counters.dropped, 0);
    paper_balance();
}

static void keeps_its_promise_whatever_the_day(void **state)
{
    const char *rounds = getenv("GATEKEY_ROUNDS");
    unsigned days = rounds != NULL ? (unsigned)strtoul(rounds, NULL, 10) : 25;

    (void)state;
    for (day = 1; day <= days; day++) {
        bool full = false;

        srandom(day);
        disk_format(day);
        disk_limit(0);
        memset(count, 0, sizeof(count));
        up = forgetful = false;
        paper_reset();
        paper_config.spool_age_s = 30 * 86400;
        paper_start();
        for (unsigned i = 0; i < STEPS; i++) {
            live(&full);
        }
        recover();
        settle_accounts();
        paper_stop();
    }
    paper_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_promise_whatever_the_day),
    };
    int failed;

    disk_register();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_format(0);
    return failed;
}
