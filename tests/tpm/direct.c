/* SPDX-License-Identifier: Apache-2.0 */
/* A test's own line to its TPM. */
#include "tests/tpm/direct.h"

#include "tests/tpm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_sys.h>
#include <tss2/tss2_tctildr.h>

#define ATTRIBUTES                                                                      \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | \
     TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA)

/* TPM 2.0 Library Part 2, "TPM_HC"; the TSS's own shifts an int beyond its size. */
#define TRANSIENT_FIRST 0x80000000U
#define SESSION_FIRST 0x02000000U

static TSS2_TCTI_CONTEXT *tcti;
static TSS2_SYS_CONTEXT *sys;
static TPMS_CONTEXT saved[DIRECT_KEY_COUNT];

static const TSS2L_SYS_AUTH_COMMAND no_password = { .count = 1,
                                                    .auths = { { .sessionHandle = TPM2_RS_PW } } };
static TSS2L_SYS_AUTH_RESPONSE answered;

void direct_open(void)
{
    size_t size = Tss2_Sys_GetContextSize(0);
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;

    assert_int_equal(Tss2_TctiLdr_Initialize(fixture_tcti(), &tcti), TSS2_RC_SUCCESS);
    sys = calloc(1, size);
    assert_non_null(sys);
    assert_int_equal(Tss2_Sys_Initialize(sys, size, tcti, &abi), TSS2_RC_SUCCESS);
    for (size_t i = 0; i < DIRECT_KEY_COUNT; i++) {
        saved[i] = (TPMS_CONTEXT){ 0 };
    }
}

void direct_close(void)
{
    Tss2_Sys_Finalize(sys);
    free(sys);
    Tss2_TctiLdr_Finalize(&tcti);
}

static TPML_HANDLE handles_from(TPM2_HANDLE first)
{
    TPMS_CAPABILITY_DATA data = { 0 };
    TPMI_YES_NO more;

    assert_int_equal(Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_HANDLES, first,
                                            TPM2_MAX_CAP_HANDLES, &more, &data, NULL),
                     TSS2_RC_SUCCESS);
    return data.data.handles;
}

unsigned direct_loaded(void)
{
    return handles_from(TRANSIENT_FIRST).count + handles_from(SESSION_FIRST).count;
}

static void flush(TPM2_HANDLE handle)
{
    assert_int_equal(Tss2_Sys_FlushContext(sys, handle), TSS2_RC_SUCCESS);
}

void direct_flush(void)
{
    static const TPM2_HANDLE firsts[] = { TRANSIENT_FIRST, SESSION_FIRST };

    for (size_t i = 0; i < 2; i++) {
        TPML_HANDLE handles = handles_from(firsts[i]);

        for (size_t j = 0; j < handles.count; j++) {
            flush(handles.handle[j]);
        }
    }
}

bool direct_has(uint32_t handle)
{
    TPML_HANDLE handles = handles_from(handle);

    return handles.count > 0 && handles.handle[0] == handle;
}

static void evict_control(TPM2_HANDLE object, TPM2_HANDLE handle)
{
    assert_int_equal(
        Tss2_Sys_EvictControl(sys, TPM2_RH_OWNER, object, &no_password, handle, &answered),
        TSS2_RC_SUCCESS);
}

void direct_evict(uint32_t handle)
{
    if (direct_has(handle)) {
        evict_control(handle, handle);
    }
}

static TPM2_HANDLE make_root(void)
{
    static const TPM2B_PUBLIC template = {
        .publicArea = {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = ATTRIBUTES | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
            .parameters.eccDetail = {
                .symmetric = {
                    .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB
                },
                .scheme.scheme = TPM2_ALG_NULL,
                .curveID = TPM2_ECC_NIST_P256,
                .kdf.scheme = TPM2_ALG_NULL,
            },
        },
    };
    static const TPM2B_SENSITIVE_CREATE sensitive;
    static const TPM2B_DATA no_data;
    static const TPML_PCR_SELECTION no_pcr;
    TPM2B_PUBLIC area = { 0 };
    TPM2B_CREATION_DATA data = { 0 };
    TPM2B_DIGEST hash = { 0 };
    TPMT_TK_CREATION ticket;
    TPM2B_NAME name = { 0 };
    TPM2_HANDLE handle = 0;

    assert_int_equal(Tss2_Sys_CreatePrimary(sys, TPM2_RH_OWNER, &no_password, &sensitive, &template,
                                            &no_data, &no_pcr, &handle, &area, &data, &hash,
                                            &ticket, &name, &answered),
                     TSS2_RC_SUCCESS);
    return handle;
}

static void create(TPM2_HANDLE root, TPMA_OBJECT attributes, TPM2B_PRIVATE *private,
                   TPM2B_PUBLIC *area)
{
    const TPM2B_PUBLIC template = {
        .publicArea = {
            .type = TPM2_ALG_RSA,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = ATTRIBUTES | attributes,
            .parameters.rsaDetail = {
                .symmetric.algorithm = TPM2_ALG_NULL,
                .scheme.scheme = TPM2_ALG_NULL,
                .keyBits = 2048,
            },
        },
    };
    static const TPM2B_SENSITIVE_CREATE sensitive;
    static const TPM2B_DATA no_data;
    static const TPML_PCR_SELECTION no_pcr;
    TPM2B_CREATION_DATA data = { 0 };
    TPM2B_DIGEST hash = { 0 };
    TPMT_TK_CREATION ticket;

    *private = (TPM2B_PRIVATE){ 0 };
    *area = (TPM2B_PUBLIC){ 0 };
    assert_int_equal(Tss2_Sys_Create(sys, root, &no_password, &sensitive, &template, &no_data,
                                     &no_pcr, private, area, &data, &hash, &ticket, &answered),
                     TSS2_RC_SUCCESS);
}

static TPMA_OBJECT uses_of(enum direct_key which)
{
    return which == DIRECT_SIGNS ? TPMA_OBJECT_SIGN_ENCRYPT
                                 : TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_DECRYPT;
}

static TPM2_HANDLE make_signing(TPM2_HANDLE root, TPMA_OBJECT attributes)
{
    TPM2B_PRIVATE private;
    TPM2B_PUBLIC area;
    TPM2B_NAME name = { 0 };
    TPM2_HANDLE handle = 0;

    create(root, attributes, &private, &area);
    assert_int_equal(
        Tss2_Sys_Load(sys, root, &no_password, &private, &area, &handle, &name, &answered),
        TSS2_RC_SUCCESS);
    return handle;
}

void direct_make_file(enum direct_key which, struct direct_file *file)
{
    TPM2_HANDLE root = make_root();
    TPM2B_PRIVATE private;
    TPM2B_PUBLIC area;

    create(root, uses_of(which), &private, &area);
    flush(root);
    file->public_size = file->private_size = 0;
    assert_int_equal(Tss2_MU_TPM2B_PUBLIC_Marshal(&area, file->public_area,
                                                  sizeof(file->public_area), &file->public_size),
                     TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_MU_TPM2B_PRIVATE_Marshal(&private, file->private_area,
                                                   sizeof(file->private_area), &file->private_size),
                     TSS2_RC_SUCCESS);
}

static void make(enum direct_key which)
{
    TPM2_HANDLE root = make_root(), handle = root;

    if (which != DIRECT_ROOT) {
        handle = make_signing(root, uses_of(which));
        flush(root);
    }
    assert_int_equal(Tss2_Sys_ContextSave(sys, handle, &saved[which]), TSS2_RC_SUCCESS);
    flush(handle);
}

void direct_put(enum direct_key which, uint32_t handle)
{
    TPM2_HANDLE loaded = 0;

    if (saved[which].contextBlob.size == 0) {
        make(which);
    }
    assert_int_equal(Tss2_Sys_ContextLoad(sys, &saved[which], &loaded), TSS2_RC_SUCCESS);
    evict_control(loaded, handle);
    flush(loaded);
}
