/* SPDX-License-Identifier: Apache-2.0 */
/* Decides which programs may be run, starts them, and ends what they leave behind. */
#include "agent/service/program.h"

#include "agent/service/handler.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char *const environment[] = {
    (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    (char *)"LANG=C.UTF-8",
    NULL,
};

/* --- which ----------------------------------------------------------------------------------- */

static enum gk_status refuse(struct gk_error *err, const char *path, const char *why)
{
    gk_fail(err, GK_REFUSED, "%s %s", path, why);
    gk_advise(err, "mend that, or take it out of [local] in gatekey.conf");
    return GK_REFUSED;
}

/* The file itself or one of the folders above it. */
static enum gk_status check_step(const char *path, bool is_program, struct gk_error *err)
{
    struct stat info;

    if (lstat(path, &info) != 0) {
        return gk_fail_file(err, errno, path);
    }
    if (info.st_uid != 0 && info.st_uid != geteuid()) {
        return refuse(err, path, "belongs to another user");
    }
    /* In a sticky folder others may write, but not replace what is not theirs. */
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (is_program || !(info.st_mode & S_ISVTX))) {
        return refuse(err, path, "can be written by others");
    }
    if (is_program && !S_ISREG(info.st_mode)) {
        return refuse(err, path, "is not a program");
    }
    return GK_OK;
}

enum gk_status handler_check(const char *path, struct gk_error *err)
{
    char resolved[PATH_MAX];
    enum gk_status status;

    if (path[0] != '/') {
        return refuse(err, path, "is not an absolute path");
    }
    if (realpath(path, resolved) == NULL) {
        return gk_fail_file(err, errno, path);
    }
    /* A link could be pointed elsewhere between the check and the execution. */
    if (strcmp(resolved, path) != 0) {
        gk_fail(err, GK_REFUSED, "%s is reached through a symbolic link", path);
        gk_advise(err, "write %s in gatekey.conf", resolved);
        return GK_REFUSED;
    }
    status = check_step(resolved, true, err);
    if (status == GK_OK && access(resolved, X_OK) != 0) {
        return refuse(err, path, "is not executable");
    }
    while (status == GK_OK && resolved[1] != '\0') {
        char *slash = strrchr(resolved, '/');

        slash[slash == resolved ? 1 : 0] = '\0';
        status = check_step(resolved, false, err);
    }
    return status;
}

/* --- start ----------------------------------------------------------------------------------- */

/* Between fork and exec in a process that has threads: system calls only. */
_Noreturn static void become(char *const argv[], const int descriptors[static 3], pid_t parent)
{
    struct sigaction normal = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int number = 1; number < NSIG; number++) {
        sigaction(number, &normal, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || chdir("/") != 0) {
        _exit(127);
    }
    umask(077);
    /* Ours are all above 2, since 0, 1 and 2 are open in this program: no dup2() hits another's
     * source. */
    for (int i = 0; i < 3; i++) {
        if (dup2(descriptors[i], i) != i) {
            _exit(127);
        }
    }
    if (close_range(3, ~0U, 0) != 0) {
        _exit(127);
    }
    execve(argv[0], argv, environment);
    _exit(127);
}

enum gk_status program_start(char *const argv[], const int descriptors[static 3], pid_t *pid,
                             struct gk_error *err)
{
    pid_t parent = getpid();
    pid_t child = fork();

    if (child < 0) {
        return gk_fail(err, GK_INTERNAL, "fork: %s", strerror(errno));
    }
    if (child == 0) {
        become(argv, descriptors, parent);
    }
    *pid = child;
    return GK_OK;
}

/* --- sweep ----------------------------------------------------------------------------------- */

#define ROUNDS_MAX \
    50 /* of a millisecond: a killed child's own children come to us one level at a time */

static bool kill_children(FILE *children)
{
    bool any = false;
    long pid;

    while (fscanf(children, "%ld", &pid) == 1) {
        any = true;
        kill((pid_t)pid, SIGKILL);
        waitpid((pid_t)pid, NULL, WNOHANG);
    }
    return any;
}

void handler_sweep(void)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        CLEANUP(gk_fclosep) FILE *children = fopen("/proc/thread-self/children", "re");

        if (children == NULL || !kill_children(children)) {
            return;
        }
        nanosleep(&(const struct timespec){ 0, 1000000 }, NULL);
    }
}
