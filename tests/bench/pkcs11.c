/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS #11 module as a program uses it: starting it, listing, finding the key, signing.
 *
 * MODULE is a path. The token is the first that is initialised and, but for listing, has a private
 * key; PIN is for tokens that want a login. Where its TPM and its files are, a module learns from
 * the environment as in any other program.
 */
#include "tests/bench/worker.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX 16
#define OBJECTS_MAX 64
#define VALUE_MAX 4096

struct module {
    void *handle;
    CK_FUNCTION_LIST *call;
};

struct token {
    struct module module;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE login; /* open as long as the token is: the last one to go logs out */
    CK_MECHANISM mechanism;
    CK_RSA_PKCS_PSS_PARAMS pss;
    unsigned threads;
    CK_SESSION_HANDLE *sessions; /* one for each thread, */
    CK_OBJECT_HANDLE *keys;      /* and the key as it found it */
};

static void check(CK_RV result, const char *call)
{
    char what[80];

    if (result != CKR_OK) {
        snprintf(what, sizeof(what), "go on: %s returned 0x%lx", call, result);
        give_up(what);
    }
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL) {
        give_up("begin");
    }
    return memory;
}

static void module_open(struct module *module, const char *path)
{
    CK_C_GetFunctionList get;

    module->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module->handle == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        give_up("load the module");
    }
    *(void **)&get = dlsym(module->handle, "C_GetFunctionList");
    if (get == NULL) {
        give_up("find C_GetFunctionList");
    }
    check(get(&module->call), "C_GetFunctionList");
}

static void initialize(const struct module *module)
{
    CK_C_INITIALIZE_ARGS arguments = { .flags = CKF_OS_LOCKING_OK };

    check(module->call->C_Initialize(&arguments), "C_Initialize");
}

static void finalize(const struct module *module)
{
    check(module->call->C_Finalize(NULL), "C_Finalize");
}

/* The first slot whose token is initialised; info is its. */
static CK_SLOT_ID find_token(const struct module *module, CK_TOKEN_INFO *info)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;

    check(module->call->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
    for (CK_ULONG i = 0; i < count; i++) {
        check(module->call->C_GetTokenInfo(slots[i], info), "C_GetTokenInfo");
        if ((info->flags & CKF_TOKEN_INITIALIZED) != 0) {
            return slots[i];
        }
    }
    give_up("find a token");
}

static CK_SESSION_HANDLE open_session(const struct module *module, CK_SLOT_ID slot)
{
    CK_SESSION_HANDLE session = 0;

    check(module->call->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session),
          "C_OpenSession");
    return session;
}

static void close_session(const struct module *module, CK_SESSION_HANDLE session)
{
    check(module->call->C_CloseSession(session), "C_CloseSession");
}

/* --- pkcs11-start, pkcs11-list ----------------------------------------------------------------
 */

static void *start_open(char **arguments)
{
    struct module *module = allocate(1, sizeof(*module));

    module_open(module, arguments[0]);
    return module;
}

static void start_run(void *state, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        initialize(state);
        finalize(state);
    }
}

static void start_close(void *state)
{
    struct module *module = state;

    dlclose(module->handle);
    free(module);
}

/* What a listing shows of an object; what it does not have, nobody minds. */
static void read_object(const struct module *module, CK_SESSION_HANDLE session,
                        CK_OBJECT_HANDLE object)
{
    CK_OBJECT_CLASS class = 0;
    CK_BYTE id[64], label[64], value[VALUE_MAX];
    CK_ATTRIBUTE known[] = {
        { CKA_CLASS, &class, sizeof(class) },
        { CKA_LABEL, label, sizeof(label) },
        { CKA_ID, id, sizeof(id) },
    };
    CK_ATTRIBUTE certificate = { CKA_VALUE, value, sizeof(value) };

    module->call->C_GetAttributeValue(session, object, known, sizeof(known) / sizeof(known[0]));
    if (class == CKO_CERTIFICATE) {
        check(module->call->C_GetAttributeValue(session, object, &certificate, 1),
              "C_GetAttributeValue");
    }
}

static void list_once(const struct module *module)
{
    CK_OBJECT_HANDLE objects[OBJECTS_MAX];
    CK_ULONG count = 0;
    CK_TOKEN_INFO info;
    CK_SESSION_HANDLE session = open_session(module, find_token(module, &info));

    check(module->call->C_FindObjectsInit(session, NULL, 0), "C_FindObjectsInit");
    check(module->call->C_FindObjects(session, objects, OBJECTS_MAX, &count), "C_FindObjects");
    check(module->call->C_FindObjectsFinal(session), "C_FindObjectsFinal");
    for (CK_ULONG i = 0; i < count; i++) {
        read_object(module, session, objects[i]);
    }
    close_session(module, session);
}

static void list_run(void *state, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        initialize(state);
        list_once(state);
        finalize(state);
    }
}

const struct subject subject_pkcs11_start = {
    "pkcs11-start", "MODULE", 1, start_open, start_run, start_close,
};
const struct subject subject_pkcs11_list = {
    "pkcs11-list", "MODULE", 1, start_open, list_run, start_close,
};

/* --- pkcs11-find, pkcs11-sign, pkcs11-use -----------------------------------------------------
 */

static CK_OBJECT_HANDLE find_key(const struct module *module, CK_SESSION_HANDLE session)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof(class) };
    CK_OBJECT_HANDLE key = 0;
    CK_ULONG count = 0;

    check(module->call->C_FindObjectsInit(session, &template, 1), "C_FindObjectsInit");
    check(module->call->C_FindObjects(session, &key, 1, &count), "C_FindObjects");
    check(module->call->C_FindObjectsFinal(session), "C_FindObjectsFinal");
    if (count != 1) {
        give_up("find the private key");
    }
    return key;
}

static void choose_mechanism(struct token *token, const char *padding)
{
    token->pss = (CK_RSA_PKCS_PSS_PARAMS){ CKM_SHA256, CKG_MGF1_SHA256, 32 };
    token->mechanism = (CK_MECHANISM){ CKM_SHA256_RSA_PKCS, NULL, 0 };
    if (strcmp(padding, "pss") == 0) {
        token->mechanism =
            (CK_MECHANISM){ CKM_SHA256_RSA_PKCS_PSS, &token->pss, sizeof(token->pss) };
    }
}

/* Sessions and logins one after the other: not every module survives them at once. */
static void *token_open(char **arguments)
{
    struct token *token = allocate(1, sizeof(*token));
    CK_TOKEN_INFO info;

    module_open(&token->module, arguments[0]);
    choose_mechanism(token, arguments[2]);
    token->threads = read_threads(arguments[3]);
    token->sessions = allocate(token->threads, sizeof(*token->sessions));
    token->keys = allocate(token->threads, sizeof(*token->keys));
    initialize(&token->module);
    token->slot = find_token(&token->module, &info);
    token->login = open_session(&token->module, token->slot);
    if ((info.flags & CKF_LOGIN_REQUIRED) != 0) {
        check(token->module.call->C_Login(token->login, CKU_USER, (CK_UTF8CHAR *)arguments[1],
                                          strlen(arguments[1])),
              "C_Login");
    }
    for (unsigned i = 0; i < token->threads; i++) {
        token->sessions[i] = open_session(&token->module, token->slot);
        token->keys[i] = find_key(&token->module, token->sessions[i]);
    }
    return token;
}

static void token_close(void *state)
{
    struct token *token = state;

    finalize(&token->module);
    dlclose(token->module.handle);
    free(token->keys);
    free(token->sessions);
    free(token);
}

static void find_once(void *state, unsigned thread)
{
    const struct token *token = state;

    find_key(&token->module, token->sessions[thread]);
}

static void find_run(void *state, unsigned count)
{
    const struct token *token = state;

    share_out(token->threads, count, find_once, state);
}

static void sign(const struct token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    static const unsigned char message[32] = "a message of thirty-two bytes..";
    CK_MECHANISM mechanism = token->mechanism;
    unsigned char signature[512];
    CK_ULONG size = sizeof(signature);

    check(token->module.call->C_SignInit(session, &mechanism, key), "C_SignInit");
    check(
        token->module.call->C_Sign(session, (CK_BYTE *)message, sizeof(message), signature, &size),
        "C_Sign");
}

static void sign_once(void *state, unsigned thread)
{
    const struct token *token = state;

    sign(token, token->sessions[thread], token->keys[thread]);
}

static void sign_run(void *state, unsigned count)
{
    const struct token *token = state;

    share_out(token->threads, count, sign_once, state);
}

static void use_once(void *state, unsigned thread)
{
    const struct token *token = state;
    CK_SESSION_HANDLE session = open_session(&token->module, token->slot);

    (void)thread;
    sign(token, session, find_key(&token->module, session));
    close_session(&token->module, session);
}

static void use_run(void *state, unsigned count)
{
    const struct token *token = state;

    share_out(token->threads, count, use_once, state);
}

const struct subject subject_pkcs11_find = {
    "pkcs11-find", "MODULE PIN pss|pkcs1 THREADS", 4, token_open, find_run, token_close,
};
const struct subject subject_pkcs11_sign = {
    "pkcs11-sign", "MODULE PIN pss|pkcs1 THREADS", 4, token_open, sign_run, token_close,
};
const struct subject subject_pkcs11_use = {
    "pkcs11-use", "MODULE PIN pss|pkcs1 THREADS", 4, token_open, use_run, token_close,
};
