/* SPDX-License-Identifier: Apache-2.0 */
/* gatekeyd: keeps this gateway connected to its hub (gatekeyd(8)). */
#include "agent/exit.h"
#include "agent/file.h"
#include "agent/service/log.h"
#include "agent/service/patience.h"
#include "agent/service/service.h"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#define LARGE (64 * 1024)

struct options {
    const char *config, *identity;
};

static const char help[] =
    "Usage: gatekeyd [OPTION]...\n"
    "Keep this gateway connected to its hub.\n"
    "\n"
    "  --config FILE     instead of the installed gatekey.conf\n"
    "  --identity DIR    instead of [identity] directory\n"
    "  --help, --version\n"
    "\n"
    "It stays in the foreground and logs to standard error. SIGTERM ends it.\n";

static int misuse(const char *word, const char *what)
{
    fprintf(stderr,
            "gatekeyd: cannot run: that is not how it is used (%.100s %s); see gatekeyd --help\n",
            word, what);
    return AGENT_EXIT_USAGE;
}

/* -1 to go on, else an exit code. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        { "config", required_argument, NULL, 'c' },
        { "identity", required_argument, NULL, 'i' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },
        { NULL, 0, NULL, 0 },
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", known, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case 'i':
            options->identity = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return AGENT_EXIT_DONE;
        case 'v':
            puts("gatekeyd " PACKAGE_VERSION);
            return AGENT_EXIT_DONE;
        case ':':
            return misuse(argv[optind - 1], "needs a value");
        default:
            return misuse(argv[optind - 1], "is not known");
        }
    }
    if (optind < argc) {
        return misuse(argv[optind], "is too much");
    }
    return -1;
}

/* Nothing of this process may be read by others of the same user, the command programs among them.
 */
static enum gk_status harden(struct gk_error *err)
{
    const struct rlimit none = { 0, 0 };
    int fd;

    if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
        return gk_fail(err, GK_INTERNAL, "forbidding core dumps: %s", strerror(errno));
    }
    /* What a command program sends to the background comes to us, to be ended. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        return gk_fail(err, GK_INTERNAL, "prctl: %s", strerror(errno));
    }
    /* 0, 1 and 2 are never anything else than standard input, output and error. */
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    gk_closep(&fd);
    return GK_OK;
}

/*
 * One large message, and the heap is that large for ever: glibc raises its thresholds with what it
 * has seen. What is large is better mapped and given back at once (mallopt(3)).
 */
static void keep_small(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE);
    (void)mallopt(M_TRIM_THRESHOLD, 2 * LARGE);
}

/* sd-event reads these from a descriptor; no thread of ours may take them first. */
static enum gk_status block_signals(struct gk_error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0
               ? GK_OK
               : gk_fail(err, GK_INTERNAL, "sigprocmask: %s", strerror(errno));
}

/* To many daemons it says that their configuration changed. Nobody should lose a gateway by it:
 * systemd takes an end by this signal for an orderly one, and starts nothing again. */
static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
    (void)source;
    (void)info;
    (void)context;
    log_line(
        LOG_LEVEL_WARNING,
        "SIGHUP changes nothing: the configuration is read at the start; run systemctl restart "
        "gatekeyd");
    return 0;
}

static enum gk_status make_event_loop(sd_event **event, struct gk_error *err)
{
    int code = sd_event_new(event);

    /* Without a handler a signal ends the loop; a terminal that is closed should. */
    if (code >= 0) {
        code = sd_event_add_signal(*event, NULL, SIGHUP, isatty(STDERR_FILENO) ? NULL : on_hangup,
                                   NULL);
    }
    if (code >= 0) {
        code = sd_event_add_signal(*event, NULL, SIGTERM, NULL, NULL);
    }
    if (code >= 0) {
        code = sd_event_add_signal(*event, NULL, SIGINT, NULL, NULL);
    }
    if (code >= 0) {
        code = sd_event_set_watchdog(*event, true);
    }
    return code >= 0 ? GK_OK : gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
}

static enum gk_status check_config(const struct agent_config *config, struct gk_error *err)
{
    enum gk_status status = agent_config_need(config, config->host, "[hub] host", err);

    if (status == GK_OK) {
        status = agent_config_need(config, config->product_key, "[device] product_key", err);
    }
    if (status == GK_OK) {
        status = agent_config_need(config, config->device_key, "[device] device_key", err);
    }
    return status;
}

/* What programs hand over, and its way to the hub. */
static enum gk_status start_messages(struct service *service, struct gk_error *err)
{
    enum gk_status status = storage_new(service, &service->storage, err);

    if (status == GK_OK) {
        status = intake_new(service, &service->intake, err);
    }
    if (status == GK_OK) {
        status = uplink_new(service, &service->uplink, err);
    }
    if (status == GK_OK) {
        status = metrics_new(service, &service->metrics, err);
    }
    return status == GK_OK ? publisher_new(service, &service->publisher, err) : status;
}

/* The socket first: it tells whether another gatekeyd is at work. The session last: it uses the
 * rest. */
static enum gk_status start_parts(struct service *service, struct gk_error *err)
{
    enum gk_status status = server_new(service, &service->server, err);

    if (status == GK_OK) {
        status = start_messages(service, err);
    }
    if (status == GK_OK) {
        status = commander_new(service, &service->commander, err);
    }
    if (status == GK_OK) {
        status = relay_new(service, &service->relay, err);
    }
    if (status == GK_OK) {
        status = notices_new(service, &service->notices, err);
    }
    if (status == GK_OK) {
        status = expiry_new(service, &service->expiry, err);
    }
    if (status == GK_OK) {
        status = lists_new(service, &service->lists, err);
    }
    if (status == GK_OK) {
        status = clock_watch_new(service, &service->clock, err);
    }
    if (status == GK_OK) {
        status = patience_new(service, &service->patience, err);
    }
    if (status == GK_OK) {
        status = session_new(service, &service->session, err);
    }
    return status;
}

static void stop_parts(struct service *service)
{
    agent_file_wait_for_locks(true); /* what is written down now is not written later */
    server_free(service->server);
    if (service->uplink != NULL) {
        uplink_down(service->uplink);
    }
    session_free(TAKE(service->session));
    patience_free(TAKE(service->patience));
    metrics_free(TAKE(service->metrics));
    clock_watch_free(service->clock);
    relay_free(TAKE(service->relay));
    commander_free(service->commander);
    uplink_free(service->uplink);
    publisher_free(service->publisher);
    notices_free(service->notices);
    expiry_free(service->expiry);
    lists_free(service->lists);
    intake_free(service->intake);
    storage_free(service->storage);
}

static enum gk_status serve(struct service *service, struct gk_error *err)
{
    enum gk_status status;

    agent_file_wait_for_locks(false);
    status = start_parts(service, err);
    if (status == GK_OK) {
        int code;

        sd_notify(0, "READY=1");
        code = sd_event_loop(service->event);
        status = code >= 0 ? GK_OK : gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
        sd_notify(0, "STOPPING=1");
    }
    stop_parts(service);
    return status;
}

static enum gk_status run(const struct options *options, struct gk_error *err)
{
    CLEANUP(agent_config_freep) struct agent_config *config = NULL;
    CLEANUP(agent_openssl_freep) struct agent_openssl *openssl = NULL;
    CLEANUP(sd_event_unrefp) sd_event *event = NULL;
    struct service service = { 0 };
    enum gk_status status = agent_config_read(options->config, options->identity, &config, err);

    if (status == GK_OK) {
        status = check_config(config, err);
    }
    if (status == GK_OK) {
        status = agent_openssl_new(config, &openssl, err);
    }
    if (status == GK_OK) {
        status = agent_link_init(err);
    }
    if (status == GK_OK) {
        status = make_event_loop(&event, err);
    }
    if (status != GK_OK) {
        return status;
    }
    service = (struct service){ .config = config, .openssl = openssl, .event = event };
    return serve(&service, err);
}

int main(int argc, char **argv)
{
    struct options options = { 0 };
    struct gk_error err = { 0 };
    int code = parse(argc, argv, &options);
    enum gk_status status;

    if (code >= 0) {
        return code;
    }
    keep_small();
    status = harden(&err);
    if (status == GK_OK) {
        status = block_signals(&err);
    }
    if (status == GK_OK) {
        status = run(&options, &err);
    }
    if (status != GK_OK) {
        log_failure(LOG_LEVEL_ERROR, "run", &err);
    }
    return (int)agent_exit_code(status);
}
