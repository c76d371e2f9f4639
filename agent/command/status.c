/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey status: what is, from the files, the TPM and gatekeyd, each of which may be missing. */
#include "agent/command/status.h"

#include "agent/clock.h"
#include "agent/command/devicekey.h"
#include "agent/command/figures.h"
#include "agent/command/service.h"
#include "agent/command/trust.h"
#include "agent/secret.h"
#include "tpm/admin.h"

#include <inttypes.h>

#define SERVICE_TIMEOUT_S 5
#define DAY_S 86400
#define INTERVAL_MAX_S 86400

void status_note(struct gk_error *first, const struct gk_error *err)
{
    if (first->status == GK_OK) {
        *first = *err;
    }
}

void status_show(struct run *run, const char *name, const char *member, const char *value)
{
    say_line(run, "%-12s %s", name, value);
    say_text(run, member, value);
}

static void show_device(struct run *run, const struct agent_state *state)
{
    status_show(run, "identity", "identity", run->config->directory);
    status_show(run, "stage", "stage", agent_stage_name(state->stage));
    if (state->stage != AGENT_STAGE_NONE) {
        status_show(run, "product", "productKey", state->product_key);
        status_show(run, "device", "deviceKey", state->device_key);
        status_show(run, "guid", "assetId", state->asset_id);
    }
}

static void check_state(struct run *run, const struct agent_state *state, struct gk_error *first)
{
    struct gk_error err = { 0 };

    if (state->stage == AGENT_STAGE_RESETTING) {
        gk_fail(&err, GK_NOT_ENROLLED, "a reset was interrupted");
        gk_advise(&err, "run gatekey reset to finish it");
        status_note(first, &err);
    } else if (state->stage != AGENT_STAGE_ENROLLED) {
        gk_fail(&err, GK_NOT_ENROLLED, "%s: %s", run->config->directory,
                agent_stage_name(state->stage));
        status_note(first, &err);
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
        status_show(run, "key", "key", run->config->key);
        return;
    }
    status = devicekey_read(run->config, &d, &err);
    snprintf(handle, sizeof(handle), "0x%08" PRIx32, d.handle);
    if (status == GK_OK && d.key != NULL) {
        status_show(run, "key", "handle", handle);
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
        status_note(first, &err);
    }
}

static void check_dates(struct run *run, const struct certificate *certificate, int64_t left,
                        const char *end, struct gk_error *first)
{
    struct gk_error err = { 0 };

    if (certificate_is_early(run->config, certificate)) {
        gk_fail(&err, GK_NOT_YET_VALID, "serial %s", certificate_serial(certificate));
        status_note(first, &err);
    } else if (left < 0) {
        gk_fail(&err, GK_EXPIRED, "serial %s on %s", certificate_serial(certificate), end);
        status_note(first, &err);
    }
}

static void show_certificate(struct run *run, const struct agent_state *state,
                             struct gk_error *first)
{
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    struct agent_openssl *openssl;
    struct gk_error err = { 0 };
    enum gk_status status = run_openssl(run, &openssl, &err);
    char text[TRUST_TIME_SIZE];
    int64_t left;

    if (status == GK_OK) {
        status = certificate_read(run->config, openssl, &certificate, &err);
    }
    if (status != GK_OK) {
        status_note(first, &err);
        return;
    }
    left = certificate_end(certificate) - agent_clock_now(run->config);
    trust_format_time(certificate_end(certificate), text);
    status_show(run, "certificate", "certSN", certificate_serial(certificate));
    status_show(run, "subject", "subject", certificate_subject(certificate));
    say_line(run, "%-12s %s (%" PRId64 " days left)", "ends", text, left / DAY_S);
    say_text(run, "notAfter", text);
    say_member(run, "daysLeft", json_integer(left / DAY_S));
    check_dates(run, certificate, left, text, first);
    status_show_renewal(run, state, certificate);
}

/* What gatekeyd says of itself, and what of that is trouble. */
static void show_figures(struct run *run, const json_t *reply, struct gk_error *first)
{
    struct figure figures[FIGURES_MAX];
    size_t count = figures_list(reply, NULL, figures);
    struct gk_error err = { 0 };

    for (size_t i = 0; i < count; i++) {
        say_line(run, "%-12s %s", figures[i].name, figures[i].text);
    }
    if (service_trouble(reply, &err) != GK_OK) {
        status_note(first, &err);
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
    } else {
        say_member(run, "service", json_incref(reply));
        show_figures(run, reply, first);
    }
    status_show_clock(run, reply, first);
}

static enum gk_status read_interval(bool watch, const char *text, unsigned *interval_s,
                                    struct gk_error *err)
{
    char *end = NULL;
    unsigned long value = text != NULL ? strtoul(text, &end, 10) : 1;

    if (text != NULL && !watch) {
        return gk_fail(err, GK_USAGE, "--interval goes with --watch");
    }
    if (text != NULL &&
        (text[0] < '0' || text[0] > '9' || *end != '\0' || value < 1 || value > INTERVAL_MAX_S)) {
        return gk_fail(err, GK_USAGE, "--interval %.40s: give 1 to %d seconds", text,
                       INTERVAL_MAX_S);
    }
    *interval_s = (unsigned)value;
    return GK_OK;
}

static enum gk_status show_all(struct run *run, struct gk_error *err)
{
    struct gk_error first = { 0 };
    struct agent_state state;
    enum gk_status status = agent_state_read(run->config->directory, &state, err);

    if (status != GK_OK) {
        return status;
    }
    show_device(run, &state);
    status_check_revoked(run, &first);
    /* A connection that the hub refuses says more than what the files look like. */
    show_service(run, &first);
    check_state(run, &state, &first);
    show_key(run, &first);
    if (state.stage >= AGENT_STAGE_CERTIFIED) {
        show_certificate(run, &state, &first);
    }
    status_show_trust(run, &first);
    *err = first;
    return first.status;
}

enum gk_status command_status(struct run *run, int argc, char **argv, struct gk_error *err)
{
    const char *interval = NULL;
    bool watch = false;
    const struct word words[] = { { "watch", NULL, &watch },
                                  { "interval", &interval, NULL },
                                  { 0 } };
    unsigned interval_s = 0;
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK) {
        status = read_interval(watch, interval, &interval_s, err);
    }
    if (status != GK_OK) {
        return status;
    }
    return watch ? status_watch(run, interval_s, err) : show_all(run, err);
}
