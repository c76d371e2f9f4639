/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running the program that answers a command of the hub ([local] command.NAME, gatekey.conf(5)).
 *
 * It is run as gatekeyd's own user with fixed arguments, no shell, and an environment of PATH and
 * LANG; it inherits standard input, output and error and nothing else. The command's parameters are
 * on standard input, its answer is expected on standard output: JSON, or nothing. It leads a
 * session of its own and is killed with all of it when it takes too long, says too much, or has
 * ended.
 *
 * Threads: the event loop's one. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_SERVICE_HANDLER_H
#define GATEKEY_AGENT_SERVICE_HANDLER_H

#include "agent/config.h"
#include "cleanup.h"
#include "error.h"

#include <jansson.h>
#include <systemd/sd-event.h>

#define HANDLER_TIME_MS 20000
#define HANDLER_OUTPUT_MAX ((size_t)64 * 1024)

/* What a command is answered with; EnOS leaves codes from 2000 to the device (gatekeyd(8),
 * "Codes"). */
enum handler_code {
    HANDLER_DONE = 200,
    HANDLER_NOT_CONFIGURED = 2001, /* no program is configured for that service */
    HANDLER_FAILED = 2002,         /* the program failed: exit status, or killed by a signal */
    HANDLER_TIMED_OUT = 2003,      /* it took longer than 20 s and was killed */
    HANDLER_BAD_OUTPUT = 2004,     /* what it wrote is not JSON, or more than 64 KiB */
    HANDLER_BUSY = 2005,           /* it is running already, or too many are */
    HANDLER_NOT_RUNNABLE = 2006,   /* it may not be run: missing, or others may write it */
    HANDLER_BAD_COMMAND = 2007,    /* the command itself makes no sense */
};

struct handler_run;

/*
 * Called once when it is over; data is borrowed, NULL unless code is HANDLER_DONE and something was
 * written; message is NULL or says what went wrong, in words that the hub may read. The run is
 * freed after the call.
 */
typedef void handler_done(void *context, enum handler_code code, json_t *data, const char *message);

/*
 * Check that a program may be run: an absolute path without symbolic links, a regular executable
 * file, it and all folders above it owned by root or by us and writable by nobody else (a sticky
 * folder such as /tmp may be). Fails with GK_NO_FILE, GK_REFUSED (why in the error),
 * GK_FILE_DENIED, GK_FILE_FAILED.
 */
enum gk_status handler_check(const char *path, struct gk_error *err) GK_MUST_CHECK;

/*
 * Check and start. SIGCHLD must be blocked. time_ms is how long it may take; input is copied.
 * Fails with what handler_check() does, GK_INTERNAL, GK_NO_MEMORY.
 */
enum gk_status handler_start(sd_event *event, const struct agent_handler *handler,
                             const char *input, size_t size, unsigned time_ms, handler_done *done,
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
