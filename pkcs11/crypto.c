/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes and verifies with nettle, on behalf of tpm/ and of the functions for digests and
 * signatures. */
#include "pkcs11/internal.h"

#include <assert.h>
#include <nettle/nettle-meta.h>
#include <nettle/rsa.h>
#include <string.h>

/* --- hashes -------------------------------------------------------------------------------------
 */

/* SHA-1 is missing: it only ever comes as a ready digest, in a DigestInfo. */
static const struct nettle_hash *const hashes[] = {
    [GK_SHA256] = &nettle_sha256,
    [GK_SHA384] = &nettle_sha384,
    [GK_SHA512] = &nettle_sha512,
    [GK_SHA1] = NULL,
};

void p11_hash_begin(struct p11_hash *hash, enum gk_hash type)
{
    assert(hashes[type] != NULL);
    hash->type = type;
    hashes[type]->init(&hash->state);
}

void p11_hash_add(struct p11_hash *hash, const void *data, size_t size)
{
    /* Nothing may be given as NULL, which memcpy(3) does not take. */
    if (size > 0) {
        hashes[hash->type]->update(&hash->state, size, data);
    }
}

void p11_hash_end(struct p11_hash *hash, uint8_t digest[static GK_HASH_MAX_SIZE])
{
    hashes[hash->type]->digest(&hash->state, hashes[hash->type]->digest_size, digest);
}

static int hash_buffer(void *context, enum gk_hash type, const void *data, size_t size,
                       uint8_t *digest)
{
    uint8_t whole[GK_HASH_MAX_SIZE];
    struct p11_hash hash;

    (void)context;
    if (hashes[type] == NULL) {
        return -1;
    }
    p11_hash_begin(&hash, type);
    p11_hash_add(&hash, data, size);
    p11_hash_end(&hash, whole);
    memcpy(digest, whole, gk_hash_size(type));
    return 1;
}

/* --- DigestInfo ---------------------------------------------------------------------------------
 */

/* What stands before the digest (RFC 8017, 9.2, note 1): all of its DER, its NULL parameter too. */
static const struct {
    size_t size;
    uint8_t bytes[19];
} prefixes[] = {
    [GK_SHA256] = { 19,
                    { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
                      0x02, 0x01, 0x05, 0x00, 0x04, 0x20 } },
    [GK_SHA384] = { 19,
                    { 0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
                      0x02, 0x02, 0x05, 0x00, 0x04, 0x30 } },
    [GK_SHA512] = { 19,
                    { 0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
                      0x02, 0x03, 0x05, 0x00, 0x04, 0x40 } },
    [GK_SHA1] = { 15,
                  { 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00,
                    0x04, 0x14 } },
};
#define PREFIXES (sizeof(prefixes) / sizeof(prefixes[0]))

size_t p11_digest_info_write(enum gk_hash hash, const uint8_t *digest,
                             uint8_t info[static P11_DIGEST_INFO_MAX])
{
    memcpy(info, prefixes[hash].bytes, prefixes[hash].size);
    memcpy(info + prefixes[hash].size, digest, gk_hash_size(hash));
    return prefixes[hash].size + gk_hash_size(hash);
}

/*
 * Without the NULL parameter it is refused, although verifiers should take it: the TPM puts the
 * NULL in, so that what was signed would not be what was given.
 */
CK_RV p11_digest_info_read(const uint8_t *info, size_t size, enum gk_hash *hash,
                           uint8_t digest[static GK_HASH_MAX_SIZE])
{
    CK_RV rv = CKR_DATA_LEN_RANGE;

    for (size_t i = 0; i < PREFIXES; i++) {
        size_t digest_size = gk_hash_size((enum gk_hash)i);

        if (size != prefixes[i].size + digest_size) {
            continue;
        }
        if (memcmp(info, prefixes[i].bytes, prefixes[i].size) == 0) {
            *hash = (enum gk_hash)i;
            memcpy(digest, info + prefixes[i].size, digest_size);
            return CKR_OK;
        }
        rv = CKR_DATA_INVALID;
    }
    return rv;
}

/* --- verification -------------------------------------------------------------------------------
 */

/* The numbers of one verification, as nettle and GMP take them. */
struct numbers {
    struct rsa_public_key key;
    mpz_t signature;
};

static void numbers_clear(struct numbers *numbers)
{
    rsa_public_key_clear(&numbers->key);
    mpz_clear(numbers->signature);
}

/* They are for clearing in any case; false where this is no key. */
static bool numbers_init(struct numbers *numbers, const struct gk_public *public,
                         const uint8_t signature[GK_RSA2048_SIZE])
{
    rsa_public_key_init(&numbers->key);
    mpz_set_ui(numbers->key.e, public->exponent);
    nettle_mpz_set_str_256_u(numbers->key.n, GK_RSA2048_SIZE, public->modulus);
    nettle_mpz_init_set_str_256_u(numbers->signature, GK_RSA2048_SIZE, signature);
    return rsa_public_key_prepare(&numbers->key) == 1 && numbers->key.size == GK_RSA2048_SIZE;
}

int p11_crypto_verify_pkcs1(const struct gk_public *public, const uint8_t *data, size_t size,
                            const uint8_t signature[GK_RSA2048_SIZE])
{
    CLEANUP(numbers_clear) struct numbers numbers;

    return numbers_init(&numbers, public, signature)
               ? rsa_pkcs1_verify(&numbers.key, size, data, numbers.signature)
               : -1;
}

static int verify_pss(const struct gk_public *public, enum gk_hash hash, size_t salt_size,
                      const uint8_t *digest, const uint8_t signature[GK_RSA2048_SIZE])
{
    CLEANUP(numbers_clear) struct numbers numbers;

    if (!numbers_init(&numbers, public, signature)) {
        return -1;
    }
    switch (hash) {
    case GK_SHA256:
        return rsa_pss_sha256_verify_digest(&numbers.key, salt_size, digest, numbers.signature);
    case GK_SHA384:
        return rsa_pss_sha384_verify_digest(&numbers.key, salt_size, digest, numbers.signature);
    case GK_SHA512:
        return rsa_pss_sha512_verify_digest(&numbers.key, salt_size, digest, numbers.signature);
    case GK_SHA1:
        break; /* for RSASSA only */
    }
    return -1;
}

static int verify(void *context, const struct gk_public *public, enum gk_scheme scheme,
                  enum gk_hash hash, size_t salt_size, const uint8_t *digest,
                  const uint8_t signature[GK_RSA2048_SIZE])
{
    uint8_t info[P11_DIGEST_INFO_MAX];

    (void)context;
    if (scheme == GK_RSASSA) {
        return p11_crypto_verify_pkcs1(public, info, p11_digest_info_write(hash, digest, info),
                                       signature);
    }
    /* More than the modulus holds would overflow where nettle adds it up. */
    return salt_size <= GK_RSA2048_SIZE ? verify_pss(public, hash, salt_size, digest, signature)
                                        : -1;
}

const struct gk_crypto p11_crypto = { .context = NULL, .hash = hash_buffer, .verify = verify };
