/* SPDX-License-Identifier: Apache-2.0 */
/* C_DigestInit, C_Digest, C_DigestUpdate, C_DigestKey and C_DigestFinal: in software. */
#include "pkcs11/internal.h"

#include <string.h>

static void end(struct p11_digest *digest)
{
    *digest = (struct p11_digest){ .active = false };
}

static CK_RV begin(struct p11_digest *digest, const CK_MECHANISM *given)
{
    const struct p11_mechanism *mechanism =
        p11_mechanism_find(given->mechanism, P11_DIGEST, p11_library_token());

    if (mechanism == NULL) {
        return CKR_MECHANISM_INVALID;
    }
    if (given->ulParameterLen != 0) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    digest->active = true;
    p11_hash_begin(&digest->hash, mechanism->hash);
    return CKR_OK;
}

/* Without a mechanism as in p11_signing_begin(). */
static CK_RV begin_or_cancel(struct p11_digest *digest, const CK_MECHANISM *mechanism)
{
    bool was_active = digest->active;

    if (mechanism == NULL) {
        end(digest);
        return was_active ? CKR_OK : CKR_ARGUMENTS_BAD;
    }
    return was_active ? CKR_OPERATION_ACTIVE : begin(digest, mechanism);
}

CK_RV C_DigestInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? begin_or_cancel(&session->digest, mechanism) : rv;
}

static CK_RV check_data(const CK_BYTE *data, CK_ULONG size)
{
    return data == NULL && size > 0 ? CKR_ARGUMENTS_BAD : CKR_OK;
}

static CK_RV update(struct p11_digest *digest, const CK_BYTE *data, CK_ULONG size)
{
    CK_RV rv = digest->active ? check_data(data, size) : CKR_OPERATION_NOT_INITIALIZED;

    if (rv != CKR_OK) {
        end(digest);
        return rv;
    }
    digest->multipart = true;
    p11_hash_add(&digest->hash, data, size);
    return CKR_OK;
}

/* The digest may lie where the data was. */
static CK_RV finish(struct p11_digest *digest, const CK_BYTE *data, CK_ULONG size, CK_BYTE *out,
                    CK_ULONG *out_size)
{
    size_t made_size = gk_hash_size(digest->hash.type);
    uint8_t made[GK_HASH_MAX_SIZE];
    CK_RV rv = check_data(data, size);

    if (rv == CKR_OK) {
        p11_hash_add(&digest->hash, data, size);
        p11_hash_end(&digest->hash, made);
        memcpy(out, made, made_size);
        *out_size = made_size;
    }
    end(digest);
    return rv;
}

/* All but a question for the size and CKR_BUFFER_TOO_SMALL ends the operation. */
static CK_RV digest(struct p11_digest *digest, bool is_multipart, const CK_BYTE *data,
                    CK_ULONG size, CK_BYTE *out, CK_ULONG *out_size)
{
    CK_RV rv = CKR_OK;

    if (!digest->active) {
        return CKR_OPERATION_NOT_INITIALIZED;
    }
    /* C_Digest cannot end what C_DigestUpdate has begun. */
    if (out_size == NULL || (digest->multipart && !is_multipart)) {
        rv = out_size == NULL ? CKR_ARGUMENTS_BAD : CKR_OPERATION_ACTIVE;
        end(digest);
        return rv;
    }
    return p11_has_room(out, out_size, gk_hash_size(digest->hash.type), &rv)
               ? finish(digest, data, size, out, out_size)
               : rv;
}

CK_RV C_Digest(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG size, CK_BYTE *out,
               CK_ULONG *out_size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? digest(&session->digest, false, data, size, out, out_size) : rv;
}

CK_RV C_DigestUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? update(&session->digest, part, size) : rv;
}

/*
 * The token has no secret keys, so there is never one to digest. The operation ends, as by
 * C_DigestUpdate: a digest that lacks a part must not come out.
 */
static CK_RV refuse_key(struct p11_digest *digest, CK_OBJECT_HANDLE handle)
{
    const struct p11_object *key = p11_library_object(handle);
    bool is_key = key != NULL && (key->class == CKO_PRIVATE_KEY || key->class == CKO_PUBLIC_KEY);

    if (!digest->active) {
        return CKR_OPERATION_NOT_INITIALIZED;
    }
    end(digest);
    return is_key ? CKR_KEY_INDIGESTIBLE : CKR_KEY_HANDLE_INVALID;
}

CK_RV C_DigestKey(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE key)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? refuse_key(&session->digest, key) : rv;
}

CK_RV C_DigestFinal(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG *out_size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? digest(&session->digest, true, NULL, 0, out, out_size) : rv;
}
