/* SPDX-License-Identifier: Apache-2.0 */
/* What both programs leave behind for a script: one exit code per kind of outcome (gatekey(1),
 * "Exit status"). */
#ifndef GATEKEY_AGENT_EXIT_H
#define GATEKEY_AGENT_EXIT_H

#include "error.h"

enum agent_exit {
    AGENT_EXIT_DONE = 0,
    AGENT_EXIT_FAILED = 1,       /* the message says what to do next */
    AGENT_EXIT_USAGE = 2,        /* wrong usage */
    AGENT_EXIT_NOT_ENROLLED = 3, /* not enrolled yet */
    AGENT_EXIT_REVOKED = 4,      /* the certificate is revoked */
    AGENT_EXIT_UNREACHABLE = 5,  /* hub or network; trying again later may help */
    AGENT_EXIT_TPM = 6,          /* the TPM cannot be used now */
};

enum agent_exit agent_exit_code(enum gk_status status);

#endif
