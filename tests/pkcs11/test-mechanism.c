/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of pkcs11/mechanism.c: the table says what the manual says. */
#include "pkcs11/internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct p11_token no_key;

#define ANY true
#define OWN false

static const struct {
    CK_MECHANISM_TYPE type;
    bool signs; /* else it digests */
    enum p11_input input;
    enum gk_scheme scheme;
    bool any_hash;
    enum gk_hash hash;
} expected[] = {
    { CKM_RSA_PKCS, true, P11_DIGEST_INFO, GK_RSASSA, ANY, GK_SHA256 },
    { CKM_RSA_PKCS_PSS, true, P11_HASHED, GK_RSAPSS, ANY, GK_SHA256 },
    { CKM_SHA256_RSA_PKCS, true, P11_MESSAGE, GK_RSASSA, OWN, GK_SHA256 },
    { CKM_SHA384_RSA_PKCS, true, P11_MESSAGE, GK_RSASSA, OWN, GK_SHA384 },
    { CKM_SHA512_RSA_PKCS, true, P11_MESSAGE, GK_RSASSA, OWN, GK_SHA512 },
    { CKM_SHA256_RSA_PKCS_PSS, true, P11_MESSAGE, GK_RSAPSS, OWN, GK_SHA256 },
    { CKM_SHA384_RSA_PKCS_PSS, true, P11_MESSAGE, GK_RSAPSS, OWN, GK_SHA384 },
    { CKM_SHA512_RSA_PKCS_PSS, true, P11_MESSAGE, GK_RSAPSS, OWN, GK_SHA512 },
    { CKM_SHA256, false, P11_MESSAGE, GK_RSASSA, OWN, GK_SHA256 },
    { CKM_SHA384, false, P11_MESSAGE, GK_RSASSA, OWN, GK_SHA384 },
    { CKM_SHA512, false, P11_MESSAGE, GK_RSASSA, OWN, GK_SHA512 },
};
#define EXPECTED (sizeof(expected) / sizeof(expected[0]))

static void has_these_mechanisms_and_no_others(void **state)
{
    (void)state;
    assert_int_equal(EXPECTED, 11);
    assert_int_equal(p11_mechanism_count, EXPECTED);
    for (size_t i = 0; i < EXPECTED; i++) {
        const struct p11_mechanism *row = &p11_mechanisms[i];

        assert_int_equal(row->type, expected[i].type);
        assert_int_equal(row->input, expected[i].input);
        assert_int_equal(row->scheme, expected[i].scheme);
        assert_int_equal(row->any_hash, expected[i].any_hash);
        assert_int_equal(row->hash, expected[i].hash);
    }
}

static void says_sizes_and_uses(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXPECTED; i++) {
        const CK_MECHANISM_INFO *info = &p11_mechanisms[i].info;

        assert_int_equal(info->ulMinKeySize, expected[i].signs ? 2048 : 0);
        assert_int_equal(info->ulMaxKeySize, expected[i].signs ? 2048 : 0);
        assert_int_equal(info->flags,
                         expected[i].signs ? CKF_HW | CKF_SIGN | CKF_VERIFY : CKF_DIGEST);
    }
}

static void finds_each_for_its_uses_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXPECTED; i++) {
        const struct p11_mechanism *row = &p11_mechanisms[i];
        bool signs = expected[i].signs;

        assert_true(p11_mechanism_is_offered(row, &no_key));
        assert_ptr_equal(p11_mechanism_find(row->type, P11_SIGN, &no_key), signs ? row : NULL);
        assert_ptr_equal(p11_mechanism_find(row->type, P11_VERIFY, &no_key), signs ? row : NULL);
        assert_ptr_equal(p11_mechanism_find(row->type, P11_DIGEST, &no_key), signs ? NULL : row);
    }
}

/* Raw RSA above all: it would sign anything. */
static void finds_no_others(void **state)
{
    static const CK_MECHANISM_TYPE others[] = {
        CKM_RSA_PKCS_KEY_PAIR_GEN,
        CKM_RSA_9796,
        CKM_RSA_X_509,
        CKM_RSA_PKCS_OAEP,
        CKM_SHA1_RSA_PKCS,
        CKM_SHA224_RSA_PKCS,
        CKM_SHA_1,
        CKM_SHA224,
        CKM_ECDSA,
        CKM_VENDOR_DEFINED,
        (CK_ULONG)-1,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_null(p11_mechanism_find(others[i], P11_SIGN, &no_key));
        assert_null(p11_mechanism_find(others[i], P11_VERIFY, &no_key));
        assert_null(p11_mechanism_find(others[i], P11_DIGEST, &no_key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_these_mechanisms_and_no_others),
        cmocka_unit_test(says_sizes_and_uses),
        cmocka_unit_test(finds_each_for_its_uses_only),
        cmocka_unit_test(finds_no_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
