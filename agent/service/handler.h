/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running the program that answers a command of the hub ([local] command.NAME, gatekey.conf(5)).
 *
 * It is run as gatekeyd's own user with fixed arguments, no shell, and an environment of PATH and
 * LANG; it inherits standard input, output and error and nothing else. The command's parameters are
 * on standard input, its answer is expected on standard output: JSON, bytes, or nothing. It leads a
 * session of its own and is killed with all of it when it takes too long, says too much, or has
 * ended.
 *
 * Threads: the event loop's one. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_SERVICE_HANDLER_H
#define GATEKEY_AGENT_SERVICE_HANDLER_H

#include "agent/config.h"
#include "agent/enos/message.h"
#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

#define HANDLER_TIME_MS 20000
#define HANDLER_OUTPUT_MAX ((size_t)64 * 1024)

/* What a command is answered with; EnOS leaves codes from 2000 to the device (gatekeyd(8),
 * "Codes"). */
enum handler_code {
    HANDLER_DONE = 200,
    HANDLER_NOT_CONFIGURED = 2001, /* nobody is there for it: no program, no local broker */
    HANDLER_FAILED = 2002,         /* the program failed: exit status, or killed by a signal */
    HANDLER_TIMED_OUT = 2003,      /* no answer in time; a program that took too long was killed */
    HANDLER_BAD_OUTPUT = 2004,     /* the answer is not JSON, too large, or has a wrong code */
    HANDLER_BUSY = 2005,           /* too many wait already */
    HANDLER_NOT_RUNNABLE = 2006,   /* it may not be run: missing, or others may write it */
    HANDLER_BAD_COMMAND = 2007,    /* the command itself makes no sense */
};

struct handler_run;

/* What came of it; all borrowed. */
struct handler_result {
    enum handler_code code;
    struct enos_text data; /* what it wrote, where that was to be JSON; none where it was nothing */
    const char *bytes;     /* what it wrote, as it is; size is 0 unless code is HANDLER_DONE */
    size_t size;
    const char *message; /* NULL, or what went wrong, in words that the hub may read */
};

/* Called once when it is over. The run is freed after the call. */
typedef void handler_done(void *context, const struct handler_result *result);

/* What is to be run, on what; all borrowed, the handler until it is over. */
struct handler_task {
    const struct agent_handler *handler;
    const char *input; /* for its standard input */
    size_t size;
    bool is_raw;      /* what it writes need not be JSON */
    unsigned time_ms; /* how long it may take */
};

/*
 * Check that a program may be run: an absolute path without symbolic links, a regular executable
 * file, it and all folders above it owned by root or by us and writable by nobody else (a sticky
 * folder such as /tmp may be). Fails with GK_NO_FILE, GK_REFUSED (why in the error),
 * GK_FILE_DENIED, GK_FILE_FAILED.
 */
enum gk_status handler_check(const char *path, struct gk_error *err) GK_MUST_CHECK;

/*
 * Check and start. SIGCHLD must be blocked. Fails with what handler_check() does, GK_INTERNAL,
 * GK_NO_MEMORY.
 */
enum gk_status handler_start(sd_event *event, const struct handler_task *task, handler_done *done,
                             void *context, struct handler_run **run,
                             struct gk_error *err) GK_MUST_CHECK;

/*
 * Kill whatever is still a child of this process: programs that left their session to outlive it.
 * Only while no program runs, in a process that is their reaper (prctl(2), PR_SET_CHILD_SUBREAPER).
 */
void handler_sweep(void);

/* Kill it and forget it without calling done. NULL is fine. */
void handler_cancel(struct handler_run *run);

#endif
