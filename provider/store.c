/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store (provider-storemgmt(7)): the key of the identity directory, its certificate and chain,
 * and whatever signing key lies at a handle of the TPM. uri.c says how they are named.
 */
#include "provider/internal.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/store.h>

#define OPERATION_URI "open the URI"
#define OPERATION_KEY "load the device key"
#define OPERATION_CERTIFICATE "load the device certificate"
#define OPERATION_SEARCH "search for a certificate"

GK_DEFINE_CLEANUP(X509_NAME, X509_NAME_free)

struct store {
    struct prov_context *context;
    struct prov_uri uri;
    int expected;       /* OSSL_STORE_INFO_*, or 0 for anything */
    X509_NAME *subject; /* NULL, or that of the certificates that are looked for */
    bool begun;
    bool failed;
    bool done;
    struct prov_certificates certificates; /* from when it is begun, those that are wanted */
    size_t next;                           /* of these */
};

static OSSL_FUNC_store_open_fn store_open;
static OSSL_FUNC_store_settable_ctx_params_fn settable_ctx_params;
static OSSL_FUNC_store_set_ctx_params_fn set_ctx_params;
static OSSL_FUNC_store_load_fn load;
static OSSL_FUNC_store_eof_fn at_end;
static OSSL_FUNC_store_close_fn store_close;

static bool has_certificates(const struct store *store)
{
    return store->uri.content == PROV_CERTIFICATE || store->uri.content == PROV_CHAIN;
}

static bool is_public_wanted(const struct store *store)
{
    return store->expected == OSSL_STORE_INFO_PUBKEY;
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
    status = prov_uri_parse(uri, &store->uri, &err);
    return PROV_ANSWER(provctx, status, &err, OPERATION_URI) ? TAKE(store) : NULL;
}

static const OSSL_PARAM *settable_ctx_params(void *provctx)
{
    static const OSSL_PARAM table[] = {
        OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL),
        OSSL_PARAM_octet_string(OSSL_STORE_PARAM_SUBJECT, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)provctx;
    return table;
}

/* What cannot be looked for is refused: whoever searches must not be given everything. */
static enum gk_status check_search(const OSSL_PARAM params[], struct gk_error *err)
{
    static const char *const refused[] = { OSSL_STORE_PARAM_ISSUER, OSSL_STORE_PARAM_SERIAL,
                                           OSSL_STORE_PARAM_FINGERPRINT, OSSL_STORE_PARAM_ALIAS };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (OSSL_PARAM_locate_const(params, refused[i]) != NULL) {
            (void)gk_fail(err, GK_NOT_OFFERED, "by %s", refused[i]);
            gk_advise(err, "search by subject, or take all of gatekey:cert and gatekey:chain");
            return GK_NOT_OFFERED;
        }
    }
    return GK_OK;
}

static enum gk_status take_subject(struct store *store, const OSSL_PARAM *param,
                                   struct gk_error *err)
{
    CLEANUP(X509_NAME_freep) X509_NAME *name = NULL;
    const unsigned char *at;
    const void *der;
    size_t size;

    if (!OSSL_PARAM_get_octet_string_ptr(param, &der, &size) || size > LONG_MAX) {
        return gk_fail(err, GK_USAGE, "a subject that is none");
    }
    at = der;
    name = d2i_X509_NAME(NULL, &at, (long)size);
    if (name == NULL) {
        return gk_fail(err, GK_USAGE, "a subject that is none");
    }
    X509_NAME_free(store->subject);
    store->subject = TAKE(name);
    return GK_OK;
}

static int set_ctx_params(void *loaderctx, const OSSL_PARAM params[])
{
    struct store *store = loaderctx;
    struct gk_error err = { 0 };
    const OSSL_PARAM *param;
    enum gk_status status;

    if (params == NULL) {
        return 1;
    }
    param = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);
    if (param != NULL && !OSSL_PARAM_get_int(param, &store->expected)) {
        return 0;
    }
    status = check_search(params, &err);
    param = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_SUBJECT);
    if (status == GK_OK && param != NULL) {
        ERR_set_mark();
        status = take_subject(store, param, &err);
        ERR_pop_to_mark();
    }
    return PROV_ANSWER(store->context, status, &err, OPERATION_SEARCH);
}

/* The first certificate of the file is the gateway's own, the others are its chain. */
static bool is_named(const struct store *store, size_t index)
{
    return (store->uri.content == PROV_CERTIFICATE) == (index == 0);
}

/* Leave out what is not looked for. */
static void select_certificates(struct store *store)
{
    struct prov_certificates *certificates = &store->certificates;
    size_t kept = 0;

    for (size_t i = 0; i < certificates->count; i++) {
        X509 *certificate = certificates->list[i];

        if (!is_named(store, i) ||
            (store->subject != NULL &&
             X509_NAME_cmp(store->subject, X509_get_subject_name(certificate)) != 0)) {
            X509_free(certificate);
        } else {
            certificates->list[kept++] = certificate;
        }
    }
    certificates->count = kept;
}

/* Whether this URI has what is expected; where it has the other thing, say how that is named. */
static enum gk_status check_expected(const struct store *store, struct gk_error *err)
{
    bool key_wanted = store->expected == OSSL_STORE_INFO_PKEY || is_public_wanted(store);
    bool certificate_wanted = store->expected == OSSL_STORE_INFO_CERT;

    if (store->expected == 0 || (has_certificates(store) ? certificate_wanted : key_wanted)) {
        return GK_OK;
    }
    (void)gk_fail(err, GK_USAGE, "a %s is wanted and this URI names a %s",
                  key_wanted ? "key" : "certificate", key_wanted ? "certificate" : "key");
    gk_advise(err,
              "write gatekey: for the key, gatekey:cert for its certificate, gatekey:chain for the "
              "certificates above that one");
    return GK_USAGE;
}

/*
 * Before the first object. Certificates are all read now: at_end() must know whether there will be
 * another.
 */
static int begin(struct store *store)
{
    struct gk_error err = { 0 };
    enum gk_status status = check_expected(store, &err);

    store->begun = true;
    if (status == GK_OK && has_certificates(store)) {
        status = prov_certificates_read(store->context, &store->certificates, &err);
        select_certificates(store);
        store->done = status == GK_OK && store->certificates.count == 0;
    }
    return PROV_ANSWER(store->context, status, &err,
                       has_certificates(store) ? OPERATION_CERTIFICATE : OPERATION_KEY);
}

static int load_next(struct store *store, OSSL_CALLBACK *deliver, void *argument,
                     OSSL_PASSPHRASE_CALLBACK *ask, void *ask_argument)
{
    if (has_certificates(store)) {
        X509 *certificate = store->certificates.list[store->next++];

        store->done = store->next == store->certificates.count;
        return prov_object_certificate(certificate, deliver, argument);
    }
    store->done = true;
    return is_public_wanted(store)
               ? prov_object_public(store->context, &store->uri, deliver, argument)
               : prov_object_key(store->context, &store->uri, deliver, argument, ask, ask_argument);
}

/*
 * An object that cannot be had counts as one, and the end comes after it: OpenSSL takes what fails
 * at the end for the end itself, and its programs would then say nothing.
 */
static int load(void *loaderctx, OSSL_CALLBACK *deliver, void *argument,
                OSSL_PASSPHRASE_CALLBACK *ask, void *ask_argument)
{
    struct store *store = loaderctx;

    if (store->failed) {
        store->done = true;
        return 0;
    }
    if (!store->begun && !begin(store)) {
        store->failed = true;
        return 0;
    }
    /* A search that finds nothing is no error, and only a 1 without an object says so. */
    if (store->done) {
        return 1;
    }
    if (!load_next(store, deliver, argument, ask, ask_argument)) {
        store->failed = true;
        store->done = false;
        return 0;
    }
    return 1;
}

/* Revocation lists and parameters are nowhere here, and a key has no subject to be found by. */
static int at_end(void *loaderctx)
{
    const struct store *store = loaderctx;

    return store->done || (!has_certificates(store) && store->subject != NULL) ||
           store->expected == OSSL_STORE_INFO_CRL || store->expected == OSSL_STORE_INFO_PARAMS;
}

static int store_close(void *loaderctx)
{
    struct store *store = loaderctx;

    prov_certificates_clear(&store->certificates);
    X509_NAME_free(store->subject);
    free(store);
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
    { "gatekey", PROV_PROPERTIES, functions, "the device key and its certificates by URI" },
    { NULL, NULL, NULL, NULL },
};
