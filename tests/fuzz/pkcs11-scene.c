/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz-pkcs11 has around the module: files that are renewed, and a stand-in for the TPM.
 *
 * The stand-in is gk_key_sign() itself (the linker's --wrap). The target is about sequences of
 * calls, of which a TPM would allow a few hundred a second; what goes wrong between tpm/ and a TPM
 * is the business of tests/tpm/ and of test-faults.c. It signs with keys in software, fails, and
 * takes its time, by the fuzzer's choice.
 */
#include "tests/fuzz/pkcs11.h"

#include "cleanup.h"
#include "tests/pkcs11/files.h"
#include "tpm/devkey.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <sys/stat.h>

#define PASSWORD "a password"

enum { DEVICE, CERTIFICATE, IDENTITY, FILES };
static const char *const names[FILES] = { "device.pem", "cert.pem", "identity.pem" };

static char folder[256];
static EVP_PKEY *keys[2];
/* What each file may be; "" is damaged, NULL is none. */
static char *contents[FILES][8];
static const char *present[FILES];

static void remove_files(void)
{
    char path[300];

    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void write_file(int which, const char *text)
{
    char path[300], beside[310];
    FILE *file;

    if (text == present[which]) {
        return;
    }
    present[which] = text;
    snprintf(path, sizeof(path), "%s/%s", folder, names[which]);
    if (text == NULL) {
        unlink(path);
        return;
    }
    snprintf(beside, sizeof(beside), "%s.new", path);
    file = fopen(beside, "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0 || rename(beside, path) != 0) {
        FOUND("%s: %s", path, strerror(errno));
    }
}

static char *joined(const char *a, const char *b)
{
    char *text = NULL;

    if (asprintf(&text, "%s%s", a, b) < 0) {
        abort();
    }
    return text;
}

static void make_contents(void)
{
    EVP_PKEY *issuer = EVP_EC_gen("P-256");
    struct files_certificate above = files_certify(issuer, "issuer", issuer, "issuer");

    for (int i = 0; i < 2; i++) {
        struct files_certificate leaf = files_certify(keys[i], "device", issuer, "issuer");

        contents[DEVICE][i] = files_reference(keys[i], false);
        contents[DEVICE][2 + i] = files_reference(keys[i], true);
        contents[CERTIFICATE][i] = joined(leaf.pem, above.pem);
        contents[CERTIFICATE][2 + i] = joined(leaf.pem, "");
        contents[IDENTITY][i] = joined(contents[DEVICE][i], contents[CERTIFICATE][i]);
        contents[IDENTITY][2 + i] = joined(contents[DEVICE][2 + i], contents[CERTIFICATE][i]);
        files_certificate_clear(&leaf);
    }
    for (int i = 0; i < FILES; i++) {
        contents[i][4] = joined("", "");
        contents[i][5] = joined("-----BEGIN CERTIFICATE-----\nAAAA\n", "");
    }
    files_certificate_clear(&above);
    EVP_PKEY_free(issuer);
}

void scene_open(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(folder, sizeof(folder), "%s/fuzz-pkcs11.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(folder) == NULL) {
        FOUND("%s: %s", folder, strerror(errno));
    }
    atexit(remove_files);
    setenv("GATEKEY_IDENTITY", folder, 1);
    setenv("GATEKEY_TCTI", "device:/nowhere", 1);
    for (int i = 0; i < 2; i++) {
        keys[i] = EVP_RSA_gen(2048);
    }
    make_contents();
}

void scene_reset(void)
{
    write_file(DEVICE, contents[DEVICE][0]);
    write_file(CERTIFICATE, contents[CERTIFICATE][0]);
    write_file(IDENTITY, NULL);
}

void scene_change(void)
{
    uint8_t choice = take();

    write_file(choice % FILES, contents[choice % FILES][(choice / FILES) % 7]);
}

/* --- the stand-in -------------------------------------------------------------------------------
 */

enum gk_status __wrap_gk_key_sign(struct gk_tpm *tpm, const struct gk_key *key,
                                  const struct gk_auth *auth, const struct gk_crypto *crypto,
                                  enum gk_scheme scheme, enum gk_hash hash, const uint8_t *digest,
                                  size_t salt_size, uint8_t signature[GK_RSA2048_SIZE],
                                  struct gk_error *err);

static EVP_PKEY *private_key(const struct gk_key *key)
{
    uint8_t modulus[GK_RSA2048_SIZE];
    BIGNUM *n = NULL;

    for (int i = 0; i < 2; i++) {
        bool same = EVP_PKEY_get_bn_param(keys[i], OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                    BN_bn2binpad(n, modulus, sizeof(modulus)) == sizeof(modulus) &&
                    memcmp(modulus, gk_key_public(key)->modulus, sizeof(modulus)) == 0;

        BN_free(n);
        n = NULL;
        if (same) {
            return keys[i];
        }
    }
    FOUND("a key that is nobody's");
}

static const EVP_MD *md_of(enum gk_hash hash)
{
    switch (hash) {
    case GK_SHA256:
        return EVP_sha256();
    case GK_SHA384:
        return EVP_sha384();
    case GK_SHA512:
        return EVP_sha512();
    case GK_SHA1:
        return EVP_sha1();
    }
    FOUND("hash %d", (int)hash);
}

static void sign(EVP_PKEY *key, enum gk_scheme scheme, enum gk_hash hash, const uint8_t *digest,
                 uint8_t signature[GK_RSA2048_SIZE])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    size_t size = GK_RSA2048_SIZE;
    bool good = EVP_PKEY_sign_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, scheme == GK_RSAPSS ? RSA_PKCS1_PSS_PADDING
                                                                      : RSA_PKCS1_PADDING) == 1 &&
                EVP_PKEY_CTX_set_signature_md(ctx, md_of(hash)) == 1;

    if (good && scheme == GK_RSAPSS) {
        good = EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    }
    if (!good || EVP_PKEY_sign(ctx, signature, &size, digest, gk_hash_size(hash)) != 1) {
        FOUND("OpenSSL does not sign");
    }
    EVP_PKEY_CTX_free(ctx);
    memcpy(seen.signature, signature, GK_RSA2048_SIZE);
}

/* As gk_key_sign() says it. */
static enum gk_status check_password(const struct gk_key *key, const struct gk_auth *auth)
{
    if (!gk_key_needs_auth(key)) {
        return GK_OK;
    }
    if (auth == NULL || auth->size == 0) {
        return GK_NEED_AUTH;
    }
    return auth->size == strlen(PASSWORD) && memcmp(auth->bytes, PASSWORD, auth->size) == 0
               ? GK_OK
               : GK_BAD_AUTH;
}

static enum gk_status a_failure(void)
{
    static const enum gk_status failures[] = {
        GK_NO_TPM,   GK_TPM_DENIED,  GK_TPM_BUSY,  GK_TPM_FAILED,    GK_TPM_GARBLED,
        GK_NO_KEY,   GK_WRONG_KEY,   GK_BAD_AUTH,  GK_NEED_AUTH,     GK_LOCKED,
        GK_BAD_SALT, GK_NOT_OFFERED, GK_NO_MEMORY, GK_BAD_SIGNATURE, GK_TPM_MEMORY,
    };

    return failures[take() % (sizeof(failures) / sizeof(failures[0]))];
}

enum gk_status __wrap_gk_key_sign(struct gk_tpm *tpm, const struct gk_key *key,
                                  const struct gk_auth *auth, const struct gk_crypto *crypto,
                                  enum gk_scheme scheme, enum gk_hash hash, const uint8_t *digest,
                                  size_t salt_size, uint8_t signature[GK_RSA2048_SIZE],
                                  struct gk_error *err)
{
    enum gk_status status = check_password(key, auth);

    if (tpm == NULL || crypto == NULL || (auth != NULL && auth->size > GK_AUTH_MAX_SIZE)) {
        FOUND("gk_key_sign is called wrongly");
    }
    if (scheme == GK_RSAPSS && salt_size != gk_hash_size(hash)) {
        FOUND("a salt of %zu bytes", salt_size);
    }
    if (take_chance(8)) {
        play_others();
    }
    if (status == GK_OK && take_chance(6)) {
        status = a_failure();
    }
    if (status != GK_OK) {
        return gk_fail(err, status, "the stand-in");
    }
    sign(private_key(key), scheme, hash, digest, signature);
    return GK_OK;
}
