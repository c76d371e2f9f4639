/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of fuzz-pkcs11 to the functions that have a prototype of their own. */
#include "tests/fuzz/pkcs11.h"

#include <string.h>

#define LIST_MAX 64

static CK_RV no_mutex(void)
{
    return CKR_OK;
}

static CK_RV initialize(struct scope *scope)
{
    CK_C_INITIALIZE_ARGS *arguments;
    uint8_t choice = take();

    if (choice < 192) {
        return C_Initialize(NULL);
    }
    arguments = scope_block(scope, sizeof(*arguments));
    arguments->flags = choice % 2 == 0 ? CKF_OS_LOCKING_OK : take();
    arguments->pReserved = choice % 8 == 7 ? arguments : NULL;
    if (choice % 4 == 3) {
        void (*function)(void) = (void (*)(void))no_mutex;

        arguments->CreateMutex = (CK_CREATEMUTEX)function;
        arguments->DestroyMutex = (CK_DESTROYMUTEX)function;
        arguments->LockMutex = take_chance(4) ? NULL : (CK_LOCKMUTEX)function;
        arguments->UnlockMutex = (CK_UNLOCKMUTEX)function;
    }
    return C_Initialize(arguments);
}

static CK_RV open_session(struct scope *scope, CK_ULONG which)
{
    CK_SESSION_HANDLE *handle =
        take_chance(16) ? NULL : scope_block(scope, sizeof(CK_SESSION_HANDLE));
    CK_FLAGS flags = take_chance(8) ? take_number() : CKF_SERIAL_SESSION | (take() % 2) * 2UL;
    size_t most = sizeof(seen.sessions) / sizeof(seen.sessions[0]);
    CK_RV rv;

    if (seen.session_count == most) {
        seen.session_count = 0;
        if (C_CloseAllSessions(0) != CKR_OK) {
            FOUND("C_CloseAllSessions");
        }
    }
    rv = C_OpenSession(which, flags, NULL, NULL, handle);
    if (rv == CKR_OK) {
        for (size_t i = 0; i < seen.session_count; i++) {
            if (seen.sessions[i] == *handle) {
                FOUND("session 0x%lx is open already", *handle);
            }
        }
        if (*handle == CK_INVALID_HANDLE) {
            FOUND("a session has no handle");
        }
        seen.sessions[seen.session_count++] = *handle;
    }
    return rv;
}

static CK_RV find_objects(struct scope *scope, CK_ULONG which)
{
    CK_ULONG max = take_chance(8) ? take_number() : take() % LIST_MAX;
    CK_ULONG *count = take_chance(16) ? NULL : scope_block(scope, sizeof(*count));
    CK_OBJECT_HANDLE *found =
        take_chance(16) ? NULL
                        : scope_block(scope, (max < LIST_MAX ? max : LIST_MAX) * sizeof(*found));
    CK_RV rv = C_FindObjects(which, found, max, count);

    if (rv == CKR_OK) {
        if (*count > max) {
            FOUND("%lu objects where there was room for %lu", *count, max);
        }
        for (CK_ULONG i = 0; i < *count; i++) {
            if (found[i] == CK_INVALID_HANDLE) {
                FOUND("an object has no handle");
            }
            seen.objects[seen.object_count++ % (sizeof(seen.objects) / sizeof(seen.objects[0]))] =
                found[i];
        }
    }
    return rv;
}

/* C_GetSlotList, C_GetMechanismList and C_GetInterfaceList, whose sizes count entries. */
static CK_RV get_list(const struct row *row, struct scope *scope, CK_ULONG which)
{
    size_t each = row->takes == ALWAYS ? sizeof(CK_INTERFACE) : sizeof(CK_ULONG);
    CK_ULONG *count = take_chance(16) ? NULL : scope_block(scope, sizeof(*count));
    CK_ULONG room = take_number();
    void *list =
        take_chance(4) ? NULL : scope_block(scope, (room < LIST_MAX ? room : LIST_MAX) * each);
    CK_RV rv;

    if (count != NULL) {
        *count = room;
    }
    rv = row->takes == ALWAYS    ? C_GetInterfaceList(list, count)
         : row->takes == LIBRARY ? C_GetSlotList((CK_BBOOL)take(), list, count)
                                 : C_GetMechanismList(which, list, count);
    check_room(row, rv, list, count, room);
    return rv;
}

static CK_RV get_interface(struct scope *scope)
{
    static const char *const names[] = { "PKCS 11", "PKCS 11 ", "", "Vendor NSS FIPS Interface" };
    uint8_t choice = take();
    CK_INTERFACE **interface = take_chance(16) ? NULL : scope_block(scope, sizeof(CK_INTERFACE *));
    CK_VERSION *version = NULL;
    CK_FLAGS flags = take_chance(4) ? take_number() : 0;

    if (choice % 2 != 0) {
        version = scope_block(scope, sizeof(*version));
        version->major = take() % 5;
        version->minor = take() % 41;
    }
    return C_GetInterface(choice >= 224 ? NULL : (CK_UTF8CHAR *)names[choice % 4], version,
                          interface, flags);
}

static CK_RV get_info(const struct row *row, struct scope *scope, CK_ULONG which)
{
    void *info = take_chance(16) ? NULL : scope_block(scope, 512);

    if (row->function == (void (*)(void))C_GetInfo) {
        return C_GetInfo(info);
    }
    if (row->function == (void (*)(void))C_GetSlotInfo) {
        return C_GetSlotInfo(which, info);
    }
    if (row->function == (void (*)(void))C_GetTokenInfo) {
        return C_GetTokenInfo(which, info);
    }
    if (row->function == (void (*)(void))C_GetSessionInfo) {
        return C_GetSessionInfo(which, info);
    }
    if (row->function == (void (*)(void))C_GetFunctionList) {
        return C_GetFunctionList(info);
    }
    return C_GetMechanismInfo(which, take() % 0x50, info);
}

static CK_RV log_in(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_ULONG size = 10, name_size = 0;
    CK_UTF8CHAR *pin = take_chance(3) ? some_bytes(scope, &size) : (CK_UTF8CHAR *)"a password";
    CK_USER_TYPE type = take_chance(4) ? take_number() : CKU_USER;
    CK_UTF8CHAR *name;

    if (row->function == (void (*)(void))C_Login) {
        return C_Login(which, type, pin, size);
    }
    name = take_chance(4) ? some_bytes(scope, &name_size) : NULL;
    return C_LoginUser(which, type, pin, size, name, name_size);
}

/* The functions that make objects. */
static CK_RV make_object(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_OBJECT_HANDLE *object = take_chance(16) ? NULL : scope_block(scope, sizeof(*object));
    CK_MECHANISM *mechanism = some_mechanism(scope);
    CK_ULONG count, size;
    CK_ATTRIBUTE *template = some_template(scope, &count);
    CK_BYTE *data = some_bytes(scope, &size);

    if (row->function == (void (*)(void))C_CreateObject) {
        return C_CreateObject(which, template, count, object);
    }
    if (row->function == (void (*)(void))C_CopyObject) {
        return C_CopyObject(which, some_object(), template, count, object);
    }
    if (row->function == (void (*)(void))C_GenerateKey) {
        return C_GenerateKey(which, mechanism, template, count, object);
    }
    if (row->function == (void (*)(void))C_GenerateKeyPair) {
        return C_GenerateKeyPair(which, mechanism, template, count, template, count, object,
                                 object);
    }
    if (row->function == (void (*)(void))C_UnwrapKey) {
        return C_UnwrapKey(which, mechanism, some_object(), data, size, template, count, object);
    }
    return C_DeriveKey(which, mechanism, some_object(), template, count, object);
}

static CK_RV wrap_key(struct scope *scope, CK_ULONG which)
{
    CK_ULONG *size;
    CK_BYTE *out = some_room(scope, &size);

    return C_WrapKey(which, some_mechanism(scope), some_object(), some_object(), out, size);
}

/* Without waiting, as nobody would end it. */
static CK_RV wait_for_slot_event(struct scope *scope)
{
    CK_SLOT_ID *slot = take_chance(4) ? NULL : scope_block(scope, sizeof(*slot));

    return C_WaitForSlotEvent(take_number() | CKF_DONT_BLOCK, slot,
                              take_chance(8) ? (void *)scope : NULL);
}

static CK_RV call_small(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_ULONG size;
    CK_BYTE *data = some_bytes(scope, &size);

    if (row->function == (void (*)(void))C_Finalize) {
        return C_Finalize(take_chance(8) ? data : NULL);
    }
    if (row->function == (void (*)(void))C_InitToken) {
        return C_InitToken(which, data, size, take_chance(4) ? NULL : scope_block(scope, 32));
    }
    if (row->function == (void (*)(void))C_SetOperationState) {
        return C_SetOperationState(which, data, size, some_object(), some_object());
    }
    if (row->function == (void (*)(void))C_SessionCancel) {
        return C_SessionCancel(which, take_number() << 10 | take());
    }
    if (row->function == (void (*)(void))C_DigestInit) {
        CK_MECHANISM digests = { CKM_SHA256 + 16UL * (size % 3), NULL, 0 };

        return C_DigestInit(which, take_chance(2) ? some_mechanism(scope) : &digests);
    }
    if (row->function == (void (*)(void))C_GetObjectSize) {
        return C_GetObjectSize(which, some_object(),
                               take_chance(8) ? NULL : scope_block(scope, sizeof(CK_ULONG)));
    }
    FOUND("%s is called by nobody", row->name);
}

static CK_RV find_init(struct scope *scope, CK_ULONG which)
{
    CK_ULONG count;
    CK_ATTRIBUTE *template = some_template(scope, &count);

    return C_FindObjectsInit(which, template, count);
}

CK_RV call_odd(const struct row *row, struct scope *scope, CK_ULONG which)
{
    const char *name = row->name + 2;

    if (strcmp(name, "Initialize") == 0) {
        return initialize(scope);
    }
    if (strcmp(name, "OpenSession") == 0) {
        return open_session(scope, which);
    }
    if (strcmp(name, "FindObjectsInit") == 0) {
        return find_init(scope, which);
    }
    if (strcmp(name, "FindObjects") == 0) {
        return find_objects(scope, which);
    }
    if (strcmp(name, "GetInterface") == 0) {
        return get_interface(scope);
    }
    if (strcmp(name, "WaitForSlotEvent") == 0) {
        return wait_for_slot_event(scope);
    }
    if (strcmp(name, "WrapKey") == 0) {
        return wrap_key(scope, which);
    }
    if (strncmp(name, "Login", 5) == 0) {
        return log_in(row, scope, which);
    }
    if (strcmp(name + strlen(name) - 4, "Info") == 0 || strcmp(name, "GetFunctionList") == 0) {
        return get_info(row, scope, which);
    }
    if (strcmp(name + strlen(name) - 4, "List") == 0) {
        return get_list(row, scope, which);
    }
    if (strncmp(name, "Create", 6) == 0 || strncmp(name, "Copy", 4) == 0 ||
        strncmp(name, "Generate", 8) == 0 || strncmp(name, "Unwrap", 6) == 0 ||
        strncmp(name, "Derive", 6) == 0) {
        return make_object(row, scope, which);
    }
    return call_small(row, scope, which);
}
