/* SPDX-License-Identifier: Apache-2.0 */
/* state.json comes back as it was written, and a garbled one is refused; two runs do not meet. */
#include "agent/lock.h"
#include "agent/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct fixture {
    char directory[64], path[96];
    struct gk_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->directory, "test-state.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/state.json", f->directory);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[96];

    snprintf(command, sizeof(command), "rm -rf %s", f->directory);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static enum gk_status read_text(struct fixture *f, const char *text)
{
    struct agent_state s;
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return agent_state_read(f->directory, &s, &f->err);
}

static void no_file_is_no_state(void **state)
{
    struct fixture *f = *state;
    struct agent_state s = { .stage = AGENT_STAGE_ENROLLED, .asset_id = "x" };

    assert_int_equal(agent_state_read(f->directory, &s, &f->err), GK_OK);
    assert_int_equal(s.stage, AGENT_STAGE_NONE);
    assert_string_equal(s.asset_id, "");
}

static void comes_back_as_it_was_written(void **state)
{
    struct fixture *f = *state;
    struct agent_state in = { .stage = AGENT_STAGE_APPLYING,
                              .product_key = "pk",
                              .device_key = "d\"k",
                              .asset_id = "id",
                              .common_name = "gw-\xc3\xa4",
                              .certificate_sn = "32720",
                              .others = "1 2",
                              .begun = 1795000000,
                              .certified = 5,
                              .revoked = 6,
                              .forced = 7 };
    struct agent_state out;
    struct stat about;

    memset(&out, 0xff, sizeof(out));
    assert_int_equal(agent_state_write(f->directory, &in, &f->err), GK_OK);
    assert_int_equal(agent_state_read(f->directory, &out, &f->err), GK_OK);
    assert_memory_equal(&in, &out, sizeof(in));
    assert_int_equal(stat(f->path, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0640);
}

static void every_stage_has_a_name_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct agent_state s = { 0 };

    for (int stage = AGENT_STAGE_NONE; stage <= AGENT_STAGE_RESETTING; stage++) {
        s.stage = (enum agent_stage)stage;
        assert_int_equal(agent_state_write(f->directory, &s, &f->err), GK_OK);
        s.stage = AGENT_STAGE_NONE;
        assert_int_equal(agent_state_read(f->directory, &s, &f->err), GK_OK);
        assert_int_equal(s.stage, stage);
    }
}

static void knows_the_others_by_their_whole_serial(void **state)
{
    struct agent_state s = { .others = "12 7 1234", .certificate_sn = "5", .old_sn = "4" };

    (void)state;
    assert_true(agent_state_knows_other(&s, "12"));
    assert_true(agent_state_knows_other(&s, "7"));
    assert_true(agent_state_knows_other(&s, "1234"));
    assert_false(agent_state_knows_other(&s, "123"));
    assert_false(agent_state_knows_other(&s, "34"));
    assert_false(agent_state_knows_other(&s, "2"));
    assert_false(agent_state_knows_other(&s, "5"));

    /* While we asked for nothing, what is not named here went to somebody else. */
    s.settled = 1;
    assert_true(agent_state_knows_other(&s, "12"));
    assert_true(agent_state_knows_other(&s, "123"));
    assert_false(agent_state_knows_other(&s, "5"));
    assert_false(agent_state_knows_other(&s, "4"));
}

static void refuses_what_makes_no_sense(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"version\":2,\"stage\":\"begun\"}",
        "{\"version\":1}",
        "{\"version\":1,\"stage\":\"sleeping\"}",
        "{\"version\":1,\"stage\":\"begun\",\"assetId\":7}",
        "{\"version\":1,\"stage\":\"begun\",\"begun\":\"today\"}",
        ("{\"version\":1,\"stage\":\"begun\",\"certSN\":\""
         "12345678901234567890123456789012345678901234567890\"}"),
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(read_text(f, texts[i]), GK_BAD_FILE);
        assert_non_null(strstr(f->err.object, "state.json"));
    }
    assert_int_equal(read_text(f, "{\"version\":1,\"stage\":\"begun\",\"new\":[]}"), GK_OK);
}

static void the_second_is_told_who_holds_the_lock(void **state)
{
    struct fixture *f = *state;
    struct agent_lock *lock = NULL, *other = NULL;
    char holder[32];
    int result;
    pid_t child;

    assert_int_equal(agent_lock_take(f->directory, &lock, &f->err), GK_OK);
    snprintf(holder, sizeof(holder), "process %ld", (long)getpid());
    child = fork();
    if (child == 0) {
        enum gk_status status = agent_lock_take(f->directory, &other, &f->err);

        _exit(status == GK_LOCK_HELD && strstr(f->err.object, holder) != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    agent_lock_release(lock);
    assert_int_equal(agent_lock_take(f->directory, &lock, &f->err), GK_OK);
    agent_lock_forget(lock);
    agent_lock_release(lock);
    assert_int_equal(rmdir(f->directory), 0);
    assert_int_equal(mkdir(f->directory, 0755), 0);
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(no_file_is_no_state),
        CLAIM(comes_back_as_it_was_written),
        CLAIM(every_stage_has_a_name_of_its_own),
        CLAIM(knows_the_others_by_their_whole_serial),
        CLAIM(refuses_what_makes_no_sense),
        CLAIM(the_second_is_told_who_holds_the_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
