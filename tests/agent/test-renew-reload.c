/* SPDX-License-Identifier: Apache-2.0 */
/* Each unit is reloaded by a systemctl that is told so and nothing else; what fails is forgiven. */
#include "agent/command/renew.h"

#include "agent/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/stat.h>

static const struct run run;

/* A systemctl that notes its words, its environment, and where its answer would go. */
static void make_systemctl(const char *path, int code)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fprintf(file,
            "#!/bin/sh\necho \"$*\" >>called\nenv | grep -c SECRET >>called\necho answer\n"
            "exit %d\n",
            code);
    fclose(file);
    assert_int_equal(chmod(path, 0755), 0);
}

static int set_up(void **state)
{
    (void)state;
    remove("called");
    return setenv("SECRET", "of the run", 1);
}

static void was_called(const char *wanted)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    struct gk_error err = { 0 };

    assert_int_equal(agent_file_read("called", 4096, &content, &err), GK_OK);
    assert_string_equal(content.data, wanted);
}

static void reloads_each_unit(void **state)
{
    (void)state;
    make_systemctl("systemctl", 0);
    renewal_reload(&run, "./systemctl", " nginx.service\tmosquitto.service ");
    was_called("reload-or-restart --no-block -- nginx.service\n0\n"
               "reload-or-restart --no-block -- mosquitto.service\n0\n");
}

static void goes_on_after_a_failure(void **state)
{
    (void)state;
    make_systemctl("refusing", 5);
    renewal_reload(&run, "./refusing", "a.service --now");
    /* What looks like an option is none. */
    was_called("reload-or-restart --no-block -- a.service\n0\n"
               "reload-or-restart --no-block -- --now\n0\n");
}

static void forgives_a_missing_systemctl(void **state)
{
    (void)state;
    renewal_reload(&run, "/nonexistent/systemctl", "a.service");
    assert_int_not_equal(access("called", F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reloads_each_unit, set_up),
        cmocka_unit_test_setup(goes_on_after_a_failure, set_up),
        cmocka_unit_test_setup(forgives_a_missing_systemctl, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
