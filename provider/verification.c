/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification by the device key (provider-signature(7)), wholly in software: programs check with
 * the key they hold what they signed with it, as "openssl req -new -verify" does.
 */
#include "provider/internal.h"

#include <openssl/rsa.h>

#define OPERATION "verify with the device key"

/* Any salt will do where none is named, as for the default provider's keys. */
static enum gk_status start(struct prov_signature *signature, void *provkey, struct gk_error *err)
{
    enum gk_status status = prov_signature_start(signature, OPERATION, provkey, err);

    if (status == GK_OK) {
        signature->scheme.salt = RSA_PSS_SALTLEN_AUTO;
    }
    return status;
}

/* RSA_PSS_SALTLEN_AUTO_DIGEST_MAX, which OpenSSL 3.0 does not know, is "any" here as well. */
static int salt_to_expect(const struct prov_scheme *scheme)
{
    return scheme->salt < RSA_PSS_SALTLEN_MAX ? RSA_PSS_SALTLEN_AUTO : scheme->salt;
}

static enum gk_status check(struct prov_signature *signature, const uint8_t *digest,
                            const uint8_t *given, size_t size, bool *good, struct gk_error *err)
{
    const struct prov_scheme *scheme = &signature->scheme;
    struct prov_crypto where;
    size_t salt_size;
    int verdict;
    enum gk_status status = prov_scheme_settle(scheme, &salt_size, err);

    if (status == GK_OK) {
        status = prov_key_software(signature->key, &where, err);
    }
    if (status != GK_OK) {
        return status;
    }
    *good = false;
    if (size != GK_RSA2048_SIZE) {
        return GK_OK;
    }
    verdict = prov_crypto_verify(&where, gk_key_public(signature->key->reference), scheme->padding,
                                 scheme->hash, salt_to_expect(scheme), digest, given);
    *good = verdict == 1;
    return verdict >= 0 ? GK_OK : gk_fail(err, GK_CRYPTO_FAILED, NULL);
}

int prov_verify_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    enum gk_status status = start(signature, provkey, &err);

    if (status == GK_OK) {
        status = prov_scheme_set(&signature->scheme, params, &err);
    }
    return PROV_ANSWER(signature->context, status, &err, OPERATION);
}

/* A bad signature is an answer, not an error: 0, and nothing on the queue. */
int prov_verify(void *ctx, const unsigned char *given, size_t size, const unsigned char *digest,
                size_t digest_size)
{
    struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    bool good = false;
    enum gk_status status;

    if (signature->takes_message) {
        return prov_digest_verify(ctx, given, size, digest, digest_size);
    }
    status = prov_signature_check_digest(&signature->scheme, digest_size, &err);
    if (status == GK_OK) {
        status = check(signature, digest, given, size, &good, &err);
    }
    return PROV_ANSWER(signature->context, status, &err, OPERATION) && good;
}

int prov_digest_verify_init(void *ctx, const char *hash, void *provkey, const OSSL_PARAM params[])
{
    struct prov_signature *signature = ctx;
    struct gk_error err = { 0 };
    enum gk_status status = start(signature, provkey, &err);

    if (status == GK_OK) {
        status = prov_signature_start_message(signature, hash, params, &err);
    }
    return PROV_ANSWER(signature->context, status, &err, OPERATION);
}

int prov_digest_verify_final(void *ctx, const unsigned char *given, size_t size)
{
    struct prov_signature *signature = ctx;
    uint8_t digest[EVP_MAX_MD_SIZE];
    struct gk_error err = { 0 };
    bool good = false;
    enum gk_status status = prov_signature_end_message(signature, digest, &err);

    if (status == GK_OK) {
        status = check(signature, digest, given, size, &good, &err);
    }
    return PROV_ANSWER(signature->context, status, &err, OPERATION) && good;
}

/* Without it EVP would duplicate the context for every message. */
int prov_digest_verify(void *ctx, const unsigned char *given, size_t size,
                       const unsigned char *data, size_t data_size)
{
    return prov_signature_update(ctx, data, data_size) &&
           prov_digest_verify_final(ctx, given, size);
}
