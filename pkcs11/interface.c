/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The function lists, 2.40 and 3.0, and the three entry points that hand them out: all that the
 * module exports.
 */
#include "pkcs11/internal.h"

/* In the order of the standard, "CK_FUNCTION_LIST". */
#define FUNCTIONS_2_40(ROW)    \
    ROW(C_Initialize)          \
    ROW(C_Finalize)            \
    ROW(C_GetInfo)             \
    ROW(C_GetFunctionList)     \
    ROW(C_GetSlotList)         \
    ROW(C_GetSlotInfo)         \
    ROW(C_GetTokenInfo)        \
    ROW(C_GetMechanismList)    \
    ROW(C_GetMechanismInfo)    \
    ROW(C_InitToken)           \
    ROW(C_InitPIN)             \
    ROW(C_SetPIN)              \
    ROW(C_OpenSession)         \
    ROW(C_CloseSession)        \
    ROW(C_CloseAllSessions)    \
    ROW(C_GetSessionInfo)      \
    ROW(C_GetOperationState)   \
    ROW(C_SetOperationState)   \
    ROW(C_Login)               \
    ROW(C_Logout)              \
    ROW(C_CreateObject)        \
    ROW(C_CopyObject)          \
    ROW(C_DestroyObject)       \
    ROW(C_GetObjectSize)       \
    ROW(C_GetAttributeValue)   \
    ROW(C_SetAttributeValue)   \
    ROW(C_FindObjectsInit)     \
    ROW(C_FindObjects)         \
    ROW(C_FindObjectsFinal)    \
    ROW(C_EncryptInit)         \
    ROW(C_Encrypt)             \
    ROW(C_EncryptUpdate)       \
    ROW(C_EncryptFinal)        \
    ROW(C_DecryptInit)         \
    ROW(C_Decrypt)             \
    ROW(C_DecryptUpdate)       \
    ROW(C_DecryptFinal)        \
    ROW(C_DigestInit)          \
    ROW(C_Digest)              \
    ROW(C_DigestUpdate)        \
    ROW(C_DigestKey)           \
    ROW(C_DigestFinal)         \
    ROW(C_SignInit)            \
    ROW(C_Sign)                \
    ROW(C_SignUpdate)          \
    ROW(C_SignFinal)           \
    ROW(C_SignRecoverInit)     \
    ROW(C_SignRecover)         \
    ROW(C_VerifyInit)          \
    ROW(C_Verify)              \
    ROW(C_VerifyUpdate)        \
    ROW(C_VerifyFinal)         \
    ROW(C_VerifyRecoverInit)   \
    ROW(C_VerifyRecover)       \
    ROW(C_DigestEncryptUpdate) \
    ROW(C_DecryptDigestUpdate) \
    ROW(C_SignEncryptUpdate)   \
    ROW(C_DecryptVerifyUpdate) \
    ROW(C_GenerateKey)         \
    ROW(C_GenerateKeyPair)     \
    ROW(C_WrapKey)             \
    ROW(C_UnwrapKey)           \
    ROW(C_DeriveKey)           \
    ROW(C_SeedRandom)          \
    ROW(C_GenerateRandom)      \
    ROW(C_GetFunctionStatus)   \
    ROW(C_CancelFunction)      \
    ROW(C_WaitForSlotEvent)

/* "CK_FUNCTION_LIST_3_0": what it has beyond them. */
#define FUNCTIONS_3_0(ROW)     \
    ROW(C_GetInterfaceList)    \
    ROW(C_GetInterface)        \
    ROW(C_LoginUser)           \
    ROW(C_SessionCancel)       \
    ROW(C_MessageEncryptInit)  \
    ROW(C_EncryptMessage)      \
    ROW(C_EncryptMessageBegin) \
    ROW(C_EncryptMessageNext)  \
    ROW(C_MessageEncryptFinal) \
    ROW(C_MessageDecryptInit)  \
    ROW(C_DecryptMessage)      \
    ROW(C_DecryptMessageBegin) \
    ROW(C_DecryptMessageNext)  \
    ROW(C_MessageDecryptFinal) \
    ROW(C_MessageSignInit)     \
    ROW(C_SignMessage)         \
    ROW(C_SignMessageBegin)    \
    ROW(C_SignMessageNext)     \
    ROW(C_MessageSignFinal)    \
    ROW(C_MessageVerifyInit)   \
    ROW(C_VerifyMessage)       \
    ROW(C_VerifyMessageBegin)  \
    ROW(C_VerifyMessageNext)   \
    ROW(C_MessageVerifyFinal)

#define MEMBER(name) .name = name,

static CK_FUNCTION_LIST functions = { .version = { 2, 40 }, FUNCTIONS_2_40(MEMBER) };

static CK_FUNCTION_LIST_3_0 functions_3_0 = { .version = { 3, 0 },
                                              FUNCTIONS_2_40(MEMBER) FUNCTIONS_3_0(MEMBER) };

static char standard_name[] = "PKCS 11";

/*
 * The first is for whoever does not say which. CKF_INTERFACE_FORK_SAFE is not among the flags: it
 * promises that a child goes on with its parent's sessions.
 */
static CK_INTERFACE interfaces[] = {
    { standard_name, &functions_3_0, 0 },
    { standard_name, &functions, 0 },
};
#define INTERFACE_COUNT (sizeof(interfaces) / sizeof(interfaces[0]))

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    if (list == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    *list = &functions;
    return CKR_OK;
}

__attribute__((visibility("default"))) CK_RV C_GetInterfaceList(CK_INTERFACE *list, CK_ULONG *count)
{
    CK_ULONG room;

    if (count == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    room = *count;
    *count = INTERFACE_COUNT;
    if (list == NULL) {
        return CKR_OK;
    }
    if (room < INTERFACE_COUNT) {
        return CKR_BUFFER_TOO_SMALL;
    }
    memcpy(list, interfaces, sizeof(interfaces));
    return CKR_OK;
}

/* Both kinds of list begin with their version. */
static bool is_version(const CK_INTERFACE *interface, const CK_VERSION *version)
{
    const CK_VERSION *own = interface->pFunctionList;

    return version == NULL || (own->major == version->major && own->minor == version->minor);
}

/* What is asked for must be met exactly: programs call beyond the end of a list they took for more.
 */
__attribute__((visibility("default"))) CK_RV
C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags)
{
    if (interface == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    for (size_t i = 0; i < INTERFACE_COUNT; i++) {
        if ((name == NULL || strcmp((const char *)name, standard_name) == 0) &&
            is_version(&interfaces[i], version) && (interfaces[i].flags & flags) == flags) {
            *interface = &interfaces[i];
            return CKR_OK;
        }
    }
    return CKR_ARGUMENTS_BAD;
}
