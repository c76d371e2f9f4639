/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a program with nothing of ours but three descriptors. */
#ifndef GATEKEY_AGENT_SERVICE_PROGRAM_H
#define GATEKEY_AGENT_SERVICE_PROGRAM_H

#include "error.h"

#include <sys/types.h>

/*
 * Fork and execute argv[0] with argv: standard input, output and error from descriptors, all others
 * closed, a session of its own, an environment of PATH and LANG, working directory /, default
 * signals. It dies with us. Exit status 127 means that it could not be executed. Fails with
 * GK_INTERNAL.
 */
enum gk_status program_start(char *const argv[], const int descriptors[static 3], pid_t *pid,
                             struct gk_error *err) GK_MUST_CHECK;

#endif
