/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the TPM's clock. */
#include "tpm/admin_internal.h"

enum gk_status gk_admin_clock(struct gk_admin *admin, struct gk_clock *clock, struct gk_error *err)
{
    CLEANUP(gk_freep) TPMS_TIME_INFO *info = NULL;
    TSS2_RC code = Esys_ReadClock(admin->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &info);

    /* ESYS takes an answer without content for one that is all zeroes. */
    if (code == TSS2_RC_SUCCESS && info->time == 0 && info->clockInfo.clock == 0) {
        code = TSS2_ESYS_RC_MALFORMED_RESPONSE;
    }
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, "the TPM's clock");
    }
    *clock = (struct gk_clock){
        .ms = info->clockInfo.clock,
        .up_ms = info->time,
        .resets = info->clockInfo.resetCount,
        .restarts = info->clockInfo.restartCount,
        .safe = info->clockInfo.safe == TPM2_YES,
    };
    return GK_OK;
}
