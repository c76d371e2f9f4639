/* SPDX-License-Identifier: Apache-2.0 */
/* Tests agent/spool/: what is put, kept, sent, settled and refused. */
#include "agent/spool/internal.h"
#include "tests/agent/spool.h"

#include <sys/stat.h>
#include <sys/wait.h>

static bool copy_message(void *context, const struct spool_message *message)
{
    struct spool_message *copy = context;

    *copy = *message;
    copy->topic = strdup(message->topic);
    copy->body = memcpy(malloc(message->size + 1), message->body, message->size);
    copy->members = message->members != NULL ? strdup(message->members) : NULL;
    copy->asked = message->asked != NULL ? strdup(message->asked) : NULL;
    return false;
}

static void free_message(struct spool_message *message)
{
    gk_freep(&message->topic);
    gk_freep(&message->body);
    gk_freep(&message->members);
    gk_freep(&message->asked);
}

static void gives_a_message_back_as_it_was_put(void **state)
{
    static const char body[] = "\0\xff'raw\n";
    const struct spool_message put = { .topic = "thing/model/up_raw",
                                       .accepted_ms = 42,
                                       .raw = true,
                                       .body = body,
                                       .size = sizeof(body),
                                       .members = "{\"allowOfflineSubDevice\":true}",
                                       .asked = "\"7\"" };
    struct spool *spool = rig_open();
    struct spool_message got = { 0 };
    struct gk_error err = { 0 };
    int64_t id;

    (void)state;
    assert_int_equal(spool_put(spool, &put, &id, &err), GK_OK);
    assert_int_equal(spool_next(spool, SPOOL_TELEMETRY, 0, copy_message, &got, &err), GK_OK);
    assert_null(got.topic); /* not before the commit */
    rig_commit(spool);
    spool_close(spool);

    spool = rig_open();
    assert_int_equal(spool_next(spool, SPOOL_TELEMETRY, 0, copy_message, &got, &err), GK_OK);
    assert_int_equal(got.id, id);
    assert_string_equal(got.topic, put.topic);
    assert_int_equal(got.accepted_ms, 42);
    assert_true(got.raw);
    assert_int_equal(got.size, sizeof(body));
    assert_memory_equal(got.body, body, sizeof(body));
    assert_string_equal(got.members, put.members);
    assert_string_equal(got.asked, put.asked);
    free_message(&got);
    spool_close(spool);
}

static void numbers_each_lane_without_a_gap(void **state)
{
    struct spool *spool = rig_open();
    int64_t point = rig_put(spool, POINTS, 1, "a"), event = rig_put(spool, EVENT, 2, "b"), later;

    (void)state;
    assert_int_equal(rig_put(spool, POINTS, 3, "c"), point + 1);
    assert_int_equal(rig_put(spool, EVENT, 4, "d"), event + 1);
    rig_commit(spool);
    spool_settle(spool, point, point + 1);
    rig_commit(spool);
    spool_close(spool);
    spool = rig_open();
    later = rig_store(spool, POINTS, 5, "e");
    assert_int_equal(later, point + 2);
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "e ");
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "b d ");
    spool_close(spool);
}

static void numbers_of_its_own_never_come_twice(void **state)
{
    struct spool *spool = rig_open();
    int64_t first = spool_number(spool, SPOOL_KEPT), put = rig_store(spool, EVENT, 1, "a");
    int64_t second = spool_number(spool, SPOOL_KEPT);

    (void)state;
    assert_int_equal(second, first + 1);
    assert_true(put < first);
    spool_close(spool);
    spool = rig_open();
    assert_true(spool_number(spool, SPOOL_KEPT) > second);
    spool_close(spool);
}

static void numbers_without_a_database_come_once_as_well(void **state)
{
    const struct spool_settings settings = rig_settings();
    struct gk_error err = { 0 };
    int64_t before = 0;

    (void)state;
    for (unsigned life = 0; life < 3; life++) {
        struct spool *spool = NULL;
        int64_t number;

        assert_int_equal(spool_new(&settings, &spool, &err), GK_OK);
        number = spool_number(spool, SPOOL_KEPT);
        assert_true(number > 0 && spool_share_of(number) == SPOOL_OWN);
        assert_true(number != before);
        before = spool_number(spool, SPOOL_KEPT);
        assert_int_equal(before, number + 1);
        /* Once it is open, those of its own. */
        assert_int_equal(spool_start(spool, NULL, &err), GK_OK);
        assert_true(spool_number(spool, SPOOL_KEPT) < number);
        assert_int_equal(spool_share_of(spool_number(spool, SPOOL_KEPT)), SPOOL_OWN);
        spool_close(spool);
    }
}

static void visits_no_more_than_it_is_let(void **state)
{
    struct spool *spool = rig_open();
    struct spool_message got = { 0 };
    struct gk_error err = { 0 };
    int64_t first = rig_put(spool, POINTS, 1, "a");

    (void)state;
    rig_put(spool, POINTS, 2, "b");
    rig_commit(spool);
    assert_int_equal(spool_next(spool, SPOOL_POINTS, first, copy_message, &got, &err), GK_OK);
    assert_memory_equal(got.body, "b", 1);
    assert_string_equal(got.topic, POINTS);
    free_message(&got);
    spool_close(spool);
}

static void forgets_what_was_settled(void **state)
{
    struct spool *spool = rig_open();
    int64_t first = rig_put(spool, POINTS, 1, "a");
    struct spool_counters counters;

    (void)state;
    rig_put(spool, POINTS, 2, "b");
    rig_put(spool, POINTS, 3, "c");
    rig_commit(spool);
    spool_settle(spool, first, first + 1);
    assert_true(spool_has_settled(spool));
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "c ");
    counters = rig_count(spool); /* before that is written */
    assert_int_equal(counters.acknowledged, 2);
    assert_int_equal(counters.queued, 1);
    assert_int_equal(counters.bytes, strlen(POINTS) + 1 + 64);
    rig_balance(spool);
    spool_settle(spool, first, first + 1); /* once more is not more */
    spool_settle(spool, first - 1, first);
    assert_int_equal(rig_count(spool).acknowledged, 2);
    rig_commit(spool);
    assert_false(spool_has_settled(spool));
    counters = rig_count(spool);
    assert_int_equal(counters.accepted, 3);
    assert_int_equal(counters.acknowledged, 2);
    assert_int_equal(counters.queued, 1);
    assert_int_equal(counters.bytes, strlen(POINTS) + 1 + 64);
    assert_int_equal(counters.oldest_ms, INT64_C(4000000000003));
    spool_close(spool);
    spool = rig_open();
    assert_string_equal(rig_bodies(spool, SPOOL_POINTS), "c ");
    assert_int_equal(rig_count(spool).acknowledged, 2);
    spool_settle(spool, first, first + 2); /* two of them are not there any more */
    rig_commit(spool);
    assert_int_equal(rig_count(spool).acknowledged, 3);
    assert_int_equal(rig_count(spool).oldest_ms, 0);
    rig_balance(spool);
    spool_close(spool);
}

static void sets_aside_what_was_refused(void **state)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    int64_t bad = rig_put(spool, EVENT, 1, "bad");
    uint64_t count = 0;

    (void)state;
    rig_put(spool, EVENT, 2, "good");
    rig_commit(spool);
    assert_int_equal(spool_refuse(spool, bad, 99, 1260, "method", &err), GK_OK);
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "good ");
    rig_commit(spool);
    spool_close(spool);
    spool = rig_open();
    assert_string_equal(rig_refused(spool), "1260:method:bad ");
    assert_int_equal(rig_count(spool).refused, 1);
    assert_int_equal(rig_count(spool).refused_bytes, strlen(EVENT) + 3 + 64);
    rig_balance(spool);
    assert_int_equal(spool_retry(spool, bad, &count, &err), GK_OK);
    assert_int_equal(count, 1);
    rig_commit(spool);
    assert_string_equal(rig_refused(spool), "");
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "good bad ");
    assert_int_equal(spool_retry(spool, bad, &count, &err), GK_NO_MESSAGE);
    rig_commit(spool);
    rig_balance(spool);
    spool_close(spool);
}

static void drops_what_it_is_told_to(void **state)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    int64_t first = rig_put(spool, EVENT, 1, "a"), second = rig_put(spool, POINTS, 2, "b");
    uint64_t count = 0;

    (void)state;
    rig_commit(spool);
    assert_int_equal(spool_refuse(spool, first, 99, 1200, "no", &err), GK_OK);
    rig_commit(spool);
    assert_int_equal(spool_drop(spool, second, &count, &err), GK_OK);
    assert_int_equal(spool_drop(spool, 0, &count, &err), GK_OK);
    assert_int_equal(count, 1);
    rig_commit(spool);
    assert_int_equal(spool_drop(spool, second, &count, &err), GK_NO_MESSAGE);
    rig_commit(spool);
    assert_int_equal(rig_count(spool).dropped, 2);
    assert_int_equal(rig_count(spool).queued + rig_count(spool).refused, 0);
    rig_balance(spool);
    spool_close(spool);
}

static void is_forgotten_whole(void **state)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    int64_t old = rig_store(spool, EVENT, 1, "secret");
    struct stat found;

    (void)state;
    assert_int_equal(spool_forget(spool, &err), GK_OK);
    assert_int_equal(rig_count(spool).accepted, 0);
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "");
    assert_string_equal(rig_refused(spool), "");
    assert_true(spool_is_open(spool));
    assert_int_not_equal(stat("spool.db", &found), 0);
    assert_true(rig_store(spool, EVENT, 1, "new") > old);
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "new ");
    spool_close(spool);
    assert_int_equal(spool_erase(".", &err), GK_OK);
    assert_int_not_equal(stat("spool.db", &found), 0);
}

static void knows_the_lanes(void **state)
{
    (void)state;
    assert_int_equal(spool_lane_of("thing/measurepoint/post"), SPOOL_POINTS);
    assert_int_equal(spool_lane_of("thing/measurepoint/post/batch"), SPOOL_TELEMETRY);
    assert_int_equal(spool_lane_of("thing/measurepoint/resume"), SPOOL_TELEMETRY);
    assert_int_equal(spool_lane_of("thing/log/post"), SPOOL_TELEMETRY);
    assert_int_equal(spool_lane_of("thing/model/up_raw"), SPOOL_TELEMETRY);
    assert_int_equal(spool_lane_of("thing/event/x/post"), SPOOL_KEPT);
    assert_int_equal(spool_lane_of("thing/attribute/update"), SPOOL_KEPT);
    assert_int_equal(spool_lane_of("anything"), SPOOL_KEPT);
}

static void is_not_erased_while_it_is_open(void **state)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };
    int child, code = 0;

    (void)state;
    child = fork(); /* a lock of one's own is none */
    if (child == 0) {
        char text[512];

        if (spool_erase(".", &err) != GK_LOCK_HELD) {
            _exit(1);
        }
        gk_error_sentence(&err, "erase the spool", text, sizeof(text));
        _exit(strstr(text, "has ./spool.db open") != NULL ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    rig_store(spool, EVENT, 1, "still there");
    spool_close(spool);
    spool = rig_open();
    assert_string_equal(rig_bodies(spool, SPOOL_KEPT), "still there ");
    spool_close(spool);
}

static void is_opened_by_one_alone(void **state)
{
    struct spool_settings settings = rig_settings();
    struct spool *spool = rig_open(), *other = NULL;
    struct gk_error err = { 0 };
    struct stat found;
    char text[512];

    (void)state;
    assert_int_equal(spool_open(&settings, NULL, &other, &err), GK_SPOOL_FAILED);
    gk_error_sentence(&err, "open the spool", text, sizeof(text));
    assert_non_null(strstr(text, "another program has it open"));
    assert_null(other);
    assert_int_equal(stat("spool.db-shm", &found), -1);
    assert_int_equal(stat("spool.db", &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    rig_store(spool, EVENT, 1, "still there");
    spool_close(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(gives_a_message_back_as_it_was_put, rig_setup),
        cmocka_unit_test_setup(numbers_each_lane_without_a_gap, rig_setup),
        cmocka_unit_test_setup(numbers_of_its_own_never_come_twice, rig_setup),
        cmocka_unit_test_setup(numbers_without_a_database_come_once_as_well, rig_setup),
        cmocka_unit_test_setup(visits_no_more_than_it_is_let, rig_setup),
        cmocka_unit_test_setup(forgets_what_was_settled, rig_setup),
        cmocka_unit_test_setup(sets_aside_what_was_refused, rig_setup),
        cmocka_unit_test_setup(drops_what_it_is_told_to, rig_setup),
        cmocka_unit_test_setup(is_forgotten_whole, rig_setup),
        cmocka_unit_test(knows_the_lanes),
        cmocka_unit_test_setup(is_opened_by_one_alone, rig_setup),
        cmocka_unit_test_setup(is_not_erased_while_it_is_open, rig_setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
