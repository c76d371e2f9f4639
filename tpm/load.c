/* SPDX-License-Identifier: Apache-2.0 */
/* Loadable keys: the private part comes from a file and is in the TPM only while it signs. */
#include "tpm/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One signature under way. */
struct loading {
    struct loadable *loadable;
    const TPM2B_PUBLIC *area;
    tpm_command *command; /* what the key is loaded for */
    void *context;
    TPM2_HANDLE *handle; /* where the command finds it */
    TPM2_HANDLE parent;
    TPM2B_NAME parent_name;
    bool is_loaded; /* so whatever fails then is the command's own failure */
};

TPM2B_PUBLIC tpm_primary_template(bool rsa)
{
    static const TPMT_SYM_DEF_OBJECT aes_128_cfb = { .algorithm = TPM2_ALG_AES,
                                                     .keyBits.aes = 128,
                                                     .mode.aes = TPM2_ALG_CFB };
    TPM2B_PUBLIC template = {
        .publicArea = {
            .type = rsa ? TPM2_ALG_RSA : TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
        },
    };

    if (rsa) {
        template.publicArea.parameters.rsaDetail = (TPMS_RSA_PARMS){ .symmetric = aes_128_cfb,
                                                                     .scheme.scheme = TPM2_ALG_NULL,
                                                                     .keyBits = 2048 };
    } else {
        template.publicArea.parameters.eccDetail = (TPMS_ECC_PARMS){ .symmetric = aes_128_cfb,
                                                                     .scheme.scheme = TPM2_ALG_NULL,
                                                                     .curveID = TPM2_ECC_NIST_P256,
                                                                     .kdf.scheme = TPM2_ALG_NULL };
    }
    return template;
}

static TSS2_RC create_primary(TSS2_SYS_CONTEXT *sys, void *context)
{
    struct loading *loading = context;
    const struct loadable *loadable = loading->loadable;
    const TPM2B_SENSITIVE_CREATE no_password = { .size = 0 };
    const TPM2B_PUBLIC template = tpm_primary_template(loadable->rsa_parent);
    const TPM2B_DATA no_data = { .size = 0 };
    const TPML_PCR_SELECTION no_pcr = { .count = 0 };
    TPM2B_PUBLIC area = { .size = 0 };
    TPM2B_CREATION_DATA creation = { .size = 0 };
    TPM2B_DIGEST digest = { .size = 0 };
    TPMT_TK_CREATION ticket = { .tag = 0 };
    TSS2_RC code = Tss2_Sys_CreatePrimary_Prepare(sys, loadable->parent, &no_password, &template,
                                                  &no_data, &no_pcr);

    if (code == TSS2_RC_SUCCESS) {
        code = tpm_authorise(sys, &loadable->parent_auth);
    }
    if (code == TSS2_RC_SUCCESS) {
        code = tpm_execute(sys);
    }
    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    loading->parent_name = (TPM2B_NAME){ .size = 0 };
    return Tss2_Sys_CreatePrimary_Complete(sys, &loading->parent, &area, &creation, &digest,
                                           &ticket, &loading->parent_name);
}

static TSS2_RC load(TSS2_SYS_CONTEXT *sys, void *context)
{
    struct loading *loading = context;
    struct loadable *loadable = loading->loadable;
    /* A parent that was just made has no password; its hierarchy's was given already. */
    const struct gk_auth *auth =
        loading->parent == loadable->parent ? &loadable->parent_auth : NULL;
    TSS2_RC code =
        Tss2_Sys_Load_Prepare(sys, loading->parent, &loadable->private_area, loading->area);

    if (code == TSS2_RC_SUCCESS) {
        code = tpm_authorise(sys, auth);
    }
    if (code == TSS2_RC_SUCCESS) {
        code = tpm_execute(sys);
    }
    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    loadable->name = (TPM2B_NAME){ .size = 0 };
    return Tss2_Sys_Load_Complete(sys, loading->handle, &loadable->name);
}

static TSS2_RC save(TSS2_SYS_CONTEXT *sys, void *context)
{
    struct loading *loading = context;
    TSS2_RC code = Tss2_Sys_ContextSave_Prepare(sys, *loading->handle);

    if (code == TSS2_RC_SUCCESS) {
        code = tpm_execute(sys);
    }
    return code == TSS2_RC_SUCCESS ? Tss2_Sys_ContextSave_Complete(sys, &loading->loadable->saved)
                                   : code;
}

static TSS2_RC load_saved(TSS2_SYS_CONTEXT *sys, void *context)
{
    struct loading *loading = context;
    TSS2_RC code = Tss2_Sys_ContextLoad_Prepare(sys, &loading->loadable->saved);

    if (code == TSS2_RC_SUCCESS) {
        code = tpm_execute(sys);
    }
    return code == TSS2_RC_SUCCESS ? Tss2_Sys_ContextLoad_Complete(sys, loading->handle) : code;
}

static TSS2_RC obtain_under_parent(struct tpm_link *link, struct loading *loading)
{
    TSS2_RC code = tpm_send(link, load, loading);

    if (code == TSS2_RC_SUCCESS) {
        tpm_hold(link, *loading->handle, &loading->loadable->name);
    }
    return code;
}

/* Making the parent takes a chip some 250 ms, so what comes of it is kept. */
static TSS2_RC obtain_under_hierarchy(struct tpm_link *link, struct loading *loading)
{
    TSS2_RC code = tpm_send(link, create_primary, loading);

    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    tpm_hold(link, loading->parent, &loading->parent_name);
    code = obtain_under_parent(link, loading);
    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    tpm_release(link, loading->parent);
    code = tpm_send(link, save, loading);
    loading->loadable->is_saved = code == TSS2_RC_SUCCESS;
    /* A TPM that cannot save it has it loaded all the same. */
    return code_is_transport(code) ? code : TSS2_RC_SUCCESS;
}

static TSS2_RC obtain(struct tpm_link *link, struct loading *loading)
{
    struct loadable *loadable = loading->loadable;
    TSS2_RC code;

    loading->parent = loadable->parent;
    if (!handle_is_hierarchy(loadable->parent)) {
        return obtain_under_parent(link, loading);
    }
    if (loadable->is_saved) {
        code = tpm_send(link, load_saved, loading);
        if (code == TSS2_RC_SUCCESS) {
            tpm_hold(link, *loading->handle, &loadable->name);
            return code;
        }
        if (code_is_transport(code) || code_status(code) == GK_TPM_MEMORY) {
            return code;
        }
        /* Saved before the TPM was reset or cleared. */
        loadable->is_saved = false;
    }
    return obtain_under_hierarchy(link, loading);
}

static TSS2_RC load_and_use(struct tpm_link *link, void *context)
{
    struct loading *loading = context;
    TSS2_RC code;

    loading->is_loaded = false;
    code = obtain(link, loading);
    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    loading->is_loaded = true;
    return tpm_send(link, loading->command, loading->context);
}

static int tries_worth(const struct loading *loading, TSS2_RC code)
{
    switch ((int)code_status(code)) {
    case GK_TPM_MEMORY:
        /* Taken by programs that use a slot for a moment, as we do. */
        return TPM_SLOT_TRIES;
    case GK_NO_KEY:
        /* It was loaded, so somebody flushes everything, or the TPM was reset in between. */
        return loading->is_loaded ? 1 : 0;
    default:
        return 0;
    }
}

/* What the TPM says of the parent, in the words of whoever holds the key's file. */
static enum gk_status fail_at_parent(struct gk_tpm *tpm, const struct loadable *loadable,
                                     TSS2_RC code, struct gk_error *err)
{
    enum gk_status status = code_status(code);
    TSS2_RC base = code_base(code);
    char about[32];

    snprintf(about, sizeof(about), "its parent 0x%08" PRIx32, loadable->parent);
    if (base == TPM2_RC_INTEGRITY || base == TPM2_RC_BINDING || base == TPM2_RC_TYPE) {
        return gk_fail_tpm(err, GK_NOT_LOADED, code, "%s", about);
    }
    if (status == GK_BAD_AUTH && loadable->parent_auth.size == 0) {
        status = gk_fail_tpm(err, GK_NEED_AUTH, code, "%s", about);
        gk_advise(err, "name a file that holds it as parent-auth-file in openssl.cnf");
        return status;
    }
    status = tpm_fail(tpm, code, about, err);
    if (status == GK_BAD_AUTH) {
        gk_advise(err, "check the file that parent-auth-file in openssl.cnf names");
    } else if (status == GK_NO_KEY) {
        gk_advise(err, "make the parent there again, as tpm2_createprimary and tpm2_evictcontrol "
                       "do, or use another key");
    } else if (base == TPM2_RC_HIERARCHY && loadable->parent != TPM2_RH_OWNER) {
        gk_advise(err, "use a key under the owner's, 0x40000001");
    }
    return status;
}

static enum gk_status fail(struct gk_tpm *tpm, const struct gk_key *key,
                           const struct loading *loading, TSS2_RC code, struct gk_error *err)
{
    char about[GK_KEY_ABOUT_SIZE];
    enum gk_status status = code_status(code);

    if (!loading->is_loaded && status != GK_TPM_MEMORY) {
        return fail_at_parent(tpm, key->loadable, code, err);
    }
    gk_key_describe(key, about);
    status = tpm_fail(tpm, code, about, err);
    if (status == GK_TPM_MEMORY) {
        slot_explain_by(tpm, err);
    } else if (status == GK_BAD_AUTH && !gk_key_needs_auth(key)) {
        gk_advise(err, "its file says that it has none; write the file anew");
    } else if (status == GK_BAD_AUTH) {
        gk_advise(err, "give the key's own password as the pass phrase");
    } else if (status == GK_NO_KEY) {
        gk_advise(err, "somebody flushes what others have loaded; run it again");
    }
    return status;
}

enum gk_status loadable_run(struct gk_tpm *tpm, const struct gk_key *key, tpm_command *command,
                            void *context, TPM2_HANDLE *handle, struct gk_error *err)
{
    struct loading loading = { .loadable = key->loadable,
                               .area = &key->area,
                               .command = command,
                               .context = context,
                               .handle = handle };
    TSS2_RC code = tpm_talk(tpm, load_and_use, &loading);

    for (int i = 0; i < tries_worth(&loading, code); i++) {
        tpm_wait_for_slot(i);
        code = tpm_talk(tpm, load_and_use, &loading);
    }
    return code == TSS2_RC_SUCCESS ? GK_OK : fail(tpm, key, &loading, code, err);
}
