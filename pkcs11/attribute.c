/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes read through handles, and the functions that would change an object: all refused. */
#include "pkcs11/internal.h"

#include <string.h>

static bool is_template(const CK_ATTRIBUTE *template, CK_ULONG count)
{
    return template != NULL || count == 0;
}

/* C_GetAttributeValue's five cases for one entry of the template, in the standard's order. */
static CK_RV answer(const struct p11_object *object, CK_ATTRIBUTE *entry)
{
    const struct p11_attribute *attribute = p11_object_find(object, entry->type);
    CK_RV rv = CKR_OK;

    if (attribute == NULL) {
        rv = CKR_ATTRIBUTE_TYPE_INVALID;
    } else if (attribute->sensitive) {
        rv = CKR_ATTRIBUTE_SENSITIVE;
    } else if (entry->pValue != NULL && entry->ulValueLen < attribute->size) {
        rv = CKR_BUFFER_TOO_SMALL;
    } else if (entry->pValue != NULL && attribute->size > 0) {
        memcpy(entry->pValue, attribute->value, attribute->size);
    }
    entry->ulValueLen = rv == CKR_OK ? attribute->size : (CK_ULONG)-1;
    return rv;
}

CK_RV C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle,
                          CK_ATTRIBUTE *template, CK_ULONG count)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *in;
    const struct p11_object *object;
    CK_RV rv = p11_enter_session(&guard, session, &in);

    if (rv != CKR_OK) {
        return rv;
    }
    if (!is_template(template, count)) {
        return CKR_ARGUMENTS_BAD;
    }
    object = p11_library_object(handle);
    if (object == NULL) {
        return CKR_OBJECT_HANDLE_INVALID;
    }
    for (CK_ULONG i = 0; i < count; i++) {
        CK_RV answered = answer(object, &template[i]);

        /* Whichever of several is returned is left open: the first. */
        rv = rv == CKR_OK ? answered : rv;
    }
    return rv;
}

CK_RV C_GetObjectSize(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, CK_ULONG *size)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *in;
    const struct p11_object *object;
    CK_ULONG sum = 0;
    CK_RV rv = p11_enter_session(&guard, session, &in);

    if (rv != CKR_OK) {
        return rv;
    }
    if (size == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    object = p11_library_object(handle);
    if (object == NULL) {
        return CKR_OBJECT_HANDLE_INVALID;
    }
    /* What it means is left open; the bytes of all values are as good as anything. */
    for (size_t i = 0; i < object->count; i++) {
        sum += object->attributes[i].size;
    }
    *size = sum;
    return CKR_OK;
}

/*
 * What all that would change or copy an object come to: CKA_MODIFIABLE, CKA_COPYABLE and
 * CKA_DESTROYABLE are false for each of ours, and the standard names CKR_ACTION_PROHIBITED for just
 * that ("Copying objects": whatever the template says). CKR_TOKEN_WRITE_PROTECTED would apply as
 * well and says less; between the two the standard sets no order. CKR_SESSION_READ_ONLY never
 * comes, as it ranks below the latter.
 */
static CK_RV refuse(CK_OBJECT_HANDLE handle)
{
    return p11_library_object(handle) != NULL ? CKR_ACTION_PROHIBITED : CKR_OBJECT_HANDLE_INVALID;
}

CK_RV C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle,
                          CK_ATTRIBUTE *template, CK_ULONG count)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *in;
    CK_RV rv = p11_enter_session(&guard, session, &in);

    if (rv != CKR_OK) {
        return rv;
    }
    return is_template(template, count) ? refuse(handle) : CKR_ARGUMENTS_BAD;
}

CK_RV C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, CK_ATTRIBUTE *template,
                   CK_ULONG count, CK_OBJECT_HANDLE *copy)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *in;
    CK_RV rv = p11_enter_session(&guard, session, &in);

    if (rv != CKR_OK) {
        return rv;
    }
    return is_template(template, count) && copy != NULL ? refuse(handle) : CKR_ARGUMENTS_BAD;
}

CK_RV C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *in;
    CK_RV rv = p11_enter_session(&guard, session, &in);

    return rv == CKR_OK ? refuse(handle) : rv;
}

static const CK_ATTRIBUTE *find_entry(const CK_ATTRIBUTE *template, CK_ULONG count,
                                      CK_ATTRIBUTE_TYPE type)
{
    for (CK_ULONG i = 0; i < count; i++) {
        if (template[i].type == type) {
            return &template[i];
        }
    }
    return NULL;
}

static bool is_readable(const CK_ATTRIBUTE *entry, size_t size)
{
    return entry->pValue != NULL && entry->ulValueLen == size;
}

/*
 * Why this template makes no object (the standard's "Creating objects"). One for the token cannot
 * be made on a write-protected one, which ranks above CKR_SESSION_READ_ONLY. One for the session
 * has nothing to do with that: it is a template that this token cannot satisfy although each value
 * is valid in itself, which is what CKR_TEMPLATE_INCONSISTENT is for.
 */
static CK_RV why_not_created(const CK_ATTRIBUTE *template, CK_ULONG count)
{
    const CK_ATTRIBUTE *class = find_entry(template, count, CKA_CLASS);
    const CK_ATTRIBUTE *token = find_entry(template, count, CKA_TOKEN);
    CK_BBOOL on_token = CK_FALSE;

    if (token != NULL) {
        if (!is_readable(token, sizeof(on_token))) {
            return CKR_ATTRIBUTE_VALUE_INVALID;
        }
        memcpy(&on_token, token->pValue, sizeof(on_token));
    }
    if (on_token != CK_FALSE) {
        return CKR_TOKEN_WRITE_PROTECTED;
    }
    if (find_entry(template, count, CKA_UNIQUE_ID) != NULL) {
        return CKR_ATTRIBUTE_READ_ONLY;
    }
    if (class == NULL) {
        return CKR_TEMPLATE_INCOMPLETE;
    }
    return is_readable(class, sizeof(CK_OBJECT_CLASS)) ? CKR_TEMPLATE_INCONSISTENT
                                                       : CKR_ATTRIBUTE_VALUE_INVALID;
}

CK_RV C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count,
                     CK_OBJECT_HANDLE *object)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *in;
    CK_RV rv = p11_enter_session(&guard, session, &in);

    if (rv != CKR_OK) {
        return rv;
    }
    if (!is_template(template, count) || object == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    return why_not_created(template, count);
}
