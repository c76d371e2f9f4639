/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS #11 3.0: p11-kit's header, and what it lacks where it ends at 2.40 (before p11-kit 0.25).
 *
 * Names and values are those of the OASIS standard "PKCS #11 Cryptographic Token Interface Base
 * Specification Version 3.0", laid out as it lists them.
 */
#ifndef GATEKEY_PKCS11_CRYPTOKI_H
#define GATEKEY_PKCS11_CRYPTOKI_H

#include <p11-kit/pkcs11.h>

#ifndef CKF_INTERFACE_FORK_SAFE

typedef struct CK_INTERFACE {
    char *pInterfaceName;
    void *pFunctionList;
    CK_FLAGS flags;
} CK_INTERFACE;

#define CKF_INTERFACE_FORK_SAFE 0x00000001UL
#define CKF_MESSAGE_ENCRYPT 0x00000002UL
#define CKF_MESSAGE_DECRYPT 0x00000004UL
#define CKF_MESSAGE_SIGN 0x00000008UL
#define CKF_MESSAGE_VERIFY 0x00000010UL
#define CKO_PROFILE 0x00000009UL
#define CKP_BASELINE_PROVIDER 0x00000001UL
#define CKP_AUTHENTICATION_TOKEN 0x00000003UL
#define CKP_PUBLIC_CERTIFICATES_TOKEN 0x00000004UL
#define CKA_PROFILE_ID 0x00000601UL
#define CKR_OPERATION_CANCEL_FAILED 0x00000202UL

/* Each one's type, CK_C_name, and its prototype. */
#define GK_CRYPTOKI_DECLARE(name, parameters) \
    typedef CK_RV(*CK_##name) parameters;     \
    CK_RV name parameters

GK_CRYPTOKI_DECLARE(C_GetInterfaceList, (CK_INTERFACE * list, CK_ULONG *count));
GK_CRYPTOKI_DECLARE(C_GetInterface, (CK_UTF8CHAR * name, CK_VERSION *version,
                                     CK_INTERFACE **interface, CK_FLAGS flags));
GK_CRYPTOKI_DECLARE(C_LoginUser,
                    (CK_SESSION_HANDLE session, CK_USER_TYPE type, CK_UTF8CHAR *pin,
                     CK_ULONG pin_size, CK_UTF8CHAR *username, CK_ULONG username_size));
GK_CRYPTOKI_DECLARE(C_SessionCancel, (CK_SESSION_HANDLE session, CK_FLAGS flags));
GK_CRYPTOKI_DECLARE(C_MessageEncryptInit,
                    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key));
GK_CRYPTOKI_DECLARE(C_EncryptMessage,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *associated, CK_ULONG associated_size, CK_BYTE *plain,
                     CK_ULONG plain_size, CK_BYTE *cipher, CK_ULONG *cipher_size));
GK_CRYPTOKI_DECLARE(C_EncryptMessageBegin,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *associated, CK_ULONG associated_size));
GK_CRYPTOKI_DECLARE(C_EncryptMessageNext,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *plain, CK_ULONG plain_size, CK_BYTE *cipher, CK_ULONG *cipher_size,
                     CK_FLAGS flags));
GK_CRYPTOKI_DECLARE(C_MessageEncryptFinal, (CK_SESSION_HANDLE session));
GK_CRYPTOKI_DECLARE(C_MessageDecryptInit,
                    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key));
GK_CRYPTOKI_DECLARE(C_DecryptMessage,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *associated, CK_ULONG associated_size, CK_BYTE *cipher,
                     CK_ULONG cipher_size, CK_BYTE *plain, CK_ULONG *plain_size));
GK_CRYPTOKI_DECLARE(C_DecryptMessageBegin,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *associated, CK_ULONG associated_size));
GK_CRYPTOKI_DECLARE(C_DecryptMessageNext,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *cipher, CK_ULONG cipher_size, CK_BYTE *plain, CK_ULONG *plain_size,
                     CK_FLAGS flags));
GK_CRYPTOKI_DECLARE(C_MessageDecryptFinal, (CK_SESSION_HANDLE session));
GK_CRYPTOKI_DECLARE(C_MessageSignInit,
                    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key));
GK_CRYPTOKI_DECLARE(C_SignMessage,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *data, CK_ULONG size, CK_BYTE *signature, CK_ULONG *signature_size));
GK_CRYPTOKI_DECLARE(C_SignMessageBegin,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size));
GK_CRYPTOKI_DECLARE(C_SignMessageNext,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *data, CK_ULONG size, CK_BYTE *signature, CK_ULONG *signature_size));
GK_CRYPTOKI_DECLARE(C_MessageSignFinal, (CK_SESSION_HANDLE session));
GK_CRYPTOKI_DECLARE(C_MessageVerifyInit,
                    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key));
GK_CRYPTOKI_DECLARE(C_VerifyMessage,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *data, CK_ULONG size, CK_BYTE *signature, CK_ULONG signature_size));
GK_CRYPTOKI_DECLARE(C_VerifyMessageBegin,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size));
GK_CRYPTOKI_DECLARE(C_VerifyMessageNext,
                    (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_size,
                     CK_BYTE *data, CK_ULONG size, CK_BYTE *signature, CK_ULONG signature_size));
GK_CRYPTOKI_DECLARE(C_MessageVerifyFinal, (CK_SESSION_HANDLE session));

/* Every member of the 2.40 list, then the new ones. */
typedef struct CK_FUNCTION_LIST_3_0 {
    CK_VERSION version;
    CK_C_Initialize C_Initialize;
    CK_C_Finalize C_Finalize;
    CK_C_GetInfo C_GetInfo;
    CK_C_GetFunctionList C_GetFunctionList;
    CK_C_GetSlotList C_GetSlotList;
    CK_C_GetSlotInfo C_GetSlotInfo;
    CK_C_GetTokenInfo C_GetTokenInfo;
    CK_C_GetMechanismList C_GetMechanismList;
    CK_C_GetMechanismInfo C_GetMechanismInfo;
    CK_C_InitToken C_InitToken;
    CK_C_InitPIN C_InitPIN;
    CK_C_SetPIN C_SetPIN;
    CK_C_OpenSession C_OpenSession;
    CK_C_CloseSession C_CloseSession;
    CK_C_CloseAllSessions C_CloseAllSessions;
    CK_C_GetSessionInfo C_GetSessionInfo;
    CK_C_GetOperationState C_GetOperationState;
    CK_C_SetOperationState C_SetOperationState;
    CK_C_Login C_Login;
    CK_C_Logout C_Logout;
    CK_C_CreateObject C_CreateObject;
    CK_C_CopyObject C_CopyObject;
    CK_C_DestroyObject C_DestroyObject;
    CK_C_GetObjectSize C_GetObjectSize;
    CK_C_GetAttributeValue C_GetAttributeValue;
    CK_C_SetAttributeValue C_SetAttributeValue;
    CK_C_FindObjectsInit C_FindObjectsInit;
    CK_C_FindObjects C_FindObjects;
    CK_C_FindObjectsFinal C_FindObjectsFinal;
    CK_C_EncryptInit C_EncryptInit;
    CK_C_Encrypt C_Encrypt;
    CK_C_EncryptUpdate C_EncryptUpdate;
    CK_C_EncryptFinal C_EncryptFinal;
    CK_C_DecryptInit C_DecryptInit;
    CK_C_Decrypt C_Decrypt;
    CK_C_DecryptUpdate C_DecryptUpdate;
    CK_C_DecryptFinal C_DecryptFinal;
    CK_C_DigestInit C_DigestInit;
    CK_C_Digest C_Digest;
    CK_C_DigestUpdate C_DigestUpdate;
    CK_C_DigestKey C_DigestKey;
    CK_C_DigestFinal C_DigestFinal;
    CK_C_SignInit C_SignInit;
    CK_C_Sign C_Sign;
    CK_C_SignUpdate C_SignUpdate;
    CK_C_SignFinal C_SignFinal;
    CK_C_SignRecoverInit C_SignRecoverInit;
    CK_C_SignRecover C_SignRecover;
    CK_C_VerifyInit C_VerifyInit;
    CK_C_Verify C_Verify;
    CK_C_VerifyUpdate C_VerifyUpdate;
    CK_C_VerifyFinal C_VerifyFinal;
    CK_C_VerifyRecoverInit C_VerifyRecoverInit;
    CK_C_VerifyRecover C_VerifyRecover;
    CK_C_DigestEncryptUpdate C_DigestEncryptUpdate;
    CK_C_DecryptDigestUpdate C_DecryptDigestUpdate;
    CK_C_SignEncryptUpdate C_SignEncryptUpdate;
    CK_C_DecryptVerifyUpdate C_DecryptVerifyUpdate;
    CK_C_GenerateKey C_GenerateKey;
    CK_C_GenerateKeyPair C_GenerateKeyPair;
    CK_C_WrapKey C_WrapKey;
    CK_C_UnwrapKey C_UnwrapKey;
    CK_C_DeriveKey C_DeriveKey;
    CK_C_SeedRandom C_SeedRandom;
    CK_C_GenerateRandom C_GenerateRandom;
    CK_C_GetFunctionStatus C_GetFunctionStatus;
    CK_C_CancelFunction C_CancelFunction;
    CK_C_WaitForSlotEvent C_WaitForSlotEvent;
    CK_C_GetInterfaceList C_GetInterfaceList;
    CK_C_GetInterface C_GetInterface;
    CK_C_LoginUser C_LoginUser;
    CK_C_SessionCancel C_SessionCancel;
    CK_C_MessageEncryptInit C_MessageEncryptInit;
    CK_C_EncryptMessage C_EncryptMessage;
    CK_C_EncryptMessageBegin C_EncryptMessageBegin;
    CK_C_EncryptMessageNext C_EncryptMessageNext;
    CK_C_MessageEncryptFinal C_MessageEncryptFinal;
    CK_C_MessageDecryptInit C_MessageDecryptInit;
    CK_C_DecryptMessage C_DecryptMessage;
    CK_C_DecryptMessageBegin C_DecryptMessageBegin;
    CK_C_DecryptMessageNext C_DecryptMessageNext;
    CK_C_MessageDecryptFinal C_MessageDecryptFinal;
    CK_C_MessageSignInit C_MessageSignInit;
    CK_C_SignMessage C_SignMessage;
    CK_C_SignMessageBegin C_SignMessageBegin;
    CK_C_SignMessageNext C_SignMessageNext;
    CK_C_MessageSignFinal C_MessageSignFinal;
    CK_C_MessageVerifyInit C_MessageVerifyInit;
    CK_C_VerifyMessage C_VerifyMessage;
    CK_C_VerifyMessageBegin C_VerifyMessageBegin;
    CK_C_VerifyMessageNext C_VerifyMessageNext;
    CK_C_MessageVerifyFinal C_MessageVerifyFinal;
} CK_FUNCTION_LIST_3_0;

#endif

/* In no version of p11-kit's header. */
#ifndef CKA_UNIQUE_ID
#define CKA_UNIQUE_ID 0x00000004UL
#endif
#ifndef CKF_FIND_OBJECTS
#define CKF_FIND_OBJECTS 0x00000040UL
#endif
#ifndef CKR_CURVE_NOT_SUPPORTED
#define CKR_CURVE_NOT_SUPPORTED 0x00000140UL
#endif

#endif
