/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TSS, loaded with the first key and not with the module: every program on OpenSSL loads the
 * module, and those that never use the key would pay for mapping and relocating three libraries
 * more than for all the rest of it.
 *
 * Each function of the TSS that this folder calls is here once more, hidden, and forwards to the
 * library's own. Nothing else is linked, so that calling one that is missing here is an error of
 * the linker, not a library that comes along again. All three are loaded at once, when a key is
 * taken in: a program that locks itself up later (chroot, a sandbox) has them by then.
 *
 * This file alone has statics: what is found stays where it is, and is the same for every copy.
 */
#include "tpm/internal.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

static const char *const names[] = {
    "libtss2-mu.so.0",
    "libtss2-sys.so.1",
    "libtss2-tctildr.so.0",
};

#define LIBRARIES (sizeof(names) / sizeof(names[0]))

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *libraries[LIBRARIES];
static const char *missing;

static void open_all(void)
{
    for (size_t i = 0; i < LIBRARIES; i++) {
        libraries[i] = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (libraries[i] == NULL) {
            missing = names[i];
            return;
        }
    }
    missing = NULL;
}

enum gk_status tss_load(struct gk_error *err)
{
    pthread_once(&once, open_all);
    return missing == NULL ? GK_OK : gk_fail(err, GK_NO_TSS, "%s", missing);
}

/* Several threads may look for the same function at once, and find the same. */
static void *find(_Atomic(void *) *found, const char *name)
{
    void *function = atomic_load(found);

    if (function != NULL || tss_load(NULL) != GK_OK) {
        return function;
    }
    for (size_t i = 0; i < LIBRARIES && function == NULL; i++) {
        function = dlsym(libraries[i], name);
    }
    atomic_store(found, function);
    return function;
}

#define FORWARD(name, parameters, arguments)                                        \
    TSS2_RC name parameters                                                         \
    {                                                                               \
        static _Atomic(void *) found;                                               \
        TSS2_RC(*function) parameters = find(&found, #name);                        \
        return function != NULL ? function arguments : TSS2_SYS_RC_GENERAL_FAILURE; \
    }

/* clang-format off */
FORWARD(Tss2_MU_UINT16_Marshal,
        (UINT16 src, uint8_t buffer[], size_t size, size_t *offset), (src, buffer, size, offset))
FORWARD(Tss2_MU_UINT32_Marshal,
        (UINT32 src, uint8_t buffer[], size_t size, size_t *offset), (src, buffer, size, offset))
FORWARD(Tss2_MU_TPM2B_PUBLIC_Marshal,
        (const TPM2B_PUBLIC *src, uint8_t buffer[], size_t size, size_t *offset),
        (src, buffer, size, offset))
FORWARD(Tss2_MU_UINT16_Unmarshal,
        (const uint8_t buffer[], size_t size, size_t *offset, UINT16 *dest),
        (buffer, size, offset, dest))
FORWARD(Tss2_MU_UINT32_Unmarshal,
        (const uint8_t buffer[], size_t size, size_t *offset, UINT32 *dest),
        (buffer, size, offset, dest))
FORWARD(Tss2_MU_TPM2B_PUBLIC_Unmarshal,
        (const uint8_t buffer[], size_t size, size_t *offset, TPM2B_PUBLIC *dest),
        (buffer, size, offset, dest))
FORWARD(Tss2_MU_TPM2B_PRIVATE_Unmarshal,
        (const uint8_t buffer[], size_t size, size_t *offset, TPM2B_PRIVATE *dest),
        (buffer, size, offset, dest))

FORWARD(Tss2_Sys_Initialize,
        (TSS2_SYS_CONTEXT *sys, size_t size, TSS2_TCTI_CONTEXT *tcti, TSS2_ABI_VERSION *abi),
        (sys, size, tcti, abi))
FORWARD(Tss2_Sys_GetTctiContext, (TSS2_SYS_CONTEXT *sys, TSS2_TCTI_CONTEXT **tcti), (sys, tcti))
FORWARD(Tss2_Sys_SetCmdAuths,
        (TSS2_SYS_CONTEXT *sys, const TSS2L_SYS_AUTH_COMMAND *auths), (sys, auths))
FORWARD(Tss2_Sys_ExecuteAsync, (TSS2_SYS_CONTEXT *sys), (sys))
FORWARD(Tss2_Sys_ExecuteFinish, (TSS2_SYS_CONTEXT *sys, int32_t timeout), (sys, timeout))

FORWARD(Tss2_Sys_ContextLoad_Prepare,
        (TSS2_SYS_CONTEXT *sys, const TPMS_CONTEXT *context), (sys, context))
FORWARD(Tss2_Sys_ContextLoad_Complete,
        (TSS2_SYS_CONTEXT *sys, TPMI_DH_CONTEXT *handle), (sys, handle))
FORWARD(Tss2_Sys_ContextSave_Prepare,
        (TSS2_SYS_CONTEXT *sys, TPMI_DH_CONTEXT handle), (sys, handle))
FORWARD(Tss2_Sys_ContextSave_Complete,
        (TSS2_SYS_CONTEXT *sys, TPMS_CONTEXT *context), (sys, context))
FORWARD(Tss2_Sys_CreatePrimary_Prepare,
        (TSS2_SYS_CONTEXT *sys, TPMI_RH_HIERARCHY hierarchy, const TPM2B_SENSITIVE_CREATE *sensitive,
         const TPM2B_PUBLIC *public, const TPM2B_DATA *outside, const TPML_PCR_SELECTION *pcr),
        (sys, hierarchy, sensitive, public, outside, pcr))
FORWARD(Tss2_Sys_CreatePrimary_Complete,
        (TSS2_SYS_CONTEXT *sys, TPM2_HANDLE *handle, TPM2B_PUBLIC *public, TPM2B_CREATION_DATA *data,
         TPM2B_DIGEST *hash, TPMT_TK_CREATION *ticket, TPM2B_NAME *name),
        (sys, handle, public, data, hash, ticket, name))
FORWARD(Tss2_Sys_FlushContext_Prepare,
        (TSS2_SYS_CONTEXT *sys, TPMI_DH_CONTEXT handle), (sys, handle))
FORWARD(Tss2_Sys_GetCapability_Prepare,
        (TSS2_SYS_CONTEXT *sys, TPM2_CAP capability, UINT32 property, UINT32 count),
        (sys, capability, property, count))
FORWARD(Tss2_Sys_GetCapability_Complete,
        (TSS2_SYS_CONTEXT *sys, TPMI_YES_NO *more, TPMS_CAPABILITY_DATA *data), (sys, more, data))
FORWARD(Tss2_Sys_Load_Prepare,
        (TSS2_SYS_CONTEXT *sys, TPMI_DH_OBJECT parent, const TPM2B_PRIVATE *private,
         const TPM2B_PUBLIC *public), (sys, parent, private, public))
FORWARD(Tss2_Sys_Load_Complete,
        (TSS2_SYS_CONTEXT *sys, TPM2_HANDLE *handle, TPM2B_NAME *name), (sys, handle, name))
FORWARD(Tss2_Sys_ReadPublic_Prepare,
        (TSS2_SYS_CONTEXT *sys, TPMI_DH_OBJECT handle), (sys, handle))
FORWARD(Tss2_Sys_ReadPublic_Complete,
        (TSS2_SYS_CONTEXT *sys, TPM2B_PUBLIC *public, TPM2B_NAME *name, TPM2B_NAME *qualified),
        (sys, public, name, qualified))
FORWARD(Tss2_Sys_RSA_Decrypt_Prepare,
        (TSS2_SYS_CONTEXT *sys, TPMI_DH_OBJECT key, const TPM2B_PUBLIC_KEY_RSA *cipher,
         const TPMT_RSA_DECRYPT *scheme, const TPM2B_DATA *label), (sys, key, cipher, scheme, label))
FORWARD(Tss2_Sys_RSA_Decrypt_Complete,
        (TSS2_SYS_CONTEXT *sys, TPM2B_PUBLIC_KEY_RSA *message), (sys, message))
FORWARD(Tss2_Sys_Sign_Prepare,
        (TSS2_SYS_CONTEXT *sys, TPMI_DH_OBJECT key, const TPM2B_DIGEST *digest,
         const TPMT_SIG_SCHEME *scheme, const TPMT_TK_HASHCHECK *ticket),
        (sys, key, digest, scheme, ticket))
FORWARD(Tss2_Sys_Sign_Complete,
        (TSS2_SYS_CONTEXT *sys, TPMT_SIGNATURE *signature), (sys, signature))

FORWARD(Tss2_TctiLdr_Initialize, (const char *name, TSS2_TCTI_CONTEXT **tcti), (name, tcti))
/* clang-format on */

size_t Tss2_Sys_GetContextSize(size_t size)
{
    static _Atomic(void *) found;
    size_t (*function)(size_t) = find(&found, "Tss2_Sys_GetContextSize");

    return function != NULL ? function(size) : 0;
}

void Tss2_Sys_Finalize(TSS2_SYS_CONTEXT *sys)
{
    static _Atomic(void *) found;
    void (*function)(TSS2_SYS_CONTEXT *) = find(&found, "Tss2_Sys_Finalize");

    if (function != NULL) {
        function(sys);
    }
}

void Tss2_TctiLdr_Finalize(TSS2_TCTI_CONTEXT **tcti)
{
    static _Atomic(void *) found;
    void (*function)(TSS2_TCTI_CONTEXT **) = find(&found, "Tss2_TctiLdr_Finalize");

    if (function != NULL) {
        function(tcti);
    }
}
