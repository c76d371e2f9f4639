/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one test and fails it for what it leaves behind: run COMMAND [ARGUMENT...]
 *
 * The test gets an empty temporary folder (its TMPDIR and working directory; HOME lies in it),
 * nothing on stdin, and an environment without settings that could lead it to a real TPM, identity,
 * proxy or OpenSSL configuration. A test that GATEKEY_TPM_TESTS names runs under with-swtpm. Ports
 * that no other test is given meanwhile are reserved for it (tests/hub/free-port.h). The test fails
 * if
 *   - it exits with a failure, or with 77 (skip) while CI=true,
 *   - a process of it is still there two seconds after it ended,
 *   - it or a process of it listens on an address that is not loopback (see listeners.c for the
 * limits),
 *   - it takes longer than GATEKEY_TEST_TIMEOUT seconds (900),
 *   - the places that belong to an installed gatekey changed meanwhile (places[] below; other
 * writes outside the temporary folder are not seen).
 *
 * All its processes can be found because this program is their subreaper: whatever loses its parent
 * becomes our child, whose id nobody else can get before we wait for it. So we end our own children
 * only, until there are none, and never a process that merely looks like ours. GATEKEY_TEST_KEEP=1
 * keeps the folder.
 */
#include "tests/run.h"
#include "cleanup.h"
#include "tests/hub/free-port.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_SKIP = 77,  /* automake's word for it */
    EXIT_ERROR = 99, /* automake: the test could not even be run */
    GRACE_MS = 2000,
    POLITE_MS = 5000,
    POLL_MS = 200,
    FOLDER_SIZE = 64, /* sockets lie in the folder, and their paths end at 107 characters */
};

struct place {
    const char *path;
    struct stat before; /* st_ino 0 where there was nothing */
};

static struct place places[] = {
    { .path = "/etc/gatekey" },        { .path = "/etc/ssl/openssl.cnf" },
    { .path = "/var/lib/gatekey" },    { .path = "/var/lib/gatekeyd" },
    { .path = "/run/gatekey" },        { .path = "/etc/pkcs11/modules" },
    { .path = "/etc/systemd/system" },
};

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

static void die(const char *what)
{
    fprintf(stderr, "run: %s: %s\n", what, strerror(errno));
    exit(EXIT_ERROR);
}

static struct stat look_at(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 ? st : (struct stat){ 0 };
}

static bool places_changed(void)
{
    bool changed = false;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct stat after = look_at(places[i].path);

        if (after.st_ino != places[i].before.st_ino ||
            after.st_mtim.tv_sec != places[i].before.st_mtim.tv_sec ||
            after.st_mtim.tv_nsec != places[i].before.st_mtim.tv_nsec) {
            fprintf(stderr, "run: FAIL: %s changed while the test ran\n", places[i].path);
            changed = true;
        }
    }
    return changed;
}

/* Wait for a child's end or a signal to us, a while at most; returns that signal or 0. */
static int pause_for_news(const sigset_t *signals)
{
    struct timespec a_while = { .tv_nsec = POLL_MS * 1000000L };
    int got = sigtimedwait(signals, NULL, &a_while);

    return got > 0 && got != SIGCHLD ? got : 0;
}

/* Take the end of whichever children ended; whether any is left. */
static bool reap(struct test *test)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == test->pid) {
            test->ended = true;
            test->status = status;
        }
    }
    return pid == 0;
}

static bool killed_one(pid_t pid, void *context)
{
    (void)context;
    kill(pid, SIGKILL);
    return true;
}

/* Killing a child hands its children to us; the round ends when there are none. */
static void end_everything(struct test *test, const sigset_t *signals)
{
    long until = now_ms() + POLITE_MS;

    if (!test->ended) {
        kill(test->pid, SIGTERM);
        while (reap(test) && !test->ended && now_ms() < until) {
            pause_for_news(signals);
        }
    }
    while (reap(test)) {
        for_each_child(getpid(), killed_one, NULL);
        pause_for_news(signals);
    }
}

/* Until the test ends, or has to be ended; whether it may still pass. */
static bool watch(struct test *test, const sigset_t *signals, long limit_s)
{
    long until = now_ms() + limit_s * 1000;

    while (reap(test) && !test->ended) {
        int signal = pause_for_news(signals);

        if (signal != 0) {
            fprintf(stderr, "run: ended by signal %d\n", signal);
            return false;
        }
        if (listeners_found(&test->foreign)) {
            return false;
        }
        if (now_ms() > until) {
            fprintf(stderr, "run: FAIL: still running after %ld seconds\n", limit_s);
            return false;
        }
    }
    return true;
}

static bool name_one(pid_t pid, void *context)
{
    char command[256];

    (void)context;
    process_command(pid, command, sizeof(command));
    fprintf(stderr, "run: FAIL: the test left process %ld behind: %s\n", (long)pid, command);
    return true;
}

/* A process that was told to end may need a moment. */
static bool nothing_left(struct test *test, const sigset_t *signals)
{
    long until = now_ms() + GRACE_MS;

    while (reap(test)) {
        if (now_ms() > until) {
            for_each_child(getpid(), name_one, NULL);
            return false;
        }
        pause_for_news(signals);
    }
    return true;
}

static int verdict(const struct test *test)
{
    int code = WIFEXITED(test->status) ? WEXITSTATUS(test->status) : 128 + WTERMSIG(test->status);
    const char *ci = getenv("CI");

    if (WIFSIGNALED(test->status)) {
        fprintf(stderr, "run: FAIL: killed by signal %d\n", WTERMSIG(test->status));
    }
    if (code == EXIT_SKIP && ci != NULL && strcmp(ci, "true") == 0) {
        fputs("run: FAIL: skipped, and with CI=true every test must run\n", stderr);
        return EXIT_FAILURE;
    }
    return code;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int open_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    return type == FTW_D && (st->st_mode & 0700) != 0700 ? chmod(path, 0700) : 0;
}

static void remove_folder(const char *path)
{
    const char *keep = getenv("GATEKEY_TEST_KEEP");

    if (keep != NULL && keep[0] != '\0') {
        fprintf(stderr, "run: kept %s\n", path);
        return;
    }
    nftw(path, open_one, 16, FTW_PHYS);
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        fprintf(stderr, "run: %s could not be removed: %s\n", path, strerror(errno));
    }
}

/* Whether a path ends with this name, which may have folders in it. */
static bool ends_with(const char *path, const char *name)
{
    size_t path_len = strlen(path);
    size_t len = strlen(name);

    return path_len >= len && strcmp(path + path_len - len, name) == 0 &&
           (path_len == len || path[path_len - len - 1] == '/');
}

/* Whether the list GATEKEY_TPM_TESTS names the test. */
static bool needs_tpm(const char *test)
{
    const char *list = getenv("GATEKEY_TPM_TESTS");
    CLEANUP(gk_freep) char *names = strdup(list != NULL ? list : "");
    char *rest = names;
    const char *name;

    while (rest != NULL && (name = strsep(&rest, " \t\n")) != NULL) {
        if (name[0] != '\0' && ends_with(test, name)) {
            return true;
        }
    }
    return false;
}

static void set_environment(const char folder[static FOLDER_SIZE])
{
    static const char *const unwanted[] = {
        "ALL_PROXY",        "CREDENTIALS_DIRECTORY",
        "CURL_CA_BUNDLE",   "CURL_HOME",
        "DESTDIR",          "GATEKEY_IDENTITY",
        "GATEKEY_TEST_DIR", "HTTPS_PROXY",
        "HTTP_PROXY",       "MAKEFLAGS",
        "MAKEOVERRIDES",    "MFLAGS",
        "NOTIFY_SOCKET",    "OPENSSL_CONF",
        "OPENSSL_MODULES",  "SSL_CERT_DIR",
        "SSL_CERT_FILE",    "TSS2_LOG",
        "XDG_CONFIG_HOME",  "XDG_RUNTIME_DIR",
        "all_proxy",        "http_proxy",
        "https_proxy",      "GATEKEY_TPM_TESTS",
    };
    char path[FOLDER_SIZE + 24];

    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++) {
        unsetenv(unwanted[i]);
    }
    setenv("TMPDIR", folder, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    snprintf(path, sizeof(path), "%s/home", folder);
    mkdir(path, 0700);
    setenv("HOME", path, 1);
    snprintf(path, sizeof(path), "%s/.ports", folder);
    setenv(HUB_PORTS_VARIABLE, path, 1);
    /* Left unset, our programs and tpm2-tools would look for a real TPM. */
    snprintf(path, sizeof(path), "swtpm:path=%s/no-tpm", folder);
    setenv("GATEKEY_TCTI", path, 1);
    setenv("TPM2TOOLS_TCTI", path, 1);
}

/* The test is found by its path after we moved; before it may stand a tool such as valgrind. */
static void make_absolute(char *argv[])
{
    for (size_t i = 1; argv[i] != NULL; i++) {
        char *path = strchr(argv[i], '/') != NULL ? realpath(argv[i], NULL) : NULL;

        if (path != NULL) {
            argv[i] = path; /* for the rest of this process */
        }
    }
}

/* In the child. */
static void become_test(int argc, char *argv[], const char folder[static FOLDER_SIZE])
{
    static char with_swtpm[PATH_MAX];
    const char *srcdir = getenv("abs_top_srcdir");
    int null = open("/dev/null", O_RDONLY);
    sigset_t none;

    make_absolute(argv);
    if (needs_tpm(argv[argc - 1])) {
        snprintf(with_swtpm, sizeof(with_swtpm), "%s/tests/with-swtpm", srcdir ? srcdir : ".");
        argv[0] = with_swtpm;
    } else {
        argv++;
    }
    if (!cage_enter(folder)) {
        die("cannot make the rest of the machine read-only");
    }
    set_environment(folder);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || chdir(folder) != 0) {
        die(folder);
    }
    close(null);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* A shell makes what it starts in the background deaf to both; a script cannot undo that. */
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execvp(argv[0], argv);
    die(argv[0]);
}

static void take_signals(sigset_t *signals)
{
    static const int wanted[] = { SIGCHLD, SIGHUP, SIGINT, SIGTERM };

    sigemptyset(signals);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        sigaddset(signals, wanted[i]);
    }
    sigprocmask(SIG_BLOCK, signals, NULL);
}

static long time_limit_s(void)
{
    const char *text = getenv("GATEKEY_TEST_TIMEOUT");
    long limit_s = text != NULL ? strtol(text, NULL, 10) : 0;

    return limit_s > 0 ? limit_s : 900;
}

static void make_folder(char folder[static FOLDER_SIZE])
{
    const char *tmp = getenv("TMPDIR");
    char ports[FOLDER_SIZE + 8];

    tmp = tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp";
    if (snprintf(folder, FOLDER_SIZE, "%s/gatekey.XXXXXX", tmp) >= FOLDER_SIZE) {
        fprintf(stderr, "run: TMPDIR is too long for sockets: %s; give a shorter one\n", tmp);
        exit(EXIT_ERROR);
    }
    if (mkdtemp(folder) == NULL) {
        die(folder);
    }
    snprintf(ports, sizeof(ports), "%s/.ports", folder);
    if (!hub_ports_reserve(ports)) {
        die("no ports for the test");
    }
}

static int judge(struct test *test, const sigset_t *signals)
{
    long start = now_ms();
    bool passes = watch(test, signals, time_limit_s());

    fprintf(stderr, "run: took %.1f s\n", (double)(now_ms() - start) / 1000);
    if (passes) {
        passes = !listeners_found(&test->foreign);
        passes = nothing_left(test, signals) && passes;
    }
    end_everything(test, signals);
    passes = !places_changed() && passes;
    return passes ? verdict(test) : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    struct test test = { .pid = -1 };
    char folder[FOLDER_SIZE];
    sigset_t signals;
    int code;

    if (argc < 2) {
        fputs("usage: run COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    make_folder(folder);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        places[i].before = look_at(places[i].path);
    }
    take_signals(&signals);
    listeners_note(&test.foreign);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || (test.pid = fork()) < 0) {
        die("cannot start the test");
    }
    if (test.pid == 0) {
        become_test(argc, argv, folder);
    }
    code = judge(&test, &signals);
    remove_folder(folder);
    return code;
}
