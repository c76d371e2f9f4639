/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function that the token has no answer to. The session is looked at first: the standard has
 * CKR_SESSION_HANDLE_INVALID go before whatever else is wrong.
 */
#include "pkcs11/internal.h"

/* None of them looks at what it is given. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

static CK_RV refuse(CK_SESSION_HANDLE handle, CK_RV why)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    return rv != CKR_OK ? rv : why;
}

/* --- Saving the state of an operation: a signature is one command, there is nothing to save. ---
 */

CK_RV C_GetOperationState(CK_SESSION_HANDLE handle, CK_BYTE *state, CK_ULONG *size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_SetOperationState(CK_SESSION_HANDLE handle, CK_BYTE *state, CK_ULONG size,
                          CK_OBJECT_HANDLE encryption_key, CK_OBJECT_HANDLE authentication_key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

/* --- The device key signs and does nothing else. --- */

CK_RV C_EncryptInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_Encrypt(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_EncryptUpdate(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                      CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_EncryptFinal(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DecryptInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_Decrypt(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DecryptUpdate(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                      CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DecryptFinal(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_SignRecoverInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_SignRecover(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                    CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_VerifyRecoverInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_VerifyRecover(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                      CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DigestEncryptUpdate(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                            CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DecryptDigestUpdate(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                            CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_SignEncryptUpdate(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                          CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DecryptVerifyUpdate(CK_SESSION_HANDLE handle, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                            CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

/* --- Keys are made by gatekey(1), in the TPM, and never leave it. --- */

CK_RV C_GenerateKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template,
                    CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_GenerateKeyPair(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism,
                        CK_ATTRIBUTE *public_template, CK_ULONG public_count,
                        CK_ATTRIBUTE *private_template, CK_ULONG private_count,
                        CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_WrapKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping_key,
                CK_OBJECT_HANDLE key, CK_BYTE *wrapped, CK_ULONG *size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_UnwrapKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism,
                  CK_OBJECT_HANDLE unwrapping_key, CK_BYTE *wrapped, CK_ULONG size,
                  CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DeriveKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base_key,
                  CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

/* --- A TPM has random numbers, but a library that offers them is asked for some by every program
 * that loads it (NSS), whether or not it wants the key. --- */

CK_RV C_SeedRandom(CK_SESSION_HANDLE handle, CK_BYTE *seed, CK_ULONG size)
{
    return refuse(handle, CKR_RANDOM_NO_RNG);
}

CK_RV C_GenerateRandom(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG size)
{
    return refuse(handle, CKR_RANDOM_NO_RNG);
}

/* --- Of the past: the standard has them answer so. --- */

CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE handle)
{
    return refuse(handle, CKR_FUNCTION_NOT_PARALLEL);
}

CK_RV C_CancelFunction(CK_SESSION_HANDLE handle)
{
    return refuse(handle, CKR_FUNCTION_NOT_PARALLEL);
}

/* --- Messages (3.0): many signatures after one beginning. Each would be a TPM command as well. ---
 */

CK_RV C_MessageEncryptInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_EncryptMessage(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                       CK_BYTE *associated, CK_ULONG associated_size, CK_BYTE *in, CK_ULONG in_size,
                       CK_BYTE *out, CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_EncryptMessageBegin(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                            CK_BYTE *associated, CK_ULONG associated_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_EncryptMessageNext(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                           CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out, CK_ULONG *out_size,
                           CK_FLAGS flags)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_MessageEncryptFinal(CK_SESSION_HANDLE handle)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_MessageDecryptInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DecryptMessage(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                       CK_BYTE *associated, CK_ULONG associated_size, CK_BYTE *in, CK_ULONG in_size,
                       CK_BYTE *out, CK_ULONG *out_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DecryptMessageBegin(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                            CK_BYTE *associated, CK_ULONG associated_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_DecryptMessageNext(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                           CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out, CK_ULONG *out_size,
                           CK_FLAGS flags)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_MessageDecryptFinal(CK_SESSION_HANDLE handle)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_MessageSignInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_SignMessage(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                    CK_BYTE *data, CK_ULONG size, CK_BYTE *signature, CK_ULONG *signature_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_SignMessageBegin(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_SignMessageNext(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                        CK_BYTE *data, CK_ULONG size, CK_BYTE *signature, CK_ULONG *signature_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_MessageSignFinal(CK_SESSION_HANDLE handle)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_MessageVerifyInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_VerifyMessage(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                      CK_BYTE *data, CK_ULONG size, CK_BYTE *signature, CK_ULONG signature_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_VerifyMessageBegin(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_VerifyMessageNext(CK_SESSION_HANDLE handle, void *parameter, CK_ULONG parameter_size,
                          CK_BYTE *data, CK_ULONG size, CK_BYTE *signature, CK_ULONG signature_size)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV C_MessageVerifyFinal(CK_SESSION_HANDLE handle)
{
    return refuse(handle, CKR_FUNCTION_NOT_SUPPORTED);
}
