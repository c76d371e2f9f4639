/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates for the files of a token, and looking at what is made of them. */
#include "tests/pkcs11/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct sample sample;

int sample_begin(void **state)
{
    (void)state;
    sample.key = EVP_RSA_gen(2048);
    sample.newer_key = EVP_RSA_gen(2048);
    sample.issuer_key = EVP_EC_gen("P-256");
    sample.device = files_reference(sample.key, FILES_PLAIN);
    sample.device_with_password = files_reference(sample.key, FILES_WITH_PASSWORD);
    sample.newer_device = files_reference(sample.newer_key, FILES_PLAIN);
    sample.leaf = files_certify(sample.key, "device", sample.issuer_key, "issuer");
    sample.newer_leaf = files_certify(sample.newer_key, "device", sample.issuer_key, "issuer");
    sample.issuer = files_certify(sample.issuer_key, "issuer", sample.issuer_key, "issuer");
    return 0;
}

int sample_end(void **state)
{
    (void)state;
    files_certificate_clear(&sample.leaf);
    files_certificate_clear(&sample.newer_leaf);
    files_certificate_clear(&sample.issuer);
    free(sample.device);
    free(sample.device_with_password);
    free(sample.newer_device);
    EVP_PKEY_free(sample.key);
    EVP_PKEY_free(sample.newer_key);
    EVP_PKEY_free(sample.issuer_key);
    return 0;
}

struct p11_token *sample_token(void)
{
    struct p11_token *token = p11_token_read(FILES_DIRECTORY);

    assert_non_null(token);
    return token;
}

/* The first object of that class from a place on, or NULL. */
const struct p11_object *sample_object(const struct p11_token *token, CK_OBJECT_CLASS class,
                                       size_t from)
{
    for (size_t i = from; i < token->count; i++) {
        if (token->objects[i].class == class) {
            return &token->objects[i];
        }
    }
    return NULL;
}

void assert_value(const struct p11_object *object, CK_ATTRIBUTE_TYPE type, const void *value,
                  size_t size)
{
    const struct p11_attribute *attribute = p11_object_find(object, type);

    assert_non_null(attribute);
    assert_false(attribute->sensitive);
    assert_int_equal(attribute->size, size);
    assert_memory_equal(attribute->value, value, size);
}

void assert_flag(const struct p11_object *object, CK_ATTRIBUTE_TYPE type, bool wanted)
{
    CK_BBOOL flag = wanted ? CK_TRUE : CK_FALSE;

    assert_value(object, type, &flag, sizeof(flag));
}

void assert_number(const struct p11_object *object, CK_ATTRIBUTE_TYPE type, CK_ULONG wanted)
{
    assert_value(object, type, &wanted, sizeof(wanted));
}

void assert_label(const struct p11_object *object, const char *wanted)
{
    assert_value(object, CKA_LABEL, wanted, strlen(wanted));
}

size_t sample_count(const struct p11_token *token, CK_OBJECT_CLASS class)
{
    size_t count = 0;

    for (size_t i = 0; i < token->count; i++) {
        count += token->objects[i].class == class;
    }
    return count;
}
