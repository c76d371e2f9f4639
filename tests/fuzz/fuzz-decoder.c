/* SPDX-License-Identifier: Apache-2.0 */
/* A key file that some program hands to OpenSSL: both stages of the provider's decoder. */
#include "tests/fuzz/target.h"

#include <openssl/core.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdlib.h>

static int no_password(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

/* Kept for the whole run; the provider is linked in so that the fuzzer sees its branches. */
static OSSL_LIB_CTX *context(void)
{
    static OSSL_LIB_CTX *libctx;

    if (libctx == NULL) {
        libctx = OSSL_LIB_CTX_new();
        if (!OSSL_PROVIDER_add_builtin(libctx, "gatekey", OSSL_provider_init) ||
            OSSL_PROVIDER_load(libctx, "default") == NULL ||
            OSSL_PROVIDER_load(libctx, "gatekey") == NULL) {
            abort();
        }
    }
    return libctx;
}

static void decode(const uint8_t *data, size_t size, const char *input, const char *structure)
{
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(&key, input, structure, "RSA", 0,
                                                          context(), "provider=gatekey");

    OSSL_DECODER_CTX_set_pem_password_cb(ctx, no_password, NULL);
    /* What was taken is an RSA-2048 key. */
    if (OSSL_DECODER_from_data(ctx, &data, &size) && EVP_PKEY_get_bits(key) != 2048) {
        abort();
    }
    EVP_PKEY_free(key);
    OSSL_DECODER_CTX_free(ctx);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size, "PEM", NULL);
    decode(data, size, "DER", NULL);
    return 0;
}
