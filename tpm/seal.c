/* SPDX-License-Identifier: Apache-2.0 */
/* Seals a short secret to this TPM, and to the state of its PCRs, and opens it again. */
#include "tpm/admin_internal.h"

#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#define LABEL "GATEKEY SEALED SECRET"
#define VERSION 1      /* sealed to the TPM alone */
#define VERSION_PCRS 2 /* to PCRs as well, which stand after the storage root key */
#define SEALED_MAX_SIZE 4096

#define PREAMBLE                                                                              \
    "This is a secret that only the TPM it was sealed to can open; it is of no use anywhere " \
    "else.\n"

/* What the armour holds: version, which storage root key, PCRs, public and private area. */
struct sealed {
    TPM2_HANDLE where;
    bool has_pcrs;
    struct pcrs pcrs;
    TPM2B_PUBLIC public;
    TPM2B_PRIVATE private;
};

static bool marshal(const struct sealed *sealed, uint8_t *binary, size_t capacity, size_t *size)
{
    uint16_t version = sealed->has_pcrs ? VERSION_PCRS : VERSION;
    size_t offset = 0;

    if (Tss2_MU_UINT16_Marshal(version, binary, capacity, &offset) != TSS2_RC_SUCCESS ||
        Tss2_MU_UINT32_Marshal(sealed->where, binary, capacity, &offset) != TSS2_RC_SUCCESS ||
        (sealed->has_pcrs && !pcrs_marshal(&sealed->pcrs, binary, capacity, &offset)) ||
        Tss2_MU_TPM2B_PUBLIC_Marshal(&sealed->public, binary, capacity, &offset) !=
            TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Marshal(&sealed->private, binary, capacity, &offset) !=
            TSS2_RC_SUCCESS) {
        return false;
    }
    *size = offset;
    return true;
}

static bool unmarshal(const uint8_t *binary, size_t size, struct sealed *sealed)
{
    uint16_t version = 0;
    size_t offset = 0;

    *sealed = (struct sealed){ .where = 0 };
    if (Tss2_MU_UINT16_Unmarshal(binary, size, &offset, &version) != TSS2_RC_SUCCESS ||
        (version != VERSION && version != VERSION_PCRS) ||
        Tss2_MU_UINT32_Unmarshal(binary, size, &offset, &sealed->where) != TSS2_RC_SUCCESS ||
        (sealed->where != TPM2_RH_OWNER && sealed->where != GK_STORAGE_PERSISTENT)) {
        return false;
    }
    sealed->has_pcrs = version == VERSION_PCRS;
    return (!sealed->has_pcrs || pcrs_unmarshal(&sealed->pcrs, binary, size, &offset)) &&
           Tss2_MU_TPM2B_PUBLIC_Unmarshal(binary, size, &offset, &sealed->public) ==
               TSS2_RC_SUCCESS &&
           Tss2_MU_TPM2B_PRIVATE_Unmarshal(binary, size, &offset, &sealed->private) ==
               TSS2_RC_SUCCESS &&
           offset == size;
}

static bool decode(const char *text, size_t text_size, struct sealed *sealed)
{
    uint8_t binary[SEALED_MAX_SIZE];
    size_t size = 0;

    return armour_decode(LABEL, text, text_size, binary, sizeof(binary), &size) &&
           unmarshal(binary, size, sealed);
}

bool gk_sealed_to(const char *text, size_t text_size, const char *pcrs)
{
    struct sealed sealed;
    struct pcrs wanted;

    if (!decode(text, text_size, &sealed) || sealed.has_pcrs != (pcrs != NULL)) {
        return false;
    }
    return pcrs == NULL ||
           (pcrs_parse(pcrs, &wanted, NULL) == GK_OK && pcrs_are_the_same(&wanted, &sealed.pcrs));
}

/* --- seal ------------------------------------------------------------------------------------ */

static enum gk_status make_policy(const struct storage *storage, const char *text,
                                  struct sealed *sealed, TPM2B_PUBLIC *template,
                                  struct gk_error *err)
{
    enum gk_status status = pcrs_parse(text, &sealed->pcrs, err);

    if (status == GK_OK) {
        status = pcrs_read(storage, &sealed->pcrs, err);
    }
    if (status == GK_OK) {
        status = pcrs_policy(storage, &sealed->pcrs, &template->publicArea.authPolicy, err);
    }
    /* By the policy alone: an empty password would open it. */
    template->publicArea.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_USERWITHAUTH;
    template->publicArea.objectAttributes |= TPMA_OBJECT_ADMINWITHPOLICY;
    sealed->has_pcrs = true;
    return status;
}

static enum gk_status create(const struct storage *storage, const uint8_t *secret, size_t size,
                             const TPM2B_PUBLIC *template, struct sealed *sealed,
                             struct gk_error *err)
{
    const TPM2B_DATA no_data = { .size = 0 };
    const TPML_PCR_SELECTION no_pcr = { .count = 0 };
    CLEANUP(gk_freep) TPM2B_PRIVATE *private = NULL;
    CLEANUP(gk_freep) TPM2B_PUBLIC *public = NULL;
    TPM2B_SENSITIVE_CREATE sensitive = { .size = 0 };
    TSS2_RC code;

    sensitive.sensitive.data.size = (uint16_t)size;
    memcpy(sensitive.sensitive.data.buffer, secret, size);
    code = Esys_Create(storage->root.admin->esys, storage->root.handle, storage->session.handle,
                       ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, template, &no_data, &no_pcr,
                       &private, &public, NULL, NULL, NULL);
    explicit_bzero(&sensitive, sizeof(sensitive));
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail_under(err, code, storage, "sealing a secret");
    }
    sealed->where = storage->where;
    sealed->public = *public;
    sealed->private = *private;
    return GK_OK;
}

static enum gk_status write_text(const struct sealed *sealed, const char *pcrs, char **text,
                                 struct gk_error *err)
{
    CLEANUP(gk_freep) char *preamble = NULL;
    uint8_t binary[SEALED_MAX_SIZE];
    size_t size = 0;

    if (!marshal(sealed, binary, sizeof(binary), &size)) {
        return gk_fail(err, GK_INTERNAL, "the sealed secret does not marshal");
    }
    if ((pcrs != NULL ? asprintf(&preamble, PREAMBLE "Sealed to PCRs: %s\n", pcrs)
                      : asprintf(&preamble, PREAMBLE)) < 0) {
        preamble = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *text = armour_encode(preamble, LABEL, binary, size);
    return *text != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

static enum gk_status seal(struct gk_admin *admin, const uint8_t *secret, size_t size,
                           const char *pcrs, char **text, struct gk_error *err)
{
    /* No password: whoever may use this TPM may open it, and nobody else can. */
    TPM2B_PUBLIC template = {
        .publicArea = {
            .type = TPM2_ALG_KEYEDHASH,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
            .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
        },
    };
    CLEANUP(storage_release)
    struct storage storage = { .root.handle = ESYS_TR_NONE, .session.handle = ESYS_TR_NONE };
    struct sealed sealed = { .where = 0 };
    enum gk_status status;

    if (size == 0 || size > GK_SECRET_MAX_SIZE) {
        return gk_fail(err, GK_USAGE, "a secret of %zu bytes; 1 to %d can be sealed", size,
                       GK_SECRET_MAX_SIZE);
    }
    status = storage_open(admin, 0, &storage, err);
    if (status == GK_OK && pcrs != NULL) {
        status = make_policy(&storage, pcrs, &sealed, &template, err);
    }
    if (status == GK_OK) {
        status = create(&storage, secret, size, &template, &sealed, err);
    }
    return status == GK_OK ? write_text(&sealed, pcrs, text, err) : status;
}

enum gk_status gk_admin_seal(struct gk_admin *admin, const uint8_t *secret, size_t size,
                             const char *pcrs, char **text, struct gk_error *err)
{
    return admin_explain(admin, seal(admin, secret, size, pcrs, text, err), err);
}

/* --- unseal ---------------------------------------------------------------------------------- */

static enum gk_status load(struct gk_admin *admin, const struct storage *storage,
                           const struct sealed *sealed, struct object *object, struct gk_error *err)
{
    ESYS_TR handle;
    enum gk_status status;
    TSS2_RC code =
        Esys_Load(admin->esys, storage->root.handle, storage->session.handle, ESYS_TR_NONE,
                  ESYS_TR_NONE, &sealed->private, &sealed->public, &handle);

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

/* The policy authorises, and the other session keeps the answer from whoever listens. */
static enum gk_status ask(struct gk_admin *admin, const struct storage *storage,
                          const struct sealed *sealed, const struct object *object,
                          TPM2B_SENSITIVE_DATA **opened, struct gk_error *err)
{
    CLEANUP(object_release) struct object policy = { .handle = ESYS_TR_NONE };
    enum gk_status status = GK_OK;
    TSS2_RC code;

    if (sealed->has_pcrs) {
        status = pcrs_hold(storage, &sealed->pcrs, false, &policy, err);
    }
    if (status != GK_OK) {
        return status;
    }
    code = sealed->has_pcrs ? Esys_Unseal(admin->esys, object->handle, policy.handle,
                                          storage->session.handle, ESYS_TR_NONE, opened)
                            : Esys_Unseal(admin->esys, object->handle, storage->session.handle,
                                          ESYS_TR_NONE, ESYS_TR_NONE, opened);
    if (sealed->has_pcrs &&
        (code_base(code) == TPM2_RC_POLICY_FAIL || code_base(code) == TPM2_RC_PCR_CHANGED)) {
        return pcrs_explain(storage, &sealed->pcrs, code, err);
    }
    return code == TSS2_RC_SUCCESS ? GK_OK : admin_fail(err, code, "unsealing the secret");
}

static enum gk_status unseal(struct gk_admin *admin, const char *text, size_t text_size,
                             uint8_t secret[GK_SECRET_MAX_SIZE], size_t *size, struct gk_error *err)
{
    CLEANUP(storage_release)
    struct storage storage = { .root.handle = ESYS_TR_NONE, .session.handle = ESYS_TR_NONE };
    CLEANUP(object_release) struct object object = { .handle = ESYS_TR_NONE };
    TPM2B_SENSITIVE_DATA *opened = NULL;
    struct sealed sealed;
    enum gk_status status;

    if (!decode(text, text_size, &sealed)) {
        return gk_fail(err, GK_BAD_FILE, "the sealed secret is garbled");
    }
    status = storage_open(admin, sealed.where, &storage, err);
    if (status == GK_OK) {
        status = load(admin, &storage, &sealed, &object, err);
    }
    if (status == GK_OK) {
        status = ask(admin, &storage, &sealed, &object, &opened, err);
    }
    if (status != GK_OK) {
        return status;
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
