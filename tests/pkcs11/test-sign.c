/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of C_SignInit, C_Sign, C_SignUpdate and C_SignFinal; OpenSSL verifies what comes of them.
 */
#include "tests/pkcs11/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const CK_MECHANISM_TYPE whole[] = {
    CKM_SHA256_RSA_PKCS,     CKM_SHA384_RSA_PKCS,     CKM_SHA512_RSA_PKCS,
    CKM_SHA256_RSA_PKCS_PSS, CKM_SHA384_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS,
};
enum { WHOLE = sizeof(whole) / sizeof(whole[0]) };

static CK_BYTE message[] = "a message, which may be of any length";
static const CK_ULONG message_size = sizeof(message) - 1;
static EVP_PKEY *public_key;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE key;

static int set_up(void **state)
{
    fixture_set_up(state);
    public_key = fixture_public("plain.pem");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(public_key);
    return 0;
}

static int begin(void **state)
{
    fixture_begin(state);
    session = fixture_open();
    key = fixture_find_class(session, CKO_PRIVATE_KEY);
    return 0;
}

static CK_RV start(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash)
{
    struct fixture_mechanism space;

    return p11->C_SignInit(session, fixture_mechanism(&space, type, hash), key);
}

/* C_Sign with room for a signature; it has to verify where it is made. */
static CK_RV sign(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash)
{
    uint8_t input[128], signature[FIXTURE_SIGNATURE_SIZE + 1];
    size_t input_size = fixture_input(type, hash, message, message_size, input);
    CK_ULONG size = sizeof(signature);
    CK_RV rv = p11->C_Sign(session, input, input_size, signature, &size);

    if (rv == CKR_OK) {
        assert_int_equal(size, FIXTURE_SIGNATURE_SIZE);
        assert_true(fixture_verifies(public_key, type, hash, message, message_size, signature));
    }
    return rv;
}

static void messages_are_signed_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < WHOLE; i++) {
        assert_rv(start(whole[i], 0), CKR_OK);
        assert_rv(sign(whole[i], 0), CKR_OK);
    }
}

static void messages_are_signed_in_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < WHOLE; i++) {
        uint8_t signature[FIXTURE_SIGNATURE_SIZE];
        CK_ULONG size = sizeof(signature);

        assert_rv(start(whole[i], 0), CKR_OK);
        for (CK_ULONG done = 0; done < message_size; done++) {
            assert_rv(p11->C_SignUpdate(session, &message[done], 1), CKR_OK);
        }
        assert_rv(p11->C_SignUpdate(session, NULL, 0), CKR_OK);
        assert_rv(p11->C_SignFinal(session, signature, &size), CKR_OK);
        assert_int_equal(size, sizeof(signature));
        assert_true(fixture_verifies(public_key, whole[i], 0, message, message_size, signature));
        assert_rv(p11->C_SignFinal(session, signature, &size), CKR_OPERATION_NOT_INITIALIZED);
    }
}

static void an_empty_message_is_signed(void **state)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_ULONG size = sizeof(signature);

    (void)state;
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_Sign(session, NULL, 0, signature, &size), CKR_OK);
    assert_true(fixture_verifies(public_key, CKM_SHA256_RSA_PKCS, 0, "", 0, signature));
    assert_rv(start(CKM_SHA384_RSA_PKCS_PSS, 0), CKR_OK);
    assert_rv(p11->C_SignFinal(session, signature, &size), CKR_OK);
    assert_true(fixture_verifies(public_key, CKM_SHA384_RSA_PKCS_PSS, 0, "", 0, signature));
}

static void digests_are_signed_as_they_are(void **state)
{
    static const CK_MECHANISM_TYPE hashes[] = { CKM_SHA_1, CKM_SHA256, CKM_SHA384, CKM_SHA512 };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_rv(start(CKM_RSA_PKCS, hashes[i]), CKR_OK);
        assert_rv(sign(CKM_RSA_PKCS, hashes[i]), CKR_OK);
        if (hashes[i] != CKM_SHA_1) {
            assert_rv(start(CKM_RSA_PKCS_PSS, hashes[i]), CKR_OK);
            assert_rv(sign(CKM_RSA_PKCS_PSS, hashes[i]), CKR_OK);
        }
    }
}

/* Length before content, as the standard ranks them. */
static void a_digest_info_has_one_of_four_lengths(void **state)
{
    uint8_t data[600] = { 0x30, 0x31 }, signature[FIXTURE_SIGNATURE_SIZE];

    (void)state;
    for (CK_ULONG length = 0; length < sizeof(data); length += length < 300 ? 1 : 37) {
        bool known = length == 35 || length == 51 || length == 67 || length == 83;
        CK_ULONG size = sizeof(signature);

        assert_rv(start(CKM_RSA_PKCS, 0), CKR_OK);
        assert_rv(p11->C_Sign(session, data, length, signature, &size),
                  known ? CKR_DATA_INVALID : CKR_DATA_LEN_RANGE);
        assert_rv(p11->C_Sign(session, data, length, signature, &size),
                  CKR_OPERATION_NOT_INITIALIZED);
    }
}

/* Each byte of it counts: another algorithm, parameter or length is refused. */
static void a_digest_info_is_looked_at_closely(void **state)
{
    static const CK_MECHANISM_TYPE hashes[] = { CKM_SHA_1, CKM_SHA256, CKM_SHA384, CKM_SHA512 };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        uint8_t input[128], signature[FIXTURE_SIGNATURE_SIZE];
        size_t input_size = fixture_input(CKM_RSA_PKCS, hashes[i], message, message_size, input);
        size_t before = hashes[i] == CKM_SHA_1 ? 15 : 19;

        for (size_t at = 0; at < before; at++) {
            CK_ULONG size = sizeof(signature);

            input[at] ^= 1;
            assert_rv(start(CKM_RSA_PKCS, 0), CKR_OK);
            assert_rv(p11->C_Sign(session, input, input_size, signature, &size), CKR_DATA_INVALID);
            input[at] ^= 1;
        }
    }
}

static void a_digest_has_the_length_of_its_hash(void **state)
{
    static const CK_MECHANISM_TYPE hashes[] = { CKM_SHA256, CKM_SHA384, CKM_SHA512 };
    uint8_t data[300] = { 0 }, signature[FIXTURE_SIGNATURE_SIZE];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (CK_ULONG length = 0; length < 80; length++) {
            CK_ULONG size = sizeof(signature);

            if (length != 32 + 16 * i) {
                assert_rv(start(CKM_RSA_PKCS_PSS, hashes[i]), CKR_OK);
                assert_rv(p11->C_Sign(session, data, length, signature, &size), CKR_DATA_LEN_RANGE);
            }
        }
    }
}

/* GnuTLS begins once and calls twice. */
static void a_size_may_be_asked_and_missed(void **state)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE] = { 0 }, untouched[FIXTURE_SIGNATURE_SIZE] = { 0 };
    CK_ULONG size = 0;

    (void)state;
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_Sign(session, message, message_size, NULL, &size), CKR_OK);
    assert_int_equal(size, FIXTURE_SIGNATURE_SIZE);
    size = FIXTURE_SIGNATURE_SIZE - 1;
    assert_rv(p11->C_Sign(session, message, message_size, signature, &size), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(size, FIXTURE_SIGNATURE_SIZE);
    assert_memory_equal(signature, untouched, sizeof(signature));
    assert_rv(sign(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(sign(CKM_SHA256_RSA_PKCS, 0), CKR_OPERATION_NOT_INITIALIZED);
}

static void so_it_is_with_several_parts(void **state)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_ULONG size = 0;

    (void)state;
    assert_rv(start(CKM_SHA512_RSA_PKCS_PSS, 0), CKR_OK);
    assert_rv(p11->C_SignUpdate(session, message, message_size), CKR_OK);
    assert_rv(p11->C_SignFinal(session, NULL, &size), CKR_OK);
    assert_int_equal(size, FIXTURE_SIGNATURE_SIZE);
    size = 0;
    assert_rv(p11->C_SignFinal(session, signature, &size), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(size, FIXTURE_SIGNATURE_SIZE);
    assert_rv(p11->C_SignFinal(session, signature, &size), CKR_OK);
    assert_true(
        fixture_verifies(public_key, CKM_SHA512_RSA_PKCS_PSS, 0, message, message_size, signature));
}

static void parts_are_not_followed_by_a_whole(void **state)
{
    CK_RV rv;

    (void)state;
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_SignUpdate(session, message, 1), CKR_OK);
    rv = sign(CKM_SHA256_RSA_PKCS, 0);
    assert_true(rv == CKR_OPERATION_ACTIVE || rv == CKR_OPERATION_NOT_INITIALIZED ||
                rv == CKR_FUNCTION_FAILED);
}

/* The standard calls both single-part only. */
static void digests_do_not_come_in_parts(void **state)
{
    static const CK_MECHANISM_TYPE single[] = { CKM_RSA_PKCS, CKM_RSA_PKCS_PSS };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        CK_RV rv;

        assert_rv(start(single[i], CKM_SHA256), CKR_OK);
        rv = p11->C_SignUpdate(session, message, 1);
        assert_true(rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_OPERATION_NOT_INITIALIZED);
        assert_rv(sign(single[i], CKM_SHA256), CKR_OPERATION_NOT_INITIALIZED);
    }
}

static void without_a_beginning_nothing_goes(void **state)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_ULONG size = sizeof(signature);

    (void)state;
    assert_rv(sign(CKM_SHA256_RSA_PKCS, 0), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_SignUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_SignFinal(session, signature, &size), CKR_OPERATION_NOT_INITIALIZED);
}

static void a_beginning_is_not_repeated(void **state)
{
    (void)state;
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(start(CKM_SHA384_RSA_PKCS, 0), CKR_OPERATION_ACTIVE);
    assert_rv(sign(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
}

/* Raw RSA above all: a program that would pad by itself must go another way. */
static void other_mechanisms_are_refused(void **state)
{
    static const CK_MECHANISM_TYPE others[] = {
        CKM_RSA_X_509,
        CKM_SHA1_RSA_PKCS,
        CKM_SHA1_RSA_PKCS_PSS,
        CKM_SHA224_RSA_PKCS,
        CKM_MD5_RSA_PKCS,
        CKM_RSA_9796,
        CKM_RSA_PKCS_OAEP,
        CKM_ECDSA,
        CKM_SHA256,
        CKM_SHA512,
        CKM_RSA_X9_31,
        CKM_RSA_PKCS_KEY_PAIR_GEN,
        CKM_VENDOR_DEFINED,
        ~0UL,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CK_MECHANISM mechanism = { others[i], NULL, 0 };

        assert_rv(p11->C_SignInit(session, &mechanism, key), CKR_MECHANISM_INVALID);
    }
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
}

static void the_right_parameter_is_needed(void **state)
{
    static const CK_MECHANISM_TYPE with[] = { CKM_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS,
                                              CKM_SHA384_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture_mechanism space;
        CK_MECHANISM *mechanism = fixture_mechanism(&space, with[i], CKM_SHA256);

        mechanism->ulParameterLen--;
        assert_rv(p11->C_SignInit(session, mechanism, key), CKR_MECHANISM_PARAM_INVALID);
        mechanism->ulParameterLen += 2;
        assert_rv(p11->C_SignInit(session, mechanism, key), CKR_MECHANISM_PARAM_INVALID);
        *mechanism = (CK_MECHANISM){ with[i], NULL, 0 };
        assert_rv(p11->C_SignInit(session, mechanism, key), CKR_MECHANISM_PARAM_INVALID);
        *mechanism = (CK_MECHANISM){ with[i], NULL, sizeof(space.pss) };
        assert_rv(p11->C_SignInit(session, mechanism, key), CKR_MECHANISM_PARAM_INVALID);
    }
}

static void pss_is_made_in_one_way_only(void **state)
{
    static const CK_RSA_PKCS_PSS_PARAMS others[] = {
        { CKM_SHA256, CKG_MGF1_SHA1, 32 },
        { CKM_SHA256, CKG_MGF1_SHA384, 32 },
        { CKM_SHA256, CKG_MGF1_SHA256, 0 },
        { CKM_SHA256, CKG_MGF1_SHA256, 31 },
        { CKM_SHA256, CKG_MGF1_SHA256, 33 },
        { CKM_SHA256, CKG_MGF1_SHA256, 222 },
        { CKM_SHA256, CKG_MGF1_SHA256, ~0UL },
        { CKM_SHA384, CKG_MGF1_SHA256, 48 },
        { CKM_SHA_1, CKG_MGF1_SHA1, 20 },
        { CKM_MD5, CKG_MGF1_SHA256, 32 },
        { CKM_SHA256_RSA_PKCS, CKG_MGF1_SHA256, 32 },
        { 0, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CK_RSA_PKCS_PSS_PARAMS pss = others[i];
        CK_MECHANISM bare = { CKM_RSA_PKCS_PSS, &pss, sizeof(pss) };
        CK_MECHANISM message256 = { CKM_SHA256_RSA_PKCS_PSS, &pss, sizeof(pss) };

        assert_rv(p11->C_SignInit(session, &bare, key), CKR_MECHANISM_PARAM_INVALID);
        assert_rv(p11->C_SignInit(session, &message256, key), CKR_MECHANISM_PARAM_INVALID);
    }
}

/* The parameter of another hash is right by itself, but not with this mechanism. */
static void a_mechanism_s_hash_is_its_own(void **state)
{
    struct fixture_mechanism space;
    CK_MECHANISM *mechanism = fixture_mechanism(&space, CKM_RSA_PKCS_PSS, CKM_SHA384);

    (void)state;
    mechanism->mechanism = CKM_SHA256_RSA_PKCS_PSS;
    assert_rv(p11->C_SignInit(session, mechanism, key), CKR_MECHANISM_PARAM_INVALID);
    mechanism->mechanism = CKM_SHA512_RSA_PKCS_PSS;
    assert_rv(p11->C_SignInit(session, mechanism, key), CKR_MECHANISM_PARAM_INVALID);
    mechanism->mechanism = CKM_SHA384_RSA_PKCS_PSS;
    assert_rv(p11->C_SignInit(session, mechanism, key), CKR_OK);
}

static void pkcs1_takes_no_parameter(void **state)
{
    static const CK_MECHANISM_TYPE without[] = { CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS,
                                                 CKM_SHA384_RSA_PKCS, CKM_SHA512_RSA_PKCS };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        CK_MECHANISM mechanism = { without[i], message, 8 };

        assert_rv(p11->C_SignInit(session, &mechanism, key), CKR_MECHANISM_PARAM_INVALID);
    }
}

static void only_the_private_key_signs(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };

    (void)state;
    /* Of the wrong type, which ranks above a CKA_SIGN that it lacks as well. */
    assert_rv(p11->C_SignInit(session, &mechanism, fixture_find_class(session, CKO_PUBLIC_KEY)),
              CKR_KEY_TYPE_INCONSISTENT);
    assert_rv(p11->C_SignInit(session, &mechanism, fixture_find_class(session, CKO_CERTIFICATE)),
              CKR_KEY_HANDLE_INVALID);
    assert_rv(p11->C_SignInit(session, &mechanism, fixture_find_class(session, CKO_PROFILE)),
              CKR_KEY_HANDLE_INVALID);
    assert_rv(p11->C_SignInit(session, &mechanism, 0), CKR_KEY_HANDLE_INVALID);
    assert_rv(p11->C_SignInit(session, &mechanism, ~0UL), CKR_KEY_HANDLE_INVALID);
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
}

/* From 3.0 on. */
static void no_mechanism_cancels(void **state)
{
    (void)state;
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_SignInit(session, NULL, key), CKR_OK);
    assert_rv(p11->C_SignUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_SignInit(session, NULL, 0), CKR_OK);
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
}

static void an_error_ends_it(void **state)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_ULONG size = sizeof(signature);

    (void)state;
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_SignUpdate(session, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_SignFinal(session, signature, &size), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_Sign(session, NULL, 1, signature, &size), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_SignUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_Sign(session, message, 1, signature, NULL), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_SignUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_SignFinal(session, signature, NULL), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_SignUpdate(session, message, 1), CKR_OPERATION_NOT_INITIALIZED);
}

static void signing_and_digesting_go_side_by_side(void **state)
{
    CK_MECHANISM digests = { CKM_SHA256, NULL, 0 };
    uint8_t digest[32], wanted[32];
    CK_ULONG size = sizeof(digest);

    (void)state;
    EVP_Digest(message, message_size, wanted, NULL, EVP_sha256(), NULL);
    assert_rv(p11->C_DigestInit(session, &digests), CKR_OK);
    assert_rv(start(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_DigestUpdate(session, message, message_size), CKR_OK);
    assert_rv(sign(CKM_SHA256_RSA_PKCS, 0), CKR_OK);
    assert_rv(p11->C_DigestFinal(session, digest, &size), CKR_OK);
    assert_memory_equal(digest, wanted, sizeof(wanted));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_are_signed_whole),
        TEST(messages_are_signed_in_parts),
        TEST(an_empty_message_is_signed),
        TEST(digests_are_signed_as_they_are),
        TEST(a_digest_info_has_one_of_four_lengths),
        TEST(a_digest_info_is_looked_at_closely),
        TEST(a_digest_has_the_length_of_its_hash),
        TEST(a_size_may_be_asked_and_missed),
        TEST(so_it_is_with_several_parts),
        TEST(parts_are_not_followed_by_a_whole),
        TEST(digests_do_not_come_in_parts),
        TEST(without_a_beginning_nothing_goes),
        TEST(a_beginning_is_not_repeated),
        TEST(other_mechanisms_are_refused),
        TEST(the_right_parameter_is_needed),
        TEST(pss_is_made_in_one_way_only),
        TEST(a_mechanism_s_hash_is_its_own),
        TEST(pkcs1_takes_no_parameter),
        TEST(only_the_private_key_signs),
        TEST(no_mechanism_cancels),
        TEST(an_error_ends_it),
        TEST(signing_and_digesting_go_side_by_side),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
