/* SPDX-License-Identifier: Apache-2.0 */
/* Every function of both lists as a row of a table. */
#include "tests/pkcs11/calls.h"

#include "tests/pkcs11/fixture.h"

/* What the calls are made with. */
static CK_BYTE bytes[512];
static CK_ULONG size, number;
static CK_OBJECT_HANDLE object;
static CK_SESSION_HANDLE opened;
static CK_SLOT_ID slot;
static CK_INFO info;
static CK_SLOT_INFO slot_info;
static CK_TOKEN_INFO token_info;
static CK_SESSION_INFO session_info;
static CK_MECHANISM_INFO mechanism_info;
static CK_FUNCTION_LIST *list;
static CK_INTERFACE *interface, interfaces[8];
static CK_UTF8CHAR text[32 + 1] = "a password                      ";
static CK_MECHANISM digests = { CKM_SHA256, NULL, 0 };
static CK_MECHANISM signs = { CKM_SHA256_RSA_PKCS, NULL, 0 };
static CK_MECHANISM makes = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
static CK_BBOOL yes = CK_TRUE;
static CK_ATTRIBUTE wanted = { CKA_TOKEN, &yes, sizeof(yes) };
static CK_RSA_PKCS_PSS_PARAMS parameter;

/* Shorter names keep a row on two lines. */
#define NOT_BEGUN CKR_OPERATION_NOT_INITIALIZED
#define NOT_OURS CKR_FUNCTION_NOT_SUPPORTED
#define PROTECTED CKR_TOKEN_WRITE_PROTECTED
#define BAD CKR_ARGUMENTS_BAD

/*
 * In the arguments w is the slot or session and k the key. Where both codes are the same the
 * function is refused whatever it is called with.
 */
/* clang-format off */
#define CALLS(ROW)                                                                                 \
    ROW(C_Initialize, ALWAYS, (NULL), CKR_OK, (NULL), CKR_OK)                                      \
    ROW(C_Finalize, LIBRARY, (NULL), CKR_OK, (bytes), BAD)                                         \
    ROW(C_GetInfo, LIBRARY, (&info), CKR_OK, (NULL), BAD)                                          \
    ROW(C_GetFunctionList, ALWAYS, (&list), CKR_OK, (NULL), BAD)                                   \
    ROW(C_GetSlotList, LIBRARY, (CK_TRUE, NULL, &number), CKR_OK, (CK_TRUE, NULL, NULL), BAD)      \
    ROW(C_GetSlotInfo, SLOT, (w, &slot_info), CKR_OK, (w, NULL), BAD)                              \
    ROW(C_GetTokenInfo, SLOT, (w, &token_info), CKR_OK, (w, NULL), BAD)                            \
    ROW(C_GetMechanismList, SLOT, (w, NULL, &number), CKR_OK, (w, NULL, NULL), BAD)                \
    ROW(C_GetMechanismInfo, SLOT, (w, CKM_SHA256, &mechanism_info), CKR_OK,                        \
        (w, CKM_SHA256, NULL), BAD)                                                                \
    ROW(C_InitToken, SLOT, (w, text, 10, text), PROTECTED, (w, NULL, 0, NULL), BAD)                \
    ROW(C_InitPIN, SESSION, (w, text, 10), CKR_USER_NOT_LOGGED_IN,                                 \
        (w, NULL, 10), CKR_USER_NOT_LOGGED_IN)                                                     \
    ROW(C_SetPIN, SESSION, (w, text, 10, text, 10), PROTECTED,                                     \
        (w, NULL, 10, NULL, 10), PROTECTED)                                                        \
    ROW(C_OpenSession, SLOT, (w, CKF_SERIAL_SESSION, NULL, NULL, &opened), CKR_OK,                 \
        (w, CKF_SERIAL_SESSION, NULL, NULL, NULL), BAD)                                            \
    ROW(C_CloseSession, SESSION, (w), CKR_OK, (w), CKR_OK)                                         \
    ROW(C_CloseAllSessions, SLOT, (w), CKR_OK, (w), CKR_OK)                                        \
    ROW(C_GetSessionInfo, SESSION, (w, &session_info), CKR_OK, (w, NULL), BAD)                     \
    ROW(C_GetOperationState, SESSION, (w, bytes, &size), NOT_OURS, (w, NULL, NULL), NOT_OURS)      \
    ROW(C_SetOperationState, SESSION, (w, bytes, 8, 0, 0), NOT_OURS,                               \
        (w, NULL, 8, 0, 0), NOT_OURS)                                                              \
    ROW(C_Login, SESSION, (w, CKU_USER, text, 10), CKR_OK, (w, CKU_USER, NULL, 10), BAD)           \
    ROW(C_Logout, SESSION, (w), CKR_USER_NOT_LOGGED_IN, (w), CKR_USER_NOT_LOGGED_IN)               \
    ROW(C_CreateObject, SESSION, (w, &wanted, 1, &object), PROTECTED, (w, NULL, 1, NULL), BAD)     \
    ROW(C_CopyObject, SESSION, (w, k, NULL, 0, &object), CKR_ACTION_PROHIBITED,                    \
        (w, k, NULL, 1, NULL), BAD)                                                                \
    ROW(C_DestroyObject, SESSION, (w, k), CKR_ACTION_PROHIBITED,                                   \
        (w, 0), CKR_OBJECT_HANDLE_INVALID)                                                         \
    ROW(C_GetObjectSize, SESSION, (w, k, &size), CKR_OK, (w, k, NULL), BAD)                        \
    ROW(C_GetAttributeValue, SESSION, (w, k, &wanted, 1), CKR_OK, (w, k, NULL, 1), BAD)            \
    ROW(C_SetAttributeValue, SESSION, (w, k, &wanted, 1), CKR_ACTION_PROHIBITED,                   \
        (w, k, NULL, 1), BAD)                                                                      \
    ROW(C_FindObjectsInit, SESSION, (w, NULL, 0), CKR_OK, (w, NULL, 1), BAD)                       \
    ROW(C_FindObjects, SESSION, (w, &object, 1, &number), NOT_BEGUN, (w, NULL, 1, NULL), BAD)      \
    ROW(C_FindObjectsFinal, SESSION, (w), NOT_BEGUN, (w), NOT_BEGUN)                               \
    ROW(C_EncryptInit, SESSION, (w, &signs, k), NOT_OURS, (w, NULL, k), NOT_OURS)                  \
    ROW(C_Encrypt, SESSION, (w, bytes, 8, bytes, &size), NOT_OURS,                                 \
        (w, NULL, 8, NULL, NULL), NOT_OURS)                                                        \
    ROW(C_EncryptUpdate, SESSION, (w, bytes, 8, bytes, &size), NOT_OURS,                           \
        (w, NULL, 8, NULL, NULL), NOT_OURS)                                                        \
    ROW(C_EncryptFinal, SESSION, (w, bytes, &size), NOT_OURS, (w, NULL, NULL), NOT_OURS)           \
    ROW(C_DecryptInit, SESSION, (w, &signs, k), NOT_OURS, (w, NULL, k), NOT_OURS)                  \
    ROW(C_Decrypt, SESSION, (w, bytes, 8, bytes, &size), NOT_OURS,                                 \
        (w, NULL, 8, NULL, NULL), NOT_OURS)                                                        \
    ROW(C_DecryptUpdate, SESSION, (w, bytes, 8, bytes, &size), NOT_OURS,                           \
        (w, NULL, 8, NULL, NULL), NOT_OURS)                                                        \
    ROW(C_DecryptFinal, SESSION, (w, bytes, &size), NOT_OURS, (w, NULL, NULL), NOT_OURS)           \
    ROW(C_DigestInit, SESSION, (w, &digests), CKR_OK, (w, NULL), BAD)                              \
    ROW(C_Digest, SESSION, (w, bytes, 8, bytes, &size), NOT_BEGUN,                                 \
        (w, NULL, 8, NULL, NULL), NOT_BEGUN)                                                       \
    ROW(C_DigestUpdate, SESSION, (w, bytes, 8), NOT_BEGUN, (w, NULL, 8), NOT_BEGUN)                \
    ROW(C_DigestKey, SESSION, (w, k), NOT_BEGUN, (w, 0), NOT_BEGUN)                                \
    ROW(C_DigestFinal, SESSION, (w, bytes, &size), NOT_BEGUN, (w, NULL, NULL), NOT_BEGUN)          \
    ROW(C_SignInit, SESSION, (w, &signs, k), CKR_OK, (w, NULL, k), BAD)                            \
    ROW(C_Sign, SESSION, (w, bytes, 8, bytes, &size), NOT_BEGUN,                                   \
        (w, NULL, 8, NULL, NULL), NOT_BEGUN)                                                       \
    ROW(C_SignUpdate, SESSION, (w, bytes, 8), NOT_BEGUN, (w, NULL, 8), NOT_BEGUN)                  \
    ROW(C_SignFinal, SESSION, (w, bytes, &size), NOT_BEGUN, (w, NULL, NULL), NOT_BEGUN)            \
    ROW(C_SignRecoverInit, SESSION, (w, &signs, k), NOT_OURS, (w, NULL, k), NOT_OURS)              \
    ROW(C_SignRecover, SESSION, (w, bytes, 8, bytes, &size), NOT_OURS,                             \
        (w, NULL, 8, NULL, NULL), NOT_OURS)                                                        \
    ROW(C_VerifyInit, SESSION, (w, &signs, k), CKR_KEY_TYPE_INCONSISTENT, (w, NULL, k), BAD)       \
    ROW(C_Verify, SESSION, (w, bytes, 8, bytes, 256), NOT_BEGUN,                                   \
        (w, NULL, 8, NULL, 256), NOT_BEGUN)                                                        \
    ROW(C_VerifyUpdate, SESSION, (w, bytes, 8), NOT_BEGUN, (w, NULL, 8), NOT_BEGUN)                \
    ROW(C_VerifyFinal, SESSION, (w, bytes, 256), NOT_BEGUN, (w, NULL, 256), NOT_BEGUN)             \
    ROW(C_VerifyRecoverInit, SESSION, (w, &signs, k), NOT_OURS, (w, NULL, k), NOT_OURS)            \
    ROW(C_VerifyRecover, SESSION, (w, bytes, 256, bytes, &size), NOT_OURS,                         \
        (w, NULL, 256, NULL, NULL), NOT_OURS)                                                      \
    ROW(C_DigestEncryptUpdate, SESSION, (w, bytes, 8, bytes, &size), NOT_OURS,                     \
        (w, NULL, 8, NULL, NULL), NOT_OURS)                                                        \
    ROW(C_DecryptDigestUpdate, SESSION, (w, bytes, 8, bytes, &size), NOT_OURS,                     \
        (w, NULL, 8, NULL, NULL), NOT_OURS)                                                        \
    ROW(C_SignEncryptUpdate, SESSION, (w, bytes, 8, bytes, &size), NOT_OURS,                       \
        (w, NULL, 8, NULL, NULL), NOT_OURS)                                                        \
    ROW(C_DecryptVerifyUpdate, SESSION, (w, bytes, 8, bytes, &size), NOT_OURS,                     \
        (w, NULL, 8, NULL, NULL), NOT_OURS)                                                        \
    ROW(C_GenerateKey, SESSION, (w, &makes, &wanted, 1, &object), NOT_OURS,                        \
        (w, NULL, NULL, 1, NULL), NOT_OURS)                                                        \
    ROW(C_GenerateKeyPair, SESSION,                                                                \
        (w, &makes, &wanted, 1, &wanted, 1, &object, &object), NOT_OURS,                           \
        (w, NULL, NULL, 1, NULL, 1, NULL, NULL), NOT_OURS)                                         \
    ROW(C_WrapKey, SESSION, (w, &signs, k, k, bytes, &size), NOT_OURS,                             \
        (w, NULL, k, k, NULL, NULL), NOT_OURS)                                                     \
    ROW(C_UnwrapKey, SESSION, (w, &signs, k, bytes, 8, &wanted, 1, &object), NOT_OURS,             \
        (w, NULL, k, NULL, 8, NULL, 1, NULL), NOT_OURS)                                            \
    ROW(C_DeriveKey, SESSION, (w, &signs, k, &wanted, 1, &object), NOT_OURS,                       \
        (w, NULL, k, NULL, 1, NULL), NOT_OURS)                                                     \
    ROW(C_SeedRandom, SESSION, (w, bytes, 8), CKR_RANDOM_NO_RNG, (w, NULL, 8), CKR_RANDOM_NO_RNG)  \
    ROW(C_GenerateRandom, SESSION, (w, bytes, 8), CKR_RANDOM_NO_RNG,                               \
        (w, NULL, 8), CKR_RANDOM_NO_RNG)                                                           \
    ROW(C_GetFunctionStatus, SESSION, (w), CKR_FUNCTION_NOT_PARALLEL,                              \
        (w), CKR_FUNCTION_NOT_PARALLEL)                                                            \
    ROW(C_CancelFunction, SESSION, (w), CKR_FUNCTION_NOT_PARALLEL,                                 \
        (w), CKR_FUNCTION_NOT_PARALLEL)                                                            \
    ROW(C_WaitForSlotEvent, LIBRARY, (CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT,                  \
        (CKF_DONT_BLOCK, NULL, NULL), BAD)                                                         \
    ROW(C_GetInterfaceList, ALWAYS, (interfaces, &number), CKR_OK, (NULL, NULL), BAD)              \
    ROW(C_GetInterface, ALWAYS, (NULL, NULL, &interface, 0), CKR_OK, (NULL, NULL, NULL, 0), BAD)   \
    ROW(C_LoginUser, SESSION, (w, CKU_USER, text, 10, NULL, 0), CKR_OK,                            \
        (w, CKU_USER, NULL, 10, NULL, 0), BAD)                                                     \
    ROW(C_SessionCancel, SESSION, (w, 0), CKR_OK, (w, 0), CKR_OK)                                  \
    ROW(C_MessageEncryptInit, SESSION, (w, &signs, k), NOT_OURS, (w, NULL, k), NOT_OURS)           \
    ROW(C_EncryptMessage, SESSION,                                                                 \
        (w, &parameter, sizeof(parameter), bytes, 8, bytes, 8, bytes, &size), NOT_OURS,            \
        (w, NULL, 8, NULL, 8, NULL, 8, NULL, NULL), NOT_OURS)                                      \
    ROW(C_EncryptMessageBegin, SESSION, (w, &parameter, sizeof(parameter), bytes, 8), NOT_OURS,    \
        (w, NULL, 8, NULL, 8), NOT_OURS)                                                           \
    ROW(C_EncryptMessageNext, SESSION,                                                             \
        (w, &parameter, sizeof(parameter), bytes, 8, bytes, &size, 0), NOT_OURS,                   \
        (w, NULL, 8, NULL, 8, NULL, NULL, 0), NOT_OURS)                                            \
    ROW(C_MessageEncryptFinal, SESSION, (w), NOT_OURS, (w), NOT_OURS)                              \
    ROW(C_MessageDecryptInit, SESSION, (w, &signs, k), NOT_OURS, (w, NULL, k), NOT_OURS)           \
    ROW(C_DecryptMessage, SESSION,                                                                 \
        (w, &parameter, sizeof(parameter), bytes, 8, bytes, 8, bytes, &size), NOT_OURS,            \
        (w, NULL, 8, NULL, 8, NULL, 8, NULL, NULL), NOT_OURS)                                      \
    ROW(C_DecryptMessageBegin, SESSION, (w, &parameter, sizeof(parameter), bytes, 8), NOT_OURS,    \
        (w, NULL, 8, NULL, 8), NOT_OURS)                                                           \
    ROW(C_DecryptMessageNext, SESSION,                                                             \
        (w, &parameter, sizeof(parameter), bytes, 8, bytes, &size, 0), NOT_OURS,                   \
        (w, NULL, 8, NULL, 8, NULL, NULL, 0), NOT_OURS)                                            \
    ROW(C_MessageDecryptFinal, SESSION, (w), NOT_OURS, (w), NOT_OURS)                              \
    ROW(C_MessageSignInit, SESSION, (w, &signs, k), NOT_OURS, (w, NULL, k), NOT_OURS)              \
    ROW(C_SignMessage, SESSION,                                                                    \
        (w, &parameter, sizeof(parameter), bytes, 8, bytes, &size), NOT_OURS,                      \
        (w, NULL, 8, NULL, 8, NULL, NULL), NOT_OURS)                                               \
    ROW(C_SignMessageBegin, SESSION, (w, &parameter, sizeof(parameter)), NOT_OURS,                 \
        (w, NULL, 8), NOT_OURS)                                                                    \
    ROW(C_SignMessageNext, SESSION,                                                                \
        (w, &parameter, sizeof(parameter), bytes, 8, bytes, &size), NOT_OURS,                      \
        (w, NULL, 8, NULL, 8, NULL, NULL), NOT_OURS)                                               \
    ROW(C_MessageSignFinal, SESSION, (w), NOT_OURS, (w), NOT_OURS)                                 \
    ROW(C_MessageVerifyInit, SESSION, (w, &signs, k), NOT_OURS, (w, NULL, k), NOT_OURS)            \
    ROW(C_VerifyMessage, SESSION,                                                                  \
        (w, &parameter, sizeof(parameter), bytes, 8, bytes, 256), NOT_OURS,                        \
        (w, NULL, 8, NULL, 8, NULL, 256), NOT_OURS)                                                \
    ROW(C_VerifyMessageBegin, SESSION, (w, &parameter, sizeof(parameter)), NOT_OURS,               \
        (w, NULL, 8), NOT_OURS)                                                                    \
    ROW(C_VerifyMessageNext, SESSION,                                                              \
        (w, &parameter, sizeof(parameter), bytes, 8, bytes, 256), NOT_OURS,                        \
        (w, NULL, 8, NULL, 8, NULL, 256), NOT_OURS)                                                \
    ROW(C_MessageVerifyFinal, SESSION, (w), NOT_OURS, (w), NOT_OURS)
/* clang-format on */

static void reset(void)
{
    size = sizeof(bytes);
    number = sizeof(interfaces) / sizeof(interfaces[0]);
    object = CK_INVALID_HANDLE;
    wanted = (CK_ATTRIBUTE){ CKA_TOKEN, &yes, sizeof(yes) };
    yes = CK_TRUE;
}

#define DEFINE(function, takes, well, well_rv, nulls, nulls_rv)        \
    static CK_RV function##_well(CK_ULONG w, CK_OBJECT_HANDLE k)       \
    {                                                                  \
        (void)w;                                                       \
        (void)k;                                                       \
        reset();                                                       \
        return p11->function well;                                     \
    }                                                                  \
    static CK_RV function##_with_nulls(CK_ULONG w, CK_OBJECT_HANDLE k) \
    {                                                                  \
        (void)w;                                                       \
        (void)k;                                                       \
        reset();                                                       \
        return p11->function nulls;                                    \
    }
CALLS(DEFINE)

#define ROW(function, takes, well, well_rv, nulls, nulls_rv) \
    { #function, CALLS_##takes, function##_well, well_rv, function##_with_nulls, nulls_rv },
const struct calls_row calls_rows[] = { CALLS(ROW) };
const size_t calls_count = sizeof(calls_rows) / sizeof(calls_rows[0]);
