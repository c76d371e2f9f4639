/* SPDX-License-Identifier: Apache-2.0 */
/* Seals a short secret to this TPM, and opens it again. */
#include "tpm/admin_internal.h"

#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#define LABEL "GATEKEY SEALED SECRET"
#define VERSION 1
#define SEALED_MAX_SIZE 2048

static const char preamble[] = "This is a secret that only the TPM it was sealed to can open; it "
                               "is of no use anywhere else.\n";

/* What the armour holds: version, which storage root key, public and private area. */
static bool marshal(TPM2_HANDLE where, const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private,
                    uint8_t *binary, size_t capacity, size_t *size)
{
    size_t offset = 0;

    if (Tss2_MU_UINT16_Marshal(VERSION, binary, capacity, &offset) != TSS2_RC_SUCCESS ||
        Tss2_MU_UINT32_Marshal(where, binary, capacity, &offset) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PUBLIC_Marshal(public, binary, capacity, &offset) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Marshal(private, binary, capacity, &offset) != TSS2_RC_SUCCESS) {
        return false;
    }
    *size = offset;
    return true;
}

static bool unmarshal(const uint8_t *binary, size_t size, TPM2_HANDLE *where, TPM2B_PUBLIC *public,
                      TPM2B_PRIVATE *private)
{
    uint16_t version = 0;
    size_t offset = 0;

    return Tss2_MU_UINT16_Unmarshal(binary, size, &offset, &version) == TSS2_RC_SUCCESS &&
           version == VERSION &&
           Tss2_MU_UINT32_Unmarshal(binary, size, &offset, where) == TSS2_RC_SUCCESS &&
           (*where == TPM2_RH_OWNER || *where == GK_STORAGE_PERSISTENT) &&
           Tss2_MU_TPM2B_PUBLIC_Unmarshal(binary, size, &offset, public) == TSS2_RC_SUCCESS &&
           Tss2_MU_TPM2B_PRIVATE_Unmarshal(binary, size, &offset, private) == TSS2_RC_SUCCESS &&
           offset == size;
}

static enum gk_status seal(struct gk_admin *admin, const uint8_t *secret, size_t size, char **text,
                           struct gk_error *err)
{
    /* No password: whoever may use this TPM may open it, and nobody else can. */
    static const TPM2B_PUBLIC template = {
        .publicArea = {
            .type = TPM2_ALG_KEYEDHASH,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
            .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
        },
    };
    const TPM2B_DATA no_data = { .size = 0 };
    const TPML_PCR_SELECTION no_pcr = { .count = 0 };
    CLEANUP(storage_release)
    struct storage storage = { .root.handle = ESYS_TR_NONE, .session.handle = ESYS_TR_NONE };
    CLEANUP(gk_freep) TPM2B_PRIVATE *private = NULL;
    CLEANUP(gk_freep) TPM2B_PUBLIC *public = NULL;
    TPM2B_SENSITIVE_CREATE sensitive = { .size = 0 };
    uint8_t binary[SEALED_MAX_SIZE];
    enum gk_status status;
    TSS2_RC code;

    if (size == 0 || size > GK_SECRET_MAX_SIZE) {
        return gk_fail(err, GK_USAGE, "a secret of %zu bytes; 1 to %d can be sealed", size,
                       GK_SECRET_MAX_SIZE);
    }
    status = storage_open(admin, 0, &storage, err);
    if (status != GK_OK) {
        return status;
    }
    sensitive.sensitive.data.size = (uint16_t)size;
    memcpy(sensitive.sensitive.data.buffer, secret, size);
    code = Esys_Create(admin->esys, storage.root.handle, storage.session.handle, ESYS_TR_NONE,
                       ESYS_TR_NONE, &sensitive, &template, &no_data, &no_pcr, &private, &public,
                       NULL, NULL, NULL);
    explicit_bzero(&sensitive, sizeof(sensitive));
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail_under(err, code, &storage, "sealing a secret");
    }
    if (!marshal(storage.where, public, private, binary, sizeof(binary), &size)) {
        return gk_fail(err, GK_INTERNAL, "the sealed secret does not marshal");
    }
    *text = armour_encode(preamble, LABEL, binary, size);
    return *text != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

enum gk_status gk_admin_seal(struct gk_admin *admin, const uint8_t *secret, size_t size,
                             char **text, struct gk_error *err)
{
    return admin_explain(admin, seal(admin, secret, size, text, err), err);
}

static enum gk_status load(struct gk_admin *admin, const struct storage *storage,
                           const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private,
                           struct object *object, struct gk_error *err)
{
    ESYS_TR handle;
    enum gk_status status;
    TSS2_RC code = Esys_Load(admin->esys, storage->root.handle, storage->session.handle,
                             ESYS_TR_NONE, ESYS_TR_NONE, private, public, &handle);

    /* Part 3, "TPM2_Load": not this parent's child, so another TPM's or one from before a clear. */
    if (code_base(code) == TPM2_RC_INTEGRITY || code_base(code) == TPM2_RC_BINDING) {
        status = gk_fail_tpm(err, GK_SEAL_BROKEN, code, "the sealed secret");
        code_describe(err);
        return status;
    }
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail_under(err, code, storage, "loading the sealed secret");
    }
    *object = object_hold(admin, handle, false);
    return GK_OK;
}

static enum gk_status unseal(struct gk_admin *admin, const char *text, size_t text_size,
                             uint8_t secret[GK_SECRET_MAX_SIZE], size_t *size, struct gk_error *err)
{
    CLEANUP(storage_release)
    struct storage storage = { .root.handle = ESYS_TR_NONE, .session.handle = ESYS_TR_NONE };
    CLEANUP(object_release) struct object object = { .handle = ESYS_TR_NONE };
    TPM2B_PUBLIC public = { .size = 0 };
    TPM2B_PRIVATE private = { .size = 0 };
    TPM2B_SENSITIVE_DATA *opened = NULL;
    uint8_t binary[SEALED_MAX_SIZE];
    size_t binary_size = 0;
    TPM2_HANDLE where = 0;
    enum gk_status status;
    TSS2_RC code;

    if (!armour_decode(LABEL, text, text_size, binary, sizeof(binary), &binary_size) ||
        !unmarshal(binary, binary_size, &where, &public, &private)) {
        return gk_fail(err, GK_BAD_FILE, "the sealed secret is garbled");
    }
    status = storage_open(admin, where, &storage, err);
    if (status == GK_OK) {
        status = load(admin, &storage, &public, &private, &object, err);
    }
    if (status != GK_OK) {
        return status;
    }
    code = Esys_Unseal(admin->esys, object.handle, storage.session.handle, ESYS_TR_NONE,
                       ESYS_TR_NONE, &opened);
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, "unsealing the secret");
    }
    if (opened->size == 0 || opened->size > GK_SECRET_MAX_SIZE) {
        status = gk_fail(err, GK_TPM_GARBLED, "a sealed secret of %u bytes", opened->size);
    } else {
        memcpy(secret, opened->buffer, opened->size);
        *size = opened->size;
    }
    explicit_bzero(opened, sizeof(*opened));
    free(opened);
    return status;
}

enum gk_status gk_admin_unseal(struct gk_admin *admin, const char *text, size_t text_size,
                               uint8_t secret[GK_SECRET_MAX_SIZE], size_t *size,
                               struct gk_error *err)
{
    return admin_explain(admin, unseal(admin, text, text_size, secret, size, err), err);
}
