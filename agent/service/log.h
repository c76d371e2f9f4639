/* SPDX-License-Identifier: Apache-2.0 */
/* The service's log: one line per change on standard error, with systemd's <N> where it reads
 * along. */
#ifndef GATEKEY_AGENT_SERVICE_LOG_H
#define GATEKEY_AGENT_SERVICE_LOG_H

#include "error.h"

/* syslog(3)'s levels, the four that are used. */
enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6
};

/*
 * Write one line; control characters become "?". What came from the hub or a program may be in it,
 * a secret never.
 */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Write "cannot <operation>: ..." as one line. */
void log_failure(enum log_level level, const char *operation, const struct gk_error *err);

#endif
