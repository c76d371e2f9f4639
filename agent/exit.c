/* SPDX-License-Identifier: Apache-2.0 */
/* Sorts every status into the exit codes; a new status without a place here does not compile. */
#include "agent/exit.h"

enum agent_exit agent_exit_code(enum gk_status status)
{
    switch (status) {
    case GK_OK:
        return AGENT_EXIT_DONE;
    case GK_USAGE:
        return AGENT_EXIT_USAGE;
    case GK_NOT_ENROLLED:
    case GK_NO_KEY:
        return AGENT_EXIT_NOT_ENROLLED;
    case GK_REVOKED:
        return AGENT_EXIT_REVOKED;
    case GK_UNREACHABLE:
    case GK_PROXY:
    case GK_THROTTLED:
        return AGENT_EXIT_UNREACHABLE;
    case GK_NO_TPM:
    case GK_TPM_DENIED:
    case GK_TPM_BUSY:
    case GK_LOST_IN_FORK:
    case GK_TPM_MEMORY:
    case GK_TPM_GARBLED:
    case GK_LOCKED:
        return AGENT_EXIT_TPM;
    case GK_TPM_FAILED:
    case GK_WRONG_KEY:
    case GK_HANDLE_TAKEN:
    case GK_BAD_AUTH:
    case GK_NEED_AUTH:
    case GK_BAD_OWNER_AUTH:
    case GK_BAD_SALT:
    case GK_BAD_SIGNATURE:
    case GK_SEAL_BROKEN:
    case GK_PCRS_CHANGED:
    case GK_NOT_LOADED:
    case GK_WRONG_KIND:
    case GK_NOT_OFFERED:
    case GK_NOT_RSA2048:
    case GK_NO_FILE:
    case GK_FILE_DENIED:
    case GK_FILE_FAILED:
    case GK_DISK_FULL:
    case GK_BAD_REFERENCE:
    case GK_BAD_FILE:
    case GK_BAD_CONFIG:
    case GK_BAD_TCTI:
    case GK_LOCK_HELD:
    case GK_UNTRUSTED: /* not 5: a script must not simply try again */
    case GK_HUB_REFUSED:
    case GK_HUB_CREDENTIALS:
    case GK_HUB_GARBLED:
    case GK_DUPLICATE_SUBJECT:
    case GK_BOUND_ELSEWHERE:
    case GK_BAD_CERTIFICATE:
    case GK_NOT_YET_VALID:
    case GK_EXPIRED:
    case GK_BAD_CRL:
    case GK_STALE_CRL:
    case GK_CLOCK_WRONG:
    case GK_NO_SERVICE:
    case GK_SERVICE_RUNS:
    case GK_SPOOL_FULL:
    case GK_SPOOL_FAILED:
    case GK_NO_MESSAGE:
    case GK_BUSY:
    case GK_REFUSED:
    case GK_NO_MEMORY:
    case GK_NO_DESCRIPTOR:
    case GK_CRYPTO_FAILED:
    case GK_INTERNAL:
    case GK_STATUS_COUNT:
        break;
    }
    return AGENT_EXIT_FAILED;
}
