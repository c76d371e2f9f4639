/* SPDX-License-Identifier: Apache-2.0 */
/* What the fault TCTI is to do with each command, and the log of what it did; see fault-tcti.c. */
#ifndef GATEKEY_TESTS_TPM_FAULT_PLAN_H
#define GATEKEY_TESTS_TPM_FAULT_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Opening a connection stands among the commands under this code, which no TPM command has. */
#define PLAN_OPEN 0U

enum plan_action {
    PLAN_PASS,
    PLAN_ANSWER,
    PLAN_CUT_TRANSMIT,
    PLAN_CUT_RECEIVE,
    PLAN_SILENCE,
    PLAN_TRUNCATE,
    PLAN_SHORTEN,
    PLAN_CLAIM,
    PLAN_GROW,
    PLAN_TRAIL,
    PLAN_FLIP,
    PLAN_GARBAGE,
    PLAN_DELAY,
};

/* What to do with one command. */
struct plan_step {
    enum plan_action action;
    long value; /* a response code, a number of bytes, milliseconds */
    off_t line; /* where the log has it */
};

/*
 * Find what the plan says about this command, the next of its kind, and put it into the log. False,
 * with a line on stderr, when the plan cannot be read: a mistake in it must not pass for a fault.
 */
bool plan_next(const char *path, uint32_t command, struct plan_step *step);

/* Put into the log what the caller was given. */
void plan_result(const char *path, const struct plan_step *step, uint32_t result);

#endif
