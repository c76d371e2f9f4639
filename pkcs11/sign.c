/* SPDX-License-Identifier: Apache-2.0 */
/* C_SignInit, C_Sign, C_SignUpdate and C_SignFinal. */
#include "pkcs11/internal.h"

#include <string.h>

CK_RV C_SignInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? p11_signing_begin(&session->sign, P11_SIGN, mechanism, key) : rv;
}

/* The standard has codes about PINs for C_Login only. */
static CK_RV without_pin(CK_RV rv)
{
    switch (rv) {
    case CKR_PIN_INCORRECT:
        return CKR_USER_NOT_LOGGED_IN; /* the key takes another password, or one at all */
    case CKR_PIN_LOCKED:
        return CKR_DEVICE_ERROR;
    default:
        return rv;
    }
}

/*
 * The operation is over before the TPM works, as it would be in any case afterwards: meanwhile the
 * lock is let go, and the session may be closed. The signature may lie where the data was.
 */
static CK_RV finish(struct p11_signing *signing, const CK_BYTE *data, CK_ULONG size,
                    CK_BYTE *signature, CK_ULONG *signature_size)
{
    uint8_t digest[GK_HASH_MAX_SIZE], made[GK_RSA2048_SIZE];
    struct p11_token *token = signing->token;
    struct p11_request request = {
        .token = token,
        .scheme = signing->mechanism->scheme,
        .digest = digest,
    };
    CK_RV rv = p11_signing_digest(signing, data, size, &request.hash, digest);

    signing->token = NULL; /* held on here */
    p11_signing_end(signing);
    if (rv == CKR_OK) {
        request.salt_size = gk_hash_size(request.hash);
        rv = without_pin(p11_library_sign(&request, made));
    }
    p11_token_release(token);
    if (rv == CKR_OK) {
        memcpy(signature, made, sizeof(made));
        *signature_size = sizeof(made);
    }
    return rv;
}

/* All but a question for the size and CKR_BUFFER_TOO_SMALL ends the operation. */
static CK_RV sign(struct p11_signing *signing, bool is_multipart, const CK_BYTE *data,
                  CK_ULONG size, CK_BYTE *signature, CK_ULONG *signature_size)
{
    CK_RV rv = p11_signing_check(signing, is_multipart);

    if (rv == CKR_OK && signature_size == NULL) {
        rv = CKR_ARGUMENTS_BAD;
    }
    if (rv != CKR_OK) {
        p11_signing_end(signing);
        return rv;
    }
    return p11_has_room(signature, signature_size, GK_RSA2048_SIZE, &rv)
               ? finish(signing, data, size, signature, signature_size)
               : rv;
}

CK_RV C_Sign(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG size, CK_BYTE *signature,
             CK_ULONG *signature_size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? sign(&session->sign, false, data, size, signature, signature_size) : rv;
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? p11_signing_update(&session->sign, part, size) : rv;
}

CK_RV C_SignFinal(CK_SESSION_HANDLE handle, CK_BYTE *signature, CK_ULONG *signature_size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? sign(&session->sign, true, NULL, 0, signature, signature_size) : rv;
}
