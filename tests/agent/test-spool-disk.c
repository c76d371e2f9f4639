/* SPDX-License-Identifier: Apache-2.0 */
/* Tests agent/spool/ on a disk that is counted, becomes full, or is small (tests/agent/disk.h). */
#include "tests/agent/disk.h"
#include "tests/agent/spool.h"

#define BODY "{\"measurepoints\":{\"temperature\":21.5,\"humidity\":48},\"time\":1795000000000}"

static int setup(void **state)
{
    disk_format(7);
    return rig_setup(state);
}

/* Bytes written for each message, all told, once the log is written over and over. */
static unsigned bytes_each(unsigned group, unsigned groups, double *syncs)
{
    struct spool *spool = rig_open();
    int64_t last = 0;

    for (unsigned i = 0; i < 2 * groups; i++) {
        int64_t settled = last;

        if (i == groups) {
            disk_count_anew();
        }
        for (unsigned j = 0; j < group; j++) {
            last = rig_put(spool, POINTS, i, BODY);
        }
        spool_settle(spool, settled + 1 - group, settled);
        rig_commit(spool);
    }
    *syncs = (double)disk_counters.syncs / groups;
    spool_close(spool);
    return (unsigned)(disk_counters.bytes / (group * groups));
}

/* What gatekeyd(8), "Spool", says of wear. */
static void writes_little(void **state)
{
    double syncs_alone, syncs_grouped;
    unsigned alone = bytes_each(1, 4000, &syncs_alone), grouped;

    (void)state;
    setup(NULL);
    grouped = bytes_each(100, 400, &syncs_grouped);
    print_message("a message of %zu bytes alone: %u bytes, %.3f syncs; of a hundred together: %u "
                  "bytes, %.3f syncs a hundred\n",
                  strlen(BODY), alone, syncs_alone, grouped, syncs_grouped);
    assert_true(alone < 8500);
    assert_true(grouped < 900);
    assert_true(syncs_alone < 1.02 && syncs_grouped < 1.2);
}

static enum gk_status store(struct spool *spool, struct gk_error *err)
{
    static char body[5000];
    const struct spool_message message = { .topic = EVENT, .body = body, .size = sizeof(body) };
    int64_t id;
    enum gk_status status = spool_put(spool, &message, &id, err);
    enum gk_status committed = spool_commit(spool, err);

    return status != GK_OK ? status : committed;
}

static void loses_nothing_when_the_disk_is_full(void **state)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    enum gk_status status = GK_OK;
    int64_t first, second;
    unsigned stored = 0;
    char text[512];

    (void)state;
    first = rig_store(spool, POINTS, 1, "first");
    second = rig_store(spool, POINTS, 2, "second");
    disk_limit(200000);
    while (status == GK_OK && stored < 1000) {
        status = store(spool, &err);
        stored += status == GK_OK;
    }
    assert_int_equal(status, GK_DISK_FULL);
    gk_error_sentence(&err, "store this message", text, sizeof(text));
    assert_non_null(strstr(text, "cannot store this message: "));
    assert_true(stored > 5 && stored < 100);
    assert_int_equal(rig_count(spool).queued, stored + 2);

    /* The hub goes on taking: nothing of that comes again, though it cannot be written. */
    spool_settle(spool, first, first);
    assert_int_equal(spool_refuse(spool, second, 5, 1200, "no", &err), GK_OK);
    disk_limit(1);
    assert_int_equal(store(spool, &err), GK_DISK_FULL);
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "");
    assert_int_equal(rig_count(spool).acknowledged, 1);
    assert_int_equal(rig_count(spool).queued, stored + 1);
    rig_balance(spool);
    disk_limit(0);
    rig_commit(spool);
    assert_int_equal(rig_count(spool).queued, stored);
    assert_int_equal(rig_count(spool).acknowledged, 1);
    assert_string_equal(rig_refused(spool), "1200:no:second ");
    rig_balance(spool);
    assert_int_equal(store(spool, &err), GK_OK);
    rig_balance(spool);
    spool_close(spool);
    spool = rig_open();
    assert_int_equal(rig_count(spool).queued, stored + 1);
    assert_int_equal(rig_said_count, 0);
    spool_close(spool);
}

/* What failed must not be taken for stored by whoever commits next. */
static void fails_the_whole_group(void **state)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    int64_t id = rig_store(spool, EVENT, 1, "before"), again;

    (void)state;
    assert_int_equal(rig_put(spool, EVENT, 2, "one"), id + 1);
    disk_limit(1);
    assert_int_equal(spool_commit(spool, &err), GK_DISK_FULL);
    disk_limit(0);
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "before ");
    again = rig_store(spool, EVENT, 3, "two");
    assert_int_equal(again, id + 1); /* nobody saw that number, so there is no gap */
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "before two ");
    spool_close(spool);
}

/* Who hands over next is not refused for it: nobody waits for a commit that would end it. */
static void gets_over_a_put_that_failed(void **state)
{
    static char body[400000]; /* more than SQLite keeps in memory */
    const struct spool_message large = { .topic = EVENT, .body = body, .size = sizeof(body) };
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    int64_t first = rig_store(spool, EVENT, 1, "before"), id;

    (void)state;
    spool_settle(spool, first, first);
    disk_limit(1);
    assert_int_equal(spool_put(spool, &large, &id, &err), GK_DISK_FULL);
    disk_limit(0);
    rig_put(spool, EVENT, 2, "after");
    rig_commit(spool);
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "after ");
    assert_int_equal(rig_count(spool).acknowledged, 1);
    rig_balance(spool);

    /* While somebody waits for his, it is the commit that must fail. */
    rig_put(spool, EVENT, 3, "waits");
    disk_limit(1);
    assert_int_equal(spool_put(spool, &large, &id, &err), GK_DISK_FULL);
    disk_limit(0);
    assert_int_equal(spool_commit(spool, &err), GK_DISK_FULL);
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "after ");
    spool_close(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(writes_little, setup),
        cmocka_unit_test_setup(loses_nothing_when_the_disk_is_full, setup),
        cmocka_unit_test_setup(fails_the_whole_group, setup),
        cmocka_unit_test_setup(gets_over_a_put_that_failed, setup),
    };
    int failed;

    disk_register();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_format(0);
    return failed;
}
