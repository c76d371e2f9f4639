/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the TSS's and the TPM's response codes into statuses. */
#include "tpm/internal.h"

#include <tss2/tss2_common.h>
#include <tss2/tss2_tpm2_types.h>

/* The TSS's upper 16 bits: who speaks (TCG TSS 2.0 Overview, "Response Code Format"). */
static TSS2_RC layer_of(TSS2_RC code)
{
    return code & TSS2_RC_LAYER_MASK;
}

/* The TPM itself, or a resource manager answering in its place. */
static bool is_from_tpm(TSS2_RC code)
{
    TSS2_RC layer = layer_of(code);

    return code <= TSS2_RESMGR_TPM_RC_LAYER + 0xffffU &&
           (layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER);
}

TSS2_RC code_base(TSS2_RC code)
{
    TSS2_RC low = code & 0xffffU;

    /* Format one carries a parameter, handle or session number beside six bits of error number. */
    return (low & TPM2_RC_FMT1) != 0 ? low & (TPM2_RC_FMT1 | 0x3fU) : low;
}

/* A response that cannot be taken apart: whatever remains in the line is not ours to read. */
static bool is_garbled(TSS2_RC code)
{
    TSS2_RC low = code & 0xffffU;

    switch (layer_of(code)) {
    case TSS2_MU_RC_LAYER:
        return true;
    case TSS2_SYS_RC_LAYER:
    case TSS2_ESAPI_RC_LAYER:
        return low == TSS2_BASE_RC_MALFORMED_RESPONSE ||
               low == TSS2_BASE_RC_INSUFFICIENT_RESPONSE ||
               low == TSS2_BASE_RC_INSUFFICIENT_CONTEXT || low == TSS2_BASE_RC_RSP_AUTH_FAILED;
    case TSS2_TCTI_RC_LAYER:
        return low == TSS2_BASE_RC_MALFORMED_RESPONSE || low == TSS2_BASE_RC_INSUFFICIENT_BUFFER;
    default:
        /* Of no layer that there is, so the response code itself is none. */
        return (code & ~TSS2_RC_LAYER_MASK) > 0xffffU || layer_of(code) > TSS2_RESMGR_TPM_RC_LAYER;
    }
}

bool code_is_transport(TSS2_RC code)
{
    TSS2_RC low = code & 0xffffU;

    return is_garbled(code) ||
           (layer_of(code) == TSS2_TCTI_RC_LAYER && low != TSS2_BASE_RC_NOT_PERMITTED &&
            low != TSS2_BASE_RC_TRY_AGAIN && low != TSS2_BASE_RC_MEMORY &&
            code != TCTI_RC_NO_DESCRIPTOR && code != TCTI_RC_LOST_IN_FORK);
}

bool code_is_retry(TSS2_RC code)
{
    TSS2_RC base = code_base(code);

    return is_from_tpm(code) &&
           (base == TPM2_RC_RETRY || base == TPM2_RC_YIELDED || base == TPM2_RC_TESTING);
}

bool code_is_stale(TSS2_RC code)
{
    TSS2_RC base = code_base(code);

    return is_from_tpm(code) && base >= TPM2_RC_REFERENCE_H0 && base <= TPM2_RC_REFERENCE_S6;
}

static enum gk_status status_of_tpm(TSS2_RC base)
{
    static const struct {
        TSS2_RC base;
        enum gk_status status;
    } table[] = {
        { TPM2_RC_HANDLE, GK_NO_KEY },
        { TPM2_RC_REFERENCE_H0, GK_NO_KEY },
        { TPM2_RC_AUTH_FAIL, GK_BAD_AUTH },
        { TPM2_RC_BAD_AUTH, GK_BAD_AUTH },
        { TPM2_RC_AUTH_MISSING, GK_NEED_AUTH },
        { TPM2_RC_AUTH_UNAVAILABLE, GK_BAD_AUTH },
        { TPM2_RC_LOCKOUT, GK_LOCKED },
        { TPM2_RC_OBJECT_MEMORY, GK_TPM_MEMORY },
        { TPM2_RC_MEMORY, GK_TPM_MEMORY },
        { TPM2_RC_OBJECT_HANDLES, GK_TPM_MEMORY },
        { TPM2_RC_SESSION_MEMORY, GK_TPM_MEMORY },
        { TPM2_RC_SESSION_HANDLES, GK_TPM_MEMORY },
        { TPM2_RC_NV_SPACE, GK_TPM_MEMORY },
        { TPM2_RC_NV_DEFINED, GK_HANDLE_TAKEN },
        { TPM2_RC_RETRY, GK_TPM_BUSY },
        { TPM2_RC_YIELDED, GK_TPM_BUSY },
        { TPM2_RC_TESTING, GK_TPM_BUSY },
        { TPM2_RC_CANCELED, GK_TPM_BUSY },
        { TPM2_RC_NV_RATE, GK_TPM_BUSY },
        { TPM2_RC_NV_UNAVAILABLE, GK_TPM_BUSY },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].base == base) {
            return table[i].status;
        }
    }
    return GK_TPM_FAILED;
}

enum gk_status code_status(TSS2_RC code)
{
    if (code == TSS2_RC_SUCCESS) {
        return GK_OK;
    }
    if (is_from_tpm(code)) {
        return status_of_tpm(code_base(code));
    }
    if (is_garbled(code)) {
        return GK_TPM_GARBLED;
    }
    /* ESYS says so of everything after one broken line. */
    if (code == TSS2_ESYS_RC_BAD_SEQUENCE) {
        return GK_NO_TPM;
    }
    if (code == TCTI_RC_NO_DESCRIPTOR) {
        return GK_NO_DESCRIPTOR;
    }
    if (code == TCTI_RC_LOST_IN_FORK) {
        return GK_LOST_IN_FORK;
    }
    switch (code & 0xffffU) {
    case TSS2_BASE_RC_NOT_PERMITTED:
        return GK_TPM_DENIED;
    case TSS2_BASE_RC_TRY_AGAIN:
        return GK_TPM_BUSY;
    case TSS2_BASE_RC_MEMORY:
        return GK_NO_MEMORY;
    default:
        return code_is_transport(code) ? GK_NO_TPM : GK_TPM_FAILED;
    }
}

enum gk_status code_fail(struct gk_error *err, TSS2_RC code, const char *object)
{
    enum gk_status status = code_status(code);

    if (status == GK_NO_DESCRIPTOR || status == GK_LOST_IN_FORK) {
        return gk_fail(err, status, "%s", object); /* the code is our own and says no more */
    }
    (void)gk_fail_tpm(err, status, code, "%s", object);
    code_describe(err);
    if (code == TCTI_RC_SILENCE) {
        gk_advise(err, "find the program that holds it open, or restart the TPM");
    }
    return status;
}
