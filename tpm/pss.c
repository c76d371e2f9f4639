/* SPDX-License-Identifier: Apache-2.0 */
/* EMSA-PSS (RFC 8017, 9.1.1), for keys whose TPM makes no salt that TLS would take. */
#include "tpm/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define ENCODED_SIZE GK_RSA2048_SIZE /* emLen: emBits is 2047, so its bytes fill the modulus */

size_t pss_longest_salt(enum gk_hash hash)
{
    return ENCODED_SIZE - gk_hash_size(hash) - 2;
}

/* XOR MGF1(seed) over a block (RFC 8017, B.2.1). */
static bool mask(const struct gk_crypto *crypto, enum gk_hash hash, const uint8_t *seed,
                 uint8_t *block, size_t block_size)
{
    size_t hash_size = gk_hash_size(hash);
    uint8_t input[GK_HASH_MAX_SIZE + 4], output[GK_HASH_MAX_SIZE];

    memcpy(input, seed, hash_size);
    for (size_t done = 0, counter = 0; done < block_size; done += hash_size, counter++) {
        size_t part = block_size - done < hash_size ? block_size - done : hash_size;

        /* A block of 256 bytes never counts past one byte. */
        memcpy(input + hash_size, (uint8_t[]){ 0, 0, 0, (uint8_t)counter }, 4);
        if (crypto->hash(crypto->context, hash, input, hash_size + 4, output) != 1) {
            return false;
        }
        for (size_t i = 0; i < part; i++) {
            block[done + i] ^= output[i];
        }
    }
    return true;
}

static bool fill_random(uint8_t *bytes, size_t size)
{
    ssize_t got;

    /* Up to 256 bytes come whole (getrandom(2)). */
    do {
        got = getrandom(bytes, size, 0);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)size;
}

enum gk_status pss_encode(const struct gk_crypto *crypto, enum gk_hash hash, const uint8_t *digest,
                          size_t salt_size, uint8_t encoded[GK_RSA2048_SIZE], struct gk_error *err)
{
    size_t hash_size = gk_hash_size(hash);
    size_t block_size = ENCODED_SIZE - hash_size - 1; /* DB */
    uint8_t input[8 + GK_HASH_MAX_SIZE + ENCODED_SIZE] = { 0 };
    uint8_t block[ENCODED_SIZE] = { 0 }, salted_hash[GK_HASH_MAX_SIZE];

    if (salt_size > pss_longest_salt(hash)) {
        return gk_fail(err, GK_BAD_SALT, "%zu bytes; at most %zu fit", salt_size,
                       pss_longest_salt(hash));
    }
    block[block_size - salt_size - 1] = 0x01;
    if (!fill_random(block + block_size - salt_size, salt_size)) {
        return gk_fail(err, GK_CRYPTO_FAILED, "no random numbers");
    }
    memcpy(input + 8, digest, hash_size);
    memcpy(input + 8 + hash_size, block + block_size - salt_size, salt_size);
    if (crypto->hash(crypto->context, hash, input, 8 + hash_size + salt_size, salted_hash) != 1 ||
        !mask(crypto, hash, salted_hash, block, block_size)) {
        return gk_fail(err, GK_CRYPTO_FAILED, "hashing");
    }
    /* emBits is one less than the modulus has, so the first bit is zero. */
    block[0] &= 0x7f;
    memcpy(encoded, block, block_size);
    memcpy(encoded + block_size, salted_hash, hash_size);
    encoded[ENCODED_SIZE - 1] = 0xbc;
    return GK_OK;
}
