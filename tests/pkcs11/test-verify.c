/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of C_VerifyInit, C_Verify, C_VerifyUpdate and C_VerifyFinal; OpenSSL agrees with them. */
#include "tests/pkcs11/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    CK_MECHANISM_TYPE type, hash;
} ways[] = {
    { CKM_SHA256_RSA_PKCS, CKM_SHA256 },
    { CKM_SHA384_RSA_PKCS, CKM_SHA384 },
    { CKM_SHA512_RSA_PKCS, CKM_SHA512 },
    { CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256 },
    { CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384 },
    { CKM_SHA512_RSA_PKCS_PSS, CKM_SHA512 },
    { CKM_RSA_PKCS, CKM_SHA_1 },
    { CKM_RSA_PKCS, CKM_SHA256 },
    { CKM_RSA_PKCS, CKM_SHA384 },
    { CKM_RSA_PKCS, CKM_SHA512 },
    { CKM_RSA_PKCS_PSS, CKM_SHA256 },
    { CKM_RSA_PKCS_PSS, CKM_SHA384 },
    { CKM_RSA_PKCS_PSS, CKM_SHA512 },
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]), IN_PARTS = 6 };

static CK_BYTE message[] = "a message, which may be of any length";
static const CK_ULONG message_size = sizeof(message) - 1;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE public;
static CK_BYTE signatures[WAYS][FIXTURE_SIGNATURE_SIZE];

/* One signature for every way, which all the tests look at. */
static int set_up(void **state)
{
    EVP_PKEY *key;

    fixture_set_up(state);
    fixture_begin(state);
    key = fixture_public("plain.pem");
    session = fixture_open();
    for (size_t i = 0; i < WAYS; i++) {
        struct fixture_mechanism space;
        uint8_t input[128];
        size_t size = fixture_input(ways[i].type, ways[i].hash, message, message_size, input);
        CK_ULONG signature_size = FIXTURE_SIGNATURE_SIZE;

        assert_rv(p11->C_SignInit(session, fixture_mechanism(&space, ways[i].type, ways[i].hash),
                                  fixture_find_class(session, CKO_PRIVATE_KEY)),
                  CKR_OK);
        assert_rv(p11->C_Sign(session, input, size, signatures[i], &signature_size), CKR_OK);
        assert_true(fixture_verifies(key, ways[i].type, ways[i].hash, message, message_size,
                                     signatures[i]));
    }
    EVP_PKEY_free(key);
    return fixture_end(state);
}

static int begin(void **state)
{
    fixture_begin(state);
    session = fixture_open();
    public = fixture_find_class(session, CKO_PUBLIC_KEY);
    return 0;
}

static void start(size_t way)
{
    struct fixture_mechanism space;

    assert_rv(p11->C_VerifyInit(session, fixture_mechanism(&space, ways[way].type, ways[way].hash),
                                public),
              CKR_OK);
}

/* All of it in one call, with a message that may be another. */
static CK_RV verify(size_t way, const CK_BYTE *of, CK_BYTE *signature, CK_ULONG size)
{
    uint8_t input[128];
    size_t input_size = fixture_input(ways[way].type, ways[way].hash, of, message_size, input);

    start(way);
    return p11->C_Verify(session, input, input_size, signature, size);
}

static void good_signatures_are_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        assert_rv(verify(i, message, signatures[i], FIXTURE_SIGNATURE_SIZE), CKR_OK);
    }
}

static void good_signatures_are_good_in_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < IN_PARTS; i++) {
        start(i);
        for (CK_ULONG done = 0; done < message_size; done++) {
            assert_rv(p11->C_VerifyUpdate(session, &message[done], 1), CKR_OK);
        }
        assert_rv(p11->C_VerifyFinal(session, signatures[i], FIXTURE_SIGNATURE_SIZE), CKR_OK);
        assert_rv(p11->C_VerifyFinal(session, signatures[i], FIXTURE_SIGNATURE_SIZE),
                  CKR_OPERATION_NOT_INITIALIZED);
    }
}

static void spoilt_signatures_are_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        for (size_t at = 0; at < FIXTURE_SIGNATURE_SIZE; at += 15) {
            signatures[i][at] ^= 0x10;
            assert_rv(verify(i, message, signatures[i], FIXTURE_SIGNATURE_SIZE),
                      CKR_SIGNATURE_INVALID);
            signatures[i][at] ^= 0x10;
        }
    }
}

/* Numbers that no signature can be: none, and as large as the modulus or larger. */
static void impossible_signatures_are_not(void **state)
{
    CK_BYTE zero[FIXTURE_SIGNATURE_SIZE] = { 0 }, large[FIXTURE_SIGNATURE_SIZE];

    (void)state;
    memset(large, 0xff, sizeof(large));
    for (size_t i = 0; i < WAYS; i++) {
        assert_rv(verify(i, message, zero, sizeof(zero)), CKR_SIGNATURE_INVALID);
        assert_rv(verify(i, message, large, sizeof(large)), CKR_SIGNATURE_INVALID);
    }
}

static void another_message_s_signature_is_not(void **state)
{
    CK_BYTE other[sizeof(message)];

    (void)state;
    memcpy(other, message, sizeof(message));
    other[0] ^= 1;
    for (size_t i = 0; i < WAYS; i++) {
        assert_rv(verify(i, other, signatures[i], FIXTURE_SIGNATURE_SIZE), CKR_SIGNATURE_INVALID);
    }
    start(0);
    assert_rv(p11->C_VerifyUpdate(session, other, message_size), CKR_OK);
    assert_rv(p11->C_VerifyFinal(session, signatures[0], FIXTURE_SIGNATURE_SIZE),
              CKR_SIGNATURE_INVALID);
}

static void another_scheme_s_signature_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        for (size_t j = 0; j < WAYS; j++) {
            bool same_padding = (ways[i].type == CKM_RSA_PKCS_PSS || (i >= 3 && i < 6)) ==
                                (ways[j].type == CKM_RSA_PKCS_PSS || (j >= 3 && j < 6));

            assert_rv(verify(i, message, signatures[j], FIXTURE_SIGNATURE_SIZE),
                      same_padding && ways[i].hash == ways[j].hash ? CKR_OK
                                                                   : CKR_SIGNATURE_INVALID);
        }
    }
}

static void a_signature_has_one_length(void **state)
{
    static const CK_ULONG lengths[] = { 0, 1, 255, 257, 512, ~0UL };
    CK_BYTE room[512] = { 0 };

    (void)state;
    memcpy(room, signatures[0], FIXTURE_SIGNATURE_SIZE);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        assert_rv(verify(0, message, room, lengths[i]), CKR_SIGNATURE_LEN_RANGE);
        start(0);
        assert_rv(p11->C_VerifyUpdate(session, message, message_size), CKR_OK);
        assert_rv(p11->C_VerifyFinal(session, room, lengths[i]), CKR_SIGNATURE_LEN_RANGE);
    }
}

static void a_digest_has_its_length_too(void **state)
{
    CK_BYTE data[100] = { 0 };
    CK_RV rv;

    (void)state;
    start(7);
    rv = p11->C_Verify(session, data, 34, signatures[7], FIXTURE_SIGNATURE_SIZE);
    assert_true(rv == CKR_DATA_LEN_RANGE || rv == CKR_SIGNATURE_INVALID);
    start(7);
    rv = p11->C_Verify(session, data, 51, signatures[7], FIXTURE_SIGNATURE_SIZE);
    assert_true(rv == CKR_DATA_INVALID || rv == CKR_SIGNATURE_INVALID);
    start(10);
    rv = p11->C_Verify(session, data, 48, signatures[10], FIXTURE_SIGNATURE_SIZE);
    assert_true(rv == CKR_DATA_LEN_RANGE || rv == CKR_SIGNATURE_INVALID);
}

/* There is no size to ask for, so whatever comes out it is over. */
static void verifying_ends_it_in_any_case(void **state)
{
    (void)state;
    for (int good = 0; good < 2; good++) {
        signatures[0][9] ^= (CK_BYTE)!good;
        assert_rv(verify(0, message, signatures[0], FIXTURE_SIGNATURE_SIZE),
                  good ? CKR_OK : CKR_SIGNATURE_INVALID);
        assert_rv(p11->C_Verify(session, message, 1, signatures[0], FIXTURE_SIGNATURE_SIZE),
                  CKR_OPERATION_NOT_INITIALIZED);
        signatures[0][9] ^= (CK_BYTE)!good;
    }
}

static void an_error_ends_it(void **state)
{
    (void)state;
    start(0);
    assert_rv(p11->C_VerifyUpdate(session, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_VerifyFinal(session, signatures[0], FIXTURE_SIGNATURE_SIZE),
              CKR_OPERATION_NOT_INITIALIZED);
    start(0);
    assert_rv(p11->C_Verify(session, NULL, 1, signatures[0], FIXTURE_SIGNATURE_SIZE),
              CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_VerifyUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
    start(0);
    assert_rv(p11->C_Verify(session, message, 1, NULL, FIXTURE_SIGNATURE_SIZE), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_VerifyUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
    start(0);
    assert_rv(p11->C_VerifyFinal(session, NULL, FIXTURE_SIGNATURE_SIZE), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_VerifyUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
}

static void parts_are_not_followed_by_a_whole(void **state)
{
    CK_RV rv;

    (void)state;
    start(0);
    assert_rv(p11->C_VerifyUpdate(session, message, 1), CKR_OK);
    rv = p11->C_Verify(session, message, message_size, signatures[0], FIXTURE_SIGNATURE_SIZE);
    assert_true(rv == CKR_OPERATION_ACTIVE || rv == CKR_OPERATION_NOT_INITIALIZED ||
                rv == CKR_FUNCTION_FAILED);
}

static void digests_do_not_come_in_parts(void **state)
{
    CK_RV rv;

    (void)state;
    start(7);
    rv = p11->C_VerifyUpdate(session, message, 1);
    assert_true(rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_VerifyFinal(session, signatures[7], FIXTURE_SIGNATURE_SIZE),
              CKR_OPERATION_NOT_INITIALIZED);
}

static void without_a_beginning_nothing_goes(void **state)
{
    (void)state;
    assert_rv(p11->C_Verify(session, message, 1, signatures[0], FIXTURE_SIGNATURE_SIZE),
              CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_VerifyUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_VerifyFinal(session, signatures[0], FIXTURE_SIGNATURE_SIZE),
              CKR_OPERATION_NOT_INITIALIZED);
}

static void only_the_public_key_verifies(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };

    (void)state;
    assert_rv(p11->C_VerifyInit(session, &mechanism, fixture_find_class(session, CKO_PRIVATE_KEY)),
              CKR_KEY_TYPE_INCONSISTENT);
    assert_rv(p11->C_VerifyInit(session, &mechanism, fixture_find_class(session, CKO_CERTIFICATE)),
              CKR_KEY_HANDLE_INVALID);
    assert_rv(p11->C_VerifyInit(session, &mechanism, 0), CKR_KEY_HANDLE_INVALID);
    assert_rv(p11->C_VerifyInit(session, &mechanism, ~0UL), CKR_KEY_HANDLE_INVALID);
}

static void other_mechanisms_are_refused(void **state)
{
    static const CK_MECHANISM_TYPE others[] = { CKM_RSA_X_509,    CKM_SHA1_RSA_PKCS, CKM_SHA256,
                                                CKM_MD5_RSA_PKCS, CKM_ECDSA,         ~0UL };
    CK_RSA_PKCS_PSS_PARAMS pss = { CKM_SHA256, CKG_MGF1_SHA256, 20 };
    CK_MECHANISM salted = { CKM_RSA_PKCS_PSS, &pss, sizeof(pss) };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CK_MECHANISM mechanism = { others[i], NULL, 0 };

        assert_rv(p11->C_VerifyInit(session, &mechanism, public), CKR_MECHANISM_INVALID);
    }
    assert_rv(p11->C_VerifyInit(session, &salted, public), CKR_MECHANISM_PARAM_INVALID);
    salted.pParameter = NULL;
    assert_rv(p11->C_VerifyInit(session, &salted, public), CKR_MECHANISM_PARAM_INVALID);
}

static void a_beginning_is_not_repeated_but_cancelled(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };

    (void)state;
    start(0);
    assert_rv(p11->C_VerifyInit(session, &mechanism, public), CKR_OPERATION_ACTIVE);
    assert_rv(p11->C_VerifyInit(session, NULL, 0), CKR_OK);
    assert_rv(p11->C_VerifyUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
    start(0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_signatures_are_good),           TEST(good_signatures_are_good_in_parts),
        TEST(spoilt_signatures_are_not),          TEST(impossible_signatures_are_not),
        TEST(another_message_s_signature_is_not), TEST(another_scheme_s_signature_is_not),
        TEST(a_signature_has_one_length),         TEST(a_digest_has_its_length_too),
        TEST(verifying_ends_it_in_any_case),      TEST(an_error_ends_it),
        TEST(parts_are_not_followed_by_a_whole),  TEST(digests_do_not_come_in_parts),
        TEST(without_a_beginning_nothing_goes),   TEST(only_the_public_key_verifies),
        TEST(other_mechanisms_are_refused),       TEST(a_beginning_is_not_repeated_but_cancelled),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
