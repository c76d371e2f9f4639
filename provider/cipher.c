/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption and decryption (provider-asym_cipher(7)), offered only to refuse them with a reason:
 * without this OpenSSL would say "operation not supported for this keytype".
 */
#include "provider/internal.h"

static OSSL_FUNC_asym_cipher_newctx_fn newctx;
static OSSL_FUNC_asym_cipher_freectx_fn freectx;
static OSSL_FUNC_asym_cipher_encrypt_init_fn encrypt_init;
static OSSL_FUNC_asym_cipher_decrypt_init_fn decrypt_init;
static OSSL_FUNC_asym_cipher_encrypt_fn nothing;

/* The refusal needs nothing but the provider's context. */
static void *newctx(void *provctx)
{
    return provctx;
}

static void freectx(void *ctx)
{
    (void)ctx;
}

static int encrypt_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    struct gk_error err = { 0 };
    enum gk_status status = gk_fail(&err, GK_NOT_OFFERED, NULL);

    (void)provkey;
    (void)params;
    gk_advise(&err, "take the public key out with openssl pkey -pubout and encrypt with that");
    return PROV_ANSWER(ctx, status, &err, "encrypt with the device key");
}

static int decrypt_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    struct gk_error err = { 0 };
    enum gk_status status = gk_fail(&err, GK_NOT_OFFERED, "it only signs");

    (void)provkey;
    (void)params;
    gk_advise(&err, "use a key made for decryption; in TLS, cipher suites with ECDHE or DHE");
    return PROV_ANSWER(ctx, status, &err, "decrypt with the device key");
}

/* Never reached: neither operation can be begun. */
static int nothing(void *ctx, unsigned char *out, size_t *size, size_t room,
                   const unsigned char *in, size_t in_size)
{
    (void)ctx;
    (void)out;
    (void)size;
    (void)room;
    (void)in;
    (void)in_size;
    return 0;
}

static const OSSL_DISPATCH functions[] = {
    { OSSL_FUNC_ASYM_CIPHER_NEWCTX, (void (*)(void))newctx },
    { OSSL_FUNC_ASYM_CIPHER_ENCRYPT_INIT, (void (*)(void))encrypt_init },
    { OSSL_FUNC_ASYM_CIPHER_ENCRYPT, (void (*)(void))nothing },
    { OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, (void (*)(void))decrypt_init },
    { OSSL_FUNC_ASYM_CIPHER_DECRYPT, (void (*)(void))nothing },
    { OSSL_FUNC_ASYM_CIPHER_FREECTX, (void (*)(void))freectx },
    { 0, NULL },
};

const OSSL_ALGORITHM prov_cipher[] = {
    { PROV_RSA_NAMES, PROV_PROPERTIES, functions, "refuses, and says so" },
    { NULL, NULL, NULL, NULL },
};
