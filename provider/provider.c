/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey.so, an OpenSSL 3 provider (provider(7)) for the device key in the TPM.
 *
 * Any program on OpenSSL gets it from openssl.cnf. Loading it asks no TPM, reads no file and
 * fetches nothing, so it costs the programs nothing that never touch the device key.
 */
#include "provider/internal.h"

#include "config.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>

static OSSL_FUNC_provider_teardown_fn teardown;
static OSSL_FUNC_provider_gettable_params_fn gettable_params;
static OSSL_FUNC_provider_get_params_fn get_params;
static OSSL_FUNC_provider_query_operation_fn query_operation;
static OSSL_FUNC_provider_get_reason_strings_fn get_reason_strings;

__attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

static void teardown(void *provctx)
{
    prov_context_free(provctx);
}

static const OSSL_PARAM *gettable_params(void *provctx)
{
    static const OSSL_PARAM table[] = {
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, NULL, 0),
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, NULL, 0),
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_BUILDINFO, NULL, 0),
        OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, NULL),
        OSSL_PARAM_uint64("gatekey-signatures", NULL),
        OSSL_PARAM_uint64("gatekey-signature-us", NULL),
        OSSL_PARAM_uint64("gatekey-signature-last-us", NULL),
        OSSL_PARAM_uint64("gatekey-signature-failures", NULL),
        OSSL_PARAM_END,
    };

    (void)provctx;
    return table;
}

static int set_text(OSSL_PARAM params[], const char *name, const char *text)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, name);

    return param == NULL || OSSL_PARAM_set_utf8_ptr(param, text);
}

/* The status is that of the module. Whether a TPM is there shows when the key is used. */
static int get_params(void *provctx, OSSL_PARAM params[])
{
    OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);

    return set_text(params, OSSL_PROV_PARAM_NAME, "gatekey, the device key in the TPM") &&
           set_text(params, OSSL_PROV_PARAM_VERSION, PACKAGE_VERSION) &&
           set_text(params, OSSL_PROV_PARAM_BUILDINFO, PACKAGE_STRING) &&
           (status == NULL || OSSL_PARAM_set_int(status, 1)) && prov_tally_get(provctx, params);
}

static const OSSL_ALGORITHM *query_operation(void *provctx, int operation, int *no_cache)
{
    *no_cache = 0;
    if (!prov_order_step_back(provctx, operation)) {
        /* Not for good: OpenSSL would never ask for it again. */
        *no_cache = 1;
        return NULL;
    }
    return prov_table(provctx, operation);
}

static const OSSL_ITEM *get_reason_strings(void *provctx)
{
    (void)provctx;
    return prov_reasons;
}

static const OSSL_DISPATCH functions[] = {
    { OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown },
    { OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable_params },
    { OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_params },
    { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query_operation },
    { OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, (void (*)(void))get_reason_strings },
    { 0, NULL },
};

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **provctx)
{
    struct prov_context *context = prov_context_new(handle, in);

    if (context == NULL) {
        return 0;
    }
    *provctx = context;
    *out = functions;
    return 1;
}
