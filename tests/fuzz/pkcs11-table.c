/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of both lists for fuzz-pkcs11: how each is called, and what it may answer besides
 * CKR_OK, CKR_ARGUMENTS_BAD and CKR_HOST_MEMORY in a library that is initialised, on a slot or in a
 * session that is there. These are the standard's codes for the function as far as they can occur
 * here; CKR_GENERAL_ERROR is none of them.
 */
#include "tests/fuzz/pkcs11.h"

#define ROW(function, takes, call, ...)                   \
    {                                                     \
#function, takes, call, (void (*)(void))function, \
        {                                                 \
            __VA_ARGS__                                   \
        }                                                 \
    }

#define NOT_OURS CKR_FUNCTION_NOT_SUPPORTED
#define NOT_BEGUN CKR_OPERATION_NOT_INITIALIZED
#define TPM_FAILED                                                                    \
    CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_USER_NOT_LOGGED_IN, CKR_FUNCTION_FAILED, \
        CKR_FUNCTION_CANCELED
#define LOGIN                                                                                \
    CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_FUNCTION_FAILED, CKR_FUNCTION_CANCELED,         \
        CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_SESSION_CLOSED, CKR_SESSION_READ_ONLY_EXISTS, \
        CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN,                      \
        CKR_USER_PIN_NOT_INITIALIZED, CKR_USER_TYPE_INVALID, CKR_OPERATION_NOT_INITIALIZED
#define BEGINNING                                                                          \
    CKR_OPERATION_ACTIVE, CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID,              \
        CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED, \
        CKR_USER_NOT_LOGGED_IN

/* clang-format off */
const struct row rows[] = {
    ROW(C_Initialize, ALWAYS, call_odd, CKR_CANT_LOCK, CKR_CRYPTOKI_ALREADY_INITIALIZED),
    ROW(C_Finalize, LIBRARY, call_odd, 0),
    ROW(C_GetInfo, LIBRARY, call_odd, 0),
    ROW(C_GetFunctionList, ALWAYS, call_odd, 0),
    ROW(C_GetSlotList, LIBRARY, call_odd, CKR_BUFFER_TOO_SMALL),
    ROW(C_GetSlotInfo, SLOT, call_odd, CKR_DEVICE_ERROR),
    ROW(C_GetTokenInfo, SLOT, call_odd, CKR_DEVICE_ERROR),
    ROW(C_GetMechanismList, SLOT, call_odd, CKR_BUFFER_TOO_SMALL),
    ROW(C_GetMechanismInfo, SLOT, call_odd, CKR_MECHANISM_INVALID),
    ROW(C_InitToken, SLOT, call_odd, CKR_SESSION_EXISTS, CKR_TOKEN_WRITE_PROTECTED),
    ROW(C_InitPIN, SESSION, call_in, CKR_USER_NOT_LOGGED_IN),
    ROW(C_SetPIN, SESSION, call_in_in, CKR_TOKEN_WRITE_PROTECTED),
    ROW(C_OpenSession, SLOT, call_odd, CKR_SESSION_COUNT, CKR_SESSION_PARALLEL_NOT_SUPPORTED,
        CKR_TOKEN_NOT_RECOGNIZED, CKR_DEVICE_ERROR),
    ROW(C_CloseSession, SESSION, call_bare, 0),
    ROW(C_CloseAllSessions, SLOT, call_bare, 0),
    ROW(C_GetSessionInfo, SESSION, call_odd, 0),
    ROW(C_GetOperationState, SESSION, call_out, NOT_OURS),
    ROW(C_SetOperationState, SESSION, call_odd, NOT_OURS),
    ROW(C_Login, SESSION, call_odd, LOGIN),
    ROW(C_Logout, SESSION, call_bare, CKR_USER_NOT_LOGGED_IN),
    ROW(C_CreateObject, SESSION, call_odd, CKR_TOKEN_WRITE_PROTECTED, CKR_TEMPLATE_INCONSISTENT,
        CKR_TEMPLATE_INCOMPLETE, CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY),
    ROW(C_CopyObject, SESSION, call_odd, CKR_ACTION_PROHIBITED, CKR_OBJECT_HANDLE_INVALID),
    ROW(C_DestroyObject, SESSION, call_object, CKR_ACTION_PROHIBITED, CKR_OBJECT_HANDLE_INVALID),
    ROW(C_GetObjectSize, SESSION, call_odd, CKR_OBJECT_HANDLE_INVALID),
    ROW(C_GetAttributeValue, SESSION, call_template, CKR_OBJECT_HANDLE_INVALID,
        CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL),
    ROW(C_SetAttributeValue, SESSION, call_template, CKR_ACTION_PROHIBITED,
        CKR_OBJECT_HANDLE_INVALID),
    ROW(C_FindObjectsInit, SESSION, call_odd, CKR_OPERATION_ACTIVE),
    ROW(C_FindObjects, SESSION, call_odd, NOT_BEGUN),
    ROW(C_FindObjectsFinal, SESSION, call_bare, NOT_BEGUN),
    ROW(C_EncryptInit, SESSION, call_init, NOT_OURS),
    ROW(C_Encrypt, SESSION, call_in_out, NOT_OURS),
    ROW(C_EncryptUpdate, SESSION, call_in_out, NOT_OURS),
    ROW(C_EncryptFinal, SESSION, call_out, NOT_OURS),
    ROW(C_DecryptInit, SESSION, call_init, NOT_OURS),
    ROW(C_Decrypt, SESSION, call_in_out, NOT_OURS),
    ROW(C_DecryptUpdate, SESSION, call_in_out, NOT_OURS),
    ROW(C_DecryptFinal, SESSION, call_out, NOT_OURS),
    ROW(C_DigestInit, SESSION, call_odd, CKR_OPERATION_ACTIVE, CKR_MECHANISM_INVALID,
        CKR_MECHANISM_PARAM_INVALID),
    ROW(C_Digest, SESSION, call_in_out, NOT_BEGUN, CKR_OPERATION_ACTIVE, CKR_BUFFER_TOO_SMALL),
    ROW(C_DigestUpdate, SESSION, call_in, NOT_BEGUN),
    ROW(C_DigestKey, SESSION, call_object, NOT_BEGUN, CKR_KEY_HANDLE_INVALID,
        CKR_KEY_INDIGESTIBLE),
    ROW(C_DigestFinal, SESSION, call_out, NOT_BEGUN, CKR_BUFFER_TOO_SMALL),
    ROW(C_SignInit, SESSION, call_init, BEGINNING),
    ROW(C_Sign, SESSION, call_in_out, NOT_BEGUN, CKR_OPERATION_ACTIVE, CKR_BUFFER_TOO_SMALL,
        CKR_DATA_LEN_RANGE, CKR_DATA_INVALID, TPM_FAILED),
    ROW(C_SignUpdate, SESSION, call_in, NOT_BEGUN, NOT_OURS),
    ROW(C_SignFinal, SESSION, call_out, NOT_BEGUN, NOT_OURS, CKR_BUFFER_TOO_SMALL, TPM_FAILED),
    ROW(C_SignRecoverInit, SESSION, call_init, NOT_OURS),
    ROW(C_SignRecover, SESSION, call_in_out, NOT_OURS),
    ROW(C_VerifyInit, SESSION, call_init, BEGINNING),
    ROW(C_Verify, SESSION, call_in_in, NOT_BEGUN, CKR_OPERATION_ACTIVE, CKR_DATA_LEN_RANGE,
        CKR_DATA_INVALID, CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE),
    ROW(C_VerifyUpdate, SESSION, call_in, NOT_BEGUN, NOT_OURS),
    ROW(C_VerifyFinal, SESSION, call_in, NOT_BEGUN, NOT_OURS, CKR_SIGNATURE_INVALID,
        CKR_SIGNATURE_LEN_RANGE),
    ROW(C_VerifyRecoverInit, SESSION, call_init, NOT_OURS),
    ROW(C_VerifyRecover, SESSION, call_in_out, NOT_OURS),
    ROW(C_DigestEncryptUpdate, SESSION, call_in_out, NOT_OURS),
    ROW(C_DecryptDigestUpdate, SESSION, call_in_out, NOT_OURS),
    ROW(C_SignEncryptUpdate, SESSION, call_in_out, NOT_OURS),
    ROW(C_DecryptVerifyUpdate, SESSION, call_in_out, NOT_OURS),
    ROW(C_GenerateKey, SESSION, call_odd, NOT_OURS),
    ROW(C_GenerateKeyPair, SESSION, call_odd, NOT_OURS),
    ROW(C_WrapKey, SESSION, call_odd, NOT_OURS),
    ROW(C_UnwrapKey, SESSION, call_odd, NOT_OURS),
    ROW(C_DeriveKey, SESSION, call_odd, NOT_OURS),
    ROW(C_SeedRandom, SESSION, call_in, CKR_RANDOM_NO_RNG),
    ROW(C_GenerateRandom, SESSION, call_in, CKR_RANDOM_NO_RNG),
    ROW(C_GetFunctionStatus, SESSION, call_bare, CKR_FUNCTION_NOT_PARALLEL),
    ROW(C_CancelFunction, SESSION, call_bare, CKR_FUNCTION_NOT_PARALLEL),
    ROW(C_WaitForSlotEvent, LIBRARY, call_odd, CKR_NO_EVENT),
    ROW(C_GetInterfaceList, ALWAYS, call_odd, CKR_BUFFER_TOO_SMALL),
    ROW(C_GetInterface, ALWAYS, call_odd, 0),
    ROW(C_LoginUser, SESSION, call_odd, LOGIN),
    ROW(C_SessionCancel, SESSION, call_odd, 0),
    ROW(C_MessageEncryptInit, SESSION, call_init, NOT_OURS),
    ROW(C_EncryptMessage, SESSION, call_message, NOT_OURS),
    ROW(C_EncryptMessageBegin, SESSION, call_in_in, NOT_OURS),
    ROW(C_EncryptMessageNext, SESSION, call_message, NOT_OURS),
    ROW(C_MessageEncryptFinal, SESSION, call_bare, NOT_OURS),
    ROW(C_MessageDecryptInit, SESSION, call_init, NOT_OURS),
    ROW(C_DecryptMessage, SESSION, call_message, NOT_OURS),
    ROW(C_DecryptMessageBegin, SESSION, call_in_in, NOT_OURS),
    ROW(C_DecryptMessageNext, SESSION, call_message, NOT_OURS),
    ROW(C_MessageDecryptFinal, SESSION, call_bare, NOT_OURS),
    ROW(C_MessageSignInit, SESSION, call_init, NOT_OURS),
    ROW(C_SignMessage, SESSION, call_message, NOT_OURS),
    ROW(C_SignMessageBegin, SESSION, call_in, NOT_OURS),
    ROW(C_SignMessageNext, SESSION, call_message, NOT_OURS),
    ROW(C_MessageSignFinal, SESSION, call_bare, NOT_OURS),
    ROW(C_MessageVerifyInit, SESSION, call_init, NOT_OURS),
    ROW(C_VerifyMessage, SESSION, call_message, NOT_OURS),
    ROW(C_VerifyMessageBegin, SESSION, call_in, NOT_OURS),
    ROW(C_VerifyMessageNext, SESSION, call_message, NOT_OURS),
    ROW(C_MessageVerifyFinal, SESSION, call_bare, NOT_OURS),
};
/* clang-format on */
const size_t row_count = sizeof(rows) / sizeof(rows[0]);
