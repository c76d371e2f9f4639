/* SPDX-License-Identifier: Apache-2.0 */
/* A device key in the test's own TPM, for the tests of every folder; with cryptography from EVP. */
#ifndef GATEKEY_TESTS_TPM_DEVICE_KEY_H
#define GATEKEY_TESTS_TPM_DEVICE_KEY_H

#include "tpm/admin.h"

/* struct gk_crypto on OpenSSL's default library context. */
const struct gk_crypto *fixture_crypto(void);

/* The TCTI of the TPM this test was given; fails the test when there is none. */
const char *fixture_tcti(void);

/* Make a key at a handle, with a password where one is given; fails the test when it cannot. */
struct gk_key *fixture_key(uint32_t handle, const char *password);

/* The same, but what device.pem would hold; the caller's to free(3). */
char *fixture_key_file(uint32_t handle, const char *password);

/* A password as a struct gk_auth. */
struct gk_auth fixture_auth(const char *password);

#endif
