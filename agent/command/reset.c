/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey reset: revokes, destroys the keys, empties the identity directory.
 *
 * state.json says "resetting" before anything else happens and is the last file to go, so whoever
 * comes after a crash knows that a reset has to be finished, and gatekeyd stays away from the hub.
 * Revocation comes first, because all else would make it impossible. Every step can be done twice,
 * and a decision to force them is remembered with the state.
 */
#include "agent/command/reset.h"

#include "agent/command/certificate.h"
#include "agent/command/service.h"

#include <time.h>

/* Its connection would only be refused from now on; without a service there is nothing to stop. */
static enum gk_status stop_service(struct reset *reset, struct gk_error *err)
{
    enum gk_status status = service_stop(reset->run->config, false, RESET_SERVICE_S, err);

    if (status == GK_NO_SERVICE) {
        return GK_OK;
    }
    if (status == GK_OK) {
        say_step(reset->run, "gatekeyd disconnected");
    }
    return status;
}

/*
 * The hub is asked about the device that this identity was made for, whatever the configuration
 * says by now: another device's certificates are not ours to revoke.
 */
static enum gk_status mind_device(struct reset *reset, struct gk_error *err)
{
    struct agent_config *config = reset->run->config;
    const struct {
        char **configured;
        const char *ours;
    } names[] = { { &config->product_key, reset->state.product_key },
                  { &config->device_key, reset->state.device_key } };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *copy;

        if (names[i].ours[0] == '\0' ||
            (*names[i].configured != NULL && strcmp(*names[i].configured, names[i].ours) == 0)) {
            continue;
        }
        copy = strdup(names[i].ours);
        if (copy == NULL) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
        free(*names[i].configured);
        *names[i].configured = copy;
    }
    return GK_OK;
}

static enum gk_status finish(struct reset *reset, struct gk_error *err)
{
    static enum gk_status (*const steps[])(struct reset *, struct gk_error *) = {
        stop_service,         mind_device,        reset_revoke,
        reset_forget_service, reset_destroy_keys, reset_erase,
    };
    enum gk_status status = GK_OK;

    for (size_t i = 0; status == GK_OK && i < sizeof(steps) / sizeof(steps[0]); i++) {
        status = steps[i](reset, err);
    }
    return status;
}

enum gk_status reset_finish(struct run *run, struct gk_error *err)
{
    struct reset reset = { .run = run };
    enum gk_status status = agent_state_read(run->config->directory, &reset.state, err);

    return status == GK_OK ? finish(&reset, err) : status;
}

/* A garbled state.json must not keep anybody from a fresh start; what it knew the files may tell.
 */
static enum gk_status read_state(struct reset *reset, bool force, struct gk_error *err)
{
    const char *directory = reset->run->config->directory;
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    enum gk_status status = agent_state_read(directory, &reset->state, err);

    if (status == GK_BAD_FILE && force) {
        reset->state = (struct agent_state){ .stage = AGENT_STAGE_BEGUN };
        if (reset_certificate(reset, AGENT_PAIR_CURRENT, &certificate, NULL) == GK_OK) {
            snprintf(reset->state.certificate_sn, sizeof(reset->state.certificate_sn), "%s",
                     certificate_serial(certificate));
        }
        say_note(reset->run,
                 "state.json makes no sense, so only the certificates in %s are revoked; look at "
                 "the hub for others of this device",
                 directory);
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

/* From here on it is finished, whoever comes. */
static enum gk_status begin(struct reset *reset, bool force, struct gk_error *err)
{
    reset->state.stage = AGENT_STAGE_RESETTING;
    if (force && reset->state.forced == 0) {
        reset->state.forced = time(NULL);
    }
    return agent_state_write(reset->run->config->directory, &reset->state, err);
}

/* On stdout stands what a script must see to: the serials that nobody revoked, one a line. */
static void say_left_over(const struct run *run)
{
    const json_t *serial;
    size_t i;

    json_array_foreach(json_object_get(run->result, "unrevoked"), i, serial)
    {
        say_line(run, "%s", json_string_value(serial));
    }
}

enum gk_status command_reset(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    struct reset reset = { .run = run };
    bool yes = false, force = false;
    const struct word words[] = { { "yes", NULL, &yes }, { "force", NULL, &force }, { 0 } };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK) {
        status = run_lock_only(run, &lock, err);
    }
    if (status == GK_OK) {
        status = read_state(&reset, force, err);
    }
    if (status == GK_OK) {
        status = ask(run, yes, &reset.state, err);
    }
    if (status == GK_OK) {
        status = begin(&reset, force, err);
    }
    if (status == GK_OK) {
        status = finish(&reset, err);
    }
    if (status == GK_OK) {
        say_left_over(run);
        agent_lock_forget(lock);
    }
    return status;
}
