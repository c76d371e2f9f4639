/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store (provider-storemgmt(7)) behind two URIs: "gatekey:", the key of the identity directory,
 * and "gatekey:handle=0x81000100", whatever signing key lies at that handle of the TPM.
 */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <strings.h>

#define OPERATION "load the device key"
#define SCHEME "gatekey:"
#define BY_HANDLE "handle="

struct store {
    struct prov_context *context;
    uint32_t handle; /* 0: the identity directory's key (0 is never a persistent handle) */
    bool done;
};

static OSSL_FUNC_store_open_fn store_open;
static OSSL_FUNC_store_settable_ctx_params_fn settable_ctx_params;
static OSSL_FUNC_store_set_ctx_params_fn set_ctx_params;
static OSSL_FUNC_store_load_fn load;
static OSSL_FUNC_store_eof_fn at_end;
static OSSL_FUNC_store_close_fn store_close;

/* "0x" and eight hex digits, as every TPM tool prints a handle. */
static bool parse_handle(const char *text, uint32_t *handle)
{
    char *end;
    unsigned long value;

    if (strlen(text) != 10 || strncasecmp(text, "0x", 2) != 0) {
        return false;
    }
    value = strtoul(text + 2, &end, 16);
    if (*end != '\0' || value < GK_HANDLE_FIRST || value > GK_HANDLE_LAST) {
        return false;
    }
    *handle = (uint32_t)value;
    return true;
}

static enum gk_status parse_uri(const char *uri, uint32_t *handle, struct gk_error *err)
{
    const char *rest = uri + strlen(SCHEME);

    *handle = 0;
    if (strncasecmp(uri, SCHEME, strlen(SCHEME)) == 0 &&
        (*rest == '\0' || (strncmp(rest, BY_HANDLE, strlen(BY_HANDLE)) == 0 &&
                           parse_handle(rest + strlen(BY_HANDLE), handle)))) {
        return GK_OK;
    }
    (void)gk_fail(err, GK_USAGE, "%s", uri);
    gk_advise(err, "write gatekey: or gatekey:handle=0x%08x (0x%08x to 0x%08x)", GK_HANDLE_DEFAULT,
              GK_HANDLE_FIRST, GK_HANDLE_LAST);
    return GK_USAGE;
}

static void *store_open(void *provctx, const char *uri)
{
    CLEANUP(gk_freep) struct store *store = calloc(1, sizeof(*store));
    struct gk_error err = { 0 };
    enum gk_status status;

    if (store == NULL) {
        return NULL;
    }
    store->context = provctx;
    status = parse_uri(uri, &store->handle, &err);
    return PROV_ANSWER(provctx, status, &err, OPERATION) ? TAKE(store) : NULL;
}

static const OSSL_PARAM *settable_ctx_params(void *provctx)
{
    static const OSSL_PARAM table[] = {
        OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL),
        OSSL_PARAM_END,
    };

    (void)provctx;
    return table;
}

/* Whoever wants certificates only is told at once that there are none here. */
static int set_ctx_params(void *loaderctx, const OSSL_PARAM params[])
{
    struct store *store = loaderctx;
    const OSSL_PARAM *param =
        params != NULL ? OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT) : NULL;
    int expected = 0;

    if (param == NULL) {
        return 1;
    }
    if (!OSSL_PARAM_get_int(param, &expected)) {
        return 0;
    }
    store->done =
        expected != 0 && expected != OSSL_STORE_INFO_PKEY && expected != OSSL_STORE_INFO_PUBKEY;
    return 1;
}

static enum gk_status read_identity(struct prov_context *context, struct gk_key **reference,
                                    struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { NULL, 0 };
    const char *directory;
    enum gk_status status = prov_context_directory(context, &directory, err);

    if (status == GK_OK) {
        status = gk_identity_read(directory, GK_FILE_DEVICE, &content, err);
    }
    return status == GK_OK ? gk_key_parse(content.data, content.size, reference, err) : status;
}

static enum gk_status read_handle(struct prov_context *context, uint32_t handle,
                                  struct gk_key **reference, struct gk_error *err)
{
    struct gk_tpm *tpm;
    enum gk_status status = prov_context_tpm(context, &tpm, err);

    if (status != GK_OK) {
        return status;
    }
    prov_fork_enter();
    status = gk_key_read(tpm, handle, reference, err);
    prov_fork_leave();
    return status;
}

static enum gk_status make_key(const struct store *store, OSSL_PASSPHRASE_CALLBACK *ask,
                               void *argument, struct prov_key **key, struct gk_error *err)
{
    struct gk_key *reference;
    enum gk_status status = store->handle != 0
                                ? read_handle(store->context, store->handle, &reference, err)
                                : read_identity(store->context, &reference, err);

    if (status != GK_OK) {
        return status;
    }
    *key = prov_key_new(store->context, reference);
    if (*key == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return prov_key_ask(*key, ask, argument, err);
}

static int load(void *loaderctx, OSSL_CALLBACK *deliver, void *argument,
                OSSL_PASSPHRASE_CALLBACK *ask, void *ask_argument)
{
    struct store *store = loaderctx;
    CLEANUP(prov_key_freep) struct prov_key *key = NULL;
    struct gk_error err = { 0 };
    enum gk_status status;

    store->done = true;
    status = make_key(store, ask, ask_argument, &key, &err);
    return PROV_ANSWER(store->context, status, &err, OPERATION) &&
           prov_key_deliver(&key, deliver, argument);
}

static int at_end(void *loaderctx)
{
    const struct store *store = loaderctx;

    return store->done;
}

static int store_close(void *loaderctx)
{
    free(loaderctx);
    return 1;
}

static const OSSL_DISPATCH functions[] = {
    { OSSL_FUNC_STORE_OPEN, (void (*)(void))store_open },
    { OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, (void (*)(void))settable_ctx_params },
    { OSSL_FUNC_STORE_SET_CTX_PARAMS, (void (*)(void))set_ctx_params },
    { OSSL_FUNC_STORE_LOAD, (void (*)(void))load },
    { OSSL_FUNC_STORE_EOF, (void (*)(void))at_end },
    { OSSL_FUNC_STORE_CLOSE, (void (*)(void))store_close },
    { 0, NULL },
};

const OSSL_ALGORITHM prov_store[] = {
    { "gatekey", PROV_PROPERTIES, functions, "gatekey: and gatekey:handle=0x81000100" },
    { NULL, NULL, NULL, NULL },
};
