/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts the power at random moments of a spool's life, on a disk that loses what was not synced in
 * the worst ways allowed (tests/agent/disk.h). After each cut the spool opens; what was committed
 * and not settled is there once, in order and whole; what was not committed is there whole or not
 * at all; numbers do not come twice; the counters balance.
 *
 * GATEKEY_ROUNDS says how many cuts, 300 unless it does. The same story on a disk that lies, and
 * without syncing, must end badly: else it would show nothing.
 */
#include "agent/spool/internal.h"
#include "tests/agent/disk.h"
#include "tests/agent/spool.h"

#define MESSAGES 4096
#define GROUP 12
#define CUTS_OF_A_DISK 20
#define BODY 9000

enum fate {
    PUT,       /* not committed: all of the last group are there, or none is */
    COMMITTED, /* must be there */
    DOUBTED,   /* settled, refused or dropped, not committed: there or not */
    GONE,      /* must not be there */
};

struct message {
    int64_t id;
    enum spool_lane lane;
    enum fate fate;
    unsigned seed, size;
    bool found;
};

static struct message messages[MESSAGES];
static size_t count;
static int64_t own; /* the greatest number of a message that is never put */
static struct spool_counters before;
static bool without_sync;
static char wrong[200];

static bool complain(const char *what, int64_t id)
{
    if (wrong[0] == '\0') {
        snprintf(wrong, sizeof(wrong), "%s (%lld)", what, (long long)id);
    }
    return false;
}

/* --- what the story is made of ---------------------------------------------------------------- */

static void make_body(const struct message *message, char *body)
{
    for (unsigned i = 0; i < message->size; i++) {
        body[i] = (char)('a' + (message->seed + i * 7) % 26);
    }
}

/* Mostly small ones, some that fill pages of their own. */
static void put_one(struct spool *spool)
{
    static const char *const topics[SPOOL_LANES] = { POINTS, RESUME, EVENT };
    static char body[BODY];
    struct message message = { .lane = (enum spool_lane)disk_chance(SPOOL_LANES),
                               .seed = disk_chance(1000),
                               .size = disk_chance(disk_chance(8) == 0 ? BODY : 300) };
    struct spool_message put = { .topic = topics[message.lane],
                                 .accepted_ms = INT64_C(4000000000000),
                                 .body = body,
                                 .size = message.size };
    struct gk_error err = { 0 };

    make_body(&message, body);
    if (count < MESSAGES && spool_put(spool, &put, &message.id, &err) == GK_OK) {
        messages[count++] = message;
    }
}

/* The first that wait in a lane, as the hub answers them; some it refuses. */
static void answer_some(struct spool *spool, enum spool_lane lane, unsigned left)
{
    unsigned refuse = disk_chance(10);
    struct gk_error err = { 0 };

    for (size_t i = 0; i < count && left > 0; i++) {
        struct message *message = &messages[i];

        if (message->lane != lane || message->fate != COMMITTED) {
            continue;
        }
        if (refuse == 0 && spool_refuse(spool, message->id, 1, 1200, "no", &err) != GK_OK) {
            return;
        }
        if (refuse != 0) {
            spool_settle(spool, message->id, message->id);
        }
        message->fate = DOUBTED;
        left--;
    }
}

static bool commit(struct spool *spool)
{
    struct gk_error err = { 0 };

    if (spool_commit(spool, &err) != GK_OK) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        messages[i].fate = messages[i].fate == PUT       ? COMMITTED
                           : messages[i].fate == DOUBTED ? GONE
                                                         : messages[i].fate;
    }
    before = rig_count(spool);
    return true;
}

/* Until the power fails. */
static void live(struct spool *spool)
{
    while (!disk_is_dead()) {
        unsigned group = 1 + disk_chance(GROUP);

        for (unsigned i = 0; i < group && !disk_is_dead(); i++) {
            put_one(spool);
        }
        if (disk_chance(3) == 0) {
            own = spool_number(spool, SPOOL_KEPT);
        }
        if (disk_chance(2) == 0) {
            answer_some(spool, (enum spool_lane)disk_chance(SPOOL_LANES), disk_chance(GROUP));
        }
        if (disk_chance(6) == 0) {
            for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
                answer_some(spool, (enum spool_lane)lane, MESSAGES);
            }
        }
        if (!commit(spool) && !disk_is_dead()) {
            complain("a commit failed while there was power", 0);
            return;
        }
    }
}

/* --- what must be true after it --------------------------------------------------------------- */

struct reading {
    enum spool_lane lane;
    int64_t last;
    unsigned put; /* of the group that was not committed */
};

static struct message *find(int64_t id)
{
    /* An id that was never committed may have been given again, to the later one. */
    for (size_t i = count; i-- > 0;) {
        if (messages[i].id == id) {
            return &messages[i];
        }
    }
    return NULL;
}

static bool check_one(void *context, const struct spool_message *got)
{
    struct reading *reading = context;
    struct message *message = find(got->id);
    static char body[BODY];

    if (message == NULL || message->lane != reading->lane) {
        return complain("a message that nobody put", got->id);
    }
    if (got->id <= reading->last) {
        return complain("out of order", got->id);
    }
    if (message->found || message->fate == GONE) {
        return complain("a message that was over", got->id);
    }
    make_body(message, body);
    if (got->size != message->size || memcmp(got->body, body, got->size) != 0) {
        return complain("another content", got->id);
    }
    reading->last = got->id;
    reading->put += message->fate == PUT;
    message->found = true;
    return true;
}

static bool check_all(struct spool *spool)
{
    struct spool_counters now = rig_count(spool);
    struct reading reading = { 0 };
    struct gk_error err = { 0 };
    unsigned put = 0;
    size_t kept = 0;

    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        reading.lane = (enum spool_lane)lane;
        reading.last = 0;
        if (spool_next(spool, reading.lane, 0, check_one, &reading, &err) != GK_OK) {
            return complain("it cannot be read", 0);
        }
    }
    for (size_t i = 0; i < count; i++) {
        put += messages[i].fate == PUT;
        if (messages[i].fate == COMMITTED && !messages[i].found) {
            return complain("an accepted message was lost", messages[i].id);
        }
    }
    if (reading.put != 0 && reading.put != put) {
        return complain("half of a group", reading.put);
    }
    if (now.accepted != now.acknowledged + now.refused + now.dropped + now.queued ||
        now.accepted != before.accepted + reading.put || now.rebuilt != 0) {
        return complain("the counters do not balance", (int64_t)now.accepted);
    }
    /* Those that are over need not be remembered; what is there is committed. */
    for (size_t i = 0; i < count; i++) {
        if (messages[i].found) {
            messages[kept] = messages[i];
            messages[kept].found = false;
            messages[kept++].fate = COMMITTED;
        }
    }
    count = kept;
    before = now;
    return true;
}

static bool check_numbers(struct spool *spool)
{
    int64_t number = spool_number(spool, SPOOL_KEPT);

    if (number <= own) {
        return complain("a number of its own came twice", number);
    }
    own = number;
    return true;
}

/* The power may fail again while it is opened. */
static struct spool *open_it(void)
{
    struct spool_settings settings = rig_settings();
    struct spool *spool = NULL;
    struct gk_error err = { 0 };

    settings.max_bytes = UINT64_C(1) << 40;
    if (disk_chance(4) == 0) {
        disk_cut_after(1 + disk_chance(20));
        if (spool_open(&settings, NULL, &spool, &err) == GK_OK && !disk_is_dead()) {
            disk_cut_after(0);
            return spool;
        }
        spool_close(TAKE(spool));
        disk_power_on();
    }
    if (spool_open(&settings, NULL, &spool, &err) != GK_OK) {
        gk_error_sentence(&err, "open it", wrong, sizeof(wrong));
        return NULL;
    }
    return spool;
}

/* One life of a spool, from its opening to a cut. */
static bool live_once(void)
{
    struct spool *spool = open_it();
    struct gk_error err = { 0 };

    if (spool == NULL || !check_all(spool) || !check_numbers(spool)) {
        spool_close(spool);
        return false;
    }
    if (without_sync && spool_database_run(spool, "PRAGMA synchronous = OFF", &err) != GK_OK) {
        return complain("synchronous cannot be set", 0);
    }
    spool->shrink_from = 40000; /* so that it is made small now and then */
    disk_cut_after(1 + disk_chance(disk_chance(4) == 0 ? 1500 : 150));
    live(spool);
    spool_close(spool);
    disk_power_on();
    return wrong[0] == '\0';
}

/* How many cuts went well. */
static unsigned cut(unsigned cuts, bool lies)
{
    unsigned done = 0;

    wrong[0] = '\0';
    for (; done < cuts && wrong[0] == '\0'; done++) {
        if (done % CUTS_OF_A_DISK == 0) {
            disk_format(done + 1);
            disk_lie(lies);
            count = 0;
            own = 0;
            before = (struct spool_counters){ 0 };
        }
        if (!live_once()) {
            break;
        }
    }
    return done;
}

static void loses_nothing_that_was_accepted(void **state)
{
    const char *rounds = getenv("GATEKEY_ROUNDS");
    unsigned cuts = rounds != NULL ? (unsigned)strtoul(rounds, NULL, 10) : 300, done;

    (void)state;
    without_sync = false;
    done = cut(cuts, false);
    if (done < cuts) {
        fail_msg("after %u cuts: %s", done, wrong);
    }
    print_message("%u cuts, nothing lost\n", done);
}

static void would_lose_some_without_syncing(void **state)
{
    unsigned done;

    (void)state;
    without_sync = true;
    done = cut(200, false);
    without_sync = false;
    print_message("after %u cuts: %s\n", done, wrong);
    assert_true(done < 200);
}

static void would_lose_some_on_a_disk_that_lies(void **state)
{
    unsigned done;

    (void)state;
    done = cut(200, true);
    print_message("after %u cuts: %s\n", done, wrong);
    assert_true(done < 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(loses_nothing_that_was_accepted, rig_setup),
        cmocka_unit_test_setup(would_lose_some_without_syncing, rig_setup),
        cmocka_unit_test_setup(would_lose_some_on_a_disk_that_lies, rig_setup),
    };

    int failed;

    disk_register();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_format(0);
    return failed;
}
