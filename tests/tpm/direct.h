/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test's own line to its TPM, past the code under test: what is loaded, and the scene set
 * quickly. One command each where a tool of tpm2-tools would be a process. Fails the test when it
 * cannot.
 */
#ifndef GATEKEY_TESTS_TPM_DIRECT_H
#define GATEKEY_TESTS_TPM_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void direct_open(void);
void direct_close(void);

/* How many transient objects and sessions the TPM holds. */
unsigned direct_loaded(void);
void direct_flush(void);

bool direct_has(uint32_t handle); /* a persistent object */
void direct_evict(uint32_t handle);

/*
 * Keys that are put at a handle as often as one likes, made once: a storage root as the TCG's
 * template has it, and one as gatekey makes the device key, with decrypt beside sign or without.
 */
enum direct_key { DIRECT_ROOT, DIRECT_SIGNS, DIRECT_SIGNS_AND_DECRYPTS, DIRECT_KEY_COUNT };
void direct_put(enum direct_key which, uint32_t handle);

/* A signing key under that storage root, as a file holds it: TPM2B_PUBLIC and TPM2B_PRIVATE. */
struct direct_file {
    uint8_t public_area[1024], private_area[1024];
    size_t public_size, private_size;
};
void direct_make_file(enum direct_key which, struct direct_file *file);

#endif
