/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the C tests of the PKCS#11 module share: the module loaded as an application loads it, an
 * identity folder with keys of the test's own TPM, and OpenSSL to check what comes out of it.
 *
 * Whatever cannot be done fails the test. Names of files are names in the identity folder.
 */
#ifndef GATEKEY_TESTS_PKCS11_FIXTURE_H
#define GATEKEY_TESTS_PKCS11_FIXTURE_H

#include "cleanup.h"
#include "pkcs11/cryptoki.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#define FIXTURE_HANDLE 0x81000100
#define FIXTURE_PIN_HANDLE 0x81000101
#define FIXTURE_PIN "a password"
#define FIXTURE_SIGNATURE_SIZE 256
#define FIXTURE_OBJECTS_MAX 64

/* --- the module ---------------------------------------------------------------------------------
 */

/* Its function list of version 3.0, which has all of 2.40; NULL before fixture_load(). */
extern CK_FUNCTION_LIST_3_0 *p11;

/* Load it with the identity folder "gatekey" below GATEKEY_TEST_DIR; it is not initialised. */
void fixture_load(void);

/* A function it exports. */
void *fixture_symbol(const char *name);

/* Two keys, plain.pem and pin.pem, with a certificate and its issuer's in plain-cert.pem and
 * pin-cert.pem. */
void fixture_make_identity(void);
/* For cmocka: both of the above. */
int fixture_set_up(void **state);

/* For cmocka: C_Initialize and C_Finalize around a test; device.pem and cert.pem are the plain
 * ones. */
int fixture_begin(void **state);
int fixture_end(void **state);
/* The same with the key that has a PIN. */
int fixture_begin_with_pin(void **state);

/* Fail unless a call returned that code. */
#define assert_rv(call, code) fixture_assert_rv((call), (code), #call, __FILE__, __LINE__)
void fixture_assert_rv(CK_RV is, CK_RV wanted, const char *call, const char *file, int line);

/* --- the identity folder ------------------------------------------------------------------------
 */

const char *fixture_path(const char *name); /* in a buffer that its thread's next call overwrites */
/* Replaced in one step, as gatekey does it. */
void fixture_write(const char *name, const void *data, size_t size);
char *fixture_read(const char *name, size_t *size); /* the caller's to free(3) */
void fixture_copy(const char *from, const char *to);
void fixture_remove(const char *name); /* it need not be there */

/* Make a key in the TPM and write its reference. */
void fixture_make_key(unsigned handle, const char *password, const char *name);

/* The public key of a reference, in OpenSSL. */
EVP_PKEY *fixture_public(const char *reference);

/* Issue a certificate for the key of a reference and write it and its issuer's. */
void fixture_certify(const char *reference, const char *subject, const char *name);

/* The nth certificate of a file, or NULL. */
X509 *fixture_certificate(const char *name, int nth);

/* --- calls --------------------------------------------------------------------------------------
 */

CK_SESSION_HANDLE fixture_open(void); /* read-only */

/* The objects that match; their number. */
CK_ULONG fixture_find(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count,
                      CK_OBJECT_HANDLE found[static FIXTURE_OBJECTS_MAX]);

/* The first object of a class, or CK_INVALID_HANDLE. */
CK_OBJECT_HANDLE fixture_find_class(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class);

/* The length of an attribute, copied to value; CK_UNAVAILABLE_INFORMATION where there is none. */
CK_ULONG fixture_attribute(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                           CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG room);

/* A mechanism with its parameter, where it needs one, of that hash. */
struct fixture_mechanism {
    CK_MECHANISM mechanism;
    CK_RSA_PKCS_PSS_PARAMS pss;
};
/* hash is CKM_SHA256, CKM_SHA384 or CKM_SHA512, only looked at for CKM_RSA_PKCS_PSS. */
CK_MECHANISM *fixture_mechanism(struct fixture_mechanism *space, CK_MECHANISM_TYPE type,
                                CK_MECHANISM_TYPE hash);

/* What is signed for a message with that mechanism: itself, a digest, a DigestInfo. */
size_t fixture_input(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash, const void *message,
                     size_t size, uint8_t input[static 128]);

/* C_SignInit and C_Sign of a few bytes with CKM_SHA256_RSA_PKCS, and OpenSSL's check of it. Safe in
 * any thread. key 0: found first. */
CK_RV fixture_sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const void *message,
                   CK_ULONG size, uint8_t signature[static FIXTURE_SIGNATURE_SIZE]);
bool fixture_verifies(EVP_PKEY *public, CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash,
                      const void *message, size_t size,
                      const uint8_t signature[static FIXTURE_SIGNATURE_SIZE]);

#endif
