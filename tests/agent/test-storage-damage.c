/* SPDX-License-Identifier: Apache-2.0 */
/* gatekeyd with a spool that is damaged while it runs, and cannot be begun anew at once. */
#include "tests/agent/loop.h"
#include "tests/agent/paperhub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define POINTS "thing/measurepoint/post"
#define STORED 1500 /* more than SQLite keeps in memory */

static int begin(void **state)
{
    static struct paper_promise promises[STORED];
    char params[400];

    paper_begin(state);
    memset(params, ' ', sizeof(params));
    memcpy(params, "{", 1);
    memcpy(params + sizeof(params) - 2, "}", 2);
    for (unsigned i = 0; i < STORED; i++) {
        assert_int_equal(paper_take(POINTS, params, &promises[i]), GK_OK);
    }
    loop_settle();
    paper_stop();
    paper_start();
    assert_int_equal(paper_counters().queued, STORED);
    assert_int_equal(truncate("spool.db", 4096 * 50), 0);
    return 0;
}

static void is_saved_and_goes_on(void **state)
{
    (void)state;
    paper_connect(); /* reads, and finds out */
    assert_non_null(strstr(paper_log, "the spool was damaged: "));
    assert_int_equal(paper_counters().rebuilt, 1);
    assert_true(paper_counters().queued > 0);
    assert_true(paper_open_count() > 0);
    paper_balance();
}

/* What stands in its way may be gone by then. */
static void is_begun_anew_a_minute_later(void **state)
{
    struct paper_promise promise;

    (void)state;
    loop_pass(50000); /* the minute begins when it fails */
    assert_int_equal(mkdir("spool.db.new", 0700), 0);
    paper_connect();
    assert_false(spool_is_open(paper_service.spool));
    assert_int_not_equal(paper_take(POINTS, "{}", &promise), GK_OK);
    assert_int_equal(rmdir("spool.db.new"), 0);
    loop_pass(59999);
    assert_false(spool_is_open(paper_service.spool));
    loop_pass(1);
    assert_true(spool_is_open(paper_service.spool));
    paper_store_number(POINTS, 1);
    loop_pass(10000);
    assert_true(paper_open_count() > 0);
    paper_balance();
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, begin, paper_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(is_saved_and_goes_on),
        CLAIM(is_begun_anew_a_minute_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
