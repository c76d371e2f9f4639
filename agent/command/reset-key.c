/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destroys every key of this identity, and proves that they are gone.
 *
 * Each reference says which object at which handle is ours; another object there is left alone. A
 * reference goes only when its key has gone, so whoever comes after a crash still knows what to
 * look for.
 */
#include "agent/command/certificate.h"
#include "agent/command/devicekey.h"
#include "agent/command/reset.h"
#include "agent/file.h"
#include "agent/secret.h"
#include "identity/identity.h"

#include <inttypes.h>
#include <sys/stat.h>

/* Where references lie; the last ones in next/. */
static const struct {
    enum agent_pair folder;
    const char *name;
} places[] = {
    { AGENT_PAIR_NEXT, GK_FILE_DEVICE_NEW },    { AGENT_PAIR_NEXT, GK_FILE_DEVICE },
    { AGENT_PAIR_CURRENT, GK_FILE_DEVICE_OLD }, { AGENT_PAIR_CURRENT, GK_FILE_DEVICE_NEW },
    { AGENT_PAIR_CURRENT, GK_FILE_DEVICE },
};

#define PLACE_COUNT (sizeof(places) / sizeof(places[0]))

/* --- the proof --------------------------------------------------------------------------------
 */

/* Sign something with the reference: whatever comes of it, it must not be a signature. */
static enum gk_status try_to_sign(struct run *run, const struct gk_key *key, struct gk_error *err)
{
    CLEANUP(gk_tpm_freep) struct gk_tpm *tpm = NULL;
    /* A password is asked for after the object was found, so any will do. */
    const struct gk_auth any = { .size = 1, .bytes = "x" };
    uint8_t digest[GK_HASH_MAX_SIZE] = { 0 }, signature[GK_RSA2048_SIZE];
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(run, &openssl, err);

    if (status == GK_OK) {
        status = gk_tpm_new(run->config->tcti, &tpm, err);
    }
    return status == GK_OK ? gk_key_sign(tpm, key, &any, agent_openssl_crypto(openssl), GK_RSASSA,
                                         GK_SHA256, digest, 0, signature, err)
                           : status;
}

static enum gk_status prove_gone(struct run *run, const struct gk_key *key, struct gk_error *err)
{
    struct gk_error why = { 0 };
    enum gk_status status = try_to_sign(run, key, &why);

    if (status == GK_NO_KEY) {
        return GK_OK;
    }
    if (status == GK_OK) {
        return gk_fail(err, GK_TPM_FAILED, "0x%08" PRIx32 " still signs after it was evicted",
                       gk_key_handle(key));
    }
    *err = why;
    return status;
}

/* --- one reference ----------------------------------------------------------------------------
 */

static enum gk_status evict(struct run *run, const struct gk_key *key, struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = agent_admin_open(run->config, &admin, err);

    return status == GK_OK ? gk_admin_key_evict(admin, key, err) : status;
}

static enum gk_status destroy(struct run *run, const struct gk_key *key, struct gk_error *err)
{
    enum gk_status status = evict(run, key, err), proof;

    /* Another object lies there, not ours by its public area, and so none of our business: asking
     * it to sign could drive the TPM into lockout. */
    if (status == GK_HANDLE_TAKEN) {
        say_step(run, "this TPM does not hold the key that was at 0x%08" PRIx32 ", but another",
                 gk_key_handle(key));
        return GK_OK;
    }
    if (status != GK_OK && status != GK_NO_KEY) {
        return status;
    }
    if (status == GK_NO_KEY) {
        say_step(run, "this TPM does not hold the key that was at 0x%08" PRIx32,
                 gk_key_handle(key));
    }
    proof = prove_gone(run, key, err);
    if (proof != GK_OK) {
        return proof;
    }
    if (status == GK_OK) {
        say_step(run,
                 "device key destroyed: the TPM's handle 0x%08" PRIx32
                 " is empty, and signing with its reference fails",
                 gk_key_handle(key));
    }
    return GK_OK;
}

/*
 * Where the reference is garbled, the certificate beside it says which key was ours. That says
 * nothing of the handle, which is the configured one or, where the key was rotated, the next.
 */
static enum gk_status find_certified(struct reset *reset, enum agent_pair pair, struct gk_key **key,
                                     struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    const struct agent_config *config = reset->run->config;
    enum gk_status status = reset_certificate(reset, pair, &certificate, err);

    if (status == GK_OK) {
        status = agent_admin_open(config, &admin, err);
    }
    for (uint32_t i = 0; status == GK_OK && i < 2; i++) {
        CLEANUP(gk_key_freep) struct gk_key *held = NULL;
        enum gk_status found = gk_admin_key_describe(admin, config->handle + i, &held, err);

        if (found == GK_OK && certificate_is_for(certificate, gk_key_public(held))) {
            *key = TAKE(held);
            return GK_OK;
        }
    }
    return status == GK_OK ? gk_fail(err, GK_NO_KEY, "of %s", GK_FILE_CERTIFICATE) : status;
}

static enum gk_status read_key(struct reset *reset, const char *folder, size_t place,
                               struct gk_key **key, struct gk_error *err)
{
    enum gk_status status = devicekey_reference_read(folder, places[place].name, key, err);

    if ((status == GK_BAD_REFERENCE || status == GK_BAD_FILE) &&
        strcmp(places[place].name, GK_FILE_DEVICE) == 0 &&
        find_certified(reset, places[place].folder, key, NULL) == GK_OK) {
        return GK_OK;
    }
    return status;
}

/* --- all of them ------------------------------------------------------------------------------
 */

static enum gk_status destroy_or_force(struct reset *reset, const char *folder, size_t place,
                                       bool *found, struct gk_error *err)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct gk_error why = { 0 };
    enum gk_status status = read_key(reset, folder, place, &key, &why);
    char sentence[512];

    if (status == GK_OK && key == NULL) {
        return GK_OK;
    }
    *found = true;
    if (status == GK_OK) {
        status = destroy(reset->run, key, &why);
    }
    if (status != GK_OK && reset->state.forced == 0) {
        *err = why;
        gk_advise(err,
                  "mend that and run gatekey reset again; or add --force, which leaves whatever "
                  "the TPM holds where it is");
        return status;
    }
    if (status != GK_OK) {
        gk_error_sentence(&why, NULL, sentence, sizeof(sentence));
        say_note(reset->run, "the TPM was left as it is: %s", sentence);
    }
    return agent_file_remove(folder, places[place].name, err);
}

enum gk_status reset_destroy_keys(struct reset *reset, struct gk_error *err)
{
    const struct agent_config *config = reset->run->config;
    enum gk_status status = GK_OK;
    bool found = false;

    if (!devicekey_is_ours_to_make(config)) {
        say_note(reset->run, "the device key is another program's (%s); destroy it there",
                 config->key);
        return GK_OK;
    }
    for (size_t i = 0; status == GK_OK && i < PLACE_COUNT; i++) {
        CLEANUP(gk_freep) char *folder = agent_pair_folder(config, places[i].folder);

        status = folder != NULL ? destroy_or_force(reset, folder, i, &found, err)
                                : gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (status == GK_OK && !found) {
        say_step(reset->run, "no device key is left that this gateway knows of");
    }
    if (status == GK_OK && reset->state.adopted != 0) {
        say_note(reset->run, "that key was adopted, not made here: whoever made it may hold what "
                             "loads it again");
    }
    return status;
}
