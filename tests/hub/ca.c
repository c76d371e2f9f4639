/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CA behind the local hub, a process of its own: it alone has the root's key. The hub asks it
 * by its API (ca-service.h) to issue and to revoke.
 */
#include "tests/hub/ca-door.h"
#include "tests/hub/ca-service.h"
#include "tests/hub/file.h"
#include "tests/hub/text.h"

#include <getopt.h>
#include <signal.h>

#define ROOT_DAYS 3650

static const char usage[] =
    "usage: ca [OPTION...] --socket PATH --token-file FILE DIR\n"
    "\n"
    "Runs the CA of a local hub, with its keys and its register in DIR, until SIGTERM. Who calls "
    "it\n"
    "by the socket must show the token in FILE. Started by the hub; for development only.\n"
    "\n"
    "  --hub PID       the one process that may call; otherwise any of the same user\n"
    "  --root-days N   the life of a root when it is made (default 3650)\n"
    "  --ready-fd N    write a line there when the socket listens\n"
    "  --help\n";

struct launch {
    struct ca_door_options door;
    const char *token_file;
    const char *directory;
    int root_days;
    int ready_fd;
};

static bool take_option(struct launch *launch, int option, const char *value)
{
    switch (option) {
    case 's':
        launch->door.socket = value;
        return true;
    case 't':
        launch->token_file = value;
        return true;
    case 'p':
        launch->door.hub = (pid_t)strtol(value, NULL, 10);
        return true;
    case 'r':
        launch->root_days = (int)strtol(value, NULL, 10);
        return true;
    case 'f':
        launch->ready_fd = (int)strtol(value, NULL, 10);
        return true;
    default:
        return false;
    }
}

static bool parse(struct launch *launch, int count, char **arguments)
{
    static const struct option known[] = {
        { "socket", required_argument, NULL, 's' },
        { "token-file", required_argument, NULL, 't' },
        { "hub", required_argument, NULL, 'p' },
        { "root-days", required_argument, NULL, 'r' },
        { "ready-fd", required_argument, NULL, 'f' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int option;

    while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        if (!take_option(launch, option, optarg)) {
            return false;
        }
    }
    launch->directory = arguments[optind];
    return optind == count - 1 && launch->door.socket != NULL && launch->token_file != NULL;
}

static void say_ready(int fd)
{
    static const char line[] = "ready\n";

    if (fd >= 0 && write(fd, line, sizeof(line) - 1) < 0) {
        hub_say("nobody waits for this CA");
    }
    gk_closep(&fd);
}

/* Open everything, and serve until one of the signals comes. */
static enum gk_status serve(struct launch *launch, const sigset_t *signals, struct gk_error *err)
{
    CLEANUP(ca_register_closep) struct ca_register *ca = NULL;
    CLEANUP(gk_freep) char *token = NULL;
    /* The last, so the first to go: its thread uses the others. */
    CLEANUP(ca_door_closep) struct ca_door *door = NULL;
    enum gk_status status = hub_file_read(launch->token_file, &token, err);
    int got;

    if (status == GK_OK && *token == '\0') {
        return gk_fail(err, GK_BAD_FILE, "%s", launch->token_file);
    }
    if (status == GK_OK) {
        status = ca_register_open(launch->directory, launch->root_days, &ca, err);
    }
    if (status == GK_OK) {
        launch->door.token = token;
        status = ca_door_open(&launch->door, ca_service_handle, ca, &door, err);
    }
    if (status == GK_OK) {
        say_ready(launch->ready_fd);
        sigwait(signals, &got);
    }
    return status;
}

int main(int count, char **arguments)
{
    struct launch launch = { .root_days = ROOT_DAYS, .ready_fd = -1 };
    struct gk_error err = { 0 };
    char sentence[800];
    sigset_t signals;

    hub_speak_as("ca");
    if (!parse(&launch, count, arguments)) {
        fputs(usage, stderr);
        return 2;
    }
    /* Before there is a thread: all are to leave these to sigwait. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (serve(&launch, &signals, &err) != GK_OK) {
        gk_error_sentence(&err, "run the CA", sentence, sizeof(sentence));
        hub_say("%s", sentence);
        return 1;
    }
    return 0;
}
