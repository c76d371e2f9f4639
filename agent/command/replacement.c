/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey enroll --replace: new hardware takes over a device whose old gateway holds valid
 * certificates. They are named and noted before anything else, and revoked last.
 */
#include "agent/command/enroll.h"

static const struct {
    const char *name;
    enum enos_reason reason;
} reasons[] = {
    { "superseded", ENOS_SUPERSEDED },
    { "key-compromise", ENOS_KEY_COMPROMISE },
    { "cessation", ENOS_CESSATION },
    { "affiliation-changed", ENOS_AFFILIATION_CHANGED },
    { "privilege-withdrawn", ENOS_PRIVILEGE_WITHDRAWN },
    { "unspecified", ENOS_UNSPECIFIED },
};

static bool reason_read(const char *name, enum enos_reason *reason)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (strcmp(reasons[i].name, name) == 0) {
            *reason = reasons[i].reason;
            return true;
        }
    }
    return false;
}

static enum gk_status check_reason(const char *name, struct gk_error *err)
{
    enum enos_reason reason;

    if (reason_read(name, &reason)) {
        return GK_OK;
    }
    gk_fail(err, GK_USAGE, "%.40s is no reason", name);
    gk_advise(err, "use superseded, key-compromise, cessation, affiliation-changed, "
                   "privilege-withdrawn or unspecified");
    return GK_USAGE;
}

/* From before the first application on, what is not ours is named in the state. */
static enum gk_status look_for_others(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = NULL;
    struct hub *hub;
    size_t count;
    enum gk_status status = enrolment_list(e, &hub, &records, &count, err);

    return status == GK_OK ? enrolment_note_others(e, records, count, err) : status;
}

static enum gk_status ask(struct enrolment *e, bool yes, const char *reason, struct gk_error *err)
{
    char question[1024];

    if (!hub_is_configured(e->config)) {
        return GK_OK; /* nothing is revoked by us */
    }
    snprintf(question, sizeof(question),
             "This gateway takes over device %s of product %s: once the hub has accepted it, the "
             "certificates of the gateway before it are revoked (%s), and whoever holds them is "
             "cut off: %s.",
             e->state.device_key, e->state.product_key, reason, e->state.others);
    return ask_to_go_on(yes, question, err);
}

enum gk_status enrolment_replace(struct enrolment *e, bool yes, const char *reason,
                                 struct gk_error *err)
{
    enum gk_status status = check_reason(reason, err);

    if (status != GK_OK || e->state.replaced[0] != '\0') {
        return status; /* it was confirmed before */
    }
    if (hub_is_configured(e->config)) {
        status = look_for_others(e, err);
        if (status != GK_OK) {
            return status;
        }
        if (e->state.others[0] == '\0') {
            say_note(e->run, "no other gateway holds a valid certificate of this device");
            return GK_OK;
        }
    }
    status = ask(e, yes, reason, err);
    if (status != GK_OK) {
        return status;
    }
    snprintf(e->state.replaced, sizeof(e->state.replaced), "%s", reason);
    return enrolment_write(e, e->state.stage, err);
}

static bool is_other(const struct enrolment *e, const char *serial)
{
    return strcmp(serial, e->state.certificate_sn) != 0 &&
           agent_state_knows_other(&e->state, serial);
}

static enum gk_status revoke_theirs(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = calloc(HUB_RECORDS_MAX, sizeof(*records));
    enum enos_reason reason = ENOS_SUPERSEDED;
    struct hub *hub;
    size_t count = 0;
    enum gk_status status;

    if (records == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    reason_read(e->state.replaced, &reason);
    status = enrolment_hub(e, &hub, err);
    if (status == GK_OK) {
        status = hub_certificate_list(hub, records, &count, err);
    }
    for (size_t i = 0; status == GK_OK && i < count; i++) {
        if (records[i].valid && is_other(e, records[i].serial)) {
            status = hub_certificate_revoke(hub, records[i].serial, reason, err);
            if (status == GK_OK) {
                say_step(e->run, "certificate %s of the gateway before this one revoked (%s)",
                         records[i].serial, e->state.replaced);
            }
        }
    }
    return status;
}

enum gk_status enrolment_revoke_others(struct enrolment *e, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    if (e->state.replaced[0] == '\0') {
        return GK_OK;
    }
    if (hub_is_configured(e->config)) {
        status = revoke_theirs(e, err);
    } else {
        say_note(e->run,
                 "have every certificate of device %s of product %s but %s revoked at the hub "
                 "(%s): the gateway before this one may still hold one",
                 e->state.device_key, e->state.product_key, e->state.certificate_sn,
                 e->state.replaced);
    }
    if (status != GK_OK) {
        gk_advise(err, "this gateway is enrolled, but the one before it is not cut off yet; run "
                       "gatekey enroll again");
        return status;
    }
    e->state.others[0] = '\0';
    e->state.replaced[0] = '\0';
    return enrolment_write(e, e->state.stage, err);
}
