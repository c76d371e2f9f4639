/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The yardstick: nothing but TPM2_Sign through the TSS system API, on one context that stays open.
 * No hash, no check of the result, no OpenSSL. The connection is GATEKEY_TCTI's.
 */
#include "tests/bench/worker.h"

#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_sys.h>
#include <tss2/tss2_tctildr.h>

struct bare {
    TSS2_TCTI_CONTEXT *tcti;
    TSS2_SYS_CONTEXT *sys;
    TPMI_DH_OBJECT key;
    TPMT_SIG_SCHEME scheme;
};

static void *bare_open(char **arguments)
{
    struct bare *bare = calloc(1, sizeof(*bare));
    size_t size = Tss2_Sys_GetContextSize(0);
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    const char *tcti = getenv("GATEKEY_TCTI");

    if (bare == NULL || tcti == NULL || (bare->sys = calloc(1, size)) == NULL) {
        give_up("begin");
    }
    bare->key = (TPMI_DH_OBJECT)strtoul(arguments[0], NULL, 0);
    bare->scheme.scheme = strcmp(arguments[1], "pss") == 0 ? TPM2_ALG_RSAPSS : TPM2_ALG_RSASSA;
    bare->scheme.details.any.hashAlg = TPM2_ALG_SHA256;
    if (Tss2_TctiLdr_Initialize(tcti, &bare->tcti) != TSS2_RC_SUCCESS ||
        Tss2_Sys_Initialize(bare->sys, size, bare->tcti, &abi) != TSS2_RC_SUCCESS) {
        give_up("connect to the TPM");
    }
    return bare;
}

static void bare_run(void *state, unsigned count)
{
    const struct bare *bare = state;
    const TSS2L_SYS_AUTH_COMMAND auths = {
        .count = 1,
        .auths = { { .sessionHandle = TPM2_RS_PW } },
    };
    const TPM2B_DIGEST digest = { .size = TPM2_SHA256_DIGEST_SIZE };
    const TPMT_TK_HASHCHECK ticket = { .tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL };

    for (unsigned i = 0; i < count; i++) {
        TPMT_SIGNATURE signature = { 0 };
        TSS2L_SYS_AUTH_RESPONSE answers = { .count = 0 };

        if (Tss2_Sys_Sign(bare->sys, bare->key, &auths, &digest, &bare->scheme, &ticket, &signature,
                          &answers) != TSS2_RC_SUCCESS) {
            give_up("sign in the TPM");
        }
    }
}

static void bare_close(void *state)
{
    struct bare *bare = state;

    Tss2_Sys_Finalize(bare->sys);
    free(bare->sys);
    Tss2_TctiLdr_Finalize(&bare->tcti);
    free(bare);
}

const struct subject subject_bare = {
    "bare", "HANDLE pss|pkcs1", 2, bare_open, bare_run, bare_close
};
