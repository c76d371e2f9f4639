/* SPDX-License-Identifier: Apache-2.0 */
/* What signing and verifying have in common: how they begin, take data in, and end. */
#include "pkcs11/internal.h"

#include <string.h>

static const struct {
    CK_MECHANISM_TYPE type;
    CK_RSA_PKCS_MGF_TYPE mgf;
    enum gk_hash hash;
} pss_hashes[] = {
    { CKM_SHA256, CKG_MGF1_SHA256, GK_SHA256 },
    { CKM_SHA384, CKG_MGF1_SHA384, GK_SHA384 },
    { CKM_SHA512, CKG_MGF1_SHA512, GK_SHA512 },
};
#define PSS_HASHES (sizeof(pss_hashes) / sizeof(pss_hashes[0]))

/* Only what a TPM's own padding makes: one hash for everything, and a salt as long as it. */
static CK_RV read_pss(const struct p11_mechanism *mechanism, const CK_RSA_PKCS_PSS_PARAMS *params,
                      enum gk_hash *hash)
{
    for (size_t i = 0; i < PSS_HASHES; i++) {
        if (params->hashAlg == pss_hashes[i].type && params->mgf == pss_hashes[i].mgf &&
            params->sLen == gk_hash_size(pss_hashes[i].hash) &&
            (mechanism->any_hash || mechanism->hash == pss_hashes[i].hash)) {
            *hash = pss_hashes[i].hash;
            return CKR_OK;
        }
    }
    return CKR_MECHANISM_PARAM_INVALID;
}

static CK_RV read_parameter(const struct p11_mechanism *mechanism, const CK_MECHANISM *given,
                            enum gk_hash *hash)
{
    CK_RSA_PKCS_PSS_PARAMS params;

    *hash = mechanism->hash;
    if (mechanism->scheme == GK_RSASSA) {
        return given->ulParameterLen == 0 ? CKR_OK : CKR_MECHANISM_PARAM_INVALID;
    }
    if (given->pParameter == NULL || given->ulParameterLen != sizeof(params)) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    memcpy(&params, given->pParameter, sizeof(params));
    return read_pss(mechanism, &params, hash);
}

/*
 * The standard lists the private key as the key type for C_Sign, the public one for C_Verify; so
 * the other one is of the wrong type, which goes before its CKA_SIGN or CKA_VERIFY being false.
 */
static CK_RV check_key(const struct p11_token *token, CK_OBJECT_HANDLE handle, enum p11_use use)
{
    const struct p11_object *key = p11_token_object(token, handle);
    CK_OBJECT_CLASS wanted = use == P11_SIGN ? CKO_PRIVATE_KEY : CKO_PUBLIC_KEY;

    if (key == NULL || (key->class != CKO_PRIVATE_KEY && key->class != CKO_PUBLIC_KEY)) {
        return CKR_KEY_HANDLE_INVALID;
    }
    /* There, but not to be seen yet. Applications that get this code ask for the PIN and try again.
     */
    if (!p11_library_shows(key)) {
        return CKR_USER_NOT_LOGGED_IN;
    }
    return key->class == wanted ? CKR_OK : CKR_KEY_TYPE_INCONSISTENT;
}

static CK_RV begin(struct p11_signing *signing, enum p11_use use, const CK_MECHANISM *given,
                   CK_OBJECT_HANDLE key)
{
    struct p11_token *token = p11_library_token();
    const struct p11_mechanism *mechanism;
    enum gk_hash hash;
    CK_RV rv;

    if (token == NULL) {
        return CKR_HOST_MEMORY;
    }
    mechanism = p11_mechanism_find(given->mechanism, use, token);
    if (mechanism == NULL) {
        return CKR_MECHANISM_INVALID;
    }
    rv = read_parameter(mechanism, given, &hash);
    if (rv == CKR_OK) {
        rv = check_key(token, key, use);
    }
    if (rv != CKR_OK) {
        return rv;
    }
    *signing = (struct p11_signing){
        .active = true,
        .mechanism = mechanism,
        .hash_type = hash,
        .token = p11_token_hold(token),
    };
    if (mechanism->input == P11_MESSAGE) {
        p11_hash_begin(&signing->hash, hash);
    }
    return CKR_OK;
}

/*
 * From 3.0 on no mechanism stands for ending an active operation. Where none is active the standard
 * is silent; that is what it always was, a missing argument.
 */
static CK_RV cancel(struct p11_signing *signing)
{
    CK_RV rv = signing->active ? CKR_OK : CKR_ARGUMENTS_BAD;

    p11_signing_end(signing);
    return rv;
}

CK_RV p11_signing_begin(struct p11_signing *signing, enum p11_use use,
                        const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    if (mechanism == NULL) {
        return cancel(signing);
    }
    return signing->active ? CKR_OPERATION_ACTIVE : begin(signing, use, mechanism, key);
}

/* CKM_RSA_PKCS and CKM_RSA_PKCS_PSS are for single parts only. */
CK_RV p11_signing_check(const struct p11_signing *signing, bool is_multipart)
{
    if (!signing->active) {
        return CKR_OPERATION_NOT_INITIALIZED;
    }
    if (is_multipart) {
        return signing->mechanism->input == P11_MESSAGE ? CKR_OK : CKR_FUNCTION_NOT_SUPPORTED;
    }
    /* C_Sign and C_Verify cannot end what an Update has begun. */
    return signing->multipart ? CKR_OPERATION_ACTIVE : CKR_OK;
}

CK_RV p11_signing_update(struct p11_signing *signing, const CK_BYTE *part, CK_ULONG size)
{
    CK_RV rv = p11_signing_check(signing, true);

    if (rv == CKR_OK && part == NULL && size > 0) {
        rv = CKR_ARGUMENTS_BAD;
    }
    if (rv != CKR_OK) {
        p11_signing_end(signing);
        return rv;
    }
    signing->multipart = true;
    p11_hash_add(&signing->hash, part, size);
    return CKR_OK;
}

CK_RV p11_signing_digest(struct p11_signing *signing, const CK_BYTE *data, CK_ULONG size,
                         enum gk_hash *hash, uint8_t digest[static GK_HASH_MAX_SIZE])
{
    if (data == NULL && size > 0) {
        return CKR_ARGUMENTS_BAD;
    }
    *hash = signing->hash_type;
    switch (signing->mechanism->input) {
    case P11_MESSAGE:
        p11_hash_add(&signing->hash, data, size);
        p11_hash_end(&signing->hash, digest);
        return CKR_OK;
    case P11_DIGEST_INFO:
        return p11_digest_info_read(data, size, hash, digest);
    case P11_HASHED:
        if (size != gk_hash_size(*hash)) {
            return CKR_DATA_LEN_RANGE;
        }
        memcpy(digest, data, size);
        return CKR_OK;
    }
    return CKR_GENERAL_ERROR;
}

void p11_signing_end(struct p11_signing *signing)
{
    p11_token_release(signing->token);
    *signing = (struct p11_signing){ .active = false };
}

bool p11_has_room(const void *buffer, CK_ULONG *size, CK_ULONG needed, CK_RV *rv)
{
    bool has_room = buffer != NULL && *size >= needed;

    if (!has_room) {
        *rv = buffer == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
        *size = needed;
    }
    return has_room;
}
