/* SPDX-License-Identifier: Apache-2.0 */
/* Makes, finds and destroys the device key so that a crash at any point leaves one key or none. */
#include "agent/command/devicekey.h"

#include "agent/file.h"
#include "agent/secret.h"
#include "identity/identity.h"
#include "tpm/admin.h"

#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

void devicekey_clear(struct devicekey *devicekey)
{
    gk_key_free(devicekey->key);
    gk_key_free(devicekey->planned);
    gk_key_free(devicekey->held);
    *devicekey = (struct devicekey){ 0 };
}

bool devicekey_is_ours_to_make(const struct agent_config *config)
{
    static const char *const by_handle[] = { "gatekey:handle=", "handle:" };

    for (size_t i = 0; i < sizeof(by_handle) / sizeof(by_handle[0]); i++) {
        size_t length = strlen(by_handle[i]);

        if (strncmp(config->key, by_handle[i], length) == 0) {
            return strtoul(config->key + length, NULL, 16) == config->handle;
        }
    }
    return strcmp(config->key, "gatekey:") == 0;
}

struct devicekey_place devicekey_place(const struct agent_config *config)
{
    return (struct devicekey_place){ config->directory, config->handle };
}

bool devicekey_is_as_made(const struct gk_key *key)
{
    return gk_key_is_local(key) && !gk_key_counts_attempts(key) &&
           gk_key_offers(key, GK_RSASSA, GK_SHA256) && gk_key_offers(key, GK_RSAPSS, GK_SHA256);
}

enum gk_status devicekey_reference_read(const char *directory, const char *name,
                                        struct gk_key **key, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    struct gk_error why = { 0 };
    enum gk_status status = gk_identity_read(directory, name, &content, err);

    if (status == GK_NO_FILE) {
        *key = NULL;
        return GK_OK;
    }
    if (status != GK_OK) {
        return status;
    }
    status = gk_key_parse(content.data, content.size, key, &why);
    if (status != GK_OK) {
        gk_fail(err, status, "%s/%s: %s", directory, name, why.object);
        gk_advise(err, "restore %s from a copy, or run gatekey reset and enrol again", name);
    }
    return status;
}

enum gk_status devicekey_read_at(const struct devicekey_place *place, struct devicekey *devicekey,
                                 struct gk_error *err)
{
    CLEANUP(devicekey_clear) struct devicekey d = { .handle = place->handle };
    enum gk_status status = devicekey_reference_read(place->directory, GK_FILE_DEVICE, &d.key, err);

    if (status == GK_OK) {
        status = devicekey_reference_read(place->directory, GK_FILE_DEVICE_NEW, &d.planned, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (d.key != NULL) {
        d.handle = gk_key_handle(d.key);
    } else if (d.planned != NULL) {
        d.handle = gk_key_handle(d.planned);
    }
    d.held_status = GK_NO_KEY;
    *devicekey = d;
    d = (struct devicekey){ 0 };
    return GK_OK;
}

enum gk_status devicekey_read(const struct agent_config *config, struct devicekey *devicekey,
                              struct gk_error *err)
{
    const struct devicekey_place place = devicekey_place(config);

    return devicekey_read_at(&place, devicekey, err);
}

enum gk_status devicekey_look(struct gk_admin *admin, struct devicekey *devicekey,
                              struct gk_error *err)
{
    enum gk_status status = gk_admin_key_describe(admin, devicekey->handle, &devicekey->held, err);

    switch ((int)status) {
    case GK_OK:
    case GK_NO_KEY:
    case GK_NOT_RSA2048:
    case GK_WRONG_KIND:
        devicekey->held_status = status;
        return GK_OK;
    default:
        return status;
    }
}

static bool holds(const struct devicekey *d, const struct gk_key *reference)
{
    return d->held != NULL && reference != NULL && gk_key_identical(d->held, reference);
}

static enum gk_status say_taken(const struct devicekey *d, struct gk_error *err)
{
    const char *what = d->held_status == GK_NOT_RSA2048  ? "an object that is no RSA-2048 key"
                       : d->held_status == GK_WRONG_KIND ? "a key that does not sign"
                       : d->key != NULL ? "an RSA-2048 key that is not the one of device.pem"
                                        : "an RSA-2048 key that gatekey did not make";

    gk_fail(err, GK_HANDLE_TAKEN, "0x%08" PRIx32 " holds %s", d->handle, what);
    if (d->held != NULL && d->key == NULL) {
        gk_advise(err,
                  "choose another [tpm] handle, free this one with tpm2_evictcontrol, or take "
                  "this key with gatekey key adopt 0x%08" PRIx32,
                  d->handle);
    }
    return GK_HANDLE_TAKEN;
}

/* The write-ahead: called with the new key before it becomes persistent. */
static enum gk_status remember(void *context, const struct gk_key *key, struct gk_error *err)
{
    const struct devicekey_place *place = context;
    CLEANUP(gk_freep) char *text = NULL;
    enum gk_status status = gk_key_format(key, &text, err);

    return status == GK_OK ? agent_file_replace(place->directory, GK_FILE_DEVICE_NEW, text,
                                                strlen(text), AGENT_FOR_ALL, err)
                           : status;
}

static enum gk_status make(struct run *run, struct gk_admin *admin,
                           const struct devicekey_place *place, struct gk_error *err)
{
    struct devicekey_place written = *place;
    CLEANUP(gk_auth_clear) struct gk_auth auth = { 0 };
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(run, &openssl, err);

    if (status == GK_OK) {
        status = agent_auth_read_file(run->config->key_auth_file, &auth, err);
    }
    if (status == GK_OK) {
        status = gk_admin_key_create(admin, place->handle, &auth, agent_openssl_crypto(openssl),
                                     remember, &written, &key, err);
    }
    return status == GK_OK
               ? agent_file_rename(place->directory, GK_FILE_DEVICE_NEW, GK_FILE_DEVICE, err)
               : status;
}

static enum gk_status say_vanished(const char *directory, const struct devicekey *d,
                                   struct gk_error *err)
{
    gk_fail(err, GK_NO_KEY, "0x%08" PRIx32 ", which %s/%s says holds the device key", d->handle,
            directory, GK_FILE_DEVICE);
    gk_advise(err,
              "the TPM was cleared, or it is another one; check [tpm] tcti, or run gatekey reset "
              "and enrol again");
    return GK_NO_KEY;
}

enum gk_status devicekey_ensure_at(struct run *run, const struct devicekey_place *place, bool *made,
                                   struct gk_error *err)
{
    const char *directory = place->directory;
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = devicekey_read_at(place, &d, err);

    if (status == GK_OK) {
        status = agent_admin_open(run->config, &admin, err);
    }
    if (status == GK_OK) {
        status = devicekey_look(admin, &d, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (made != NULL) {
        *made = false;
    }
    if (holds(&d, d.key)) {
        return agent_file_remove(directory, GK_FILE_DEVICE_NEW, err);
    }
    if (d.key == NULL && holds(&d, d.planned)) {
        return agent_file_rename(directory, GK_FILE_DEVICE_NEW, GK_FILE_DEVICE, err);
    }
    if (d.held_status != GK_NO_KEY) {
        return say_taken(&d, err);
    }
    if (d.key != NULL) {
        return say_vanished(directory, &d, err);
    }
    status = agent_file_remove(directory, GK_FILE_DEVICE_NEW, err);
    if (status == GK_OK) {
        status = make(run, admin, place, err);
    }
    if (status == GK_OK && made != NULL) {
        *made = true;
    }
    return status;
}

enum gk_status devicekey_ensure(struct run *run, bool *made, struct gk_error *err)
{
    const struct devicekey_place place = devicekey_place(run->config);

    return devicekey_ensure_at(run, &place, made, err);
}

/* Evict one key if the TPM holds it. */
static enum gk_status evict(struct gk_admin *admin, const struct gk_key *key, bool *evicted,
                            struct gk_error *err)
{
    enum gk_status status = key != NULL ? gk_admin_key_evict(admin, key, err) : GK_NO_KEY;

    if (status == GK_NO_KEY || status == GK_HANDLE_TAKEN) {
        return GK_OK;
    }
    *evicted = *evicted || status == GK_OK;
    return status;
}

enum gk_status devicekey_destroy_at(struct run *run, const struct devicekey_place *place,
                                    bool *evicted, struct gk_error *err)
{
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = devicekey_read_at(place, &d, err);

    *evicted = false;
    if (status == GK_OK && (d.key != NULL || d.planned != NULL)) {
        status = agent_admin_open(run->config, &admin, err);
        if (status == GK_OK) {
            status = evict(admin, d.key, evicted, err);
        }
        if (status == GK_OK) {
            status = evict(admin, d.planned, evicted, err);
        }
    }
    if (status == GK_OK) {
        status = agent_file_remove(place->directory, GK_FILE_DEVICE_NEW, err);
    }
    return status == GK_OK ? agent_file_remove(place->directory, GK_FILE_DEVICE, err) : status;
}

enum gk_status devicekey_destroy(struct run *run, bool *evicted, struct gk_error *err)
{
    const struct devicekey_place place = devicekey_place(run->config);

    return devicekey_destroy_at(run, &place, evicted, err);
}

enum gk_status devicekey_destroy_old(struct run *run, bool *evicted, struct gk_error *err)
{
    const char *directory = run->config->directory;
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    enum gk_status status = devicekey_reference_read(directory, GK_FILE_DEVICE_OLD, &key, err);

    *evicted = false;
    if (status != GK_OK || key == NULL) {
        return status;
    }
    status = agent_admin_open(run->config, &admin, err);
    if (status == GK_OK) {
        status = evict(admin, key, evicted, err);
    }
    return status == GK_OK ? agent_file_remove(directory, GK_FILE_DEVICE_OLD, err) : status;
}

static void free_pkeyp(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

/* The key as OpenSSL's default provider has it, for what only that encodes. */
static EVP_PKEY *public_of(struct agent_openssl *openssl, const struct gk_public *key)
{
    EVP_PKEY_CTX *context =
        EVP_PKEY_CTX_new_from_name(agent_openssl_context(openssl), "RSA", "provider=default");
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(key->modulus, GK_RSA2048_SIZE, NULL);
    OSSL_PARAM *parameters = NULL;
    EVP_PKEY *made = NULL;

    if (context != NULL && build != NULL && modulus != NULL &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_uint32(build, OSSL_PKEY_PARAM_RSA_E, key->exponent) == 1) {
        parameters = OSSL_PARAM_BLD_to_param(build);
    }
    if (parameters != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &made, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        made = NULL;
    }
    OSSL_PARAM_free(parameters);
    BN_free(modulus);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(context);
    return made;
}

enum gk_status devicekey_fingerprint(struct agent_openssl *openssl, const struct gk_public *key,
                                     char text[static 97], struct gk_error *err)
{
    const struct gk_crypto *crypto = agent_openssl_crypto(openssl);
    CLEANUP(free_pkeyp) EVP_PKEY *made = public_of(openssl, key);
    unsigned char *encoded = NULL;
    uint8_t digest[GK_HASH_MAX_SIZE];
    int size = made != NULL ? i2d_PUBKEY(made, &encoded) : -1;
    int done =
        size > 0 ? crypto->hash(crypto->context, GK_SHA256, encoded, (size_t)size, digest) : -1;

    OPENSSL_free(encoded);
    if (done != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "the public key's fingerprint");
    }
    for (size_t i = 0; i < 32; i++) {
        snprintf(text + 3 * i, 4, "%02x%s", digest[i], i < 31 ? ":" : "");
    }
    return GK_OK;
}
