/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates for the files of a token, and looking at what is made of them. */
#ifndef GATEKEY_TESTS_PKCS11_SAMPLE_H
#define GATEKEY_TESTS_PKCS11_SAMPLE_H

#include "pkcs11/internal.h"
#include "tests/pkcs11/files.h"

GK_DEFINE_CLEANUP(struct p11_token, p11_token_release)

#define SAMPLE_PROFILES 3

/* Two device keys, as while one is renewed, and who certified them. */
extern struct sample {
    EVP_PKEY *key, *newer_key, *issuer_key;
    char *device, *newer_device, *device_with_password;
    struct files_certificate leaf, newer_leaf, issuer;
} sample;

/* Group fixtures: make and free them. */
int sample_begin(void **state);
int sample_end(void **state);

/* Read the identity directory. */
struct p11_token *sample_token(void);
/* The first object of that class from a place on, or NULL; how many there are. */
const struct p11_object *sample_object(const struct p11_token *token, CK_OBJECT_CLASS class,
                                       size_t from);
size_t sample_count(const struct p11_token *token, CK_OBJECT_CLASS class);

void assert_value(const struct p11_object *object, CK_ATTRIBUTE_TYPE type, const void *value,
                  size_t size);
void assert_flag(const struct p11_object *object, CK_ATTRIBUTE_TYPE type, bool wanted);
void assert_number(const struct p11_object *object, CK_ATTRIBUTE_TYPE type, CK_ULONG wanted);
void assert_label(const struct p11_object *object, const char *wanted);

#endif
