/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey key create, show, delete. */
#include "agent/command/devicekey.h"

#include "agent/secret.h"
#include "agent/state.h"
#include "identity/identity.h"
#include "tpm/admin.h"

#include <inttypes.h>

enum gk_status devicekey_refuse_foreign(const struct run *run, struct gk_error *err)
{
    if (devicekey_is_ours_to_make(run->config)) {
        return GK_OK;
    }
    gk_fail(err, GK_NOT_OFFERED, "[identity] key = %.100s", run->config->key);
    gk_advise(err, "this key is made and destroyed by the program that keeps it");
    return GK_NOT_OFFERED;
}

enum gk_status devicekey_show(struct run *run, const struct gk_key *key, struct gk_error *err)
{
    struct agent_openssl *openssl;
    char fingerprint[97], handle[16];
    enum gk_status status = run_openssl(run, &openssl, err);

    if (status == GK_OK) {
        status = devicekey_fingerprint(openssl, gk_key_public(key), fingerprint, err);
    }
    if (status != GK_OK) {
        return status;
    }
    snprintf(handle, sizeof(handle), "0x%08" PRIx32, gk_key_handle(key));
    say_line(run, "handle %s", handle);
    say_line(run, "sha256 %s", fingerprint);
    say_line(run, "password %s", gk_key_needs_auth(key) ? "yes" : "no");
    say_line(run, "padding %s", gk_key_pads_in_software(key) ? "software" : "tpm");
    say_text(run, "handle", handle);
    say_text(run, "sha256", fingerprint);
    say_member(run, "password", json_boolean(gk_key_needs_auth(key)));
    say_text(run, "padding", gk_key_pads_in_software(key) ? "software" : "tpm");
    return GK_OK;
}

enum gk_status command_key_create(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    enum gk_status status = words_read(run, argc, argv, NULL, 0, 0, NULL, err);
    bool made = false;

    if (status == GK_OK) {
        status = devicekey_refuse_foreign(run, err);
    }
    if (status == GK_OK) {
        status = run_lock(run, &lock, err);
    }
    if (status == GK_OK) {
        status = devicekey_ensure(run, &made, err);
    }
    if (status == GK_OK) {
        status = devicekey_read(run->config, &d, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (made) {
        say_step(run, "device key made in the TPM at 0x%08" PRIx32, d.handle);
    } else {
        say_step(run, "the device key exists already, at 0x%08" PRIx32 "; nothing was made",
                 d.handle);
    }
    say_member(run, "made", json_boolean(made));
    return devicekey_show(run, d.key, err);
}

/* That device.pem and the TPM speak of the same key. */
static enum gk_status check_held(const struct devicekey *d, struct gk_error *err)
{
    if (d->held_status == GK_NO_KEY) {
        return gk_fail(err, GK_NO_KEY, "0x%08" PRIx32, d->handle);
    }
    if (d->held == NULL || !gk_key_identical(d->held, d->key)) {
        return gk_fail(err, GK_WRONG_KEY, "0x%08" PRIx32, d->handle);
    }
    return GK_OK;
}

static enum gk_status read_existing(const struct run *run, struct devicekey *d,
                                    struct gk_error *err)
{
    enum gk_status status = devicekey_read(run->config, d, err);

    if (status == GK_OK && d->key == NULL) {
        gk_fail(err, GK_NO_KEY, "no %s in %s", GK_FILE_DEVICE, run->config->directory);
        gk_advise(err, "run gatekey key create, or gatekey enroll for the whole identity");
        return GK_NO_KEY;
    }
    return status;
}

enum gk_status command_key_show(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = words_read(run, argc, argv, NULL, 0, 0, NULL, err);

    if (status == GK_OK) {
        status = read_existing(run, &d, err);
    }
    if (status == GK_OK) {
        status = devicekey_show(run, d.key, err);
    }
    if (status == GK_OK) {
        status = agent_admin_open(run->config, &admin, err);
    }
    if (status == GK_OK) {
        status = devicekey_look(admin, &d, err);
    }
    return status == GK_OK ? check_held(&d, err) : status;
}

/* The mark goes with the key that it was about. */
static enum gk_status forget_adoption(const struct run *run, struct gk_error *err)
{
    struct agent_state state;
    enum gk_status status = agent_state_read(run->config->directory, &state, err);

    if (status != GK_OK || state.adopted == 0) {
        return status;
    }
    state.adopted = 0;
    return agent_state_write(run->config->directory, &state, err);
}

/* Whoever has a certificate loses more than a key: reset also tells the hub. */
static enum gk_status refuse_enrolled(const struct run *run, struct gk_error *err)
{
    struct agent_state state;
    enum gk_status status = agent_state_read(run->config->directory, &state, err);

    if (status == GK_OK && state.stage >= AGENT_STAGE_APPLYING) {
        gk_fail(err, GK_REFUSED, "a certificate stands on this key");
        gk_advise(err, "run gatekey reset, which revokes the certificate too");
        return GK_REFUSED;
    }
    return status;
}

enum gk_status command_key_delete(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    bool yes = false, evicted = false;
    const struct word words[] = { { "yes", NULL, &yes }, { 0 } };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK) {
        status = devicekey_refuse_foreign(run, err);
    }
    if (status == GK_OK) {
        status = run_lock(run, &lock, err);
    }
    if (status == GK_OK) {
        status = refuse_enrolled(run, err);
    }
    if (status == GK_OK) {
        status = read_existing(run, &d, err);
    }
    if (status == GK_OK) {
        status = ask_to_go_on(yes, "This destroys the device key; nothing can bring it back.", err);
    }
    if (status == GK_OK) {
        status = devicekey_destroy(run, &evicted, err);
    }
    if (status == GK_OK) {
        status = forget_adoption(run, err);
    }
    if (status != GK_OK) {
        return status;
    }
    say_member(run, "evicted", json_boolean(evicted));
    say_step(run, evicted ? "device key destroyed, and the TPM's handle is empty"
                          : "the TPM did not hold this key; its reference was removed");
    return GK_OK;
}
