/* SPDX-License-Identifier: Apache-2.0 */
/* Searching for objects: C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal. */
#include "pkcs11/internal.h"

#include <stdlib.h>

void p11_find_end(struct p11_find *find)
{
    free(find->found);
    *find = (struct p11_find){ 0 };
}

/*
 * The handles of what matches now; the search goes through these and no others. Files are looked at
 * again, as some programs keep one session for as long as they run.
 */
static CK_RV search(struct p11_find *find, const CK_ATTRIBUTE *template, CK_ULONG count)
{
    const struct p11_token *token = p11_library_token_now();

    if (token == NULL) {
        return CKR_HOST_MEMORY;
    }
    if (token->count > 0) {
        find->found = calloc(token->count, sizeof(*find->found));
        if (find->found == NULL) {
            return CKR_HOST_MEMORY;
        }
    }
    for (size_t i = 0; i < token->count; i++) {
        const struct p11_object *object = &token->objects[i];

        /* A private object is not there for who has not logged in, whatever the template asks. */
        if (p11_library_shows(object) && p11_object_matches(object, template, count)) {
            find->found[find->count++] = object->handle;
        }
    }
    find->active = true;
    return CKR_OK;
}

CK_RV C_FindObjectsInit(CK_SESSION_HANDLE handle, CK_ATTRIBUTE *template, CK_ULONG count)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    if (rv != CKR_OK) {
        return rv;
    }
    if (template == NULL && count > 0) {
        return CKR_ARGUMENTS_BAD;
    }
    if (session->find.active) {
        return CKR_OPERATION_ACTIVE;
    }
    return search(&session->find, template, count);
}

CK_RV C_FindObjects(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE *objects, CK_ULONG max,
                    CK_ULONG *count)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    struct p11_find *find;
    CK_ULONG given = 0;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    if (rv != CKR_OK) {
        return rv;
    }
    if (count == NULL || (objects == NULL && max > 0)) {
        return CKR_ARGUMENTS_BAD;
    }
    find = &session->find;
    if (!find->active) {
        return CKR_OPERATION_NOT_INITIALIZED;
    }
    while (given < max && find->next < find->count) {
        CK_OBJECT_HANDLE object = find->found[find->next++];

        /* Files may have been read again, or somebody logged out, since the search began. */
        if (p11_library_object(object) != NULL) {
            objects[given++] = object;
        }
    }
    *count = given;
    return CKR_OK;
}

CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE handle)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    if (rv != CKR_OK) {
        return rv;
    }
    if (!session->find.active) {
        return CKR_OPERATION_NOT_INITIALIZED;
    }
    p11_find_end(&session->find);
    return CKR_OK;
}
