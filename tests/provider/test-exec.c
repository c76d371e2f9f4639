/* SPDX-License-Identifier: Apache-2.0 */
/* Programs started while others sign, by every way there is: none inherits a line to the TPM. */
#include "tests/provider/signing.h"

#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 4
#define PROGRAMS 40
#define LIMIT_S 120 /* whoever hangs is ended by SIGALRM */

extern char **environ;

/* Its own descriptors, as it sees them; the test's own are files and pipes, the TPM's is a socket.
 */
static char *const list[] = { "/bin/ls", "-l", "/proc/self/fd", NULL };

static struct fixture fixture;
static struct signing_key key;

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_load(&fixture);
    key = signing_key_load(&fixture, "gatekey:");
    alarm(LIMIT_S);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    signing_key_free(&key);
    fixture_unload(&fixture);
    return 0;
}

static pid_t by_spawn(int out)
{
    posix_spawn_file_actions_t actions;
    pid_t child;

    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO), 0);
    assert_int_equal(posix_spawn(&child, list[0], &actions, NULL, list, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

static pid_t by_vfork(int out)
{
    pid_t child = vfork();

    if (child == 0) {
        dup2(out, STDOUT_FILENO);
        execv(list[0], list);
        _exit(127);
    }
    return child;
}

static pid_t by_fork(int out)
{
    pid_t child = fork();

    if (child == 0) {
        dup2(out, STDOUT_FILENO);
        execv(list[0], list);
        _exit(127);
    }
    return child;
}

static void assert_sees_no_socket(pid_t (*start)(int out))
{
    char text[4096] = "";
    size_t size = 0;
    ssize_t got;
    int line[2], status = -1;
    pid_t child;

    assert_int_equal(pipe(line), 0);
    child = start(line[1]);
    assert_true(child > 0);
    close(line[1]);
    while (size < sizeof(text) - 1 &&
           (got = read(line[0], text + size, sizeof(text) - 1 - size)) > 0) {
        size += (size_t)got;
    }
    close(line[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_non_null(strstr(text, "pipe:"));
    if (strstr(text, "socket:") != NULL) {
        fail_msg("a program inherits the TPM:\n%s", text);
    }
}

static void start_programs(pid_t (*start)(int out))
{
    struct signing *signing = signing_start(&key, 1, THREADS, 0);

    signing_wait(signing, 1);
    for (int i = 0; i < PROGRAMS; i++) {
        assert_sees_no_socket(start);
        nanosleep(&(struct timespec){ .tv_nsec = i * 50000 }, NULL);
    }
    signing_end(signing);
}

static void a_spawned_program_inherits_nothing(void **state)
{
    (void)state;
    start_programs(by_spawn);
}

static void nor_one_after_vfork(void **state)
{
    (void)state;
    start_programs(by_vfork);
}

static void nor_one_after_fork(void **state)
{
    (void)state;
    start_programs(by_fork);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spawned_program_inherits_nothing),
        cmocka_unit_test(nor_one_after_vfork),
        cmocka_unit_test(nor_one_after_fork),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
