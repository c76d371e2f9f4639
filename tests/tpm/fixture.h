/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of tpm/ share: cryptography from EVP, a key made in the test's own TPM. */
#ifndef GATEKEY_TESTS_TPM_FIXTURE_H
#define GATEKEY_TESTS_TPM_FIXTURE_H

#include "tpm/admin.h"

/* struct gk_crypto on OpenSSL's default library context. */
const struct gk_crypto *fixture_crypto(void);

/* The TCTI of the TPM this test was given; fails the test when there is none. */
const char *fixture_tcti(void);

/* Make a key at a handle, with a password where one is given; fails the test when it cannot. */
struct gk_key *fixture_key(uint32_t handle, const char *password);

/* A password as a struct gk_auth. */
struct gk_auth fixture_auth(const char *password);

/* Run a command by the shell and fail the test unless it ends with 0 (tpm2-tools set the scene). */
void fixture_run(const char *command);

/* Fail the test unless the sentence of err holds the text. */
void fixture_assert_says(const struct gk_error *err, const char *text);

/* Fail the test unless the TPM holds no transient object and no session. */
void fixture_assert_nothing_left_loaded(void);

#endif
