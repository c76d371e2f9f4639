/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of pkcs11/crypto.c: nettle agrees with OpenSSL, by which everything here is made. */
#include "pkcs11/internal.h"
#include "tests/pkcs11/software-key.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct software_key *key;
static const uint8_t digest[GK_HASH_MAX_SIZE] = { 1, 2, 3 };

static const struct {
    enum gk_hash hash;
    const char *name;
    size_t size;
} hashes[] = {
    { GK_SHA256, "SHA256", 32 },
    { GK_SHA384, "SHA384", 48 },
    { GK_SHA512, "SHA512", 64 },
    { GK_SHA1, "SHA1", 20 }, /* last: for RSASSA only */
};
#define HASHES (sizeof(hashes) / sizeof(hashes[0]))
#define PSS_HASHES (HASHES - 1)

static int make_key(void **state)
{
    (void)state;
    key = software_key_new(65537);
    return 0;
}

static int free_key(void **state)
{
    (void)state;
    software_key_free(key);
    return 0;
}

static int verify(enum gk_scheme scheme, enum gk_hash hash, size_t salt_size,
                  const uint8_t signature[GK_RSA2048_SIZE])
{
    return p11_crypto.verify(p11_crypto.context, software_key_public(key), scheme, hash, salt_size,
                             digest, signature);
}

/* --- hashes -------------------------------------------------------------------------------------
 */

static void hashes_as_openssl_does(void **state)
{
    uint8_t data[300], expected[GK_HASH_MAX_SIZE], whole[GK_HASH_MAX_SIZE], parts[GK_HASH_MAX_SIZE];

    (void)state;
    memset(data, 0xa5, sizeof(data));
    for (size_t i = 0; i < PSS_HASHES; i++) {
        for (size_t size = 0; size <= sizeof(data); size++) {
            struct p11_hash hash;

            assert_int_equal(EVP_Q_digest(NULL, hashes[i].name, NULL, data, size, expected, NULL),
                             1);
            assert_int_equal(p11_crypto.hash(p11_crypto.context, hashes[i].hash, data, size, whole),
                             1);
            assert_memory_equal(whole, expected, hashes[i].size);
            p11_hash_begin(&hash, hashes[i].hash);
            p11_hash_add(&hash, data, size / 3);
            p11_hash_add(&hash, NULL, 0);
            p11_hash_add(&hash, data + size / 3, size - size / 3);
            p11_hash_end(&hash, parts);
            assert_memory_equal(parts, expected, hashes[i].size);
        }
    }
}

/* The caller has room for the digest, not for the longest there is. */
static void writes_no_more_than_the_digest(void **state)
{
    uint8_t out[GK_HASH_MAX_SIZE];

    (void)state;
    for (size_t i = 0; i < PSS_HASHES; i++) {
        memset(out, 0x5a, sizeof(out));
        assert_int_equal(p11_crypto.hash(p11_crypto.context, hashes[i].hash, "abc", 3, out), 1);
        for (size_t at = hashes[i].size; at < sizeof(out); at++) {
            assert_int_equal(out[at], 0x5a);
        }
    }
}

static void never_hashes_by_sha1(void **state)
{
    uint8_t out[GK_HASH_MAX_SIZE];

    (void)state;
    assert_int_equal(p11_crypto.hash(p11_crypto.context, GK_SHA1, "abc", 3, out), -1);
}

/* --- DigestInfo ---------------------------------------------------------------------------------
 */

static size_t info_by_openssl(size_t i, uint8_t *info)
{
    X509_SIG *sig = X509_SIG_new();
    X509_ALGOR *algorithm;
    ASN1_OCTET_STRING *octets;
    int size;

    X509_SIG_getm(sig, &algorithm, &octets);
    X509_ALGOR_set0(algorithm, OBJ_txt2obj(hashes[i].name, 0), V_ASN1_NULL, NULL);
    assert_int_equal(ASN1_OCTET_STRING_set(octets, digest, (int)hashes[i].size), 1);
    size = i2d_X509_SIG(sig, &info);
    assert_true(size > 0);
    X509_SIG_free(sig);
    return (size_t)size;
}

static void writes_and_reads_every_digest_info(void **state)
{
    (void)state;
    for (size_t i = 0; i < HASHES; i++) {
        uint8_t expected[P11_DIGEST_INFO_MAX + 16], info[P11_DIGEST_INFO_MAX];
        uint8_t read[GK_HASH_MAX_SIZE];
        size_t size = info_by_openssl(i, expected);
        enum gk_hash hash = GK_SHA512;

        assert_int_equal(p11_digest_info_write(hashes[i].hash, digest, info), size);
        assert_memory_equal(info, expected, size);
        assert_int_equal(p11_digest_info_read(info, size, &hash, read), CKR_OK);
        assert_int_equal(hash, hashes[i].hash);
        assert_memory_equal(read, digest, hashes[i].size);
    }
}

static void refuses_a_digest_info_that_is_wrong_anywhere(void **state)
{
    uint8_t info[P11_DIGEST_INFO_MAX], read[GK_HASH_MAX_SIZE];
    enum gk_hash hash;

    (void)state;
    for (size_t i = 0; i < HASHES; i++) {
        size_t size = p11_digest_info_write(hashes[i].hash, digest, info);

        for (size_t at = 0; at < size - hashes[i].size; at++) {
            info[at] ^= 1;
            assert_int_equal(p11_digest_info_read(info, size, &hash, read), CKR_DATA_INVALID);
            info[at] ^= 1;
        }
    }
}

static void refuses_a_digest_info_of_another_length(void **state)
{
    uint8_t info[300] = { 0 }, read[GK_HASH_MAX_SIZE];
    enum gk_hash hash;

    (void)state;
    assert_int_equal(p11_digest_info_read(NULL, 0, &hash, read), CKR_DATA_LEN_RANGE);
    for (size_t i = 0; i < HASHES; i++) {
        size_t right = p11_digest_info_write(hashes[i].hash, digest, info);

        for (size_t size = 0; size <= sizeof(info); size++) {
            bool is_of_some_hash = size == 35 || size == 51 || size == 67 || size == 83;

            assert_int_equal(p11_digest_info_read(info, size, &hash, read),
                             size == right     ? CKR_OK
                             : is_of_some_hash ? CKR_DATA_INVALID
                                               : CKR_DATA_LEN_RANGE);
        }
    }
}

/* --- verification -------------------------------------------------------------------------------
 */

static void accepts_what_the_key_signed(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    for (size_t i = 0; i < HASHES; i++) {
        software_key_sign(key, GK_RSASSA, hashes[i].hash, 0, digest, signature);
        assert_int_equal(verify(GK_RSASSA, hashes[i].hash, 0, signature), 1);
        assert_int_equal(verify(GK_RSASSA, hashes[i].hash, SIZE_MAX, signature), 1);
        for (size_t other = 0; other < HASHES; other++) {
            assert_int_equal(verify(GK_RSASSA, hashes[other].hash, 0, signature), other == i);
        }
    }
    for (size_t i = 0; i < PSS_HASHES; i++) {
        const size_t salts[] = { hashes[i].size, 0, GK_RSA2048_SIZE - hashes[i].size - 2 };

        for (size_t salt = 0; salt < 3; salt++) {
            software_key_sign(key, GK_RSAPSS, hashes[i].hash, salts[salt], digest, signature);
            assert_int_equal(verify(GK_RSAPSS, hashes[i].hash, salts[salt], signature), 1);
            assert_int_equal(verify(GK_RSAPSS, hashes[(i + 1) % 3].hash, salts[salt], signature),
                             0);
        }
    }
}

static void tells_salts_of_other_lengths_apart(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    for (size_t i = 0; i < PSS_HASHES; i++) {
        software_key_sign(key, GK_RSAPSS, hashes[i].hash, hashes[i].size, digest, signature);
        for (size_t salt = 0; salt <= GK_RSA2048_SIZE; salt++) {
            assert_int_equal(verify(GK_RSAPSS, hashes[i].hash, salt, signature),
                             salt == hashes[i].size);
        }
        assert_int_equal(verify(GK_RSAPSS, hashes[i].hash, GK_RSA2048_SIZE + 1, signature), -1);
        assert_int_equal(verify(GK_RSAPSS, hashes[i].hash, SIZE_MAX, signature), -1);
    }
}

static void tells_the_schemes_apart(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    software_key_sign(key, GK_RSASSA, GK_SHA256, 0, digest, signature);
    assert_int_equal(verify(GK_RSAPSS, GK_SHA256, 32, signature), 0);
    software_key_sign(key, GK_RSAPSS, GK_SHA256, 32, digest, signature);
    assert_int_equal(verify(GK_RSASSA, GK_SHA256, 0, signature), 0);
    assert_int_equal(verify(GK_RSAPSS, GK_SHA1, 20, signature), -1);
}

static void refuses_every_damaged_byte(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        enum gk_scheme scheme = i == 0 ? GK_RSASSA : GK_RSAPSS;

        software_key_sign(key, scheme, GK_SHA256, 32, digest, signature);
        for (size_t at = 0; at < GK_RSA2048_SIZE; at++) {
            signature[at] ^= 0x80;
            assert_int_equal(verify(scheme, GK_SHA256, 32, signature), 0);
            signature[at] ^= 0x80;
        }
    }
}

/* RFC 8017, 5.2.2: a representative out of range is no signature, whatever it is congruent to. */
static void refuses_numbers_out_of_range(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE] = { 0 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        enum gk_scheme scheme = i == 0 ? GK_RSASSA : GK_RSAPSS;

        memset(signature, 0, sizeof(signature));
        assert_int_equal(verify(scheme, GK_SHA256, 32, signature), 0);
        memcpy(signature, software_key_public(key)->modulus, sizeof(signature));
        assert_int_equal(verify(scheme, GK_SHA256, 32, signature), 0);
        memset(signature, 0xff, sizeof(signature));
        assert_int_equal(verify(scheme, GK_SHA256, 32, signature), 0);
    }
}

static void takes_the_exponent_from_the_key(void **state)
{
    struct software_key *other = software_key_new(3);
    struct gk_public public = *software_key_public(other);
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    software_key_sign(other, GK_RSAPSS, GK_SHA384, 48, digest, signature);
    assert_int_equal(p11_crypto.verify(NULL, &public, GK_RSAPSS, GK_SHA384, 48, digest, signature),
                     1);
    public.exponent = 65537;
    assert_int_equal(p11_crypto.verify(NULL, &public, GK_RSAPSS, GK_SHA384, 48, digest, signature),
                     0);
    software_key_free(other);
}

static void fails_where_there_is_no_key(void **state)
{
    static const struct gk_public none = { .modulus = { 0 }, .exponent = 65537 };
    static const uint8_t signature[GK_RSA2048_SIZE] = { 1 };

    (void)state;
    assert_int_equal(p11_crypto.verify(NULL, &none, GK_RSASSA, GK_SHA256, 0, digest, signature),
                     -1);
    assert_int_equal(p11_crypto.verify(NULL, &none, GK_RSAPSS, GK_SHA256, 32, digest, signature),
                     -1);
}

/* CKM_RSA_PKCS verifies what others signed, which need not be a DigestInfo. */
static void verifies_any_data_that_fits(void **state)
{
    static const size_t sizes[] = { 1, 20, 35, 36, 51, 244, 245 };
    uint8_t data[GK_RSA2048_SIZE], signature[GK_RSA2048_SIZE];

    (void)state;
    memset(data, 0x42, sizeof(data));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        software_key_sign_data(key, data, sizes[i], signature);
        assert_int_equal(
            p11_crypto_verify_pkcs1(software_key_public(key), data, sizes[i], signature), 1);
        assert_int_equal(
            p11_crypto_verify_pkcs1(software_key_public(key), data, sizes[i] - 1, signature), 0);
        data[0] ^= 1;
        assert_int_equal(
            p11_crypto_verify_pkcs1(software_key_public(key), data, sizes[i], signature), 0);
        data[0] ^= 1;
    }
    assert_int_equal(p11_crypto_verify_pkcs1(software_key_public(key), data, 246, signature), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_as_openssl_does),
        cmocka_unit_test(writes_no_more_than_the_digest),
        cmocka_unit_test(never_hashes_by_sha1),
        cmocka_unit_test(writes_and_reads_every_digest_info),
        cmocka_unit_test(refuses_a_digest_info_that_is_wrong_anywhere),
        cmocka_unit_test(refuses_a_digest_info_of_another_length),
        cmocka_unit_test(accepts_what_the_key_signed),
        cmocka_unit_test(tells_salts_of_other_lengths_apart),
        cmocka_unit_test(tells_the_schemes_apart),
        cmocka_unit_test(refuses_every_damaged_byte),
        cmocka_unit_test(refuses_numbers_out_of_range),
        cmocka_unit_test(takes_the_exponent_from_the_key),
        cmocka_unit_test(fails_where_there_is_no_key),
        cmocka_unit_test(verifies_any_data_that_fits),
    };

    return cmocka_run_group_tests(tests, make_key, free_key);
}
