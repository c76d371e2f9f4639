/* SPDX-License-Identifier: Apache-2.0 */
/* Tests agent/spool/ with files that were damaged, cut off, or are another device's. */
#include "tests/agent/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#define PUT 300

static char *image;
static size_t image_size;
static int64_t last_id;

/* A spool of some pages, as its bytes. */
static int make_image(void **state)
{
    struct spool *spool;
    struct stat found;
    FILE *file;

    rig_setup(state);
    spool = rig_open();
    for (unsigned i = 0; i < PUT; i++) {
        char body[200];

        snprintf(body, sizeof(body), "{\"measurepoints\":{\"n\":%u},\"filler\":\"%0150u\"}", i, i);
        last_id = rig_put(spool, i % 3 == 0 ? EVENT : i % 3 == 1 ? RESUME : POINTS, i, body);
    }
    rig_commit(spool);
    spool_close(spool);
    assert_int_equal(stat("spool.db", &found), 0);
    image_size = (size_t)found.st_size;
    image = malloc(image_size);
    file = fopen("spool.db", "r");
    assert_int_equal(fread(image, 1, image_size, file), image_size);
    fclose(file);
    return 0;
}

static int free_image(void **state)
{
    (void)state;
    free(image);
    return 0;
}

static void write_image(const char *bytes, size_t size)
{
    CLEANUP(gk_closep) int fd = open("spool.db", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, bytes, size), size);
}

static bool count_one(void *context, const struct spool_message *message)
{
    ++*(unsigned *)context;
    assert_non_null(message->topic);
    return true;
}

static unsigned waiting(struct spool *spool)
{
    struct gk_error err = { 0 };
    unsigned count = 0;

    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        assert_int_equal(spool_next(spool, (enum spool_lane)lane, 0, count_one, &count, &err),
                         GK_OK);
    }
    return count;
}

/* Whatever the file: it opens, counts right, takes a message under a new number, and opens again.
 */
static unsigned survives(const char *what)
{
    struct spool *spool = rig_open();
    unsigned found = waiting(spool);
    int64_t id;

    rig_balance(spool);
    if (rig_count(spool).queued != found) {
        fail_msg("%s: %u found, %u counted", what, found, (unsigned)rig_count(spool).queued);
    }
    id = rig_store(spool, EVENT, 1, "new");
    if (id <= last_id) {
        fail_msg("%s: %lld was given before", what, (long long)id);
    }
    spool_close(spool);
    spool = rig_open();
    assert_int_equal(waiting(spool), found + 1);
    rig_balance(spool);
    spool_close(spool);
    return found;
}

static void opens_with_any_byte_turned_over(void **state)
{
    unsigned saved = 0, rounds = 0, worst = PUT;

    (void)state;
    srandom(1);
    for (size_t at = 0; at < image_size; at += 1 + (size_t)random() % (at < 120 ? 3 : 900)) {
        char what[64];
        unsigned found;

        rig_setup(NULL);
        image[at] = (char)~image[at];
        write_image(image, image_size);
        image[at] = (char)~image[at];
        snprintf(what, sizeof(what), "byte %zu", at);
        found = survives(what);
        saved += found;
        worst = found < worst ? found : worst;
        rounds++;
    }
    print_message("%u files, %u of %u messages each on average, %u at worst\n", rounds,
                  saved / rounds, PUT, worst);
    assert_true(rounds > 150);
    assert_true(saved / rounds > PUT * 9 / 10);
}

static void opens_cut_off_anywhere(void **state)
{
    (void)state;
    for (size_t size = 0; size < image_size; size += size < 5000 ? 397 : 4011) {
        char what[64];

        rig_setup(NULL);
        write_image(image, size);
        snprintf(what, sizeof(what), "%zu bytes", size);
        survives(what);
    }
}

static void opens_where_a_page_is_noise(void **state)
{
    unsigned worst = PUT;

    (void)state;
    srandom(2);
    for (size_t page = 0; page < image_size / 4096; page++) {
        CLEANUP(gk_freep) char *bytes = malloc(image_size);
        char what[64];
        unsigned found;

        rig_setup(NULL);
        memcpy(bytes, image, image_size);
        for (size_t i = 0; i < 4096; i++) {
            bytes[page * 4096 + i] = (char)random();
        }
        write_image(bytes, image_size);
        snprintf(what, sizeof(what), "page %zu", page);
        found = survives(what);
        worst = found < worst ? found : worst;
        assert_true(rig_said_count > 0);
    }
    print_message("%u messages at worst\n", worst);
}

static unsigned set_aside(const char *kind)
{
    DIR *files = opendir(".");
    const struct dirent *entry;
    unsigned count = 0;

    while ((entry = readdir(files)) != NULL) {
        count += strncmp(entry->d_name, kind, strlen(kind)) == 0 &&
                 strstr(entry->d_name, "-wal") == NULL;
    }
    closedir(files);
    return count;
}

static void keeps_the_damaged_file_and_says_so(void **state)
{
    struct spool_counters counters;
    struct spool *spool;

    (void)state;
    rig_setup(NULL);
    write_image(image, image_size);
    assert_int_equal(truncate("spool.db", (off_t)image_size - 4096 * 3), 0);
    spool = rig_open();
    counters = rig_count(spool);
    assert_int_equal(counters.rebuilt, 1);
    assert_int_equal(counters.accepted, PUT);
    assert_true(counters.dropped > 0 && counters.dropped < PUT / 2);
    assert_int_equal(rig_said_count, 1);
    assert_non_null(strstr(rig_said, "the spool was damaged: "));
    assert_non_null(strstr(rig_said, "were lost; the old one is in ./spool.db.damaged-"));
    assert_int_equal(set_aside("spool.db.damaged-"), 1);
    rig_balance(spool);
    spool_close(spool);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(truncate("spool.db", 5000), 0);
        spool_close(rig_open());
    }
    assert_int_equal(set_aside("spool.db.damaged-"), 2);
}

static void notices_damage_while_it_is_open(void **state)
{
    struct spool_settings settings = rig_settings();
    struct gk_error err = { 0 };
    struct spool *spool;
    char body[400] = "";
    unsigned found = 0;

    (void)state;
    rig_setup(NULL);
    spool = rig_open_as(&settings);
    memset(body, 'x', sizeof(body) - 1);
    for (unsigned i = 0; i < 1500; i++) { /* more than SQLite keeps in memory */
        last_id = rig_put(spool, POINTS, i, body);
    }
    rig_commit(spool);
    spool_close(spool);
    spool = rig_open_as(&settings);
    assert_int_equal(truncate("spool.db", 4096 * 100), 0);
    found = waiting(spool);
    assert_int_equal(rig_count(spool).rebuilt, 1);
    assert_true(found > 0 && found < 1500);
    assert_int_equal(rig_count(spool).queued, found);
    rig_balance(spool);
    assert_true(rig_store(spool, POINTS, 1, "goes on") > last_id);
    spool_close(spool);
    assert_int_equal(spool_erase(".", &err), GK_OK);
    assert_int_equal(set_aside("spool.db"), 0);
}

static void change(const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open("spool.db", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void counts_anew_what_was_miscounted(void **state)
{
    struct spool *spool;

    (void)state;
    rig_setup(NULL);
    write_image(image, image_size);
    change("UPDATE state SET accepted = accepted + 7, points_count = points_count + 7, "
           "points_bytes = 1");
    spool = rig_open();
    assert_int_equal(rig_count(spool).queued, PUT);
    assert_int_equal(rig_count(spool).dropped, 7);
    assert_non_null(strstr(rig_said, "the spool held 300 messages and not the 307"));
    rig_balance(spool);
    spool_close(spool);
    rig_said_count = 0;
    spool = rig_open();
    assert_int_equal(rig_count(spool).dropped, 7);
    assert_int_equal(rig_said_count, 0);
    spool_close(spool);
}

/* After 25,000 million messages of a lane it is begun anew, with what waits. */
static struct spool *nearly_used_up(void)
{
    rig_setup(NULL);
    write_image(image, image_size);
    change("UPDATE state SET points_next = began * 100000000000 + 24999999998");
    return rig_open();
}

static void begins_anew_when_the_numbers_are_used_up(void **state)
{
    const struct spool_message message = { .topic = POINTS, .body = "x", .size = 1 };
    struct spool *spool = nearly_used_up();
    struct gk_error err = { 0 };
    int64_t id;

    (void)state;
    id = rig_store(spool, POINTS, 1, "the last but one");
    assert_int_equal(id % 100000000000, 24999999998);
    assert_int_equal(spool_put(spool, &message, &id, &err), GK_SPOOL_FAILED);
    /* Nobody waits for that commit, so that none has to fail. */
    assert_int_equal(spool_commit(spool, &err), GK_OK);
    assert_true(rig_store(spool, POINTS, 2, "goes on") > id);
    assert_int_equal(waiting(spool), PUT + 2);
    assert_int_equal(rig_count(spool).dropped, 0);
    rig_balance(spool);
    spool_close(spool);
}

static void tells_whoever_waits_that_the_numbers_are_used_up(void **state)
{
    const struct spool_message message = { .topic = POINTS, .body = "x", .size = 1 };
    struct spool *spool = nearly_used_up();
    struct gk_error err = { 0 };
    int64_t id;

    (void)state;
    id = rig_put(spool, POINTS, 1, "the last but one");
    assert_int_equal(spool_put(spool, &message, &id, &err), GK_SPOOL_FAILED);
    assert_int_equal(spool_commit(spool, &err), GK_SPOOL_FAILED);
    assert_true(rig_store(spool, POINTS, 2, "goes on") > id);
    assert_int_equal(waiting(spool), PUT + 1);
    assert_int_equal(rig_count(spool).dropped, 0);
    rig_balance(spool);
    spool_close(spool);
}

static void sets_another_devices_spool_aside(void **state)
{
    struct spool_settings settings = rig_settings();
    struct spool *spool;

    (void)state;
    rig_setup(NULL);
    write_image(image, image_size);
    settings.device_key = "other";
    spool = rig_open_as(&settings);
    assert_int_equal(rig_count(spool).accepted, 0);
    assert_non_null(strstr(rig_said, "another device's"));
    assert_int_equal(set_aside("spool.db.other-"), 1);
    assert_true(rig_store(spool, EVENT, 1, "ours") > last_id);
    spool_close(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_with_any_byte_turned_over),
        cmocka_unit_test(opens_cut_off_anywhere),
        cmocka_unit_test(opens_where_a_page_is_noise),
        cmocka_unit_test(keeps_the_damaged_file_and_says_so),
        cmocka_unit_test(notices_damage_while_it_is_open),
        cmocka_unit_test(counts_anew_what_was_miscounted),
        cmocka_unit_test(begins_anew_when_the_numbers_are_used_up),
        cmocka_unit_test(tells_whoever_waits_that_the_numbers_are_used_up),
        cmocka_unit_test(sets_another_devices_spool_aside),
    };

    return cmocka_run_group_tests(tests, make_image, free_image);
}
