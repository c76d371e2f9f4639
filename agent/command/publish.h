/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of gatekey publish share. */
#ifndef GATEKEY_PUBLISH_H
#define GATEKEY_PUBLISH_H

#include "agent/command/command.h"

struct publication {
    const char *topic; /* where a line names none */
    bool wait;         /* for what the hub says */
    unsigned timeout_s;
};

/*
 * Hand over each line of standard input: params, or {"topic":...,"params":...}. The number of each
 * one that is in the spool goes to stdout; what is wrong with a line is said, and the others go on.
 * Fails with GK_BAD_FILE where some were not accepted, and as agent_local_call() does where
 * gatekeyd went away.
 */
enum gk_status publish_lines(struct run *run, const struct publication *publication,
                             struct gk_error *err) GK_MUST_CHECK;

#endif
