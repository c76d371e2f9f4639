/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what digests, signatures and verification have in common: keys, beginning and end. */
#include "pkcs11/internal.h"
#include "tests/tpm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define SIZE GK_RSA2048_SIZE

static struct gk_key *open_key, *locked_key; /* without and with a password */
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key, public_key, profile;
static CK_BYTE signature[SIZE];
static CK_ULONG size;

static CK_RSA_PKCS_PSS_PARAMS pss256 = { CKM_SHA256, CKG_MGF1_SHA256, 32 };

static CK_MECHANISM pkcs1 = { CKM_RSA_PKCS, NULL, 0 };
static CK_MECHANISM pss = { CKM_RSA_PKCS_PSS, &pss256, sizeof(pss256) };
static CK_MECHANISM sha256_pkcs1 = { CKM_SHA256_RSA_PKCS, NULL, 0 };
static CK_MECHANISM sha256 = { CKM_SHA256, NULL, 0 };

/* --- setting the scene --------------------------------------------------------------------------
 */

static void write_identity(const char *name, const struct gk_key *key)
{
    char folder[256], path[300], *text;
    FILE *file;

    snprintf(folder, sizeof(folder), "%s/%s", getenv("GATEKEY_TEST_DIR"), name);
    snprintf(path, sizeof(path), "%s/device.pem", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(gk_key_format(key, &text, NULL), GK_OK);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(text);
}

static int make_keys(void **state)
{
    (void)state;
    open_key = fixture_key(0x81000100, NULL);
    locked_key = fixture_key(0x81000101, "correct horse");
    write_identity("open", open_key);
    write_identity("locked", locked_key);
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    gk_key_free(open_key);
    gk_key_free(locked_key);
    return 0;
}

static CK_OBJECT_HANDLE find(CK_OBJECT_CLASS class)
{
    CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof(class) };
    CK_OBJECT_HANDLE found = CK_INVALID_HANDLE;
    CK_ULONG count;

    assert_int_equal(C_FindObjectsInit(session, &template, 1), CKR_OK);
    assert_int_equal(C_FindObjects(session, &found, 1, &count), CKR_OK);
    assert_int_equal(C_FindObjectsFinal(session), CKR_OK);
    return found;
}

static void begin(const char *name)
{
    char folder[256];

    snprintf(folder, sizeof(folder), "%s/%s", getenv("GATEKEY_TEST_DIR"), name);
    setenv("GATEKEY_IDENTITY", folder, 1);
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    assert_int_equal(C_OpenSession(P11_SLOT_ID, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    private_key = find(CKO_PRIVATE_KEY);
    public_key = find(CKO_PUBLIC_KEY);
    profile = find(CKO_PROFILE);
    size = SIZE;
}

static int begin_open(void **state)
{
    (void)state;
    begin("open");
    return 0;
}

static int begin_locked(void **state)
{
    (void)state;
    begin("locked");
    return 0;
}

static int finish(void **state)
{
    (void)state;
    return C_Finalize(NULL) == CKR_OK ? 0 : -1;
}

static void assert_none_is_active(void)
{
    CK_ULONG some = SIZE;

    assert_int_equal(C_Sign(session, NULL, 0, NULL, &some), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(C_Verify(session, NULL, 0, signature, SIZE), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(C_Digest(session, NULL, 0, NULL, &some), CKR_OPERATION_NOT_INITIALIZED);
}

/* By the cryptography that is not ours. */
static bool openssl_verifies(enum gk_scheme scheme, enum gk_hash hash, const uint8_t *digest)
{
    const struct gk_crypto *crypto = fixture_crypto();

    return crypto->verify(crypto->context, gk_key_public(open_key), scheme, hash,
                          gk_hash_size(hash), digest, signature) == 1;
}

/* --- signing and verifying ----------------------------------------------------------------------
 */

static CK_BYTE message[] = "All day they heard the axes fall";

/* The signature may lie where the data was. */
static void signs_every_digest_info(void **state)
{
    static const enum gk_hash hashes[] = { GK_SHA1, GK_SHA256, GK_SHA384, GK_SHA512 };
    static const uint8_t digest[GK_HASH_MAX_SIZE] = { 8, 9 };

    (void)state;
    for (size_t i = 0; i < ROWS(hashes); i++) {
        uint8_t info[P11_DIGEST_INFO_MAX];
        size_t info_size = p11_digest_info_write(hashes[i], digest, info);

        memcpy(signature, info, info_size);
        assert_int_equal(C_SignInit(session, &pkcs1, private_key), CKR_OK);
        assert_int_equal(C_Sign(session, signature, info_size, signature, &size), CKR_OK);
        assert_true(openssl_verifies(GK_RSASSA, hashes[i], digest));
        assert_int_equal(C_VerifyInit(session, &pkcs1, public_key), CKR_OK);
        assert_int_equal(C_Verify(session, info, info_size, signature, size), CKR_OK);
    }
}

static void verifies_what_others_signed_whatever_it_is(void **state)
{
    static CK_BYTE data[SIZE - 10];

    (void)state;
    memset(signature, 1, sizeof(signature));
    for (CK_ULONG length = 0; length <= SIZE - 11; length += 35) {
        assert_int_equal(C_VerifyInit(session, &pkcs1, public_key), CKR_OK);
        assert_int_equal(C_Verify(session, data, length, signature, SIZE), CKR_SIGNATURE_INVALID);
    }
    assert_int_equal(C_VerifyInit(session, &pkcs1, public_key), CKR_OK);
    assert_int_equal(C_Verify(session, NULL, 0, signature, SIZE), CKR_SIGNATURE_INVALID);
    assert_int_equal(C_VerifyInit(session, &pkcs1, public_key), CKR_OK);
    assert_int_equal(C_Verify(session, data, sizeof(data), signature, SIZE), CKR_DATA_LEN_RANGE);
    assert_none_is_active();
}

/* --- beginning ----------------------------------------------------------------------------------
 */

static void takes_each_key_for_its_use_only(void **state)
{
    (void)state;
    assert_int_equal(C_SignInit(session, &pkcs1, public_key), CKR_KEY_TYPE_INCONSISTENT);
    assert_int_equal(C_VerifyInit(session, &pkcs1, private_key), CKR_KEY_TYPE_INCONSISTENT);
    assert_int_equal(C_SignInit(session, &pkcs1, profile), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(C_VerifyInit(session, &pkcs1, profile), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(C_SignInit(session, &pkcs1, CK_INVALID_HANDLE), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(C_VerifyInit(session, &pkcs1, 4711), CKR_KEY_HANDLE_INVALID);
    assert_none_is_active();
}

static void has_one_operation_of_a_kind_until_it_is_cancelled(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(C_SignInit(session, &pkcs1, private_key), CKR_OK);
        assert_int_equal(C_VerifyInit(session, &pkcs1, public_key), CKR_OK);
        assert_int_equal(C_DigestInit(session, &sha256), CKR_OK);
        assert_int_equal(C_SignInit(session, &pss, private_key), CKR_OPERATION_ACTIVE);
        assert_int_equal(C_VerifyInit(session, &pss, public_key), CKR_OPERATION_ACTIVE);
        assert_int_equal(C_DigestInit(session, &sha256), CKR_OPERATION_ACTIVE);
        assert_int_equal(C_SignInit(session, NULL, private_key), CKR_OK);
        assert_int_equal(C_VerifyInit(session, NULL, public_key), CKR_OK);
        assert_int_equal(C_DigestInit(session, NULL), CKR_OK);
        assert_none_is_active();
    }
    assert_int_equal(C_SignInit(session, NULL, private_key), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_VerifyInit(session, NULL, public_key), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_DigestInit(session, NULL), CKR_ARGUMENTS_BAD);
}

/* --- ending -------------------------------------------------------------------------------------
 */

static void takes_single_parts_only_where_nothing_is_hashed(void **state)
{
    CK_MECHANISM *const single[] = { &pkcs1, &pss };

    (void)state;
    for (size_t i = 0; i < ROWS(single); i++) {
        assert_int_equal(C_SignInit(session, single[i], private_key), CKR_OK);
        assert_int_equal(C_SignUpdate(session, message, 5), CKR_FUNCTION_NOT_SUPPORTED);
        assert_none_is_active();
        assert_int_equal(C_SignInit(session, single[i], private_key), CKR_OK);
        assert_int_equal(C_SignFinal(session, signature, &size), CKR_FUNCTION_NOT_SUPPORTED);
        assert_none_is_active();
        assert_int_equal(C_VerifyInit(session, single[i], public_key), CKR_OK);
        assert_int_equal(C_VerifyUpdate(session, message, 5), CKR_FUNCTION_NOT_SUPPORTED);
        assert_none_is_active();
        assert_int_equal(C_VerifyInit(session, single[i], public_key), CKR_OK);
        assert_int_equal(C_VerifyFinal(session, signature, SIZE), CKR_FUNCTION_NOT_SUPPORTED);
        assert_none_is_active();
    }
}

/* --- logging in ---------------------------------------------------------------------------------
 */

/* Applications that get this code for a key they remember ask for the PIN and try again. */
static void says_that_a_login_is_missing(void **state)
{
    CK_UTF8CHAR *pin = (CK_UTF8CHAR *)"correct horse";
    CK_OBJECT_HANDLE remembered = CK_INVALID_HANDLE, handle;

    (void)state;
    assert_int_equal(private_key, CK_INVALID_HANDLE);
    for (handle = 1; handle < 1000; handle++) {
        if (C_SignInit(session, &pkcs1, handle) == CKR_USER_NOT_LOGGED_IN) {
            remembered = handle;
        }
    }
    assert_int_not_equal(remembered, CK_INVALID_HANDLE);
    assert_int_equal(C_VerifyInit(session, &pkcs1, remembered), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(C_Login(session, CKU_USER, pin, 13), CKR_OK);
    assert_int_equal(C_SignInit(session, &sha256_pkcs1, remembered), CKR_OK);
    assert_int_equal(C_Sign(session, message, 5, signature, &size), CKR_OK);
    assert_int_equal(C_VerifyInit(session, &sha256_pkcs1, public_key), CKR_OK);
    assert_int_equal(C_Verify(session, message, 5, signature, size), CKR_OK);
}

/* --- digests ------------------------------------------------------------------------------------
 */

static void digests_no_key(void **state)
{
    const struct {
        CK_OBJECT_HANDLE key;
        CK_RV rv;
    } keys[] = {
        { private_key, CKR_KEY_INDIGESTIBLE },
        { public_key, CKR_KEY_INDIGESTIBLE },
        { profile, CKR_KEY_HANDLE_INVALID },
        { CK_INVALID_HANDLE, CKR_KEY_HANDLE_INVALID },
    };

    (void)state;
    assert_int_equal(C_DigestKey(session, private_key), CKR_OPERATION_NOT_INITIALIZED);
    for (size_t i = 0; i < ROWS(keys); i++) {
        assert_int_equal(C_DigestInit(session, &sha256), CKR_OK);
        assert_int_equal(C_DigestKey(session, keys[i].key), keys[i].rv);
        assert_none_is_active();
    }
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, begin_open, finish)
#define LOCKED(test) cmocka_unit_test_setup_teardown(test, begin_locked, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPEN(signs_every_digest_info),
        OPEN(verifies_what_others_signed_whatever_it_is),
        OPEN(takes_each_key_for_its_use_only),
        OPEN(has_one_operation_of_a_kind_until_it_is_cancelled),
        OPEN(takes_single_parts_only_where_nothing_is_hashed),
        OPEN(digests_no_key),
        LOCKED(says_that_a_login_is_missing),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
