/* SPDX-License-Identifier: Apache-2.0 */
/* A TPM whose transient slots are all taken: which they are, and how to get one back. */
#include "tpm/internal.h"

#include <inttypes.h>
#include <stdio.h>

/* TPM 2.0 Library Part 2, "TPM_HC"; the TSS's own shifts an int beyond its size. */
#define TRANSIENT_FIRST 0x80000000U

/* TPMs have three to a dozen slots; a sentence need not name more. */
#define NAMED_MAX 8
#define NAME_SIZE 11 /* "0x80000000 " */

static TSS2_RC list(TSS2_SYS_CONTEXT *sys, void *context)
{
    TPMS_CAPABILITY_DATA *found = context;
    TPMI_YES_NO more = 0;
    TSS2_RC code =
        Tss2_Sys_GetCapability_Prepare(sys, TPM2_CAP_HANDLES, TRANSIENT_FIRST, NAMED_MAX);

    if (code == TSS2_RC_SUCCESS) {
        code = tpm_execute(sys);
    }
    return code == TSS2_RC_SUCCESS ? Tss2_Sys_GetCapability_Complete(sys, &more, found) : code;
}

/* Sessions and persistent objects have places of their own. */
static bool is_about_objects(const struct gk_error *err)
{
    TSS2_RC base = err != NULL ? code_base(err->tpm_code) : TSS2_RC_SUCCESS;

    return base == TPM2_RC_OBJECT_MEMORY || base == TPM2_RC_OBJECT_HANDLES ||
           base == TPM2_RC_MEMORY;
}

static void explain(const TPML_HANDLE *taken, struct gk_error *err)
{
    char names[NAMED_MAX * NAME_SIZE + 1] = "";
    uint32_t count = taken->count < NAMED_MAX ? taken->count : NAMED_MAX;

    /* Behind a resource manager we see our own handles only, and have none. */
    if (count == 0) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        snprintf(names + i * NAME_SIZE, sizeof(names) - i * NAME_SIZE, " 0x%08" PRIx32,
                 taken->handle[i]);
    }
    (void)gk_fail_tpm(err, err->status, err->tpm_code, "taken:%s", names);
    code_describe(err);
    gk_advise(err,
              "free those that no running program uses, as with tpm2_flushcontext 0x%08" PRIx32
              ", or use device:/dev/tpmrm0",
              taken->handle[0]);
}

void slot_explain(TSS2_TCTI_CONTEXT *tcti, struct gk_error *err)
{
    TPMS_CAPABILITY_DATA found = { 0 };

    if (is_about_objects(err) && tpm_run_on(tcti, list, &found) == TSS2_RC_SUCCESS) {
        explain(&found.data.handles, err);
    }
}

void slot_explain_by(struct gk_tpm *tpm, struct gk_error *err)
{
    TPMS_CAPABILITY_DATA found = { 0 };

    if (is_about_objects(err) && tpm_run(tpm, list, &found, "", NULL) == GK_OK) {
        explain(&found.data.handles, err);
    }
}
