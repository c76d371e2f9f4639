/* SPDX-License-Identifier: Apache-2.0 */
/* Has systemd reload the programs that read the identity when they start. */
#include "agent/command/renew.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

/* systemctl only leaves a message (--no-block); one that does not come back is given up on. */
#define PATIENCE_MS 20000
#define STEP_MS 20

/* Programs that tell the run's own secrets to nobody: it starts with next to nothing. */
static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };

/* Wait for a child, within reason; its wait status, -1 when it had to be killed. */
static int await(pid_t child)
{
    const struct timespec step = { 0, STEP_MS * 1000000L };
    int status = 0;

    for (int waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
        if (waitpid(child, &status, WNOHANG) == child) {
            return status;
        }
        nanosleep(&step, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return -1;
}

static void reload(const struct run *run, const char *systemctl, char *unit)
{
    char *argv[] = { (char *)systemctl, "reload-or-restart", "--no-block", "--", unit, NULL };
    posix_spawn_file_actions_t actions;
    pid_t child;
    int failed, status;

    /* stdout is for the answer, which --json may be. */
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    failed = posix_spawn(&child, systemctl, &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    status = failed == 0 ? await(child) : -1;

    if (failed != 0) {
        say_note(run, "%s was not reloaded: %s: %s; reload it yourself", unit, systemctl,
                 strerror(failed));
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        say_note(run, "%s was not reloaded (%s said why above); reload it yourself", unit,
                 systemctl);
    } else {
        say_step(run, "%s is reloaded", unit);
    }
}

void renewal_reload(const struct run *run, const char *systemctl, const char *units)
{
    CLEANUP(gk_freep) char *words = strdup(units);
    char *rest = NULL;

    for (char *unit = words != NULL ? strtok_r(words, " \t", &rest) : NULL; unit != NULL;
         unit = strtok_r(NULL, " \t", &rest)) {
        reload(run, systemctl, unit);
    }
}
