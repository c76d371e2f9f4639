/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey status: what is, from the files, the TPM and gatekeyd, each of which may be missing. */
#include "agent/command/certificate.h"
#include "agent/command/command.h"
#include "agent/command/devicekey.h"
#include "agent/command/service.h"
#include "agent/secret.h"
#include "agent/state.h"
#include "tpm/admin.h"

#include <inttypes.h>
#include <time.h>

#define SERVICE_TIMEOUT_S 5
#define DAY_S 86400

/* The first thing found wrong decides how the command ends; the rest is shown all the same. */
static void note_problem(struct gk_error *first, const struct gk_error *err)
{
    if (first->status == GK_OK) {
        *first = *err;
    }
}

static void show(struct run *run, const char *name, const char *member, const char *value)
{
    say_line(run, "%-12s %s", name, value);
    say_text(run, member, value);
}

static void show_device(struct run *run, const struct agent_state *state)
{
    show(run, "identity", "identity", run->config->directory);
    show(run, "stage", "stage", agent_stage_name(state->stage));
    if (state->stage != AGENT_STAGE_NONE) {
        show(run, "product", "productKey", state->product_key);
        show(run, "device", "deviceKey", state->device_key);
        show(run, "guid", "assetId", state->asset_id);
    }
}

static void check_state(struct run *run, const struct agent_state *state, struct gk_error *first)
{
    struct gk_error err = { 0 };

    if (state->stage == AGENT_STAGE_RESETTING) {
        gk_fail(&err, GK_NOT_ENROLLED, "a reset was interrupted");
        gk_advise(&err, "run gatekey reset to finish it");
        note_problem(first, &err);
    } else if (state->stage != AGENT_STAGE_ENROLLED) {
        gk_fail(&err, GK_NOT_ENROLLED, "%s: %s", run->config->directory,
                agent_stage_name(state->stage));
        note_problem(first, &err);
    }
}

/* The key reference, and whether this TPM holds that key. */
static void show_key(struct run *run, struct gk_error *first)
{
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    struct gk_error err = { 0 };
    enum gk_status status;
    char handle[16];

    if (!devicekey_is_ours_to_make(run->config)) {
        show(run, "key", "key", run->config->key);
        return;
    }
    status = devicekey_read(run->config, &d, &err);
    snprintf(handle, sizeof(handle), "0x%08" PRIx32, d.handle);
    if (status == GK_OK && d.key != NULL) {
        show(run, "key", "handle", handle);
    }
    if (status == GK_OK) {
        status = agent_admin_open(run->config, &admin, &err);
    }
    if (status == GK_OK) {
        status = devicekey_look(admin, &d, &err);
    }
    say_line(run, "%-12s %s%s", "tpm", run->config->tcti, status == GK_OK ? "" : " (no answer)");
    say_text(run, "tcti", run->config->tcti);
    say_member(run, "tpm", json_boolean(status == GK_OK));
    if (status == GK_OK && d.key != NULL && d.held_status == GK_NO_KEY) {
        status = gk_fail(&err, GK_NO_KEY, "%s", handle);
    } else if (status == GK_OK && d.key != NULL &&
               (d.held == NULL || !gk_key_identical(d.held, d.key))) {
        status = gk_fail(&err, GK_WRONG_KEY, "%s", handle);
    }
    if (status != GK_OK) {
        note_problem(first, &err);
    }
}

static void show_certificate(struct run *run, struct gk_error *first)
{
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    struct agent_openssl *openssl;
    struct gk_error err = { 0 };
    enum gk_status status = run_openssl(run, &openssl, &err);
    char text[64];
    int64_t left;
    time_t end;
    struct tm tm;

    if (status == GK_OK) {
        status = certificate_read(run->config, openssl, &certificate, &err);
    }
    if (status != GK_OK) {
        note_problem(first, &err);
        return;
    }
    end = (time_t)certificate_end(certificate);
    left = (end - time(NULL)) / DAY_S;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&end, &tm));
    show(run, "certificate", "certSN", certificate_serial(certificate));
    show(run, "subject", "subject", certificate_subject(certificate));
    say_line(run, "%-12s %s (%" PRId64 " days left)", "ends", text, left);
    say_text(run, "notAfter", text);
    say_member(run, "daysLeft", json_integer(left));
    if (certificate_is_early(run->config, certificate)) {
        gk_fail(&err, GK_NOT_YET_VALID, "serial %s", certificate_serial(certificate));
        note_problem(first, &err);
    } else if (end < time(NULL)) {
        gk_fail(&err, GK_BAD_CERTIFICATE, "serial %s expired on %s",
                certificate_serial(certificate), text);
        gk_advise(&err, "run gatekey enroll, which asks for a new one");
        note_problem(first, &err);
    }
}

/* What gatekeyd says of its connection, and what of that is trouble. */
static void show_connection(struct run *run, const json_t *reply, struct gk_error *first)
{
    const char *state = json_string_value(json_object_get(reply, "state"));
    struct gk_error err = { 0 };

    say_line(run, "%-12s %s", "service", state != NULL ? state : "running");
    if (service_trouble(reply, &err) != GK_OK) {
        say_line(run, "%-12s %s", "", json_string_value(json_object_get(reply, "last_error")));
        note_problem(first, &err);
    }
}

static void show_service(struct run *run, struct gk_error *first)
{
    CLEANUP(json_freep) json_t *reply = NULL;
    struct gk_error err = { 0 };
    enum gk_status status = service_call(run->config, "status", SERVICE_TIMEOUT_S, &reply, &err);

    if (status != GK_OK) {
        say_line(run, "%-12s %s (%s)", "service",
                 status == GK_NO_SERVICE ? "not running" : gk_status_cause(status), err.object);
        say_member(run, "service", json_null());
        return;
    }
    say_member(run, "service", json_incref(reply));
    show_connection(run, reply, first);
}

enum gk_status command_status(struct run *run, int argc, char **argv, struct gk_error *err)
{
    struct gk_error first = { 0 };
    struct agent_state state;
    enum gk_status status = words_read(run, argc, argv, NULL, 0, 0, NULL, err);

    if (status == GK_OK) {
        status = agent_state_read(run->config->directory, &state, err);
    }
    if (status != GK_OK) {
        return status;
    }
    show_device(run, &state);
    /* A connection that the hub refuses says more than what the files look like. */
    show_service(run, &first);
    check_state(run, &state, &first);
    show_key(run, &first);
    if (state.stage >= AGENT_STAGE_CERTIFIED) {
        show_certificate(run, &first);
    }
    *err = first;
    return first.status;
}
