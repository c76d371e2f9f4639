/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault matrix: every command that an operation of tpm/ sends, and every fault that can befall
 * it. test-faults.c finds the commands by letting the operation run once, and puts it through all.
 */
#ifndef GATEKEY_TESTS_TPM_FAULTS_H
#define GATEKEY_TESTS_TPM_FAULTS_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* TPM 2.0 Library Part 2, "TPM_CC". */
#define CC_EVICT_CONTROL 0x120U
#define CC_CREATE_PRIMARY 0x131U
#define CC_CREATE 0x153U
#define CC_LOAD 0x157U
#define CC_SIGN 0x15dU
#define CC_CONTEXT_LOAD 0x161U
#define CC_CONTEXT_SAVE 0x162U
#define CC_FLUSH_CONTEXT 0x165U
#define CC_READ_PUBLIC 0x173U
#define CC_START_AUTH_SESSION 0x176U

/* --- what can happen to a command (faults.c) ----------------------------------------------------
 */

enum fault_kind {
    REFUSED,    /* the TPM, or a resource manager in its place, says no and does nothing */
    STALE,      /* it knows nothing of an object or session that is there */
    AGAIN,      /* it asks for the same command again */
    CUT_BEFORE, /* the line breaks, and the TPM never hears of it */
    CUT_AFTER,  /* the line breaks, and what the TPM says is lost */
    SILENT,     /* nothing comes, and the one who waits gives up */
    SPOILT,     /* what comes is no answer of a TPM, as anybody can see */
    CHANGED,    /* it looks like one, but is not what the TPM said */
    LATE,       /* nothing but time is lost */
    NOT_OPENED, /* the line cannot be opened */
};

struct fault {
    const char *action; /* in the language of the fault TCTI's plan */
    enum fault_kind kind;
    enum gk_status status; /* what it is called when nothing can be done about it */
    const char *says;      /* what the sentence must hold besides, or NULL */
    enum { ONE_OF_MANY, TYPICAL, SAMPLE, NONE } weight; /* where there is no time for all of them */
};

extern const struct fault faults[];
extern const size_t fault_total;

/* --- what is put through it (operations.c) ------------------------------------------------------
 */

struct operation {
    const char *name;
    bool has_sessions; /* stands on ESYS: sessions, objects to flush, and one line for all of it */
    enum { QUICK, SLOW, SLOWEST } pace; /* makes no RSA key, or one, or two */
    void (*prepare)(void);              /* set the scene in the TPM, NULL for nothing */
    enum gk_status (*run)(const char *tcti, struct gk_error *err);
    bool (*has_worked)(void); /* look at what a run that returned GK_OK has left */
};

extern const struct operation operations[];
extern const size_t operation_total;

/*
 * What a fault is rightly called where it is not faults[].status, because the operation knows
 * better or can do without that command.
 */
#define ANY_STATUS GK_STATUS_COUNT

struct exception {
    const char *operation; /* NULL: any */
    uint32_t command;      /* 0: any */
    unsigned nth;          /* such command of the operation; 0: any */
    enum gk_status status, instead;
    const char *action; /* NULL: any with that status */
};

extern const struct exception exceptions[];
extern const size_t exception_total;

void operations_open(void);
void operations_close(void);

#endif
