/* SPDX-License-Identifier: Apache-2.0 */
/* C_VerifyInit, C_Verify, C_VerifyUpdate and C_VerifyFinal: in software, no TPM takes part. */
#include "pkcs11/internal.h"

#define PKCS1_DATA_MAX (GK_RSA2048_SIZE - 11) /* RFC 8017, 9.2 */

CK_RV C_VerifyInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? p11_signing_begin(&session->verify, P11_VERIFY, mechanism, key) : rv;
}

/* One verification, apart from its session. */
struct question {
    struct gk_public public;
    enum gk_scheme scheme;
    enum gk_hash hash;
    uint8_t digest[GK_HASH_MAX_SIZE];
    const CK_BYTE *data; /* CKM_RSA_PKCS, else NULL: it may be anything, not a DigestInfo only */
    CK_ULONG size;
};

static CK_RV ask(struct p11_signing *signing, const CK_BYTE *data, CK_ULONG size,
                 struct question *question)
{
    static const CK_BYTE nothing[1];

    question->public = *gk_key_public(signing->token->key);
    question->scheme = signing->mechanism->scheme;
    question->data = NULL;
    if (signing->mechanism->input != P11_DIGEST_INFO) {
        return p11_signing_digest(signing, data, size, &question->hash, question->digest);
    }
    if (data == NULL && size > 0) {
        return CKR_ARGUMENTS_BAD;
    }
    question->data = data != NULL ? data : nothing;
    question->size = size;
    return size <= PKCS1_DATA_MAX ? CKR_OK : CKR_DATA_LEN_RANGE;
}

static CK_RV answer(const struct question *question, const CK_BYTE *signature)
{
    int good =
        question->data != NULL
            ? p11_crypto_verify_pkcs1(&question->public, question->data, question->size, signature)
            : p11_crypto.verify(p11_crypto.context, &question->public, question->scheme,
                                question->hash, gk_hash_size(question->hash), question->digest,
                                signature);

    return good == 1 ? CKR_OK : good == 0 ? CKR_SIGNATURE_INVALID : CKR_FUNCTION_FAILED;
}

/* Whatever comes of it, the operation is over. */
static CK_RV verify(struct p11_guard *guard, struct p11_signing *signing, bool is_multipart,
                    const CK_BYTE *data, CK_ULONG size, const CK_BYTE *signature,
                    CK_ULONG signature_size)
{
    struct question question;
    CK_RV rv = p11_signing_check(signing, is_multipart);

    if (rv == CKR_OK && signature == NULL) {
        rv = CKR_ARGUMENTS_BAD;
    }
    if (rv == CKR_OK) {
        rv = ask(signing, data, size, &question);
    }
    p11_signing_end(signing);
    if (rv == CKR_OK && signature_size != GK_RSA2048_SIZE) {
        rv = CKR_SIGNATURE_LEN_RANGE;
    }
    if (rv != CKR_OK) {
        return rv;
    }
    p11_leave(guard);
    return answer(&question, signature);
}

CK_RV C_Verify(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG size, CK_BYTE *signature,
               CK_ULONG signature_size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK
               ? verify(&guard, &session->verify, false, data, size, signature, signature_size)
               : rv;
}

CK_RV C_VerifyUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? p11_signing_update(&session->verify, part, size) : rv;
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE handle, CK_BYTE *signature, CK_ULONG signature_size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv == CKR_OK ? verify(&guard, &session->verify, true, NULL, 0, signature, signature_size)
                        : rv;
}
