/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C_Login and its kin. A key with a password takes it as the PIN; a key without one takes any,
 * since some programs log in whether or not the token asks for it.
 */
#include "pkcs11/internal.h"

#include <sys/random.h>

/* There is no security officer, and so no PIN that would be right. */
static CK_RV log_in_officer(void)
{
    return p11_session_count(0) > p11_session_count(CKF_RW_SESSION) ? CKR_SESSION_READ_ONLY_EXISTS
                                                                    : CKR_PIN_INCORRECT;
}

/* A signature that the key makes: those of others may be for one scheme and hash only. */
static bool choose(struct p11_request *request)
{
    for (size_t i = 0; i < p11_mechanism_count; i++) {
        const struct p11_mechanism *row = &p11_mechanisms[i];

        if ((row->info.flags & CKF_SIGN) != 0 && !row->any_hash &&
            p11_mechanism_is_offered(row, request->token)) {
            request->scheme = row->scheme;
            request->hash = row->hash;
            request->salt_size = gk_hash_size(row->hash);
            return true;
        }
    }
    return false;
}

/* The one way to ask a TPM whether a password is right: use the key. Nobody gets the signature. */
static CK_RV try_password(struct p11_token *token, const struct gk_auth *auth)
{
    uint8_t digest[GK_HASH_MAX_SIZE], signature[GK_RSA2048_SIZE];
    struct p11_request request = { .token = token, .auth = auth, .digest = digest };
    CK_RV rv;

    /* Of random bytes, so that nobody chose what the key signs here. */
    if (!choose(&request) || getrandom(digest, sizeof(digest), 0) != (ssize_t)sizeof(digest)) {
        return CKR_FUNCTION_FAILED;
    }
    rv = p11_library_sign(&request, signature);
    /* A TPM that misses the password it was given; the standard has this code for others than
     * C_Login. */
    return rv == CKR_USER_NOT_LOGGED_IN ? CKR_DEVICE_ERROR : rv;
}

/*
 * The TPM is not asked about what cannot be the password. While it works the lock is let go, so
 * another thread may have logged in, or renewed or closed everything, before it is done.
 */
static CK_RV log_in_with_password(struct p11_token *token, CK_SESSION_HANDLE handle,
                                  const CK_UTF8CHAR *pin, CK_ULONG size)
{
    CLEANUP(gk_auth_clear) struct gk_auth auth = { .size = size };
    CK_RV rv;

    if (size == 0 || size > GK_AUTH_MAX_SIZE) {
        return CKR_PIN_INCORRECT;
    }
    memcpy(auth.bytes, pin, size);
    (void)p11_token_hold(token);
    rv = try_password(token, &auth);
    if (rv == CKR_OK) {
        if (p11_session_find(handle) == NULL) {
            rv = CKR_SESSION_CLOSED;
        } else if (p11_library_logged_in()) {
            rv = CKR_USER_ALREADY_LOGGED_IN;
        } else if (!p11_library_has_key_of(token)) {
            rv = CKR_FUNCTION_FAILED;
        } else {
            p11_library_log_in(&auth);
        }
    }
    p11_token_release(token);
    return rv;
}

static CK_RV log_in(CK_SESSION_HANDLE handle, CK_USER_TYPE type, const CK_UTF8CHAR *pin,
                    CK_ULONG size)
{
    struct p11_token *token = p11_library_token();

    if (type == CKU_CONTEXT_SPECIFIC) {
        return CKR_OPERATION_NOT_INITIALIZED; /* no key here is CKA_ALWAYS_AUTHENTICATE */
    }
    if (type != CKU_USER && type != CKU_SO) {
        return CKR_USER_TYPE_INVALID;
    }
    if (p11_library_logged_in()) {
        return type == CKU_USER ? CKR_USER_ALREADY_LOGGED_IN : CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
    }
    if (type == CKU_SO) {
        return log_in_officer();
    }
    if (token == NULL) {
        return CKR_HOST_MEMORY;
    }
    if (token->key == NULL) {
        return CKR_USER_PIN_NOT_INITIALIZED;
    }
    if (!gk_key_needs_auth(token->key)) {
        p11_library_log_in(NULL);
        return CKR_OK;
    }
    return pin != NULL ? log_in_with_password(token, handle, pin, size) : CKR_ARGUMENTS_BAD;
}

CK_RV C_Login(CK_SESSION_HANDLE handle, CK_USER_TYPE type, CK_UTF8CHAR *pin, CK_ULONG size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    if (rv != CKR_OK) {
        return rv;
    }
    if (pin == NULL && size > 0) {
        return CKR_ARGUMENTS_BAD;
    }
    return log_in(handle, type, pin, size);
}

/* The token's one user has no name. */
CK_RV C_LoginUser(CK_SESSION_HANDLE handle, CK_USER_TYPE type, CK_UTF8CHAR *pin, CK_ULONG size,
                  CK_UTF8CHAR *username, CK_ULONG username_size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    if (rv != CKR_OK) {
        return rv;
    }
    if ((pin == NULL && size > 0) || (username == NULL && username_size > 0)) {
        return CKR_ARGUMENTS_BAD;
    }
    return username_size == 0 ? log_in(handle, type, pin, size) : CKR_PIN_INCORRECT;
}

CK_RV C_Logout(CK_SESSION_HANDLE handle)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    if (rv != CKR_OK) {
        return rv;
    }
    if (!p11_library_logged_in()) {
        return CKR_USER_NOT_LOGGED_IN;
    }
    p11_library_log_out();
    return CKR_OK;
}

/* Only a security officer may do this, and none can be logged in. */
CK_RV C_InitPIN(CK_SESSION_HANDLE handle, CK_UTF8CHAR *pin, CK_ULONG size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    (void)pin;
    (void)size;
    return rv != CKR_OK ? rv : CKR_USER_NOT_LOGGED_IN;
}

/* The password is set when the key is made. The standard: this goes before CKR_SESSION_READ_ONLY.
 */
CK_RV C_SetPIN(CK_SESSION_HANDLE handle, CK_UTF8CHAR *old_pin, CK_ULONG old_size,
               CK_UTF8CHAR *new_pin, CK_ULONG new_size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    (void)old_pin;
    (void)old_size;
    (void)new_pin;
    (void)new_size;
    return rv != CKR_OK ? rv : CKR_TOKEN_WRITE_PROTECTED;
}
