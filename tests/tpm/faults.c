/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the fault matrix: what can happen to a TPM command. */
#include "tests/tpm/faults.h"

#define LOOK_UP "; look the code up with tpm2_rc_decode"
#define WAIT "wait until it ends"
#define FREE_ONE "tpm2_flushcontext"
#define MADE_BY_US "use a key made by gatekey key create"

const struct fault faults[] = {
    /* Format 0 errors (TPM 2.0 Library Part 2, "TPM_RC"). */
    { "answer 0x100", REFUSED, GK_TPM_FAILED, "run tpm2_startup -c", ONE_OF_MANY }, /* INITIALIZE */
    { "answer 0x101", REFUSED, GK_TPM_FAILED, "switch the machine off and on",
      SAMPLE },                                                                  /* FAILURE */
    { "answer 0x103", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },            /* SEQUENCE */
    { "answer 0x120", REFUSED, GK_TPM_FAILED, "firmware's setup", ONE_OF_MANY }, /* DISABLED */
    { "answer 0x124", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },            /* AUTH_TYPE */
    { "answer 0x125", REFUSED, GK_NEED_AUTH, NULL, ONE_OF_MANY },                /* AUTH_MISSING */
    { "answer 0x12d", REFUSED, GK_TPM_FAILED, "firmware update", ONE_OF_MANY },  /* UPGRADE */
    { "answer 0x12f", REFUSED, GK_BAD_AUTH, NULL, ONE_OF_MANY }, /* AUTH_UNAVAILABLE */
    { "answer 0x130", REFUSED, GK_TPM_FAILED, "switch the machine off and on",
      ONE_OF_MANY },                                                              /* REBOOT */
    { "answer 0x142", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },             /* COMMAND_SIZE */
    { "answer 0x143", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },             /* COMMAND_CODE */
    { "answer 0x144", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },             /* AUTHSIZE */
    { "answer 0x145", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },             /* AUTH_CONTEXT */
    { "answer 0x14b", REFUSED, GK_TPM_MEMORY, "tpm2_evictcontrol", ONE_OF_MANY }, /* NV_SPACE */
    { "answer 0x14c", REFUSED, GK_HANDLE_TAKEN, NULL, ONE_OF_MANY },              /* NV_DEFINED */
    /* Format 1: about a handle, a parameter, a session, by number or without. */
    { "answer 0x08b", REFUSED, GK_NO_KEY, NULL, ONE_OF_MANY },           /* HANDLE */
    { "answer 0x18b", REFUSED, GK_NO_KEY, NULL, TYPICAL },               /* HANDLE, handle 1 */
    { "answer 0x082", REFUSED, GK_TPM_FAILED, MADE_BY_US, ONE_OF_MANY }, /* ATTRIBUTES */
    { "answer 0x19c", REFUSED, GK_TPM_FAILED, MADE_BY_US, ONE_OF_MANY }, /* KEY, handle 1 */
    { "answer 0x1c4", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },    /* VALUE, parameter 1 */
    { "answer 0x2d2", REFUSED, GK_TPM_FAILED, MADE_BY_US, TYPICAL },     /* SCHEME, parameter 2 */
    { "answer 0x1d5", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },    /* SIZE, parameter 1 */
    { "answer 0x1df", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY }, /* INTEGRITY, parameter 1 */
    { "answer 0x98e", REFUSED, GK_BAD_AUTH, NULL, TYPICAL },          /* AUTH_FAIL, session 1 */
    { "answer 0x9a2", REFUSED, GK_BAD_AUTH, NULL, ONE_OF_MANY },      /* BAD_AUTH, session 1 */
    { "answer 0x98f", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY }, /* NONCE, session 1 */
    { "answer 0x99d", REFUSED, GK_TPM_FAILED, MADE_BY_US,
      ONE_OF_MANY },                                                  /* POLICY_FAIL, session 1 */
    { "answer 0x9a3", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY }, /* EXPIRED, session 1 */
    /* Warnings. */
    { "answer 0x901", REFUSED, GK_TPM_FAILED, "restart the resource manager",
      ONE_OF_MANY },                                               /* CONTEXT_GAP */
    { "answer 0x902", REFUSED, GK_TPM_MEMORY, FREE_ONE, TYPICAL }, /* OBJECT_MEMORY */
    { "answer 0x903", REFUSED, GK_TPM_MEMORY, "tpm2_flushcontext -l",
      ONE_OF_MANY },                                                   /* SESSION_MEMORY */
    { "answer 0x904", REFUSED, GK_TPM_MEMORY, FREE_ONE, ONE_OF_MANY }, /* MEMORY */
    { "answer 0x905", REFUSED, GK_TPM_MEMORY, "tpm2_flushcontext -l",
      ONE_OF_MANY },                                                       /* SESSION_HANDLES */
    { "answer 0x906", REFUSED, GK_TPM_MEMORY, FREE_ONE, ONE_OF_MANY },     /* OBJECT_HANDLES */
    { "answer 0x907", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },      /* LOCALITY */
    { "answer 0x909", REFUSED, GK_TPM_BUSY, "run it again", ONE_OF_MANY }, /* CANCELED */
    { "answer 0x910", STALE, GK_NO_KEY, NULL, TYPICAL },                   /* REFERENCE_H0 */
    { "answer 0x918", STALE, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },        /* REFERENCE_S0 */
    { "answer 0x920", REFUSED, GK_TPM_BUSY, "run it again", ONE_OF_MANY }, /* NV_RATE */
    { "answer 0x921", REFUSED, GK_LOCKED, WAIT, TYPICAL },                 /* LOCKOUT */
    { "answer 0x923", REFUSED, GK_TPM_BUSY, "run it again", ONE_OF_MANY }, /* NV_UNAVAILABLE */
    { "answer 0x97f", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },      /* NOT_USED */
    { "answer 0x922", AGAIN, GK_TPM_BUSY, NULL, TYPICAL },                 /* RETRY */
    { "answer 0x908", AGAIN, GK_TPM_BUSY, NULL, ONE_OF_MANY },             /* YIELDED */
    { "answer 0x90a", AGAIN, GK_TPM_BUSY, NULL, ONE_OF_MANY },             /* TESTING */
    /* The vendor's own, and a resource manager's. */
    { "answer 0x501", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },
    { "answer 0xd01", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },
    { "answer 0xc0902", REFUSED, GK_TPM_MEMORY, FREE_ONE, ONE_OF_MANY },
    { "answer 0xb0001", REFUSED, GK_TPM_FAILED, LOOK_UP, ONE_OF_MANY },
    /* The line. */
    { "cut-transmit", CUT_BEFORE, GK_NO_TPM, NULL, TYPICAL },
    { "cut-receive", CUT_AFTER, GK_NO_TPM, NULL, SAMPLE },
    { "silence", SILENT, GK_NO_TPM, NULL, ONE_OF_MANY },
    { "delay 2", LATE, GK_OK, NULL, TYPICAL },
    /* Too short: none, less than a header, a header alone, a body cut, a body cut and no sign of
     * it.
     */
    { "truncate 0", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "truncate 1", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "truncate 9", SPOILT, GK_TPM_GARBLED, NULL, TYPICAL },
    { "truncate 10", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "truncate 11", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "truncate -40", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "truncate -1", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "shorten 10", CHANGED, GK_TPM_GARBLED, NULL, TYPICAL },
    { "shorten 12", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "shorten -40", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "shorten -1", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    /* Too long, or said to be. */
    { "claim 0", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "claim 9", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "claim 4096", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "claim 5000", SPOILT, GK_TPM_GARBLED, NULL, TYPICAL },
    { "claim 0xffffffff", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "grow 1", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "grow 5000", SPOILT, GK_TPM_GARBLED, NULL, TYPICAL },
    { "trail 1", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "trail 5000", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    /* No answer of a TPM at all, and one that was changed on its way. */
    { "garbage 1", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "garbage 10", SPOILT, GK_TPM_GARBLED, NULL, SAMPLE },
    { "garbage 300", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "garbage 4096", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "garbage 9000", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "flip 0", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "flip 6", SPOILT, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "flip 10", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "flip 15", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "flip 100", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    { "flip -1", CHANGED, GK_TPM_GARBLED, NULL, ONE_OF_MANY },
    /* Opening it: TCTI codes of the TSS. */
    { "answer 0xa000a", NOT_OPENED, GK_NO_TPM, NULL, TYPICAL },         /* IO_ERROR */
    { "answer 0xa0008", NOT_OPENED, GK_NO_TPM, NULL, ONE_OF_MANY },     /* NO_CONNECTION */
    { "answer 0xa000c", NOT_OPENED, GK_TPM_DENIED, NULL, ONE_OF_MANY }, /* NOT_PERMITTED */
    { "answer 0xa0017", NOT_OPENED, GK_NO_MEMORY, NULL, ONE_OF_MANY },  /* MEMORY */
};

const size_t fault_total = sizeof(faults) / sizeof(faults[0]);
