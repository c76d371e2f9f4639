/* SPDX-License-Identifier: Apache-2.0 */
/* Tests how agent/spool/ is bounded: by bytes, by age, and what goes first. */
#include "tests/agent/spool.h"

#include <sys/stat.h>

#define COST(topic, size) (strlen(topic) + (size) + 64)

/* Room for so many bytes, as they are counted. */
static struct spool *open_small(uint64_t max_bytes)
{
    struct spool_settings settings = rig_settings();

    settings.max_bytes = max_bytes;
    return rig_open_as(&settings);
}

static enum gk_status put(struct spool *spool, const char *topic, size_t size, struct gk_error *err)
{
    const struct spool_message message = { .topic = topic,
                                           .accepted_ms = INT64_C(4000000000000),
                                           .body = memset(malloc(size), 'x', size),
                                           .size = size };
    void *body;
    int64_t id;
    enum gk_status status = spool_put(spool, &message, &id, err);

    memcpy(&body, &message.body, sizeof(body));
    free(body);
    return status;
}

static void drops_the_oldest_telemetry_first(void **state)
{
    struct spool *spool = open_small(3 * COST(POINTS, 1) + 2 * COST(RESUME, 1) + COST(EVENT, 1));
    int64_t id;

    (void)state;
    rig_store(spool, POINTS, 2, "b");
    rig_store(spool, EVENT, 0, "e");
    rig_store(spool, RESUME, 1, "a");
    rig_store(spool, RESUME, 3, "c");
    rig_store(spool, POINTS, 4, "d");
    id = rig_store(spool, POINTS, 5, "f");
    assert_int_equal(rig_count(spool).dropped, 0);
    assert_int_equal(rig_store(spool, POINTS, 6, "g"), id + 1); /* a had to go */
    assert_string_equal(rig_bodies(spool, SPOOL_TELEMETRY), "c ");
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "b d f g ");
    rig_store(spool, RESUME, 7, "h"); /* and b */
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "d f g ");
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "e ");
    assert_int_equal(rig_count(spool).dropped, 2);
    rig_balance(spool);
    spool_close(spool);
}

static void drops_nothing_else_and_says_that_it_is_full(void **state)
{
    struct spool *spool = open_small(4 * COST(EVENT, 100));
    struct gk_error err = { 0 };
    char text[512];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(put(spool, EVENT, 100, &err), GK_OK);
    }
    rig_store(spool, POINTS, 1, "telemetry");
    assert_int_equal(put(spool, EVENT, 1000, &err), GK_SPOOL_FULL);
    gk_error_sentence(&err, "store this message", text, sizeof(text));
    assert_non_null(strstr(text, "cannot store this message: the spool is full (./spool.db: "));
    assert_non_null(strstr(text, "raise [spool] max_size"));
    rig_commit(spool);
    /* What could not make enough room was left. */
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "telemetry ");
    assert_int_equal(put(spool, EVENT, 100, &err), GK_OK);
    assert_int_equal(put(spool, POINTS, 1, &err), GK_SPOOL_FULL);
    rig_commit(spool);
    assert_int_equal(rig_count(spool).queued, 4);
    assert_int_equal(rig_count(spool).dropped, 1);
    rig_balance(spool);
    spool_close(spool);
}

/* What the hub has, though that was not written yet, makes room before anything is dropped. */
static void drops_nothing_while_what_was_settled_makes_room(void **state)
{
    struct spool *spool = open_small(2 * COST(POINTS, 1));
    int64_t first = rig_store(spool, POINTS, 1, "a");

    (void)state;
    rig_store(spool, POINTS, 2, "b");
    spool_settle(spool, first, first);
    rig_store(spool, POINTS, 3, "c");
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "b c ");
    assert_int_equal(rig_count(spool).dropped, 0);
    assert_int_equal(rig_count(spool).acknowledged, 1);
    rig_balance(spool);
    spool_close(spool);
}

/* One under way may go; that it is settled then counts for nothing. */
static void drops_what_is_under_way_as_well(void **state)
{
    struct spool *spool = open_small(2 * COST(POINTS, 1));
    int64_t first = rig_store(spool, POINTS, 1, "a");

    (void)state;
    rig_store(spool, POINTS, 2, "b");
    rig_store(spool, POINTS, 3, "c");
    spool_settle(spool, first, first);
    rig_commit(spool);
    assert_int_equal(rig_count(spool).acknowledged, 0);
    assert_int_equal(rig_count(spool).dropped, 1);
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "b c ");
    rig_balance(spool);
    spool_close(spool);
}

/* Not what was settled: the hub has that. */
static void knows_what_a_crash_would_bring_back(void **state)
{
    struct spool *spool = open_small(2 * COST(POINTS, 1));
    int64_t a = rig_store(spool, POINTS, 1, "a"), b = rig_store(spool, POINTS, 2, "b");
    uint64_t count = 0;

    (void)state;
    spool_settle(spool, a, a);
    assert_false(spool_may_return(spool, SPOOL_POINTS));
    rig_put(spool, POINTS, 3, "c"); /* in the room of a */
    assert_false(spool_may_return(spool, SPOOL_POINTS));
    rig_put(spool, POINTS, 4, "d"); /* in that of b */
    assert_true(spool_may_return(spool, SPOOL_POINTS));
    rig_commit(spool);
    assert_false(spool_may_return(spool, SPOOL_POINTS));
    assert_int_equal(spool_refuse(spool, b + 1, 0, 1206, "c", NULL), GK_OK);
    assert_true(spool_may_return(spool, SPOOL_POINTS));
    assert_false(spool_may_return(spool, SPOOL_KEPT));
    rig_commit(spool);
    assert_false(spool_may_return(spool, SPOOL_POINTS));
    assert_int_equal(spool_drop(spool, b + 2, &count, NULL), GK_OK);
    assert_true(spool_may_return(spool, SPOOL_POINTS));
    rig_commit(spool);
    assert_false(spool_may_return(spool, SPOOL_POINTS));
    spool_close(spool);
}

static void drops_what_is_too_old(void **state)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    const int64_t hour_ms = 3600000, now_ms = INT64_C(4000000000000) + hour_ms;

    (void)state;
    rig_put(spool, EVENT, 1, "e");
    rig_put(spool, RESUME, 9, "a");
    rig_put(spool, POINTS, 9, "b");
    rig_put(spool, POINTS, 11, "c");
    rig_commit(spool);
    assert_int_equal(spool_expire(spool, now_ms + 10, &err), GK_OK);
    rig_commit(spool);
    assert_string_equal(rig_bodies(spool, SPOOL_TELEMETRY), "");
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "c ");
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "e ");
    assert_int_equal(rig_count(spool).dropped, 2);
    rig_balance(spool);
    spool_close(spool);
}

static void drops_nothing_old_that_the_hub_has(void **state)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    int64_t first = rig_store(spool, POINTS, 0, "a");

    (void)state;
    rig_store(spool, POINTS, 0, "b");
    spool_settle(spool, first, first);
    assert_int_equal(spool_expire(spool, INT64_C(4000000000000) + 3600001, &err), GK_OK);
    rig_commit(spool);
    assert_int_equal(rig_count(spool).acknowledged, 1);
    assert_int_equal(rig_count(spool).dropped, 1);
    rig_balance(spool);
    spool_close(spool);
}

/* Its age is not known before the clock is right; it counts from then on. */
static void drops_what_was_accepted_by_a_wrong_clock(void **state)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    const int64_t day_ms = 86400000, hour_ms = 3600000, now_ms = INT64_C(4000000000000);

    (void)state;
    rig_store(spool, RESUME, -now_ms, "1970");
    rig_store(spool, RESUME, 0, "behind");
    rig_store(spool, POINTS, 0, "before");
    rig_store(spool, POINTS, 900 * day_ms, "ahead");
    rig_store(spool, POINTS, 1000, "after");
    rig_store(spool, EVENT, 900 * day_ms, "kept");
    for (int64_t at_ms = 2000; at_ms <= hour_ms; at_ms += hour_ms - 2000) {
        assert_int_equal(spool_expire(spool, now_ms + at_ms, &err), GK_OK);
        rig_commit(spool);
        assert_string_equal(rig_bodies(spool, SPOOL_TELEMETRY), "1970 behind ");
        assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "before ahead after ");
    }
    spool_close(spool);
    spool = rig_open();
    assert_int_equal(spool_expire(spool, now_ms + hour_ms + 2001, &err), GK_OK);
    rig_commit(spool);
    assert_string_equal(rig_bodies(spool, SPOOL_TELEMETRY), "");
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "");
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "kept ");
    rig_balance(spool);
    /* One that was stored before the present process, and comes to the front. */
    rig_store(spool, POINTS, 900 * day_ms, "ahead");
    spool_close(spool);
    spool = rig_open();
    assert_int_equal(spool_expire(spool, now_ms + 2 * hour_ms, &err), GK_OK);
    rig_commit(spool);
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "ahead ");
    assert_int_equal(spool_expire(spool, now_ms + 3 * hour_ms + 1, &err), GK_OK);
    rig_commit(spool);
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "");
    spool_close(spool);
}

static void bounds_what_was_refused(void **state)
{
    struct spool *spool = open_small(40 * COST(EVENT, 100));
    struct gk_error err = { 0 };
    unsigned i;

    (void)state;
    for (i = 0; i < 20; i++) {
        char body[101];
        int64_t id;

        snprintf(body, sizeof(body), "%0100u", i);
        id = rig_store(spool, EVENT, i, body);
        assert_int_equal(spool_refuse(spool, id, i, 1200, "no", &err), GK_OK);
        rig_commit(spool);
    }
    assert_int_equal(rig_count(spool).refused, 10); /* a quarter */
    assert_int_equal(rig_count(spool).dropped, 10);
    assert_non_null(strstr(rig_refused(spool), "00010 1200:no:"));
    assert_null(strstr(rig_refused(spool), "00009 "));
    rig_balance(spool);
    spool_close(spool);
}

static void shrinks_when_a_backlog_is_gone(void **state)
{
    struct spool_settings settings = rig_settings();
    struct gk_error err = { 0 };
    struct stat found;
    struct spool *spool;
    int64_t first, last = 0;
    off_t large;

    (void)state;
    settings.max_bytes = 64 * 1024 * 1024;
    spool = rig_open_as(&settings);
    first = rig_store(spool, POINTS, 1, "first");
    for (unsigned i = 0; i < 8000; i++) {
        assert_int_equal(put(spool, POINTS, 1000, &err), GK_OK);
    }
    rig_commit(spool);
    last = rig_store(spool, POINTS, 2, "last");
    rig_store(spool, EVENT, 3, "stays");
    assert_int_equal(stat("spool.db", &found), 0);
    large = found.st_size;
    assert_true(large > 7 * 1000 * 1000);
    for (int64_t id = first; id < last; id += 100) {
        spool_settle(spool, id, id + 99 < last ? id + 99 : last - 1);
        rig_commit(spool);
    }
    spool_settle(spool, last, last);
    rig_commit(spool);
    assert_int_equal(stat("spool.db", &found), 0);
    print_message("%ld bytes, and %ld when it was gone\n", (long)large, (long)found.st_size);
    assert_true(found.st_size < large / 4);
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "stays ");
    rig_balance(spool);
    spool_close(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(drops_the_oldest_telemetry_first, rig_setup),
        cmocka_unit_test_setup(drops_nothing_else_and_says_that_it_is_full, rig_setup),
        cmocka_unit_test_setup(drops_nothing_while_what_was_settled_makes_room, rig_setup),
        cmocka_unit_test_setup(drops_what_is_under_way_as_well, rig_setup),
        cmocka_unit_test_setup(knows_what_a_crash_would_bring_back, rig_setup),
        cmocka_unit_test_setup(drops_what_is_too_old, rig_setup),
        cmocka_unit_test_setup(drops_nothing_old_that_the_hub_has, rig_setup),
        cmocka_unit_test_setup(drops_what_was_accepted_by_a_wrong_clock, rig_setup),
        cmocka_unit_test_setup(bounds_what_was_refused, rig_setup),
        cmocka_unit_test_setup(shrinks_when_a_backlog_is_gone, rig_setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
