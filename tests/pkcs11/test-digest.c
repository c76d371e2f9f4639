/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of C_DigestInit, C_Digest, C_DigestUpdate, C_DigestKey and C_DigestFinal. */
#include "tests/pkcs11/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    CK_MECHANISM_TYPE type;
    CK_ULONG size;
    const EVP_MD *(*reference)(void);
} digests[] = {
    { CKM_SHA256, 32, EVP_sha256 },
    { CKM_SHA384, 48, EVP_sha384 },
    { CKM_SHA512, 64, EVP_sha512 },
};
enum { DIGESTS = sizeof(digests) / sizeof(digests[0]) };

static CK_BYTE data[1000];
static CK_SESSION_HANDLE session;

static int begin(void **state)
{
    fixture_begin(state);
    session = fixture_open();
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (CK_BYTE)(i * 7);
    }
    return 0;
}

static CK_RV start(int which)
{
    CK_MECHANISM mechanism = { digests[which].type, NULL, 0 };

    return p11->C_DigestInit(session, &mechanism);
}

static void assert_digest(int which, size_t size, const CK_BYTE *digest)
{
    uint8_t wanted[64];

    assert_int_equal(EVP_Digest(data, size, wanted, NULL, digests[which].reference(), NULL), 1);
    assert_memory_equal(digest, wanted, digests[which].size);
}

static void digests_in_one_part_are_right(void **state)
{
    CK_BYTE digest[64];
    CK_ULONG size;

    (void)state;
    for (int which = 0; which < DIGESTS; which++) {
        for (CK_ULONG length = 0; length <= 300; length++) {
            assert_rv(start(which), CKR_OK);
            size = sizeof(digest);
            assert_rv(p11->C_Digest(session, length > 0 ? data : NULL, length, digest, &size),
                      CKR_OK);
            assert_int_equal(size, digests[which].size);
            assert_digest(which, length, digest);
        }
    }
}

static void digests_in_many_parts_are_right(void **state)
{
    CK_BYTE digest[64];
    CK_ULONG size;

    (void)state;
    for (int which = 0; which < DIGESTS; which++) {
        for (CK_ULONG part = 1; part < 200; part += 13) {
            CK_ULONG done = 0;

            assert_rv(start(which), CKR_OK);
            while (done < sizeof(data)) {
                CK_ULONG now = part < sizeof(data) - done ? part : sizeof(data) - done;

                assert_rv(p11->C_DigestUpdate(session, data + done, now), CKR_OK);
                assert_rv(p11->C_DigestUpdate(session, NULL, 0), CKR_OK);
                done += now;
            }
            size = sizeof(digest);
            assert_rv(p11->C_DigestFinal(session, digest, &size), CKR_OK);
            assert_int_equal(size, digests[which].size);
            assert_digest(which, sizeof(data), digest);
        }
    }
}

static void a_digest_of_nothing_needs_no_update(void **state)
{
    CK_BYTE digest[64];
    CK_ULONG size = sizeof(digest);

    (void)state;
    assert_rv(start(0), CKR_OK);
    assert_rv(p11->C_DigestFinal(session, digest, &size), CKR_OK);
    assert_digest(0, 0, digest);
}

static void input_and_output_may_be_one_buffer(void **state)
{
    CK_BYTE both[100];
    CK_ULONG size = sizeof(both);

    (void)state;
    memcpy(both, data, sizeof(both));
    assert_rv(start(2), CKR_OK);
    assert_rv(p11->C_Digest(session, both, sizeof(both), both, &size), CKR_OK);
    assert_digest(2, sizeof(both), both);
}

/* Both leave the operation active; nothing is written. */
static void a_size_may_be_asked_and_missed(void **state)
{
    for (int which = 0; which < DIGESTS; which++) {
        CK_BYTE digest[64] = { 0 }, untouched[64] = { 0 };
        CK_ULONG size = 0;

        (void)state;
        assert_rv(start(which), CKR_OK);
        assert_rv(p11->C_Digest(session, data, 100, NULL, &size), CKR_OK);
        assert_int_equal(size, digests[which].size);
        size--;
        assert_rv(p11->C_Digest(session, data, 100, digest, &size), CKR_BUFFER_TOO_SMALL);
        assert_int_equal(size, digests[which].size);
        assert_memory_equal(digest, untouched, sizeof(digest));
        assert_rv(p11->C_Digest(session, data, 100, digest, &size), CKR_OK);
        assert_digest(which, 100, digest);
        assert_rv(p11->C_Digest(session, data, 100, digest, &size), CKR_OPERATION_NOT_INITIALIZED);
    }
}

static void so_it_is_with_several_parts(void **state)
{
    for (int which = 0; which < DIGESTS; which++) {
        CK_BYTE digest[64] = { 0 };
        CK_ULONG size = 0;

        (void)state;
        assert_rv(start(which), CKR_OK);
        assert_rv(p11->C_DigestUpdate(session, data, 100), CKR_OK);
        assert_rv(p11->C_DigestFinal(session, NULL, &size), CKR_OK);
        assert_int_equal(size, digests[which].size);
        size--;
        assert_rv(p11->C_DigestFinal(session, digest, &size), CKR_BUFFER_TOO_SMALL);
        assert_int_equal(size, digests[which].size);
        assert_rv(p11->C_DigestFinal(session, digest, &size), CKR_OK);
        assert_digest(which, 100, digest);
        assert_rv(p11->C_DigestFinal(session, digest, &size), CKR_OPERATION_NOT_INITIALIZED);
    }
}

static void parts_are_not_followed_by_a_whole(void **state)
{
    CK_BYTE digest[64];
    CK_ULONG size = sizeof(digest);
    CK_RV rv;

    (void)state;
    assert_rv(start(0), CKR_OK);
    assert_rv(p11->C_DigestUpdate(session, data, 10), CKR_OK);
    rv = p11->C_Digest(session, data, 10, digest, &size);
    assert_true(rv == CKR_OPERATION_ACTIVE || rv == CKR_OPERATION_NOT_INITIALIZED ||
                rv == CKR_FUNCTION_FAILED);
}

static void without_a_beginning_nothing_goes(void **state)
{
    CK_BYTE digest[64];
    CK_ULONG size = sizeof(digest);

    (void)state;
    assert_rv(p11->C_Digest(session, data, 10, digest, &size), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_DigestUpdate(session, data, 10), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_DigestKey(session, 1), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(p11->C_DigestFinal(session, digest, &size), CKR_OPERATION_NOT_INITIALIZED);
}

static void a_beginning_is_not_repeated(void **state)
{
    CK_BYTE digest[64];
    CK_ULONG size = sizeof(digest);

    (void)state;
    assert_rv(start(0), CKR_OK);
    assert_rv(p11->C_DigestUpdate(session, data, 10), CKR_OK);
    assert_rv(start(1), CKR_OPERATION_ACTIVE);
    assert_rv(p11->C_DigestFinal(session, digest, &size), CKR_OK);
    assert_int_equal(size, 32);
    assert_digest(0, 10, digest);
}

static void other_mechanisms_are_refused(void **state)
{
    static const CK_MECHANISM_TYPE others[] = { CKM_SHA_1,           CKM_MD5,
                                                CKM_SHA224,          CKM_RSA_PKCS,
                                                CKM_SHA256_RSA_PKCS, ~0UL };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CK_MECHANISM mechanism = { others[i], NULL, 0 };

        assert_rv(p11->C_DigestInit(session, &mechanism), CKR_MECHANISM_INVALID);
    }
    assert_rv(start(0), CKR_OK);
}

static void a_digest_takes_no_parameter(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256, data, 8 };

    (void)state;
    assert_rv(p11->C_DigestInit(session, &mechanism), CKR_MECHANISM_PARAM_INVALID);
}

/* From 3.0 on. */
static void no_mechanism_cancels(void **state)
{
    (void)state;
    assert_rv(start(0), CKR_OK);
    assert_rv(p11->C_DigestInit(session, NULL), CKR_OK);
    assert_rv(p11->C_DigestUpdate(session, data, 10), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(start(1), CKR_OK);
}

static void an_error_ends_it(void **state)
{
    CK_BYTE digest[64];
    CK_ULONG size = sizeof(digest);

    (void)state;
    assert_rv(start(0), CKR_OK);
    assert_rv(p11->C_DigestUpdate(session, NULL, 10), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_DigestFinal(session, digest, &size), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(start(0), CKR_OK);
    assert_rv(p11->C_Digest(session, NULL, 10, digest, &size), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_DigestUpdate(session, data, 10), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(start(0), CKR_OK);
    assert_rv(p11->C_DigestFinal(session, digest, NULL), CKR_ARGUMENTS_BAD);
    assert_rv(p11->C_DigestUpdate(session, data, 10), CKR_OPERATION_NOT_INITIALIZED);
}

static void keys_are_not_digested(void **state)
{
    CK_RV rv;

    (void)state;
    assert_rv(start(0), CKR_OK);
    rv = p11->C_DigestKey(session, fixture_find_class(session, CKO_PRIVATE_KEY));
    assert_true(rv == CKR_KEY_INDIGESTIBLE || rv == CKR_FUNCTION_NOT_SUPPORTED);
    if (rv == CKR_KEY_INDIGESTIBLE) {
        assert_rv(p11->C_SessionCancel(session, CKF_DIGEST), CKR_OK);
        assert_rv(start(0), CKR_OK);
        assert_rv(p11->C_DigestKey(session, 0), CKR_KEY_HANDLE_INVALID);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(digests_in_one_part_are_right),
        TEST(digests_in_many_parts_are_right),
        TEST(a_digest_of_nothing_needs_no_update),
        TEST(input_and_output_may_be_one_buffer),
        TEST(a_size_may_be_asked_and_missed),
        TEST(so_it_is_with_several_parts),
        TEST(parts_are_not_followed_by_a_whole),
        TEST(without_a_beginning_nothing_goes),
        TEST(a_beginning_is_not_repeated),
        TEST(other_mechanisms_are_refused),
        TEST(a_digest_takes_no_parameter),
        TEST(no_mechanism_cancels),
        TEST(an_error_ends_it),
        TEST(keys_are_not_digested),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, NULL);
}
