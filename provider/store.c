/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store (provider-storemgmt(7)) behind two URIs: "gatekey:", the key of the identity directory,
 * and "gatekey:handle=0x81000100", whatever signing key lies at that handle of the TPM.
 */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <strings.h>

#define OPERATION "load the device key"
#define SCHEME "gatekey:"
#define BY_HANDLE "handle="

struct store {
    struct prov_context *context;
    uint32_t handle; /* 0: the identity directory's key (0 is never a persistent handle) */
    bool for_public; /* nothing but a public key is wanted */
    bool done;
};

struct encoded {
    unsigned char *der;
    size_t size;
};

static void encoded_clear(struct encoded *encoded)
{
    OPENSSL_free(encoded->der);
}

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
    store->for_public = expected == OSSL_STORE_INFO_PUBKEY;
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

static enum gk_status read_reference(const struct store *store, struct gk_key **reference,
                                     struct gk_error *err)
{
    return store->handle != 0 ? read_handle(store->context, store->handle, reference, err)
                              : read_identity(store->context, reference, err);
}

static enum gk_status make_key(const struct store *store, struct prov_key **key,
                               struct gk_error *err)
{
    struct gk_key *reference;
    enum gk_status status = read_reference(store, &reference, err);

    if (status != GK_OK) {
        return status;
    }
    *key = prov_key_new(store->context, reference);
    return *key != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

static int load_key(struct store *store, OSSL_CALLBACK *deliver, void *argument,
                    OSSL_PASSPHRASE_CALLBACK *ask, void *ask_argument)
{
    CLEANUP(prov_key_freep) struct prov_key *key = NULL;
    struct gk_error err = { 0 };
    enum gk_status status = make_key(store, &key, &err);

    if (status == GK_OK) {
        prov_key_find_password(key, ask, ask_argument);
    }
    return PROV_ANSWER(store->context, status, &err, OPERATION) &&
           prov_key_deliver(&key, deliver, argument);
}

static enum gk_status encode_public(const struct store *store, struct encoded *public,
                                    struct gk_error *err)
{
    CLEANUP(gk_key_freep) struct gk_key *reference = NULL;
    struct prov_software *software;
    enum gk_status status = read_reference(store, &reference, err);

    if (status == GK_OK) {
        status = prov_context_software(store->context, &software, err);
    }
    if (status != GK_OK) {
        return status;
    }
    public->size = prov_crypto_encode(&software->where, gk_key_public(reference), &public->der);
    return public->size > 0 ? GK_OK
                            : gk_fail(err, GK_CRYPTO_FAILED, "the public key cannot be encoded");
}

/*
 * As bytes, not as an object of ours: that has a private part, and whoever wants a public key is
 * not given one with it. No password is asked for, as nothing could be done with it.
 */
static int load_public(struct store *store, OSSL_CALLBACK *deliver, void *argument)
{
    CLEANUP(encoded_clear) struct encoded public = { NULL, 0 };
    struct gk_error err = { 0 };
    enum gk_status status = encode_public(store, &public, &err);
    int type = OSSL_OBJECT_PKEY;
    char name[] = "RSA";
    char structure[] = "SubjectPublicKeyInfo";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, name, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, public.der, public.size),
        OSSL_PARAM_construct_end(),
    };

    return PROV_ANSWER(store->context, status, &err, OPERATION) && deliver(params, argument);
}

static int load(void *loaderctx, OSSL_CALLBACK *deliver, void *argument,
                OSSL_PASSPHRASE_CALLBACK *ask, void *ask_argument)
{
    struct store *store = loaderctx;

    store->done = true;
    return store->for_public ? load_public(store, deliver, argument)
                             : load_key(store, deliver, argument, ask, ask_argument);
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
