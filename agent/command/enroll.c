/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey enroll: from nothing to a proven identity, a table of steps and a loop. */
#include "agent/command/enroll.h"

#include "agent/command/devicekey.h"
#include "agent/command/sibling.h"
#include "agent/link.h"
#include "identity/identity.h"

#include <grp.h>
#include <inttypes.h>
#include <time.h>

void enrolment_close(struct enrolment *e)
{
    hub_free(e->hub);
    EVP_PKEY_free(e->key);
    agent_secret_clear(&e->secret);
}

enum gk_status enrolment_hub(struct enrolment *e, struct hub **hub, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    if (e->hub == NULL) {
        status = hub_new(e->config, e->openssl, &e->hub, err);
    }
    *hub = e->hub;
    return status;
}

enum gk_status enrolment_write(struct enrolment *e, enum agent_stage stage, struct gk_error *err)
{
    e->state.stage = stage;
    return agent_state_write(e->config->directory, &e->state, err);
}

/* One identity directory is for one device; state.json says which before anything else is done. */
static enum gk_status begin(struct enrolment *e, struct gk_error *err)
{
    const struct agent_config *c = e->config;
    enum gk_status status = agent_state_read(c->directory, &e->state, err);

    if (status != GK_OK) {
        return status;
    }
    if (e->state.stage == AGENT_STAGE_NONE) {
        snprintf(e->state.product_key, sizeof(e->state.product_key), "%s", c->product_key);
        snprintf(e->state.device_key, sizeof(e->state.device_key), "%s", c->device_key);
        e->state.begun = time(NULL);
        return enrolment_write(e, AGENT_STAGE_BEGUN, err);
    }
    if (strcmp(e->state.product_key, c->product_key) != 0 ||
        strcmp(e->state.device_key, c->device_key) != 0) {
        gk_fail(err, GK_REFUSED, "%s belongs to device %s of product %s", c->directory,
                e->state.device_key, e->state.product_key);
        gk_advise(err, "run gatekey reset first, or correct [device] product_key and device_key");
        return GK_REFUSED;
    }
    return GK_OK;
}

/* One purpose: a key that gatekey made, or was told to take, and that no other identity uses. */
static enum gk_status check_purpose(struct enrolment *e, const struct gk_key *key,
                                    struct gk_error *err)
{
    if (e->state.adopted == 0 && !devicekey_is_as_made(key)) {
        gk_fail(err, GK_REFUSED, "the key at 0x%08" PRIx32 " is none that gatekey makes",
                gk_key_handle(key));
        gk_advise(err,
                  "remove %s/" GK_FILE_DEVICE " and run gatekey key adopt 0x%08" PRIx32
                  ", which says what is different",
                  e->config->directory, gk_key_handle(key));
        return GK_REFUSED;
    }
    return sibling_refuse_shared(e->config, key, err);
}

enum gk_status enrolment_key(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    enum gk_status status = GK_OK;
    bool made = false;

    if (devicekey_is_ours_to_make(e->config)) {
        status = devicekey_ensure(e->run, &made, err);
        if (status == GK_OK) {
            status = devicekey_read(e->config, &d, err);
        }
        if (status == GK_OK) {
            status = check_purpose(e, d.key, err);
        }
        if (status == GK_OK) {
            say_step(e->run, "device key %s the TPM at 0x%08" PRIx32, made ? "made in" : "found in",
                     d.handle);
        }
    }
    if (status == GK_OK) {
        status = agent_openssl_load_key(e->openssl, e->config->key, &e->key, err);
    }
    return status;
}

static enum gk_status check_config(const struct enrolment *e, struct gk_error *err)
{
    const struct agent_config *c = e->config;
    enum gk_status status = agent_config_need(c, c->product_key, "[device] product_key", err);

    if (status == GK_OK) {
        status = agent_config_need(c, c->device_key, "[device] device_key", err);
    }
    return status == GK_OK && e->connects ? agent_config_need(c, c->host, "[hub] host", err)
                                          : status;
}

/* secret.tpm and state.json are for root and that group. */
static void look_for_group(const struct run *run)
{
    if (geteuid() == 0 && getgrnam("gatekey") == NULL) {
        say_note(
            run,
            "there is no group gatekey, so gatekeyd as a user of its own cannot read this "
            "identity; make it with systemd-sysusers, then run chgrp gatekey %s/" GK_FILE_SECRET
            " %s/" GK_FILE_STATE,
            run->config->directory, run->config->directory);
    }
}

enum gk_status enrolment_open(struct run *run, struct agent_lock **lock, struct enrolment *e,
                              struct gk_error *err)
{
    enum gk_status status;

    e->run = run;
    e->config = run->config;
    status = check_config(e, err);
    if (status == GK_OK) {
        status = run_openssl(run, &e->openssl, err);
    }
    if (status == GK_OK && lock != NULL) {
        status = run_lock(run, lock, err);
    }
    if (status == GK_OK) {
        status = begin(e, err);
    }
    return status == GK_OK ? enrolment_finish_rekeying(e, err) : status;
}

void enrolment_say_done(struct enrolment *e)
{
    look_for_group(e->run);
    say_text(e->run, "assetId", e->state.asset_id);
    say_text(e->run, "certSN", e->state.certificate_sn);
    say_step(e->run, "enrolled as device %s of product %s", e->state.device_key,
             e->state.product_key);
}

static enum gk_status take_steps(struct enrolment *e, struct gk_error *err)
{
    static enum gk_status (*const steps[])(struct enrolment *, struct gk_error *) = {
        enrolment_key,   enrolment_secret,        enrolment_certificate,
        enrolment_proof, enrolment_revoke_others,
    };
    enum gk_status status = agent_link_init(err);

    for (size_t i = 0; status == GK_OK && i < sizeof(steps) / sizeof(steps[0]); i++) {
        status = steps[i](e, err);
    }
    return status;
}

enum gk_status enroll_again(struct run *run, struct gk_error *err)
{
    CLEANUP(enrolment_close) struct enrolment e = { .connects = true, .unattended = true };
    enum gk_status status = enrolment_open(run, NULL, &e, err);

    return status == GK_OK ? take_steps(&e, err) : status;
}

enum gk_status command_enroll(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(enrolment_close) struct enrolment e = { .connects = true };
    bool replace = false, new_key = false, yes = false;
    const char *reason = NULL;
    const struct word words[] = {
        { "secret-file", &e.secret_file, NULL },
        { "replace", NULL, &replace },
        { "reason", &reason, NULL },
        { "new-key", NULL, &new_key },
        { "yes", NULL, &yes },
        { 0 },
    };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK && reason != NULL && !replace) {
        status = gk_fail(err, GK_USAGE, "--reason belongs to --replace");
    }
    if (status == GK_OK) {
        status = enrolment_open(run, &lock, &e, err);
    }
    if (status == GK_OK && replace) {
        status = enrolment_replace(&e, yes, reason != NULL ? reason : "superseded", err);
    }
    if (status == GK_OK && new_key) {
        status = enrolment_rekey(&e, yes, err);
    }
    if (status == GK_OK) {
        status = take_steps(&e, err);
    }
    if (status == GK_OK) {
        enrolment_say_done(&e);
    }
    return status;
}
