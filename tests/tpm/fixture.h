/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of tpm/ share. */
#ifndef GATEKEY_TESTS_TPM_FIXTURE_H
#define GATEKEY_TESTS_TPM_FIXTURE_H

#include "tests/tpm/device-key.h"

#include <stdbool.h>

/* Run a command by the shell and fail the test unless it ends with 0 (tpm2-tools set the scene). */
void fixture_run(const char *command);

/* Fail the test unless the sentence of err holds the text. */
void fixture_assert_says(const struct gk_error *err, const char *text);

/* Fail the test unless the TPM holds no transient object and no session. */
void fixture_assert_nothing_left_loaded(void);

/*
 * Take the power from this test's swtpm and give it back: orderly with TPM2_Shutdown before, else
 * as a power cut does.
 */
void fixture_power_cycle(bool orderly);

#endif
