/* SPDX-License-Identifier: Apache-2.0 */
/* Signs a digest: one TPM command with a persistent key, and its result verified before anybody
 * sees it. */
#include "tpm/internal.h"

#include <string.h>

static TPMI_ALG_HASH hash_of(enum gk_hash hash)
{
    static const TPMI_ALG_HASH algorithms[] = {
        [GK_SHA256] = TPM2_ALG_SHA256,
        [GK_SHA384] = TPM2_ALG_SHA384,
        [GK_SHA512] = TPM2_ALG_SHA512,
        [GK_SHA1] = TPM2_ALG_SHA1,
    };

    return algorithms[hash];
}

static TPMI_ALG_RSA_SCHEME scheme_of(enum gk_scheme scheme)
{
    return scheme == GK_RSAPSS ? TPM2_ALG_RSAPSS : TPM2_ALG_RSASSA;
}

/* One private-key operation: what goes in, and what comes out. */
struct operation {
    const struct gk_key *key;
    TPM2_HANDLE handle;
    const struct gk_auth *auth;
    enum gk_scheme scheme;
    enum gk_hash hash;
    const uint8_t *input; /* a digest, or for a raw operation an encoded message */
    uint8_t output[GK_RSA2048_SIZE];
};

static TSS2_RC take_output(struct operation *operation, const TPM2B_PUBLIC_KEY_RSA *result)
{
    if (result->size > GK_RSA2048_SIZE) {
        return TSS2_SYS_RC_MALFORMED_RESPONSE;
    }
    /* Some TPMs leave out leading zeros. */
    memset(operation->output, 0, GK_RSA2048_SIZE);
    memcpy(operation->output + GK_RSA2048_SIZE - result->size, result->buffer, result->size);
    return TSS2_RC_SUCCESS;
}

/* Before it is unmarshalled: an algorithm unknown to it makes the TSS, from version 4 on, write a
 * line on the application's stderr. */
static TSS2_RC expect_scheme(TSS2_SYS_CONTEXT *sys, TPMI_ALG_RSA_SCHEME scheme)
{
    const uint8_t *bytes;
    size_t size;
    TSS2_RC code = Tss2_Sys_GetRpBuffer(sys, &size, &bytes);

    if (code == TSS2_RC_SUCCESS && (size < 2 || (bytes[0] << 8 | bytes[1]) != scheme)) {
        code = TSS2_SYS_RC_MALFORMED_RESPONSE;
    }
    return code;
}

static TSS2_RC sign(TSS2_SYS_CONTEXT *sys, void *context)
{
    struct operation *operation = context;
    TPM2B_DIGEST digest = { .size = (uint16_t)gk_hash_size(operation->hash) };
    TPMT_SIG_SCHEME scheme = {
        .scheme = scheme_of(operation->scheme),
        .details.any.hashAlg = hash_of(operation->hash),
    };
    /* An empty ticket: the digest was made outside, which an unrestricted key signs. */
    TPMT_TK_HASHCHECK ticket = { .tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL };
    TPMT_SIGNATURE signature = { 0 };
    TSS2_RC code;

    memcpy(digest.buffer, operation->input, digest.size);
    code = Tss2_Sys_Sign_Prepare(sys, operation->handle, &digest, &scheme, &ticket);
    if (code == TSS2_RC_SUCCESS) {
        code = tpm_authorise(sys, operation->auth);
    }
    if (code == TSS2_RC_SUCCESS) {
        code = tpm_execute(sys);
    }
    if (code == TSS2_RC_SUCCESS) {
        code = expect_scheme(sys, scheme.scheme);
    }
    if (code == TSS2_RC_SUCCESS) {
        code = Tss2_Sys_Sign_Complete(sys, &signature);
    }
    return code == TSS2_RC_SUCCESS ? take_output(operation, &signature.signature.rsassa.sig) : code;
}

/* The raw private-key operation on an encoded message. */
static TSS2_RC decrypt(TSS2_SYS_CONTEXT *sys, void *context)
{
    struct operation *operation = context;
    TPM2B_PUBLIC_KEY_RSA cipher = { .size = GK_RSA2048_SIZE }, message = { .size = 0 };
    TPMT_RSA_DECRYPT scheme = { .scheme = TPM2_ALG_NULL };
    TPM2B_DATA label = { .size = 0 };
    TSS2_RC code;

    memcpy(cipher.buffer, operation->input, GK_RSA2048_SIZE);
    code = Tss2_Sys_RSA_Decrypt_Prepare(sys, operation->handle, &cipher, &scheme, &label);
    if (code == TSS2_RC_SUCCESS) {
        code = tpm_authorise(sys, operation->auth);
    }
    if (code == TSS2_RC_SUCCESS) {
        code = tpm_execute(sys);
    }
    if (code == TSS2_RC_SUCCESS) {
        code = Tss2_Sys_RSA_Decrypt_Complete(sys, &message);
    }
    return code == TSS2_RC_SUCCESS ? take_output(operation, &message) : code;
}

/*
 * The TPM refused for no reason with a name of its own, or gave a signature that is not this key's:
 * say so when the handle holds another key than the reference. Costs one more command, on this path
 * only.
 */
static enum gk_status explain(struct gk_tpm *tpm, const struct gk_key *key, enum gk_status status,
                              const char *about, struct gk_error *err)
{
    CLEANUP(gk_key_freep) struct gk_key *there = NULL;
    enum gk_status found;

    if (gk_key_is_loadable(key)) {
        return status;
    }
    found = gk_key_read(tpm, key->handle, &there, NULL);
    if (found == GK_OK ? !gk_key_equal(key, there)
                       : found == GK_NOT_RSA2048 || found == GK_WRONG_KIND) {
        return gk_fail(err, GK_WRONG_KEY, "%s", about);
    }
    return status;
}

static bool has_salt(const struct operation *operation, const struct gk_crypto *crypto,
                     const uint8_t *digest, size_t salt_size)
{
    return operation->scheme == GK_RSAPSS &&
           crypto->verify(crypto->context, gk_key_public(operation->key), operation->scheme,
                          operation->hash, salt_size, digest, operation->output) == 1;
}

static enum gk_status check(struct gk_tpm *tpm, const struct operation *operation,
                            const struct gk_crypto *crypto, const uint8_t *digest, size_t salt_size,
                            const char *about, struct gk_error *err)
{
    size_t hash_size = gk_hash_size(operation->hash);
    enum gk_status status;
    int good = crypto->verify(crypto->context, gk_key_public(operation->key), operation->scheme,
                              operation->hash, salt_size, digest, operation->output);

    if (good == 1) {
        return GK_OK;
    }
    if (good < 0) {
        return gk_fail(err, GK_CRYPTO_FAILED, "checking a signature of %s", about);
    }
    if (has_salt(operation, crypto, digest, pss_longest_salt(operation->hash))) {
        status = gk_fail(err, GK_BAD_SALT, "%s: this TPM always makes the longest salt", about);
        gk_advise(err, "make the key anew with gatekey key create, which then pads in software, or "
                       "use RSA-PKCS1 signatures");
        return status;
    }
    if (has_salt(operation, crypto, digest, hash_size)) {
        return gk_fail(err, GK_BAD_SALT, "%zu bytes, the hash has %zu", salt_size, hash_size);
    }
    status = gk_fail(err, GK_BAD_SIGNATURE, "%s", about);
    return explain(tpm, operation->key, status, about, err);
}

/* The signature's name, as in "RSA-PSS with SHA-256". */
static const char *scheme_name(TPMI_ALG_RSA_SCHEME scheme)
{
    return scheme == TPM2_ALG_RSAPSS   ? "RSA-PSS"
           : scheme == TPM2_ALG_RSASSA ? "RSA-PKCS1"
                                       : "another padding";
}

static const char *hash_name(TPMI_ALG_HASH hash)
{
    return hash == TPM2_ALG_SHA256   ? "SHA-256"
           : hash == TPM2_ALG_SHA384 ? "SHA-384"
           : hash == TPM2_ALG_SHA512 ? "SHA-512"
           : hash == TPM2_ALG_SHA1   ? "SHA-1"
                                     : "another hash";
}

/* A key may be made for one scheme and hash only; ours have none, but those of others may. */
bool gk_key_offers(const struct gk_key *key, enum gk_scheme scheme, enum gk_hash hash)
{
    const TPMT_RSA_SCHEME *own = &key->area.publicArea.parameters.rsaDetail.scheme;

    return own->scheme == TPM2_ALG_NULL ||
           (own->scheme == scheme_of(scheme) && own->details.anySig.hashAlg == hash_of(hash));
}

static enum gk_status check_scheme(const struct operation *operation, const char *about,
                                   struct gk_error *err)
{
    const TPMT_RSA_SCHEME *own = &operation->key->area.publicArea.parameters.rsaDetail.scheme;

    if (gk_key_offers(operation->key, operation->scheme, operation->hash)) {
        return GK_OK;
    }
    (void)gk_fail(err, GK_NOT_OFFERED, "%s is made for %s with %s only", about,
                  scheme_name(own->scheme), hash_name(own->details.anySig.hashAlg));
    gk_advise(err, "ask for that, or use a key made without a scheme");
    return GK_NOT_OFFERED;
}

static enum gk_status check_request(const struct operation *operation, bool is_raw,
                                    size_t salt_size, const char *about, struct gk_error *err)
{
    /* Not tried without: on a key with dictionary-attack protection it would count as a failure. A
     * key file of others may be wrong about it, so there an empty password is one as well. */
    if (gk_key_needs_auth(operation->key) &&
        (operation->auth == NULL ||
         (operation->auth->size == 0 && !gk_key_is_loadable(operation->key)))) {
        return gk_fail(err, GK_NEED_AUTH, "%s", about);
    }
    if (operation->scheme == GK_RSAPSS && operation->hash == GK_SHA1) {
        return gk_fail(err, GK_NOT_OFFERED, "RSA-PSS with SHA-1");
    }
    /* The two that TPMs make by themselves; which of them this one makes is seen afterwards. */
    if (operation->scheme == GK_RSAPSS && !is_raw && salt_size != gk_hash_size(operation->hash) &&
        salt_size != pss_longest_salt(operation->hash)) {
        return gk_fail(err, GK_BAD_SALT, "%zu bytes, the hash has %zu", salt_size,
                       gk_hash_size(operation->hash));
    }
    return check_scheme(operation, about, err);
}

static enum gk_status run(struct gk_tpm *tpm, struct operation *operation, tpm_command *command,
                          const char *about, struct gk_error *err)
{
    enum gk_status status;

    if (gk_key_is_loadable(operation->key)) {
        return loadable_run(tpm, operation->key, command, operation, &operation->handle, err);
    }
    status = tpm_run(tpm, command, operation, about, err);
    return status == GK_TPM_FAILED || status == GK_BAD_AUTH
               ? explain(tpm, operation->key, status, about, err)
               : status;
}

enum gk_status gk_key_sign(struct gk_tpm *tpm, const struct gk_key *key, const struct gk_auth *auth,
                           const struct gk_crypto *crypto, enum gk_scheme scheme, enum gk_hash hash,
                           const uint8_t *digest, size_t salt_size,
                           uint8_t signature[GK_RSA2048_SIZE], struct gk_error *err)
{
    bool is_raw = scheme == GK_RSAPSS && gk_key_pads_in_software(key);
    struct operation operation = { .key = key,
                                   .handle = key->handle,
                                   .auth = auth,
                                   .scheme = scheme,
                                   .hash = hash,
                                   .input = digest };
    uint8_t encoded[GK_RSA2048_SIZE];
    enum gk_status status;
    char about[GK_KEY_ABOUT_SIZE];

    gk_key_describe(key, about);
    status = check_request(&operation, is_raw, salt_size, about, err);
    if (status == GK_OK && is_raw) {
        status = pss_encode(crypto, hash, digest, salt_size, encoded, err);
        operation.input = encoded;
    }
    if (status == GK_OK) {
        status = run(tpm, &operation, is_raw ? decrypt : sign, about, err);
    }
    if (status == GK_OK) {
        status = check(tpm, &operation, crypto, digest, salt_size, about, err);
    }
    if (status == GK_OK) {
        memcpy(signature, operation.output, GK_RSA2048_SIZE);
    }
    return status;
}
