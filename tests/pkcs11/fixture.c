/* SPDX-License-Identifier: Apache-2.0 */
/* What the C tests of the PKCS#11 module share: the module, and calls that most of them make. */
#include "tests/pkcs11/fixture.h"

#include <dlfcn.h>
#include <limits.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

CK_FUNCTION_LIST_3_0 *p11;

static void *module;

void *fixture_symbol(const char *name)
{
    void *symbol = dlsym(module, name);

    if (symbol == NULL) {
        fail_msg("the module does not export %s", name);
    }
    return symbol;
}

void fixture_load(void)
{
    CK_VERSION version = { 3, 0 };
    CK_INTERFACE *interface = NULL;
    CK_C_GetInterface get_interface;
    char path[PATH_MAX];
    void *symbol;

    snprintf(path, sizeof(path), "%s/gatekey", getenv("GATEKEY_TEST_DIR"));
    setenv("GATEKEY_IDENTITY", path, 1);
    snprintf(path, sizeof(path), "%s/.libs/gatekey-pkcs11.so", getenv("abs_top_builddir"));
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        fail_msg("%s", dlerror());
    }
    symbol = fixture_symbol("C_GetInterface");
    memcpy(&get_interface, &symbol, sizeof(symbol));
    assert_rv(get_interface((CK_UTF8CHAR *)"PKCS 11", &version, &interface, 0), CKR_OK);
    p11 = interface->pFunctionList;
}

void fixture_make_identity(void)
{
    fixture_make_key(FIXTURE_HANDLE, "", "plain.pem");
    fixture_make_key(FIXTURE_PIN_HANDLE, FIXTURE_PIN, "pin.pem");
    fixture_certify("plain.pem", "device", "plain-cert.pem");
    fixture_certify("pin.pem", "device", "pin-cert.pem");
}

int fixture_set_up(void **state)
{
    (void)state;
    fixture_make_identity();
    fixture_load();
    return 0;
}

static int begin(const char *key, const char *certificate)
{
    fixture_remove("identity.pem");
    fixture_copy(key, "device.pem");
    fixture_copy(certificate, "cert.pem");
    assert_rv(p11->C_Initialize(NULL), CKR_OK);
    return 0;
}

int fixture_begin(void **state)
{
    (void)state;
    return begin("plain.pem", "plain-cert.pem");
}

int fixture_begin_with_pin(void **state)
{
    (void)state;
    return begin("pin.pem", "pin-cert.pem");
}

/* Whatever state the test left it in; a test that failed must not take the next one with it. */
int fixture_end(void **state)
{
    (void)state;
    p11->C_Finalize(NULL);
    return 0;
}

void fixture_assert_rv(CK_RV is, CK_RV wanted, const char *call, const char *file, int line)
{
    if (is != wanted) {
        print_error("%s: 0x%lx, not 0x%lx\n", call, is, wanted);
        _fail(file, line);
    }
}

CK_SESSION_HANDLE fixture_open(void)
{
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;

    assert_rv(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    assert_int_not_equal(session, CK_INVALID_HANDLE);
    return session;
}

CK_ULONG fixture_find(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count,
                      CK_OBJECT_HANDLE found[static FIXTURE_OBJECTS_MAX])
{
    CK_ULONG number = 0;

    assert_rv(p11->C_FindObjectsInit(session, template, count), CKR_OK);
    assert_rv(p11->C_FindObjects(session, found, FIXTURE_OBJECTS_MAX, &number), CKR_OK);
    assert_rv(p11->C_FindObjectsFinal(session), CKR_OK);
    return number;
}

CK_OBJECT_HANDLE fixture_find_class(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class)
{
    CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof(class) };
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];

    return fixture_find(session, &template, 1, found) > 0 ? found[0] : CK_INVALID_HANDLE;
}

CK_ULONG fixture_attribute(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                           CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG room)
{
    CK_ATTRIBUTE template = { type, value, room };
    CK_RV rv = p11->C_GetAttributeValue(session, object, &template, 1);

    return rv == CKR_OK ? template.ulValueLen : CK_UNAVAILABLE_INFORMATION;
}

CK_MECHANISM *fixture_mechanism(struct fixture_mechanism *space, CK_MECHANISM_TYPE type,
                                CK_MECHANISM_TYPE hash)
{
    CK_RSA_PKCS_PSS_PARAMS *pss = &space->pss;

    space->mechanism = (CK_MECHANISM){ type, NULL, 0 };
    if (type == CKM_SHA256_RSA_PKCS_PSS || type == CKM_SHA384_RSA_PKCS_PSS ||
        type == CKM_SHA512_RSA_PKCS_PSS) {
        hash = type == CKM_SHA256_RSA_PKCS_PSS   ? CKM_SHA256
               : type == CKM_SHA384_RSA_PKCS_PSS ? CKM_SHA384
                                                 : CKM_SHA512;
    } else if (type != CKM_RSA_PKCS_PSS) {
        return &space->mechanism;
    }
    pss->hashAlg = hash;
    pss->mgf = hash == CKM_SHA256   ? CKG_MGF1_SHA256
               : hash == CKM_SHA384 ? CKG_MGF1_SHA384
                                    : CKG_MGF1_SHA512;
    pss->sLen = hash == CKM_SHA256 ? 32 : hash == CKM_SHA384 ? 48 : 64;
    space->mechanism.pParameter = pss;
    space->mechanism.ulParameterLen = sizeof(*pss);
    return &space->mechanism;
}

static const EVP_MD *digest_of(CK_MECHANISM_TYPE hash)
{
    return hash == CKM_SHA_1    ? EVP_sha1()
           : hash == CKM_SHA256 ? EVP_sha256()
           : hash == CKM_SHA384 ? EVP_sha384()
                                : EVP_sha512();
}

/* RFC 8017, 9.2, note 1: what stands before the digest. */
static size_t digest_info(CK_MECHANISM_TYPE hash, uint8_t info[static 19])
{
    static const uint8_t sha1[] = { 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e,
                                    0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14 };
    static const uint8_t sha2[] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                    0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
    uint8_t size = (uint8_t)EVP_MD_get_size(digest_of(hash));

    if (hash == CKM_SHA_1) {
        memcpy(info, sha1, sizeof(sha1));
        return sizeof(sha1);
    }
    memcpy(info, sha2, sizeof(sha2));
    info[1] = (uint8_t)(17 + size);
    info[14] = size == 32 ? 1 : size == 48 ? 2 : 3;
    info[18] = size;
    return sizeof(sha2);
}

/* The hash that a mechanism stands for, or the one that was said. */
static CK_MECHANISM_TYPE hash_of(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash)
{
    switch (type) {
    case CKM_SHA256_RSA_PKCS:
    case CKM_SHA256_RSA_PKCS_PSS:
        return CKM_SHA256;
    case CKM_SHA384_RSA_PKCS:
    case CKM_SHA384_RSA_PKCS_PSS:
        return CKM_SHA384;
    case CKM_SHA512_RSA_PKCS:
    case CKM_SHA512_RSA_PKCS_PSS:
        return CKM_SHA512;
    default:
        return hash;
    }
}

size_t fixture_input(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash, const void *message,
                     size_t size, uint8_t input[static 128])
{
    size_t before = type == CKM_RSA_PKCS ? digest_info(hash, input) : 0;
    unsigned digest_size = 0;

    if (type != CKM_RSA_PKCS && type != CKM_RSA_PKCS_PSS) {
        assert_true(size <= 128);
        memcpy(input, message, size);
        return size;
    }
    assert_int_equal(EVP_Digest(message, size, input + before, &digest_size, digest_of(hash), NULL),
                     1);
    return before + digest_size;
}

CK_RV fixture_sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const void *message,
                   CK_ULONG size, uint8_t signature[static FIXTURE_SIGNATURE_SIZE])
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_ULONG signature_size = FIXTURE_SIGNATURE_SIZE;
    CK_RV rv;

    if (key == CK_INVALID_HANDLE) {
        key = fixture_find_class(session, CKO_PRIVATE_KEY);
    }
    rv = p11->C_SignInit(session, &mechanism, key);
    if (rv == CKR_OK) {
        rv = p11->C_Sign(session, (CK_BYTE *)message, size, signature, &signature_size);
    }
    return rv == CKR_OK && signature_size != FIXTURE_SIGNATURE_SIZE ? CKR_SIGNATURE_LEN_RANGE : rv;
}

bool fixture_verifies(EVP_PKEY *public, CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash,
                      const void *message, size_t size,
                      const uint8_t signature[static FIXTURE_SIGNATURE_SIZE])
{
    bool is_pss = type == CKM_RSA_PKCS_PSS || type == CKM_SHA256_RSA_PKCS_PSS ||
                  type == CKM_SHA384_RSA_PKCS_PSS || type == CKM_SHA512_RSA_PKCS_PSS;
    EVP_MD_CTX *checking = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;
    bool good = EVP_DigestVerifyInit(checking, &settings, digest_of(hash_of(type, hash)), NULL,
                                     public) == 1;

    if (is_pss) {
        good = good && EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST) == 1;
    }
    good =
        good && EVP_DigestVerify(checking, signature, FIXTURE_SIGNATURE_SIZE, message, size) == 1;
    EVP_MD_CTX_free(checking);
    return good;
}
