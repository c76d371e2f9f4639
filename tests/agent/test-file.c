/* SPDX-License-Identifier: Apache-2.0 */
/* Files are replaced whole, with the right modes, and leave nothing beside them. */
#include "agent/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>

struct fixture {
    char directory[64];
    struct gk_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    umask(077); /* the modes must not depend on it */
    strcpy(f->directory, "test-file.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
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

static const char *path_of(const struct fixture *f, const char *name)
{
    static char path[160];

    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    return path;
}

static void holds(struct fixture *f, const char *name, const char *text, unsigned mode)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    struct stat status;

    assert_int_equal(agent_file_read(path_of(f, name), 100, &content, &f->err), GK_OK);
    assert_string_equal(content.data, text);
    assert_int_equal(stat(path_of(f, name), &status), 0);
    assert_int_equal(status.st_mode & 07777, mode);
}

static size_t count_entries(const struct fixture *f)
{
    DIR *folder = opendir(f->directory);
    size_t count = 0;

    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count - 2;
}

static void replaces_whole_and_sets_the_mode(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(agent_file_replace(f->directory, "a", "one", 3, AGENT_FOR_ALL, &f->err),
                     GK_OK);
    holds(f, "a", "one", 0644);
    assert_int_equal(agent_file_replace(f->directory, "a", "two!", 4, AGENT_FOR_GROUP, &f->err),
                     GK_OK);
    holds(f, "a", "two!", 0640);
    assert_int_equal(agent_file_replace(f->directory, "a", "", 0, AGENT_FOR_OWNER, &f->err), GK_OK);
    holds(f, "a", "", 0600);
    assert_int_equal(count_entries(f), 1);
}

static void is_not_led_elsewhere_by_a_link_left_beside(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(symlink("victim", path_of(f, ".a.tmp")), 0);
    assert_int_equal(agent_file_replace(f->directory, "a", "x", 1, AGENT_FOR_ALL, &f->err), GK_OK);
    assert_int_not_equal(access(path_of(f, "victim"), F_OK), 0);
    holds(f, "a", "x", 0644);
}

static void leaves_the_old_file_when_it_cannot_write(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(path_of(f, "a"), 0700), 0); /* a folder cannot be replaced by a file */
    assert_int_equal(agent_file_replace(f->directory, "a", "x", 1, AGENT_FOR_ALL, &f->err),
                     GK_FILE_FAILED);
    assert_non_null(strstr(f->err.object, "/a"));
    assert_int_equal(count_entries(f), 1);
}

static void sweeps_what_killed_writers_left(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(agent_file_create(path_of(f, ".a.tmp"), "h", 1, AGENT_FOR_ALL, &f->err),
                     GK_OK);
    assert_int_equal(agent_file_create(path_of(f, "b.tmp"), "h", 1, AGENT_FOR_ALL, &f->err), GK_OK);
    assert_int_equal(agent_file_create(path_of(f, ".lock"), "h", 1, AGENT_FOR_ALL, &f->err), GK_OK);
    assert_int_equal(agent_file_sweep(f->directory, &f->err), GK_OK);
    assert_int_not_equal(access(path_of(f, ".a.tmp"), F_OK), 0);
    assert_int_equal(count_entries(f), 2);
}

static void creates_only_what_is_not_there(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(agent_file_create(path_of(f, "s"), "secret", 6, AGENT_FOR_OWNER, &f->err),
                     GK_OK);
    holds(f, "s", "secret", 0600);
    assert_int_equal(agent_file_create(path_of(f, "s"), "other", 5, AGENT_FOR_OWNER, &f->err),
                     GK_FILE_FAILED);
    assert_non_null(strstr(f->err.object, "exists"));
    holds(f, "s", "secret", 0600);
}

static void removing_twice_is_fine(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(agent_file_replace(f->directory, "a", "x", 1, AGENT_FOR_ALL, &f->err), GK_OK);
    assert_int_equal(agent_file_rename(f->directory, "a", "b", &f->err), GK_OK);
    assert_int_equal(agent_file_rename(f->directory, "a", "b", &f->err), GK_NO_FILE);
    assert_int_equal(agent_file_remove(f->directory, "b", &f->err), GK_OK);
    assert_int_equal(agent_file_remove(f->directory, "b", &f->err), GK_OK);
    assert_int_equal(count_entries(f), 0);
}

static void reads_no_more_than_it_was_told(void **state)
{
    struct fixture *f = *state;
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };

    assert_int_equal(agent_file_replace(f->directory, "a", "1234", 4, AGENT_FOR_ALL, &f->err),
                     GK_OK);
    assert_int_equal(agent_file_read(path_of(f, "a"), 3, &content, &f->err), GK_BAD_FILE);
    assert_null(content.data);
    assert_int_equal(agent_file_read(path_of(f, "a"), 4, &content, &f->err), GK_OK);
}

static void does_not_wait_for_a_pipe(void **state)
{
    struct fixture *f = *state;
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };

    assert_int_equal(mkfifo(path_of(f, "p"), 0600), 0);
    assert_int_equal(agent_file_read(path_of(f, "p"), 3, &content, &f->err), GK_BAD_FILE);
}

static void makes_a_directory_that_all_may_look_into(void **state)
{
    struct fixture *f = *state;
    struct stat status;

    assert_int_equal(agent_file_make_directory(path_of(f, "d"), &f->err), GK_OK);
    assert_int_equal(stat(path_of(f, "d"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
    /* One that is there already has the modes its owner wants. */
    assert_int_equal(chmod(path_of(f, "d"), 0700), 0);
    assert_int_equal(agent_file_make_directory(path_of(f, "d"), &f->err), GK_OK);
    assert_int_equal(stat(path_of(f, "d"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(agent_file_make_directory(path_of(f, "none/d"), &f->err), GK_NO_FILE);
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(replaces_whole_and_sets_the_mode),
        CLAIM(is_not_led_elsewhere_by_a_link_left_beside),
        CLAIM(leaves_the_old_file_when_it_cannot_write),
        CLAIM(sweeps_what_killed_writers_left),
        CLAIM(creates_only_what_is_not_there),
        CLAIM(removing_twice_is_fine),
        CLAIM(reads_no_more_than_it_was_told),
        CLAIM(does_not_wait_for_a_pipe),
        CLAIM(makes_a_directory_that_all_may_look_into),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
