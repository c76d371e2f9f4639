/* SPDX-License-Identifier: Apache-2.0 */
/* Writes "TSS2 PRIVATE KEY" files by hand, with whatever fields a test wants in them. */
#ifndef GATEKEY_TESTS_PROVIDER_TSS2_H
#define GATEKEY_TESTS_PROVIDER_TSS2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tss2_flag { TSS2_ABSENT, TSS2_FALSE, TSS2_TRUE };
enum tss2_list { TSS2_NO_LIST, TSS2_EMPTY_LIST, TSS2_LIST };

struct tss2 {
    uint8_t type; /* the last number of 2.23.133.10.1; 0 is 2.23.133.10.2, the old format */
    enum tss2_flag empty_auth;
    enum tss2_list policy;
    enum tss2_list auth_policy;
    const char *secret;      /* or NULL */
    const char *description; /* or NULL */
    enum tss2_flag rsa_parent;
    const char *parent; /* the INTEGER's content */
    size_t parent_size;
    const uint8_t *public_area;
    size_t public_size;
    const uint8_t *private_area;
    size_t private_size;
};

#define TSS2_PARENT(bytes) .parent = bytes, .parent_size = sizeof(bytes) - 1

#define TSS2_MAX_SIZE 16384

/* As DER; its size. */
size_t tss2_der(const struct tss2 *tss2, uint8_t der[TSS2_MAX_SIZE]);

/* DER in the armour of a label, in the given buffer. */
void tss2_pem(const char *label, const uint8_t *der, size_t size, char text[2 * TSS2_MAX_SIZE]);

#endif
