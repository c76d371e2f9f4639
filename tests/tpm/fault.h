/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For C tests under with-swtpm: the fault TCTI (see fault-tcti.c) in front of the test's own TPM.
 * Whatever cannot be done fails the test.
 */
#ifndef GATEKEY_TESTS_TPM_FAULT_H
#define GATEKEY_TESTS_TPM_FAULT_H

#include <stddef.h>
#include <stdint.h>

/* The TCTI to hand to the code under test; every command passes until fault_plan() says otherwise.
 */
const char *fault_tcti(void);

/* Give it a plan, "" for none, and begin the log anew. */
void fault_plan(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Take up to capacity command codes from the log, in the order they were sent; how many there are.
 */
size_t fault_commands(uint32_t *commands, size_t capacity);

/* How many commands the log has; connections do not count. */
unsigned fault_count(void);

/* How often a connection was opened, or tried to be. */
unsigned fault_opened(void);

#endif
