/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey reset: revokes, destroys the key, empties the identity directory.
 *
 * state.json says "resetting" before anything else happens and is the last file to go, so whoever
 * comes after a crash knows that a reset has to be finished, and every step can be done twice.
 */
#include "agent/command/certificate.h"
#include "agent/command/command.h"
#include "agent/command/devicekey.h"
#include "agent/command/hub.h"
#include "agent/command/service.h"
#include "agent/file.h"
#include "agent/secret.h"
#include "agent/state.h"
#include "identity/identity.h"

#define SERVICE_TIMEOUT_S 30

/* What is emptied, in this order; state.json goes last and apart. */
static const char *const files[] = {
    GK_FILE_IDENTITY, GK_FILE_CERTIFICATE, GK_FILE_SECRET,    GK_FILE_ISSUER_CA,
    GK_FILE_CRL,      GK_FILE_SERVER_CRL,  GK_FILE_SERVER_CA,
};

/* Its connection would only be refused from now on; without a service there is nothing to stop. */
static enum gk_status stop_service(struct run *run, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *reply = NULL;
    enum gk_status status = service_call(run->config, "stop", SERVICE_TIMEOUT_S, &reply, err);

    if (status == GK_NO_SERVICE) {
        return GK_OK;
    }
    if (status == GK_OK) {
        say_step(run, "gatekeyd disconnected");
    }
    return status;
}

static enum gk_status revoke_ours(struct run *run, struct hub *hub, const struct agent_state *state,
                                  struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = calloc(HUB_RECORDS_MAX, sizeof(*records));
    size_t count = 0;
    enum gk_status status;

    if (records == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = hub_certificate_list(hub, records, &count, err);
    for (size_t i = 0; status == GK_OK && i < count; i++) {
        if (!records[i].valid || agent_state_knows_other(state, records[i].serial)) {
            continue;
        }
        status = hub_certificate_revoke(hub, records[i].serial, ENOS_CESSATION, err);
        if (status == GK_OK) {
            say_step(run, "certificate %s revoked at the hub", records[i].serial);
        }
    }
    return status;
}

/* Nothing to revoke where nothing was ever applied for. */
static enum gk_status revoke_all(struct run *run, const struct agent_state *state,
                                 struct gk_error *err)
{
    CLEANUP(hub_freep) struct hub *hub = NULL;
    struct agent_openssl *openssl;
    enum gk_status status;

    if (state->others[0] == '\0' && state->common_name[0] == '\0' &&
        state->certificate_sn[0] == '\0') {
        return GK_OK;
    }
    status = run_openssl(run, &openssl, err);
    if (status == GK_OK) {
        status = hub_new(run->config, openssl, &hub, err);
    }
    return status == GK_OK ? revoke_ours(run, hub, state, err) : status;
}

static enum gk_status revoke_or_force(struct run *run, const struct agent_state *state, bool force,
                                      struct gk_error *err)
{
    struct gk_error why = { 0 };
    enum gk_status status = revoke_all(run, state, &why);
    char sentence[512];

    if (status == GK_OK) {
        return GK_OK;
    }
    if (!force) {
        *err = why;
        gk_advise(err,
                  "make the hub reachable and run gatekey reset again; or add --force, and revoke "
                  "certificate %s at the hub yourself",
                  state->certificate_sn[0] != '\0' ? state->certificate_sn : "(not known)");
        return status;
    }
    gk_error_sentence(&why, NULL, sentence, sizeof(sentence));
    say_note(run, "not revoked at the hub: %s", sentence);
    say_note(run, "revoke certificate %s there yourself",
             state->certificate_sn[0] != '\0' ? state->certificate_sn : "(serial not known)");
    return GK_OK;
}

static enum gk_status remove_references(struct run *run, struct gk_error *err)
{
    enum gk_status status = agent_file_remove(run->config->directory, GK_FILE_DEVICE_NEW, err);

    return status == GK_OK ? agent_file_remove(run->config->directory, GK_FILE_DEVICE, err)
                           : status;
}

/* Where device.pem is garbled the certificate says which key was ours. */
static enum gk_status destroy_certified(struct run *run, bool *evicted, struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    CLEANUP(gk_key_freep) struct gk_key *held = NULL;
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(run, &openssl, err);

    if (status == GK_OK) {
        status = certificate_read(run->config, openssl, &certificate, err);
    }
    if (status == GK_OK) {
        status = agent_admin_open(run->config, &admin, err);
    }
    if (status == GK_OK) {
        status = gk_admin_key_describe(admin, run->config->handle, &held, err);
    }
    if (status == GK_OK && !certificate_is_for(certificate, gk_key_public(held))) {
        status = gk_fail(err, GK_HANDLE_TAKEN, "0x%08x", (unsigned)run->config->handle);
    }
    if (status == GK_OK) {
        status = gk_admin_key_evict(admin, held, err);
    }
    *evicted = status == GK_OK;
    return status == GK_OK ? remove_references(run, err) : status;
}

static enum gk_status destroy_key(struct run *run, bool force, struct gk_error *err)
{
    struct gk_error why = { 0 };
    bool evicted = false;
    enum gk_status status;
    char sentence[512];

    if (!devicekey_is_ours_to_make(run->config)) {
        say_note(run, "the device key is another program's (%s); destroy it there",
                 run->config->key);
        return GK_OK;
    }
    status = devicekey_destroy(run, &evicted, &why);
    if ((status == GK_BAD_REFERENCE || status == GK_BAD_FILE) &&
        destroy_certified(run, &evicted, NULL) == GK_OK) {
        status = GK_OK;
    }
    if (status == GK_OK) {
        say_step(run, evicted ? "device key destroyed, and the TPM's handle is empty"
                              : "this TPM holds no device key of this gateway");
        return GK_OK;
    }
    if (!force) {
        *err = why;
        gk_advise(err,
                  "mend that and run gatekey reset again; or add --force, which leaves whatever "
                  "the TPM holds where it is");
        return status;
    }
    gk_error_sentence(&why, NULL, sentence, sizeof(sentence));
    say_note(run, "the TPM was left as it is: %s", sentence);
    return remove_references(run, err);
}

static enum gk_status erase(struct run *run, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    for (size_t i = 0; status == GK_OK && i < sizeof(files) / sizeof(files[0]); i++) {
        status = agent_file_remove(run->config->directory, files[i], err);
    }
    if (status == GK_OK) {
        status = agent_file_remove(run->config->directory, GK_FILE_STATE, err);
    }
    if (status == GK_OK) {
        say_step(run, "identity directory %s emptied", run->config->directory);
    }
    return status;
}

static enum gk_status finish(struct run *run, const struct agent_state *state, bool force,
                             struct gk_error *err)
{
    enum gk_status status = stop_service(run, err);

    if (status == GK_OK) {
        status = revoke_or_force(run, state, force, err);
    }
    if (status == GK_OK) {
        status = destroy_key(run, force, err);
    }
    return status == GK_OK ? erase(run, err) : status;
}

enum gk_status reset_finish(struct run *run, struct gk_error *err)
{
    struct agent_state state;
    enum gk_status status = agent_state_read(run->config->directory, &state, err);

    return status == GK_OK ? finish(run, &state, false, err) : status;
}

/* A garbled state.json must not keep anybody from a fresh start. */
static enum gk_status read_state(struct run *run, bool force, struct agent_state *state,
                                 struct gk_error *err)
{
    enum gk_status status = agent_state_read(run->config->directory, state, err);

    if (status == GK_BAD_FILE && force) {
        *state = (struct agent_state){ .stage = AGENT_STAGE_BEGUN };
        return GK_OK;
    }
    if (status == GK_BAD_FILE) {
        gk_advise(err, "add --force, and look at the hub for certificates of this device");
    }
    return status;
}

static enum gk_status ask(struct run *run, bool yes, const struct agent_state *state,
                          struct gk_error *err)
{
    char question[256];

    if (state->stage == AGENT_STAGE_RESETTING) {
        say_note(run, "a reset of this gateway was interrupted; it is finished now");
        return GK_OK;
    }
    snprintf(
        question, sizeof(question),
        "This revokes the certificate, destroys the key and empties %.100s; nothing can bring the "
        "identity back.",
        run->config->directory);
    return ask_to_go_on(yes, question, err);
}

enum gk_status command_reset(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    struct agent_state state = { 0 };
    bool yes = false, force = false;
    const struct word words[] = { { "yes", NULL, &yes }, { "force", NULL, &force }, { 0 } };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK) {
        status = run_lock_only(run, &lock, err);
    }
    if (status == GK_OK) {
        status = read_state(run, force, &state, err);
    }
    if (status == GK_OK) {
        status = ask(run, yes, &state, err);
    }
    if (status == GK_OK) {
        state.stage = AGENT_STAGE_RESETTING;
        status = agent_state_write(run->config->directory, &state, err);
    }
    if (status == GK_OK) {
        status = finish(run, &state, force, err);
    }
    if (status == GK_OK) {
        agent_lock_forget(lock);
    }
    return status;
}
