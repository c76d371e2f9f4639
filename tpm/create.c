/* SPDX-License-Identifier: Apache-2.0 */
/* Makes, describes and destroys the device key. */
#include "tpm/admin_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNING_ATTRIBUTES                                                              \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | \
     TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT)

static const char trial_text[] = "gatekey tries what salt this TPM makes";

static void describe_handle(uint32_t handle, char text[static 16])
{
    snprintf(text, 16, "0x%08" PRIx32, handle);
}

/* Create and load a key under the storage root; its private part stays with the loaded object only.
 */
static enum gk_status make(struct gk_admin *admin, const struct storage *storage,
                           const struct gk_auth *auth, TPMA_OBJECT attributes,
                           struct object *object, TPM2B_PUBLIC *area, struct gk_error *err)
{
    TPM2B_PUBLIC template = {
        .publicArea = {
            .type = TPM2_ALG_RSA,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = attributes,
            .parameters.rsaDetail = {
                .symmetric.algorithm = TPM2_ALG_NULL,
                .scheme.scheme = TPM2_ALG_NULL,
                .keyBits = 2048,
            },
        },
    };
    TPM2B_SENSITIVE_CREATE sensitive = { .sensitive.userAuth = auth_of(auth) };
    CLEANUP(gk_freep) TPM2B_PRIVATE *private = NULL;
    CLEANUP(gk_freep) TPM2B_PUBLIC *public = NULL;
    const TPM2B_DATA no_data = { .size = 0 };
    const TPML_PCR_SELECTION no_pcr = { .count = 0 };
    TPM2B_AUTH value = auth_of(auth);
    ESYS_TR handle;
    TSS2_RC code;

    code = Esys_Create(admin->esys, storage->root.handle, storage->session.handle, ESYS_TR_NONE,
                       ESYS_TR_NONE, &sensitive, &template, &no_data, &no_pcr, &private, &public,
                       NULL, NULL, NULL);
    explicit_bzero(&sensitive, sizeof(sensitive));
    if (code == TSS2_RC_SUCCESS) {
        code = Esys_Load(admin->esys, storage->root.handle, storage->session.handle, ESYS_TR_NONE,
                         ESYS_TR_NONE, private, public, &handle);
    }
    if (code == TSS2_RC_SUCCESS) {
        *object = object_hold(admin, handle, false);
        *area = *public;
        code = Esys_TR_SetAuth(admin->esys, handle, &value);
    }
    explicit_bzero(&value, sizeof(value));
    return code == TSS2_RC_SUCCESS ? GK_OK : admin_fail_under(err, code, storage, "making the key");
}

/* Some TPMs leave out leading zeros. */
static enum gk_status take_signature(const TPM2B_PUBLIC_KEY_RSA *result,
                                     uint8_t signature[GK_RSA2048_SIZE], struct gk_error *err)
{
    if (result->size > GK_RSA2048_SIZE) {
        return gk_fail(err, GK_TPM_GARBLED, "a signature of %u bytes", result->size);
    }
    memset(signature, 0, GK_RSA2048_SIZE);
    memcpy(signature + GK_RSA2048_SIZE - result->size, result->buffer, result->size);
    return GK_OK;
}

/* One RSA-PSS signature over the trial digest, by the TPM's own padding. */
static enum gk_status try_sign(struct gk_admin *admin, const struct storage *storage,
                               const struct object *object, const uint8_t *digest,
                               uint8_t signature[GK_RSA2048_SIZE], struct gk_error *err)
{
    const TPMT_SIG_SCHEME scheme = { .scheme = TPM2_ALG_RSAPSS,
                                     .details.rsapss.hashAlg = TPM2_ALG_SHA256 };
    const TPMT_TK_HASHCHECK ticket = { .tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL };
    CLEANUP(gk_freep) TPMT_SIGNATURE *result = NULL;
    TPM2B_DIGEST input = { .size = (uint16_t)gk_hash_size(GK_SHA256) };
    TSS2_RC code;

    memcpy(input.buffer, digest, input.size);
    code = Esys_Sign(admin->esys, object->handle, storage->session.handle, ESYS_TR_NONE,
                     ESYS_TR_NONE, &input, &scheme, &ticket, &result);
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, "trying the new key");
    }
    return take_signature(&result->signature.rsapss.sig, signature, err);
}

/* The same, padded here and finished by the raw private-key operation. */
static enum gk_status try_raw(struct gk_admin *admin, const struct storage *storage,
                              const struct object *object, const struct gk_crypto *crypto,
                              const uint8_t *digest, uint8_t signature[GK_RSA2048_SIZE],
                              struct gk_error *err)
{
    const TPMT_RSA_DECRYPT scheme = { .scheme = TPM2_ALG_NULL };
    const TPM2B_DATA label = { .size = 0 };
    CLEANUP(gk_freep) TPM2B_PUBLIC_KEY_RSA *result = NULL;
    TPM2B_PUBLIC_KEY_RSA encoded = { .size = GK_RSA2048_SIZE };
    enum gk_status status =
        pss_encode(crypto, GK_SHA256, digest, gk_hash_size(GK_SHA256), encoded.buffer, err);
    TSS2_RC code;

    if (status != GK_OK) {
        return status;
    }
    code = Esys_RSA_Decrypt(admin->esys, object->handle, storage->session.handle, ESYS_TR_NONE,
                            ESYS_TR_NONE, &encoded, &scheme, &label, &result);
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, "trying the new key");
    }
    return take_signature(result, signature, err);
}

/*
 * Make one PSS signature with the new key. GK_OK: its salt is as long as the hash. GK_BAD_SALT: the
 * TPM always makes the longest one, which TLS does not take.
 */
static enum gk_status try_salt(struct gk_admin *admin, const struct storage *storage,
                               const struct object *object, const TPM2B_PUBLIC *area,
                               const struct gk_crypto *crypto, struct gk_error *err)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    uint8_t digest[GK_HASH_MAX_SIZE], signature[GK_RSA2048_SIZE];
    enum gk_status status = key_from_area(0, 0, area, "the new key", &key, err);
    int good;

    if (status != GK_OK) {
        return status;
    }
    if (crypto->hash(crypto->context, GK_SHA256, trial_text, sizeof(trial_text), digest) != 1) {
        return gk_fail(err, GK_CRYPTO_FAILED, "hashing");
    }
    status = gk_key_pads_in_software(key)
                 ? try_raw(admin, storage, object, crypto, digest, signature, err)
                 : try_sign(admin, storage, object, digest, signature, err);
    if (status != GK_OK) {
        return status;
    }
    good = crypto->verify(crypto->context, gk_key_public(key), GK_RSAPSS, GK_SHA256,
                          gk_hash_size(GK_SHA256), digest, signature);
    if (good == 0 && crypto->verify(crypto->context, gk_key_public(key), GK_RSAPSS, GK_SHA256,
                                    pss_longest_salt(GK_SHA256), digest, signature) == 1) {
        return gk_fail(err, GK_BAD_SALT, "the new key");
    }
    if (good < 0) {
        return gk_fail(err, GK_CRYPTO_FAILED, "checking a signature");
    }
    return good == 1 ? GK_OK : gk_fail(err, GK_BAD_SIGNATURE, "the new key");
}

static enum gk_status make_and_try(struct gk_admin *admin, const struct storage *storage,
                                   const struct gk_auth *auth, TPMA_OBJECT attributes,
                                   const struct gk_crypto *crypto, struct object *object,
                                   TPM2B_PUBLIC *area, struct gk_error *err)
{
    enum gk_status status = make(admin, storage, auth, attributes, object, area, err);

    return status == GK_OK ? try_salt(admin, storage, object, area, crypto, err) : status;
}

/*
 * TPM2_EvictControl, which makes a transient object persistent at a handle, and a persistent one
 * that lies there vanish; ESYS then knows the latter no more.
 */
static enum gk_status evict_control(struct gk_admin *admin, struct object *object, uint32_t handle,
                                    struct gk_error *err)
{
    CLEANUP(object_release) struct object session = { .handle = ESYS_TR_NONE };
    enum gk_status status = admin_owner_session(admin, &session, err);
    ESYS_TR persistent = ESYS_TR_NONE;
    char about[16];
    TSS2_RC code;

    if (status != GK_OK) {
        return status;
    }
    code = Esys_EvictControl(admin->esys, ESYS_TR_RH_OWNER, object->handle, session.handle,
                             ESYS_TR_NONE, ESYS_TR_NONE, handle, &persistent);
    if (code != TSS2_RC_SUCCESS) {
        describe_handle(handle, about);
        return admin_fail_owner(err, code, about);
    }
    if (object->is_persistent) {
        object->handle = ESYS_TR_NONE;
    } else {
        Esys_TR_Close(admin->esys, &persistent);
    }
    return GK_OK;
}

/* Refuse a handle that is not ours to fill, before anything is made. */
static enum gk_status check_empty(struct gk_admin *admin, uint32_t handle, struct gk_error *err)
{
    CLEANUP(object_release) struct object there = { .handle = ESYS_TR_NONE };
    enum gk_status status;

    if (!handle_is_persistent(handle)) {
        gk_fail(err, GK_BAD_REFERENCE, "0x%08" PRIx32 " is not a persistent handle of the owner",
                handle);
        gk_advise(err, "set [tpm] handle to one from 0x%x to 0x%x", GK_HANDLE_FIRST,
                  GK_HANDLE_LAST);
        return GK_BAD_REFERENCE;
    }
    status = admin_find(admin, handle, &there, err);
    if (status == GK_OK) {
        return gk_fail(err, GK_HANDLE_TAKEN, "0x%08" PRIx32, handle);
    }
    return status == GK_NO_KEY ? GK_OK : status;
}

static enum gk_status create(struct gk_admin *admin, uint32_t handle, const struct gk_auth *auth,
                             const struct gk_crypto *crypto, gk_remember *remember, void *context,
                             struct gk_key **key, struct gk_error *err)
{
    CLEANUP(storage_release)
    struct storage storage = { .root.handle = ESYS_TR_NONE, .session.handle = ESYS_TR_NONE };
    CLEANUP(object_release) struct object object = { .handle = ESYS_TR_NONE };
    CLEANUP(gk_key_freep) struct gk_key *made = NULL;
    uint32_t flags = auth != NULL && auth->size > 0 ? REFERENCE_HAS_PASSWORD : 0;
    enum gk_status status = check_empty(admin, handle, err);
    TPM2B_PUBLIC area;

    if (status == GK_OK) {
        status = storage_open(admin, 0, &storage, err);
    }
    if (status == GK_OK) {
        status =
            make_and_try(admin, &storage, auth, SIGNING_ATTRIBUTES, crypto, &object, &area, err);
    }
    if (status == GK_BAD_SALT) {
        object_release(&object);
        status = make_and_try(admin, &storage, auth, SIGNING_ATTRIBUTES | TPMA_OBJECT_DECRYPT,
                              crypto, &object, &area, err);
    }
    if (status == GK_OK) {
        status = key_from_area(handle, flags, &area, "the new key", &made, err);
    }
    if (status == GK_OK) {
        status = remember(context, made, err);
    }
    if (status == GK_OK) {
        status = evict_control(admin, &object, handle, err);
    }
    if (status == GK_OK) {
        *key = TAKE(made);
    }
    return status;
}

enum gk_status gk_admin_key_create(struct gk_admin *admin, uint32_t handle,
                                   const struct gk_auth *auth, const struct gk_crypto *crypto,
                                   gk_remember *remember, void *context, struct gk_key **key,
                                   struct gk_error *err)
{
    return admin_explain(admin, create(admin, handle, auth, crypto, remember, context, key, err),
                         err);
}

/* Read what lies at a handle as a key, and keep hold of the object. */
static enum gk_status read_key(struct gk_admin *admin, uint32_t handle, struct object *object,
                               struct gk_key **key, struct gk_error *err)
{
    CLEANUP(gk_freep) TPM2B_PUBLIC *area = NULL;
    enum gk_status status = admin_find(admin, handle, object, err);
    char about[16];
    TSS2_RC code;

    if (status != GK_OK) {
        return status;
    }
    describe_handle(handle, about);
    code = Esys_ReadPublic(admin->esys, object->handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                           &area, NULL, NULL);
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, about);
    }
    return key_from_area(handle, 0, area, about, key, err);
}

enum gk_status gk_admin_key_describe(struct gk_admin *admin, uint32_t handle, struct gk_key **key,
                                     struct gk_error *err)
{
    CLEANUP(object_release) struct object object = { .handle = ESYS_TR_NONE };

    return read_key(admin, handle, &object, key, err);
}

enum gk_status gk_admin_key_evict(struct gk_admin *admin, const struct gk_key *key,
                                  struct gk_error *err)
{
    CLEANUP(object_release) struct object object = { .handle = ESYS_TR_NONE };
    CLEANUP(object_release) struct object left = { .handle = ESYS_TR_NONE };
    CLEANUP(gk_key_freep) struct gk_key *there = NULL;
    uint32_t handle = gk_key_handle(key);
    enum gk_status status = read_key(admin, handle, &object, &there, err);

    if (status == GK_NOT_RSA2048 || status == GK_WRONG_KIND ||
        (status == GK_OK && !gk_key_identical(there, key))) {
        return gk_fail(err, GK_HANDLE_TAKEN, "0x%08" PRIx32, handle);
    }
    if (status == GK_OK) {
        status = evict_control(admin, &object, handle, err);
    }
    if (status != GK_OK) {
        return status;
    }
    status = admin_find(admin, handle, &left, err);
    if (status == GK_OK) {
        return gk_fail(err, GK_TPM_FAILED, "0x%08" PRIx32 " is still there after evicting it",
                       handle);
    }
    return status == GK_NO_KEY ? GK_OK : status;
}
