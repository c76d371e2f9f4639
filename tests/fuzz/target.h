/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz target defines: libFuzzer's entry point. */
#ifndef GATEKEY_TESTS_FUZZ_TARGET_H
#define GATEKEY_TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* Treat data as foreign bytes; always 0. Crashes, leaks and sanitizer reports are the findings. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
