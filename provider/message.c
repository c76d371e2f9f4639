/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of whole messages (provider-signature(7), "Message signing"), new in OpenSSL 3.4: an
 * application names padding and hash as one algorithm, RSA-SHA256, or asks plain RSA for a message.
 *
 * A fetched RSA-SHA256 is the default provider's, and OpenSSL then wants the key exported to it. So
 * applications get these by the property query provider=gatekey, or pass no algorithm at all.
 */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#define OPERATION "verify with the device key"

#ifndef OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_INIT

enum gk_status prov_message_set_given(struct prov_given *given, const OSSL_PARAM params[],
                                      struct gk_error *err)
{
    (void)given;
    (void)params;
    (void)err;
    return GK_OK;
}

#else

enum gk_status prov_message_set_given(struct prov_given *given, const OSSL_PARAM params[],
                                      struct gk_error *err)
{
    const OSSL_PARAM *param =
        params != NULL ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_SIGNATURE) : NULL;

    if (param == NULL) {
        return GK_OK;
    }
    if (param->data_type != OSSL_PARAM_OCTET_STRING || param->data == NULL) {
        return gk_fail(err, GK_USAGE, "the signature to verify is given as no bytes");
    }
    /* What is too long for a signature is kept as one that is wrong, not as an error. */
    given->size = param->data_size < sizeof(given->bytes) ? param->data_size : sizeof(given->bytes);
    memcpy(given->bytes, param->data, given->size);
    return GK_OK;
}

static int take_messages(struct prov_signature *signature, const OSSL_PARAM params[])
{
    struct gk_error err = { 0 };
    enum gk_status status = prov_message_set_given(&signature->given, params, &err);

    signature->takes_message = true;
    return PROV_ANSWER(signature->context, status, &err, signature->operation);
}

int prov_message_sign_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    return prov_digest_sign_init(ctx, NULL, provkey, params) && take_messages(ctx, params);
}

int prov_message_verify_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    return prov_digest_verify_init(ctx, NULL, provkey, params) && take_messages(ctx, params);
}

int prov_message_verify_final(void *ctx)
{
    const struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    enum gk_status status = GK_OK;

    if (signature->given.size == 0) {
        status = gk_fail(&err, GK_USAGE, "no signature was given to verify");
    }
    return PROV_ANSWER(signature->context, status, &err, OPERATION) &&
           prov_digest_verify_final(ctx, signature->given.bytes, signature->given.size);
}

/* The name has said everything: of the parameters only the signature to verify counts. */
static int set_given(void *ctx, const OSSL_PARAM params[])
{
    struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    enum gk_status status = prov_message_set_given(&signature->given, params, &err);

    return PROV_ANSWER(signature->context, status, &err, signature->operation);
}

static const OSSL_PARAM *settable_given(void *ctx, void *provctx)
{
    static const OSSL_PARAM table[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_SIGNATURE, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)ctx;
    (void)provctx;
    return table;
}

static const char **key_types(void)
{
    static const char *types[] = { "RSA", NULL };

    return types;
}

#define ALGORITHM(size)                                                                          \
    static int sign_init_##size(void *ctx, void *provkey, const OSSL_PARAM params[])             \
    {                                                                                            \
        return prov_digest_sign_init(ctx, "SHA" #size, provkey, NULL) &&                         \
               take_messages(ctx, params);                                                       \
    }                                                                                            \
    static int verify_init_##size(void *ctx, void *provkey, const OSSL_PARAM params[])           \
    {                                                                                            \
        return prov_digest_verify_init(ctx, "SHA" #size, provkey, NULL) &&                       \
               take_messages(ctx, params);                                                       \
    }                                                                                            \
    const OSSL_DISPATCH prov_message_sha##size[] = {                                             \
        { OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))prov_signature_new },                      \
        { OSSL_FUNC_SIGNATURE_QUERY_KEY_TYPES, (void (*)(void))key_types },                      \
        { OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_INIT, (void (*)(void))sign_init_##size },             \
        { OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_UPDATE, (void (*)(void))prov_signature_update },      \
        { OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_FINAL, (void (*)(void))prov_digest_sign_final },      \
        { OSSL_FUNC_SIGNATURE_SIGN, (void (*)(void))prov_digest_sign },                          \
        { OSSL_FUNC_SIGNATURE_VERIFY_MESSAGE_INIT, (void (*)(void))verify_init_##size },         \
        { OSSL_FUNC_SIGNATURE_VERIFY_MESSAGE_UPDATE, (void (*)(void))prov_signature_update },    \
        { OSSL_FUNC_SIGNATURE_VERIFY_MESSAGE_FINAL, (void (*)(void))prov_message_verify_final }, \
        { OSSL_FUNC_SIGNATURE_VERIFY, (void (*)(void))prov_digest_verify },                      \
        { OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))prov_signature_free },                    \
        { OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))prov_signature_copy },                     \
        { OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))prov_signature_get },              \
        { OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))prov_signature_gettable },    \
        { OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))set_given },                       \
        { OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))settable_given },             \
        { 0, NULL },                                                                             \
    };
ALGORITHM(256)
ALGORITHM(384)
ALGORITHM(512)

#endif
