/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays OpenSSL's FIPS provider, which Debian has not: all that the default provider has, under the
 * name of "fips" and claiming fips=yes.
 */
#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <string.h>

#define MOST 400 /* entries of a table; the default provider's longest has some 250 */

static OSSL_PROVIDER *real;
static OSSL_ALGORITHM tables[OSSL_OP__HIGHEST + 1][MOST + 1];
static char properties[OSSL_OP__HIGHEST + 1][MOST][128];

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
    const OSSL_ALGORITHM *from = OSSL_PROVIDER_query_operation(real, operation, no_cache);

    (void)provctx;
    for (int i = 0; from != NULL && i < MOST && from[i].algorithm_names != NULL; i++) {
        const char *rest = strstr(from[i].property_definition, ",output=");

        if (rest == NULL) {
            rest = strstr(from[i].property_definition, ",input=");
        }
        snprintf(properties[operation][i], sizeof(properties[operation][i]),
                 "provider=fips,fips=yes%s", rest != NULL ? rest : "");
        tables[operation][i] = from[i];
        tables[operation][i].property_definition = properties[operation][i];
    }
    return from != NULL ? tables[operation] : NULL;
}

static const OSSL_DISPATCH functions[] = {
    { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query },
    { 0, NULL },
};

OSSL_provider_init_fn OSSL_provider_init;
int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **provctx)
{
    (void)handle;
    (void)in;
    real = OSSL_PROVIDER_load(OSSL_LIB_CTX_new(), "default");
    *provctx = real != NULL ? OSSL_PROVIDER_get0_provider_ctx(real) : NULL;
    *out = functions;
    return real != NULL;
}
