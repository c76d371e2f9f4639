/* SPDX-License-Identifier: Apache-2.0 */
/* An object: a class, and a list of attributes with their values. */
#include "pkcs11/internal.h"

#include <stdlib.h>
#include <string.h>

/* Room for attributes is made in steps, as most objects have some thirty. */
#define STEP 32

static struct p11_attribute *next_attribute(struct p11_object *object)
{
    if (object->count % STEP == 0) {
        size_t size = (object->count + STEP) * sizeof(struct p11_attribute);
        struct p11_attribute *larger = realloc(object->attributes, size);

        if (larger == NULL) {
            return NULL;
        }
        object->attributes = larger;
    }
    return &object->attributes[object->count];
}

bool p11_object_add(struct p11_object *object, CK_ATTRIBUTE_TYPE type, const void *value,
                    size_t size)
{
    CLEANUP(gk_freep) uint8_t *copy = NULL;
    struct p11_attribute *attribute;

    if (size > 0) {
        copy = malloc(size);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, value, size);
    }
    attribute = next_attribute(object);
    if (attribute == NULL) {
        return false;
    }
    *attribute = (struct p11_attribute){ .type = type, .size = size, .value = TAKE(copy) };
    object->count++;
    return true;
}

bool p11_object_add_bool(struct p11_object *object, CK_ATTRIBUTE_TYPE type, bool value)
{
    const CK_BBOOL flag = value ? CK_TRUE : CK_FALSE;

    return p11_object_add(object, type, &flag, sizeof(flag));
}

bool p11_object_add_number(struct p11_object *object, CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
    return p11_object_add(object, type, &value, sizeof(value));
}

bool p11_object_add_sensitive(struct p11_object *object, CK_ATTRIBUTE_TYPE type)
{
    if (!p11_object_add(object, type, NULL, 0)) {
        return false;
    }
    object->attributes[object->count - 1].sensitive = true;
    return true;
}

void p11_object_clear(struct p11_object *object)
{
    for (size_t i = 0; i < object->count; i++) {
        free(object->attributes[i].value);
    }
    free(object->attributes);
    *object = (struct p11_object){ 0 };
}

const struct p11_attribute *p11_object_find(const struct p11_object *object, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < object->count; i++) {
        if (object->attributes[i].type == type) {
            return &object->attributes[i];
        }
    }
    return NULL;
}

static bool has_value(const struct p11_attribute *attribute, const void *value, CK_ULONG size)
{
    return attribute->size == size &&
           (size == 0 || (value != NULL && memcmp(attribute->value, value, size) == 0));
}

bool p11_object_matches(const struct p11_object *object, const CK_ATTRIBUTE *template,
                        CK_ULONG count)
{
    for (CK_ULONG i = 0; i < count; i++) {
        const struct p11_attribute *attribute = p11_object_find(object, template[i].type);

        /* What may not be read must not be found out by searching either. */
        if (attribute == NULL || attribute->sensitive ||
            !has_value(attribute, template[i].pValue, template[i].ulValueLen)) {
            return false;
        }
    }
    return true;
}

bool p11_object_equal(const struct p11_object *a, const struct p11_object *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        const struct p11_attribute *one = &a->attributes[i];
        const struct p11_attribute *other = p11_object_find(b, one->type);

        if (other == NULL || one->sensitive != other->sensitive ||
            !has_value(one, other->value, other->size)) {
            return false;
        }
    }
    return true;
}
