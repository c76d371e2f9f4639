/* SPDX-License-Identifier: Apache-2.0 */
/* An RSA key in OpenSSL's hands: what signs for tests that have no TPM. */
#ifndef GATEKEY_TESTS_PKCS11_SOFTWARE_KEY_H
#define GATEKEY_TESTS_PKCS11_SOFTWARE_KEY_H

#include "tpm/devkey.h"

struct software_key;

struct software_key *software_key_new(uint32_t exponent);
void software_key_free(struct software_key *key);
const struct gk_public *software_key_public(const struct software_key *key);

/* Fails the test when it cannot. */
void software_key_sign(const struct software_key *key, enum gk_scheme scheme, enum gk_hash hash,
                       size_t salt_size, const uint8_t *digest, uint8_t signature[GK_RSA2048_SIZE]);
/* RSASSA-PKCS1-v1_5 with data in the place of the DigestInfo. */
void software_key_sign_data(const struct software_key *key, const uint8_t *data, size_t size,
                            uint8_t signature[GK_RSA2048_SIZE]);

#endif
