/* SPDX-License-Identifier: Apache-2.0 */
/* The one slot, the token in it, and the mechanisms it offers. */
#include "pkcs11/internal.h"

void p11_pad(CK_UTF8CHAR *field, size_t size, const char *text)
{
    size_t length = strnlen(text, size);

    memcpy(field, text, length);
    memset(field + length, ' ', size - length);
}

CK_RV C_GetSlotList(CK_BBOOL token_present, CK_SLOT_ID *list, CK_ULONG *count)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    CK_RV rv = p11_enter(&guard);
    CK_ULONG room;

    (void)token_present; /* a TPM is soldered in */
    if (rv != CKR_OK) {
        return rv;
    }
    if (count == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    room = *count;
    *count = 1;
    if (list == NULL) {
        return CKR_OK;
    }
    if (room < 1) {
        return CKR_BUFFER_TOO_SMALL;
    }
    list[0] = P11_SLOT_ID;
    return CKR_OK;
}

CK_RV C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    CK_RV rv = p11_enter_slot(&guard, slot);

    if (rv != CKR_OK) {
        return rv;
    }
    if (info == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    *info = (CK_SLOT_INFO){ .flags = CKF_TOKEN_PRESENT | CKF_HW_SLOT };
    p11_pad(info->slotDescription, sizeof(info->slotDescription), "TPM 2.0 device key");
    p11_pad(info->manufacturerID, sizeof(info->manufacturerID), P11_MANUFACTURER);
    return CKR_OK;
}

static CK_FLAGS token_flags(const struct p11_token *token)
{
    CK_FLAGS flags = CKF_WRITE_PROTECTED;

    if (token->key != NULL) {
        flags |= CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED;
        if (gk_key_needs_auth(token->key)) {
            flags |= CKF_LOGIN_REQUIRED;
        }
    }
    return flags;
}

/* Of functions that tell of the token: the answer has a place to go, and there is something to
 * tell. */
static CK_RV enter_token(struct p11_guard *guard, CK_SLOT_ID slot, const void *answer,
                         const struct p11_token **token)
{
    CK_RV rv = p11_enter_slot(guard, slot);

    if (rv != CKR_OK) {
        return rv;
    }
    if (answer == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    *token = p11_library_token_now();
    return *token != NULL ? CKR_OK : CKR_HOST_MEMORY;
}

CK_RV C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    const struct p11_token *token = NULL;
    CK_RV rv = enter_token(&guard, slot, info, &token);

    if (rv != CKR_OK) {
        return rv;
    }
    *info = (CK_TOKEN_INFO){
        .flags = token_flags(token),
        .ulMaxSessionCount = CK_EFFECTIVELY_INFINITE,
        .ulSessionCount = p11_session_count(0),
        .ulMaxRwSessionCount = CK_EFFECTIVELY_INFINITE,
        .ulRwSessionCount = p11_session_count(CKF_RW_SESSION),
        .ulMaxPinLen = GK_AUTH_MAX_SIZE,
        .ulMinPinLen = (token_flags(token) & CKF_LOGIN_REQUIRED) != 0 ? 1 : 0,
        .ulTotalPublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulTotalPrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .hardwareVersion = { 2, 0 },
    };
    p11_pad(info->label, sizeof(info->label), token->label);
    p11_pad(info->manufacturerID, sizeof(info->manufacturerID), P11_MANUFACTURER);
    p11_pad(info->model, sizeof(info->model), "TPM 2.0 RSA-2048");
    p11_pad(info->serialNumber, sizeof(info->serialNumber), token->serial);
    p11_pad(info->utcTime, sizeof(info->utcTime), "");
    return CKR_OK;
}

CK_RV C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    const struct p11_token *token = NULL;
    CK_RV rv = enter_token(&guard, slot, count, &token);
    CK_ULONG room, offered = 0;

    if (rv != CKR_OK) {
        return rv;
    }
    room = *count;
    for (size_t i = 0; i < p11_mechanism_count; i++) {
        if (p11_mechanism_is_offered(&p11_mechanisms[i], token)) {
            if (list != NULL && offered < room) {
                list[offered] = p11_mechanisms[i].type;
            }
            offered++;
        }
    }
    *count = offered;
    return list != NULL && room < offered ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}

CK_RV C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    const struct p11_token *token = NULL;
    CK_RV rv = enter_token(&guard, slot, info, &token);

    if (rv != CKR_OK) {
        return rv;
    }
    for (size_t i = 0; i < p11_mechanism_count; i++) {
        if (p11_mechanisms[i].type == type && p11_mechanism_is_offered(&p11_mechanisms[i], token)) {
            *info = p11_mechanisms[i].info;
            return CKR_OK;
        }
    }
    return CKR_MECHANISM_INVALID;
}

/* Keys are made and destroyed by gatekey(1), which knows what depends on them. */
CK_RV C_InitToken(CK_SLOT_ID slot, CK_UTF8CHAR *pin, CK_ULONG pin_size, CK_UTF8CHAR *label)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    CK_RV rv = p11_enter_slot(&guard, slot);

    if (rv != CKR_OK) {
        return rv;
    }
    if ((pin == NULL && pin_size > 0) || label == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    return p11_session_count(0) > 0 ? CKR_SESSION_EXISTS : CKR_TOKEN_WRITE_PROTECTED;
}

/* Nothing ever happens to the slot, so whoever waits does so until the library ends. */
CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    CK_RV rv = p11_enter(&guard);

    if (rv != CKR_OK) {
        return rv;
    }
    if (slot == NULL || reserved != NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    if ((flags & CKF_DONT_BLOCK) != 0) {
        return CKR_NO_EVENT;
    }
    p11_library_await_end(&guard);
    return CKR_CRYPTOKI_NOT_INITIALIZED;
}
