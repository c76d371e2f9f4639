/* SPDX-License-Identifier: Apache-2.0 */
/* A TPM under administration: connection, owner authorisation, storage root key, encrypting
 * session. */
#include "tpm/admin_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const TPMT_SYM_DEF aes_128_cfb = { .algorithm = TPM2_ALG_AES,
                                          .keyBits.aes = 128,
                                          .mode.aes = TPM2_ALG_CFB };

struct object object_hold(struct gk_admin *admin, ESYS_TR handle, bool is_persistent)
{
    struct object object = { .admin = admin, .handle = handle, .is_persistent = is_persistent };

    if (Esys_TR_GetTpmHandle(admin->esys, handle, &object.tpm_handle) != TSS2_RC_SUCCESS) {
        object.tpm_handle = TPM2_RH_NULL;
    }
    return object;
}

void object_release(struct object *object)
{
    struct gk_admin *admin = object->admin;

    if (object->handle == ESYS_TR_NONE) {
        return;
    }
    if (object->is_persistent) {
        Esys_TR_Close(admin->esys, &object->handle);
    } else if (Esys_FlushContext(admin->esys, object->handle) != TSS2_RC_SUCCESS &&
               object->tpm_handle != TPM2_RH_NULL && admin->left_count < HELD_MAX) {
        /* After one broken line ESYS sends nothing any more. */
        admin->left[admin->left_count++] = object->tpm_handle;
    }
    object->handle = ESYS_TR_NONE;
}

void storage_release(struct storage *storage)
{
    object_release(&storage->session);
    object_release(&storage->root);
}

TPM2B_AUTH auth_of(const struct gk_auth *auth)
{
    TPM2B_AUTH value = { .size = 0 };

    if (auth != NULL) {
        value.size = (uint16_t)auth->size;
        memcpy(value.buffer, auth->bytes, auth->size);
    }
    return value;
}

enum gk_status admin_fail(struct gk_error *err, TSS2_RC code, const char *object)
{
    return code_fail(err, code, object);
}

enum gk_status admin_fail_owner(struct gk_error *err, TSS2_RC code, const char *object)
{
    enum gk_status status = code_fail(err, code, object);

    if (status == GK_BAD_AUTH || status == GK_NEED_AUTH) {
        status = gk_fail_tpm(err, GK_BAD_OWNER_AUTH, code, "%s", object);
        code_describe(err);
    }
    return status;
}

enum gk_status admin_explain(struct gk_admin *admin, enum gk_status status, struct gk_error *err)
{
    if (status == GK_TPM_MEMORY) {
        slot_explain(admin->tcti, err);
    }
    return status;
}

enum gk_status gk_admin_open(const char *tcti, const struct gk_auth *owner, struct gk_admin **admin,
                             struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *a = calloc(1, sizeof(*a));
    enum gk_status status;
    TPM2B_AUTH value;
    TSS2_RC code;

    if (a == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = tcti_name_parse(tcti, &a->name, err);
    if (status != GK_OK) {
        return status;
    }
    code = tcti_open(&a->name, &a->tcti);
    if (code == TSS2_RC_SUCCESS) {
        tcti_let_go(&a->name, a->tcti);
        code = Esys_Initialize(&a->esys, a->tcti, NULL);
    }
    if (code == TSS2_RC_SUCCESS) {
        code = Esys_SetTimeout(a->esys, TSS2_TCTI_TIMEOUT_BLOCK);
    }
    if (code == TSS2_RC_SUCCESS && owner != NULL) {
        a->owner = *owner;
        value = auth_of(owner);
        code = Esys_TR_SetAuth(a->esys, ESYS_TR_RH_OWNER, &value);
        explicit_bzero(&value, sizeof(value));
    }
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, a->name.text);
    }
    *admin = TAKE(a);
    return GK_OK;
}

/* Without a resource manager nobody else would: the next one would find no free slot. */
static void flush_what_is_left(struct gk_admin *admin)
{
    TSS2_TCTI_CONTEXT *tcti = NULL;

    if (admin->left_count == 0 || tcti_open(&admin->name, &tcti) != TSS2_RC_SUCCESS) {
        return;
    }
    for (size_t i = 0; i < admin->left_count; i++) {
        (void)tpm_flush(tcti, admin->left[i]);
    }
    tcti_close(&admin->name, &tcti);
}

void gk_admin_close(struct gk_admin *admin)
{
    if (admin == NULL) {
        return;
    }
    Esys_Finalize(&admin->esys);
    tcti_close(&admin->name, &admin->tcti);
    flush_what_is_left(admin);
    tcti_name_clear(&admin->name);
    gk_auth_clear(&admin->owner);
    free(admin);
}

static enum gk_status session_start(struct gk_admin *admin, ESYS_TR salt_key, TPM2_SE type,
                                    TPMA_SESSION attributes, struct object *session,
                                    struct gk_error *err)
{
    ESYS_TR handle;
    TSS2_RC code =
        Esys_StartAuthSession(admin->esys, salt_key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                              ESYS_TR_NONE, NULL, type, &aes_128_cfb, TPM2_ALG_SHA256, &handle);

    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, "starting a session");
    }
    *session = object_hold(admin, handle, false);
    code = Esys_TRSess_SetAttributes(admin->esys, handle, attributes, 0xff);
    return code == TSS2_RC_SUCCESS ? GK_OK : admin_fail(err, code, "setting up a session");
}

enum gk_status admin_owner_session(struct gk_admin *admin, struct object *session,
                                   struct gk_error *err)
{
    return session_start(admin, ESYS_TR_NONE, TPM2_SE_HMAC, TPMA_SESSION_CONTINUESESSION, session,
                         err);
}

enum gk_status admin_policy_session(struct gk_admin *admin, bool trial, struct object *session,
                                    struct gk_error *err)
{
    return session_start(admin, ESYS_TR_NONE, trial ? TPM2_SE_TRIAL : TPM2_SE_POLICY,
                         TPMA_SESSION_CONTINUESESSION, session, err);
}

enum gk_status admin_fail_under(struct gk_error *err, TSS2_RC code, const struct storage *storage,
                                const char *object)
{
    enum gk_status status = code_fail(err, code, object);

    if ((status != GK_BAD_AUTH && status != GK_NEED_AUTH) ||
        storage->where != GK_STORAGE_PERSISTENT) {
        return status;
    }
    status = gk_fail_tpm(err, GK_TPM_FAILED, code, "the storage root key at 0x%08x has a password",
                         GK_STORAGE_PERSISTENT);
    code_describe(err);
    gk_advise(err, "put one without a password there, as the TCG's templates make it, or free it");
    return status;
}

enum gk_status admin_find(struct gk_admin *admin, uint32_t handle, struct object *object,
                          struct gk_error *err)
{
    ESYS_TR found;
    char about[16];
    TSS2_RC code = Esys_TR_FromTPMPublic(admin->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                         ESYS_TR_NONE, &found);

    if (code != TSS2_RC_SUCCESS) {
        snprintf(about, sizeof(about), "0x%08" PRIx32, handle);
        return admin_fail(err, code, about);
    }
    *object = object_hold(admin, found, true);
    return GK_OK;
}

/*
 * A parent must be restricted and decrypting. One without noDA may have a password that we do not
 * know, and every attempt would count towards the lockout of the whole TPM; the TCG's templates
 * have it.
 */
static enum gk_status fits_as_storage_root(struct gk_admin *admin, const struct object *object,
                                           bool *fits, struct gk_error *err)
{
    CLEANUP(gk_freep) TPM2B_PUBLIC *area = NULL;
    const TPMA_OBJECT wanted = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM |
                               TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA;
    TSS2_RC code = Esys_ReadPublic(admin->esys, object->handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                   ESYS_TR_NONE, &area, NULL, NULL);

    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, "the storage root key");
    }
    *fits = (area->publicArea.objectAttributes & wanted) == wanted &&
            (area->publicArea.type == TPM2_ALG_RSA || area->publicArea.type == TPM2_ALG_ECC);
    return GK_OK;
}

static enum gk_status create_primary(struct gk_admin *admin, struct object *root,
                                     struct gk_error *err)
{
    const TPM2B_PUBLIC template = tpm_primary_template(false);
    static const TPM2B_SENSITIVE_CREATE no_password;
    static const TPM2B_DATA no_data;
    static const TPML_PCR_SELECTION no_pcr;
    CLEANUP(object_release) struct object session = { .handle = ESYS_TR_NONE };
    enum gk_status status = admin_owner_session(admin, &session, err);
    ESYS_TR handle;
    TSS2_RC code;

    if (status != GK_OK) {
        return status;
    }
    code = Esys_CreatePrimary(admin->esys, ESYS_TR_RH_OWNER, session.handle, ESYS_TR_NONE,
                              ESYS_TR_NONE, &no_password, &template, &no_data, &no_pcr, &handle,
                              NULL, NULL, NULL, NULL);
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail_owner(err, code, "the storage root key");
    }
    *root = object_hold(admin, handle, false);
    return GK_OK;
}

static enum gk_status open_root(struct gk_admin *admin, TPM2_HANDLE where, struct storage *storage,
                                struct gk_error *err)
{
    if (where != TPM2_RH_OWNER) {
        enum gk_status status = admin_find(admin, GK_STORAGE_PERSISTENT, &storage->root, err);
        bool fits = false;

        if (status == GK_OK) {
            status = fits_as_storage_root(admin, &storage->root, &fits, err);
        }
        if (fits) {
            storage->where = GK_STORAGE_PERSISTENT;
            return GK_OK;
        }
        object_release(&storage->root);
        if (status != GK_OK && status != GK_NO_KEY) {
            return status;
        }
        if (where == GK_STORAGE_PERSISTENT) {
            return gk_fail_tpm(
                err, GK_SEAL_BROKEN, status == GK_NO_KEY && err != NULL ? err->tpm_code : 0,
                "the storage root key at 0x%08x is gone or another one", GK_STORAGE_PERSISTENT);
        }
    }
    storage->where = TPM2_RH_OWNER;
    return create_primary(admin, &storage->root, err);
}

enum gk_status storage_open(struct gk_admin *admin, TPM2_HANDLE where, struct storage *storage,
                            struct gk_error *err)
{
    enum gk_status status;

    storage->root.handle = ESYS_TR_NONE;
    storage->session.handle = ESYS_TR_NONE;
    status = open_root(admin, where, storage, err);
    if (status != GK_OK) {
        return status;
    }
    return session_start(admin, storage->root.handle, TPM2_SE_HMAC,
                         TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT,
                         &storage->session, err);
}
