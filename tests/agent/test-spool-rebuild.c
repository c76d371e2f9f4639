/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts the power at every moment of a damaged spool's being begun anew, and at a random one of what
 * is done afterwards: whoever comes next holds what could be saved without a cut, each message
 * once, whole and in order, under numbers that were never given.
 *
 * GATEKEY_ROUNDS says how many cuts there are for each kind of damage, 60 unless it does.
 */
#include "agent/spool/internal.h"
#include "tests/agent/record.h"
#include "tests/agent/spool.h"

#include <fcntl.h>
#include <sys/stat.h>

#define PUT 400
#define TEXT_SIZE ((size_t)256 * 1024)

static int64_t greatest[SPOOL_LANES + 1]; /* that was given, of each share */

/* --- what it holds ---------------------------------------------------------------------------- */

struct text {
    char *bytes;
    size_t size;
};

static bool write_message(void *context, const struct spool_message *message)
{
    struct text *text = context;

    text->size +=
        (size_t)snprintf(text->bytes + text->size, TEXT_SIZE - text->size, "%lld %.*s\n",
                         (long long)message->id, (int)message->size, (const char *)message->body);
    assert_true(text->size < TEXT_SIZE);
    return true;
}

static bool write_refusal(void *context, const struct spool_refusal *refusal)
{
    return write_message(context, &refusal->message);
}

/* All of it, as a text; the caller frees it. */
static char *holding(struct spool *spool)
{
    struct text text = { calloc(1, TEXT_SIZE), 0 };
    struct gk_error err = { 0 };

    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        assert_int_equal(spool_next(spool, (enum spool_lane)lane, 0, write_message, &text, &err),
                         GK_OK);
    }
    assert_int_equal(spool_refused(spool, 0, write_refusal, &text, &err), GK_OK);
    return text.bytes;
}

/* --- damage ----------------------------------------------------------------------------------- */

static void note_given(int64_t id)
{
    unsigned share = spool_share_of(id);

    greatest[share] = id > greatest[share] ? id : greatest[share];
}

/* Some of it is settled, some refused; where it is not closed well its log stays. */
static void add_some(unsigned count, bool well)
{
    struct spool *spool = rig_open();
    struct gk_error err = { 0 };

    for (unsigned i = 0; i < count; i++) {
        char body[200];
        int64_t id;

        snprintf(body, sizeof(body), "{\"n\":%u,\"filler\":\"%0150u\"}", i, i);
        id = rig_put(spool, i % 3 == 0 ? EVENT : i % 3 == 1 ? RESUME : POINTS, i, body);
        note_given(id);
        if (i % 11 == 0) {
            rig_commit(spool);
            spool_settle(spool, id, id);
        } else if (i % 13 == 0) {
            assert_int_equal(spool_refuse(spool, id, i, 1200, "no", &err), GK_OK);
        }
    }
    rig_commit(spool);
    note_given(spool_number(spool, SPOOL_KEPT));
    if (!well) {
        sqlite3_db_config(spool->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    spool_close(spool);
}

static void make_spool(void)
{
    rig_setup(NULL);
    memset(greatest, 0, sizeof(greatest));
    add_some(PUT, true);
}

static void write_noise(const char *path, off_t offset, size_t size)
{
    CLEANUP(gk_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
    unsigned char noise[SPOOL_PAGE];

    memset(noise, 0x5a, sizeof(noise));
    assert_true(fd >= 0 && size <= sizeof(noise));
    assert_int_equal(pwrite(fd, noise, size, offset), size);
}

static void spoil_a_page(void)
{
    make_spool();
    write_noise("spool.db", 9 * SPOOL_PAGE, SPOOL_PAGE);
}

static void spoil_the_header(void)
{
    make_spool();
    write_noise("spool.db", 0, SPOOL_PAGE);
}

static void cut_it_off(void)
{
    struct stat found;

    make_spool();
    assert_int_equal(stat("spool.db", &found), 0);
    assert_int_equal(truncate("spool.db", found.st_size * 3 / 4), 0);
}

/* What is in the log is newer than the page. */
static void spoil_a_page_beside_a_log(void)
{
    make_spool();
    add_some(60, false);
    write_noise("spool.db", 9 * SPOOL_PAGE, SPOOL_PAGE);
}

static const struct {
    const char *name;
    void (*make)(void);
} damages[] = {
    { "a page", spoil_a_page },
    { "the header", spoil_the_header },
    { "its end", cut_it_off },
    { "a page beside a log", spoil_a_page_beside_a_log },
};

/* --- cuts ------------------------------------------------------------------------------------- */

static bool is_there(const char *name)
{
    struct stat found;

    return stat(name, &found) == 0;
}

static void check(const char *saved, const char *what)
{
    struct spool *spool = rig_open();
    struct spool_counters counters = rig_count(spool);
    CLEANUP(gk_freep) char *held = holding(spool);
    int64_t id;

    if (strcmp(held, saved) != 0) {
        fail_msg("%s: it holds %zu bytes, not the %zu that were saved", what, strlen(held),
                 strlen(saved));
    }
    rig_balance(spool);
    /* With the first page that was lent to it, it may be sound again. */
    if (counters.rebuilt > 1) {
        fail_msg("%s: it was begun anew %u times", what, (unsigned)counters.rebuilt);
    }
    if (is_there("spool.db.new") || is_there("spool.db.saved")) {
        fail_msg("%s: something is left over", what);
    }
    id = rig_store(spool, EVENT, 1, "new");
    if (id <= greatest[SPOOL_KEPT] || spool_number(spool, SPOOL_KEPT) <= greatest[SPOOL_OWN]) {
        fail_msg("%s: %lld may have been given before", what, (long long)id);
    }
    spool_close(spool);
}

/* Open it, which begins it anew; how many operations that took. */
static unsigned rebuild(struct record **record, char **held)
{
    struct spool *spool;

    *record = record_begin();
    spool = rig_open();
    if (held != NULL) {
        *held = holding(spool);
    }
    spool_close(spool);
    return record_end(*record);
}

/* A second cut in what follows the first. */
static void cut_again(unsigned chance, const char *saved, const char *what)
{
    struct record *record = NULL;
    unsigned count = rebuild(&record, NULL);

    record_cut(record, chance * 7919 % (count + 1), chance);
    record_free(record);
    check(saved, what);
}

static void loses_nothing_that_could_be_saved(void **state)
{
    const char *given = getenv("GATEKEY_ROUNDS");
    unsigned rounds = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 60;

    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        CLEANUP(gk_freep) char *saved = NULL;
        struct record *record = NULL;
        unsigned count;

        damages[i].make();
        rig_said_count = 0;
        count = rebuild(&record, &saved);
        assert_true(rig_said_count > 0);
        for (unsigned round = 0; round < rounds; round++) {
            unsigned at = round * count / (rounds > 1 ? rounds - 1 : 1);
            char what[80];

            snprintf(what, sizeof(what), "%s, cut %u, after %u of %u", damages[i].name, round, at,
                     count);
            record_cut(record, at, round + 1);
            if (round % 3 == 0) {
                cut_again(round, saved, what);
            } else {
                check(saved, what);
            }
        }
        print_message("%s: %u cuts in %u operations, %zu bytes saved each time\n", damages[i].name,
                      rounds, count, strlen(saved));
        record_free(record);
    }
}

/* There is room for the log of the new one, and for so much of the file behind it. */
static void is_not_put_in_place_before_it_is_whole(void **state)
{
    const struct spool_settings settings = rig_settings();
    CLEANUP(gk_freep) char *saved = NULL;
    struct record *record = NULL;
    unsigned failed = 0;

    (void)state;
    spoil_a_page();
    rebuild(&record, &saved);
    for (unsigned pages = 1; pages <= 40; pages += 3) {
        CLEANUP(spool_closep) struct spool *spool = NULL;
        struct gk_error err = { 0 };
        char what[40];

        record_cut(record, 0, 1);
        record_limit_new(pages * SPOOL_PAGE);
        if (spool_open(&settings, NULL, &spool, &err) != GK_OK) {
            assert_int_equal(err.status, GK_DISK_FULL);
            failed++;
        }
        spool_close(TAKE(spool));
        record_limit_new(0);
        snprintf(what, sizeof(what), "%u pages", pages);
        check(saved, what);
    }
    record_free(record);
    assert_true(failed > 0 && failed < 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_nothing_that_could_be_saved),
        cmocka_unit_test(is_not_put_in_place_before_it_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
