/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures (provider-signature(7)): hash in software, sign in the TPM with one command.
 *
 * Verifying is in verification.c; both share the context, and how a message is hashed.
 */
#include "provider/internal.h"

#include <openssl/evp.h>

#define OPERATION "sign with the device key"
#define DESCRIPTION "signatures by the device key in the TPM"

static OSSL_FUNC_signature_sign_init_fn sign_init;
static OSSL_FUNC_signature_sign_fn sign;
static OSSL_FUNC_signature_set_ctx_params_fn set_ctx_params;
static OSSL_FUNC_signature_settable_ctx_params_fn settable_ctx_params;

void *prov_signature_new(void *provctx, const char *properties)
{
    struct prov_signature *signature = calloc(1, sizeof(*signature));

    (void)properties;
    if (signature != NULL) {
        signature->context = provctx;
        signature->operation = OPERATION;
        signature->scheme = PROV_SCHEME_DEFAULT;
    }
    return signature;
}

void prov_signature_free(void *ctx)
{
    struct prov_signature *signature = ctx;

    if (signature != NULL) {
        EVP_MD_CTX_free(signature->hashing);
        prov_key_free(signature->key);
        free(signature);
    }
}
static void freectxp(struct prov_signature **signature)
{
    prov_signature_free(*signature);
}

void *prov_signature_copy(void *ctx)
{
    const struct prov_signature *from = ctx;
    CLEANUP(freectxp) struct prov_signature *copy = prov_signature_new(from->context, NULL);

    if (copy == NULL) {
        return NULL;
    }
    copy->operation = from->operation;
    copy->scheme = from->scheme;
    copy->takes_message = from->takes_message;
    copy->given = from->given;
    copy->key = from->key != NULL ? prov_key_hold(from->key) : NULL;
    if (from->hashing != NULL) {
        copy->hashing = EVP_MD_CTX_new();
        if (copy->hashing == NULL || !EVP_MD_CTX_copy_ex(copy->hashing, from->hashing)) {
            return NULL;
        }
    }
    return TAKE(copy);
}

enum gk_status prov_signature_start(struct prov_signature *signature, const char *operation,
                                    void *provkey, struct gk_error *err)
{
    signature->operation = operation;
    if (provkey != NULL) {
        prov_key_free(signature->key);
        signature->key = prov_key_hold(provkey);
    }
    if (signature->key == NULL || signature->key->reference == NULL) {
        return gk_fail(err, GK_USAGE, "no key was given");
    }
    EVP_MD_CTX_free(TAKE(signature->hashing));
    signature->scheme = PROV_SCHEME_DEFAULT;
    signature->takes_message = false;
    signature->given.size = 0;
    return GK_OK;
}

static int sign_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    enum gk_status status = prov_signature_start(signature, OPERATION, provkey, &err);

    if (status == GK_OK) {
        status = prov_scheme_set(&signature->scheme, params, &err);
    }
    return PROV_ANSWER(signature->context, status, &err, OPERATION);
}

static enum gk_status sign_in_tpm(struct prov_signature *signature, const uint8_t *digest,
                                  uint8_t *out, uint64_t *spent_us, struct gk_error *err)
{
    struct prov_key *key = signature->key;
    const struct prov_scheme *scheme = &signature->scheme;
    CLEANUP(gk_auth_clear) struct gk_auth auth;
    CLEANUP(gk_key_freep) struct gk_key *with_parent = NULL;
    struct prov_crypto where;
    struct gk_crypto crypto;
    struct gk_tpm *tpm;
    size_t salt_size;
    uint64_t begun_us;
    enum gk_status status = prov_scheme_settle(scheme, &salt_size, err);

    if (status == GK_OK) {
        status = prov_key_software(key, &where, err);
    }
    if (status == GK_OK) {
        status = prov_context_tpm(signature->context, &tpm, err);
    }
    if (status == GK_OK) {
        status = prov_key_password(key, &auth, err);
    }
    if (status == GK_OK) {
        status = prov_key_parent_password(key, &with_parent, err);
    }
    if (status != GK_OK) {
        return status;
    }
    prov_crypto_fill(&where, &crypto);
    begun_us = prov_tally_now_us();
    prov_fork_enter();
    status = gk_key_sign(tpm, with_parent != NULL ? with_parent : key->reference, &auth, &crypto,
                         scheme->padding, scheme->hash, digest, salt_size, out, err);
    prov_fork_leave();
    *spent_us = prov_tally_now_us() - begun_us;
    if (status == GK_BAD_AUTH) {
        prov_key_explain_password(key, err);
        status = err->status;
    }
    return status;
}

static enum gk_status sign_digest(struct prov_signature *signature, const uint8_t *digest,
                                  uint8_t *out, struct gk_error *err)
{
    uint64_t spent_us = 0;
    enum gk_status status = sign_in_tpm(signature, digest, out, &spent_us, err);

    prov_tally_note(signature->context, status == GK_OK, spent_us);
    return status;
}

static enum gk_status check_room(size_t room, struct gk_error *err)
{
    if (room >= GK_RSA2048_SIZE) {
        return GK_OK;
    }
    (void)gk_fail(err, GK_USAGE, "%zu bytes of room for a signature", room);
    gk_advise(err, "make room for %d bytes", GK_RSA2048_SIZE);
    return GK_USAGE;
}

enum gk_status prov_signature_check_digest(const struct prov_scheme *scheme, size_t size,
                                           struct gk_error *err)
{
    if (!scheme->hash_named) {
        (void)gk_fail(err, GK_NOT_OFFERED, "a signature of raw data");
        gk_advise(err, "name the hash the data was made with, as in -pkeyopt digest:sha256");
        return GK_NOT_OFFERED;
    }
    if (size != gk_hash_size(scheme->hash)) {
        (void)gk_fail(err, GK_USAGE, "%zu bytes are no %s digest", size,
                      prov_crypto_hash_name(scheme->hash));
        gk_advise(err, "hash the data first");
        return GK_USAGE;
    }
    return GK_OK;
}

static int sign(void *ctx, unsigned char *out, size_t *size, size_t room,
                const unsigned char *digest, size_t digest_size)
{
    struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    enum gk_status status;

    if (signature->takes_message) {
        return prov_digest_sign(ctx, out, size, room, digest, digest_size);
    }
    if (out == NULL) {
        *size = GK_RSA2048_SIZE;
        return 1;
    }
    status = check_room(room, &err);
    if (status == GK_OK) {
        status = prov_signature_check_digest(&signature->scheme, digest_size, &err);
    }
    if (status == GK_OK) {
        status = sign_digest(signature, digest, out, &err);
    }
    if (status == GK_OK) {
        *size = GK_RSA2048_SIZE;
    }
    return PROV_ANSWER(signature->context, status, &err, OPERATION);
}

static enum gk_status start_hashing(struct prov_signature *signature, struct gk_error *err)
{
    struct prov_software *software;
    enum gk_status status = prov_context_software(signature->context, &software, err);

    if (status != GK_OK) {
        return status;
    }
    signature->hashing = EVP_MD_CTX_new();
    if (signature->hashing == NULL ||
        !EVP_DigestInit_ex2(signature->hashing, software->hashes[signature->scheme.hash], NULL)) {
        return gk_fail(err, GK_CRYPTO_FAILED, "%s", prov_crypto_hash_name(signature->scheme.hash));
    }
    return GK_OK;
}

enum gk_status prov_signature_start_message(struct prov_signature *signature, const char *hash,
                                            const OSSL_PARAM params[], struct gk_error *err)
{
    enum gk_status status = prov_scheme_hash(
        &signature->scheme, hash != NULL && hash[0] != '\0' ? hash : "SHA256", err);

    if (status == GK_OK) {
        status = prov_scheme_set(&signature->scheme, params, err);
    }
    return status == GK_OK ? start_hashing(signature, err) : status;
}

/* Called once for each algorithm a TLS 1.3 peer offers, only to see whether it can be: no TPM here.
 */
int prov_digest_sign_init(void *ctx, const char *hash, void *provkey, const OSSL_PARAM params[])
{
    struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    enum gk_status status = prov_signature_start(signature, OPERATION, provkey, &err);

    if (status == GK_OK) {
        status = prov_signature_start_message(signature, hash, params, &err);
    }
    return PROV_ANSWER(signature->context, status, &err, OPERATION);
}

static enum gk_status hash_more(struct prov_signature *signature, const void *data, size_t size,
                                struct gk_error *err)
{
    if (signature->hashing == NULL) {
        return gk_fail(err, GK_USAGE, "no message was begun");
    }
    return EVP_DigestUpdate(signature->hashing, data, size)
               ? GK_OK
               : gk_fail(err, GK_CRYPTO_FAILED, "%s",
                         prov_crypto_hash_name(signature->scheme.hash));
}

int prov_signature_update(void *ctx, const unsigned char *data, size_t size)
{
    struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    enum gk_status status = hash_more(signature, data, size, &err);

    return PROV_ANSWER(signature->context, status, &err, signature->operation);
}

enum gk_status prov_signature_end_message(struct prov_signature *signature,
                                          uint8_t digest[static EVP_MAX_MD_SIZE],
                                          struct gk_error *err)
{
    if (signature->hashing == NULL || !EVP_DigestFinal_ex(signature->hashing, digest, NULL)) {
        return gk_fail(err, GK_USAGE, "no message was begun");
    }
    EVP_MD_CTX_free(TAKE(signature->hashing));
    return GK_OK;
}

static enum gk_status finish(struct prov_signature *signature, unsigned char *out, size_t room,
                             struct gk_error *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    enum gk_status status = check_room(room, err);

    if (status == GK_OK) {
        status = prov_signature_end_message(signature, digest, err);
    }
    return status == GK_OK ? sign_digest(signature, digest, out, err) : status;
}

int prov_digest_sign_final(void *ctx, unsigned char *out, size_t *size, size_t room)
{
    struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    enum gk_status status = out != NULL ? finish(signature, out, room, &err) : GK_OK;

    if (status == GK_OK) {
        *size = GK_RSA2048_SIZE;
    }
    return PROV_ANSWER(signature->context, status, &err, OPERATION);
}

/*
 * Without it EVP would duplicate the context for every message. Whoever has too little room may try
 * again with the same message, so it must not be hashed before that is known.
 */
int prov_digest_sign(void *ctx, unsigned char *out, size_t *size, size_t room,
                     const unsigned char *data, size_t data_size)
{
    bool will_sign = out != NULL && room >= GK_RSA2048_SIZE;

    return (!will_sign || prov_signature_update(ctx, data, data_size)) &&
           prov_digest_sign_final(ctx, out, size, room);
}

int prov_signature_get(void *ctx, OSSL_PARAM params[])
{
    const struct prov_signature *signature = ctx;

    return params == NULL || prov_scheme_get(&signature->scheme, params);
}

const OSSL_PARAM *prov_signature_gettable(void *ctx, void *provctx)
{
    (void)ctx;
    (void)provctx;
    return prov_scheme_gettable();
}

/* A hash already begun cannot become another one; asking for the same again is fine. */
static int set_ctx_params(void *ctx, const OSSL_PARAM params[])
{
    struct prov_signature *signature = ctx;
    struct prov_scheme wanted = signature->scheme;
    struct gk_error err = { 0 };
    enum gk_status status = prov_scheme_set(&wanted, params, &err);

    if (status == GK_OK) {
        status = prov_message_set_given(&signature->given, params, &err);
    }

    if (status == GK_OK && signature->hashing != NULL && wanted.hash != signature->scheme.hash) {
        status = gk_fail(&err, GK_USAGE, "another hash in the middle of a message");
    }
    if (status == GK_OK) {
        signature->scheme = wanted;
    }
    return PROV_ANSWER(signature->context, status, &err, signature->operation);
}

static const OSSL_PARAM *settable_ctx_params(void *ctx, void *provctx)
{
    (void)ctx;
    (void)provctx;
    return prov_scheme_settable();
}

static const OSSL_DISPATCH functions[] = {
    { OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))prov_signature_new },
    { OSSL_FUNC_SIGNATURE_SIGN_INIT, (void (*)(void))sign_init },
    { OSSL_FUNC_SIGNATURE_SIGN, (void (*)(void))sign },
    { OSSL_FUNC_SIGNATURE_VERIFY_INIT, (void (*)(void))prov_verify_init },
    { OSSL_FUNC_SIGNATURE_VERIFY, (void (*)(void))prov_verify },
    { OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))prov_digest_sign_init },
    { OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (void (*)(void))prov_signature_update },
    { OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (void (*)(void))prov_digest_sign_final },
    { OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))prov_digest_sign },
    { OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (void (*)(void))prov_digest_verify_init },
    { OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, (void (*)(void))prov_signature_update },
    { OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, (void (*)(void))prov_digest_verify_final },
    { OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, (void (*)(void))prov_digest_verify },
#ifdef OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_INIT
    { OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_INIT, (void (*)(void))prov_message_sign_init },
    { OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_UPDATE, (void (*)(void))prov_signature_update },
    { OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_FINAL, (void (*)(void))prov_digest_sign_final },
    { OSSL_FUNC_SIGNATURE_VERIFY_MESSAGE_INIT, (void (*)(void))prov_message_verify_init },
    { OSSL_FUNC_SIGNATURE_VERIFY_MESSAGE_UPDATE, (void (*)(void))prov_signature_update },
    { OSSL_FUNC_SIGNATURE_VERIFY_MESSAGE_FINAL, (void (*)(void))prov_message_verify_final },
#endif
    { OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))prov_signature_free },
    { OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))prov_signature_copy },
    { OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))prov_signature_get },
    { OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))prov_signature_gettable },
    { OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))set_ctx_params },
    { OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))settable_ctx_params },
    { 0, NULL },
};

const OSSL_ALGORITHM prov_signature[] = {
    { PROV_RSA_NAMES, PROV_PROPERTIES, functions, DESCRIPTION },
#ifdef OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_INIT
    { "RSA-SHA256:RSA-SHA2-256:sha256WithRSAEncryption:1.2.840.113549.1.1.11", PROV_PROPERTIES,
      prov_message_sha256, DESCRIPTION },
    { "RSA-SHA384:RSA-SHA2-384:sha384WithRSAEncryption:1.2.840.113549.1.1.12", PROV_PROPERTIES,
      prov_message_sha384, DESCRIPTION },
    { "RSA-SHA512:RSA-SHA2-512:sha512WithRSAEncryption:1.2.840.113549.1.1.13", PROV_PROPERTIES,
      prov_message_sha512, DESCRIPTION },
#endif
    { NULL, NULL, NULL, NULL },
};
