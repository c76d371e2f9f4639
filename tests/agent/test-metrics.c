/* SPDX-License-Identifier: Apache-2.0 */
/* When gatekeyd tells how it fares, and whom; what it tells is in figures.c. */
#include "agent/local.h"
#include "agent/service/metrics-internal.h"
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define EVENT "thing/event/full/post"
#define HOUR_MS 3600000

static struct metrics *metrics;
static const char *state_now; /* what is told */
static unsigned gathered;
static char file_name[] = "metrics.prom";

json_t *__wrap_figures_gather(const struct service *service, uint64_t started_ms);

json_t *__wrap_figures_gather(const struct service *service, uint64_t started_ms)
{
    struct spool_counters counters = paper_counters();

    (void)service;
    (void)started_ms;
    gathered++;
    return json_pack("{s:s, s:i, s:{s:b, s:I}}", "state", state_now, "time", gathered, "spool",
                     "usable", 1, "queued", (json_int_t)counters.queued);
}

static void start(void)
{
    struct gk_error err = { 0 };

    paper_broker_is_there = true;
    state_now = "connected";
    gathered = 0;
    paper_start();
    assert_int_equal(metrics_new(&paper_service, &metrics, &err), GK_OK);
    paper_service.metrics = metrics;
    loop_settle();
}

static int begin(void **state)
{
    (void)state;
    paper_reset();
    start();
    return 0;
}

static int begin_with_a_file(void **state)
{
    (void)state;
    paper_reset();
    (void)!unlink(file_name);
    paper_config.metrics_file = file_name;
    start();
    return 0;
}

static int end(void **state)
{
    metrics_free(metrics);
    return paper_end(state);
}

/* Other work wakes the loop, and only then does it look. */
static void wake(void)
{
    loop_settle();
}

static void tells_at_once_that_it_is_ready(void **state)
{
    (void)state;
    assert_int_equal(gathered, 1);
    assert_int_equal(paper_told_count, 1);
    assert_int_equal(paper_retained, 1);
    assert_memory_equal(paper_told, "status {", 8);
    assert_non_null(strstr(paper_told, "\"state\":\"connected\""));
    assert_non_null(strstr(paper_told, "\"time\":"));
}

static void is_quiet_while_nothing_changes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        loop_pass(HOUR_MS / 60);
    }
    assert_int_equal(gathered, 1);
}

static void tells_soon_what_is_announced(void **state)
{
    (void)state;
    loop_pass(1000);
    state_now = "waiting";
    metrics_changed(metrics);
    metrics_changed(metrics);
    loop_pass(199); /* a change comes with others */
    assert_int_equal(gathered, 1);
    loop_pass(1);
    assert_int_equal(gathered, 2);
    assert_non_null(strstr(paper_told, "\"state\":\"waiting\""));
    metrics_changed(metrics);
    loop_pass(200);
    assert_int_equal(gathered, 3);
    assert_int_equal(paper_told_count, 2); /* applications know that already */
}

static void tells_of_traffic_every_fifteen_seconds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 14; i++) {
        paper_store_number(EVENT, i);
        loop_pass(1000);
    }
    loop_pass(999);
    assert_int_equal(gathered, 1);
    loop_pass(1);
    assert_int_equal(gathered, 2);
    assert_non_null(strstr(paper_told, "\"queued\":14"));
    loop_pass(HOUR_MS);
    assert_int_equal(gathered, 2);
    paper_store_number(EVENT, 14); /* after so long at once */
    loop_pass(200);
    assert_int_equal(gathered, 3);
}

/* Each of these is traffic. */
static void sees_what_becomes_of_messages(void **state)
{
    struct gk_error err = { 0 };
    uint64_t count;

    (void)state;
    paper_store_number(EVENT, 1);
    paper_store_number("thing/attribute/update", 2);
    loop_pass(15000);
    assert_int_equal(gathered, 2);
    paper_connect();
    paper_answer(0, 200);
    loop_pass(15000);
    assert_int_equal(gathered, 3);
    paper_answer(1, 1200);
    loop_pass(20000);
    assert_int_equal(gathered, 4);
    assert_int_equal(spool_drop(paper_service.spool, 0, &count, &err), GK_OK); /* an owner */
    assert_int_equal(intake_commit(paper_service.intake, &err), GK_OK);
    loop_pass(15000);
    assert_int_equal(gathered, 5);
}

static void tells_a_broker_that_came_back(void **state)
{
    (void)state;
    paper_broker_is_there = false;
    wake();
    state_now = "waiting";
    loop_pass(200);
    assert_int_equal(gathered, 2);
    assert_int_equal(paper_told_count, 1);
    paper_broker_is_there = true;
    wake();
    loop_pass(200);
    assert_int_equal(gathered, 3);
    assert_int_equal(paper_told_count, 2);
}

static void says_goodbye(void **state)
{
    (void)state;
    metrics_free(TAKE(metrics));
    assert_string_equal(paper_told, "status " AGENT_LOCAL_ENDED);
    assert_int_equal(paper_retained, 2);
    loop_pass(HOUR_MS);
    assert_int_equal(gathered, 1);
}

/* --- the file -------------------------------------------------------------------------------- */

static bool is_there(void)
{
    struct stat found;
    bool there = stat(file_name, &found) == 0 && found.st_size > 0;

    (void)!unlink(file_name);
    return there;
}

/* That nobody writes it any more shows by its age. */
static void writes_the_file_every_five_minutes(void **state)
{
    (void)state;
    assert_true(is_there());
    loop_pass(300000 - 1);
    assert_false(is_there());
    loop_pass(1);
    assert_true(is_there());
    loop_pass(300000);
    assert_true(is_there());
    assert_int_equal(paper_told_count, 1);
    metrics_free(TAKE(metrics));
    assert_true(is_there());
}

static void says_once_that_the_file_cannot_be_written(void **state)
{
    (void)state;
    assert_true(is_there());
    assert_int_equal(mkdir(file_name, 0700), 0);
    loop_pass(600000);
    assert_int_equal(paper_logged, 1);
    assert_non_null(strstr(paper_log, "cannot write the metrics: "));
    assert_non_null(strstr(paper_log, "let gatekeyd write that folder"));
    assert_int_equal(rmdir(file_name), 0);
    loop_pass(300000);
    assert_true(is_there());
    assert_int_equal(mkdir(file_name, 0700), 0);
    loop_pass(300000);
    assert_int_equal(paper_logged, 2);
    assert_int_equal(rmdir(file_name), 0);
}

/* --- in words -------------------------------------------------------------------------------- */

static const char *sentence_of(const char *text)
{
    static char sentence[200];
    CLEANUP(json_freep) json_t *figures = json_loads(text, 0, NULL);

    figures_sentence(figures, sentence, sizeof(sentence));
    return sentence;
}

static void says_in_a_line_what_matters_most(void **state)
{
    (void)state;
    assert_string_equal(sentence_of("{\"connected\":true,\"connected_to\":\"h\"}"),
                        "connected to h");
    assert_string_equal(sentence_of("{\"state\":\"waiting\",\"last_error\":\"why\"}"), "why");
    assert_string_equal(sentence_of("{\"state\":\"connecting\",\"last_error\":\"why\"}"),
                        "connecting");
    assert_string_equal(sentence_of("{}"), "starting");
    assert_string_equal(sentence_of("{\"state\":\"a\",\"spool\":{\"usable\":true,\"queued\":2,"
                                    "\"oldest\":86400}}"),
                        "a; 2 messages wait, the oldest since 1970-01-02 00:00:00 UTC");
    assert_string_equal(sentence_of("{\"state\":\"a\",\"spool\":{\"usable\":true,\"queued\":0}}"),
                        "a");
    assert_string_equal(sentence_of("{\"state\":\"a\",\"spool\":{\"usable\":false,\"queued\":2}}"),
                        "a; the spool cannot be used, see the log");
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define FILE_CLAIM(name) cmocka_unit_test_setup_teardown(name, begin_with_a_file, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(tells_at_once_that_it_is_ready),
        CLAIM(is_quiet_while_nothing_changes),
        CLAIM(tells_soon_what_is_announced),
        CLAIM(tells_of_traffic_every_fifteen_seconds),
        CLAIM(sees_what_becomes_of_messages),
        CLAIM(tells_a_broker_that_came_back),
        CLAIM(says_goodbye),
        FILE_CLAIM(writes_the_file_every_five_minutes),
        FILE_CLAIM(says_once_that_the_file_cannot_be_written),
        CLAIM(says_in_a_line_what_matters_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
