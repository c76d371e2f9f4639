/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks for a new certificate: the hub's API, or the application beside the hub by an event.
 *
 * What was issued and never arrived is found by the hub's list and revoked before another is asked
 * for. Valid certificates that were there before the renewal began are none of ours.
 */
#include "agent/clock.h"
#include "agent/command/next.h"
#include "agent/command/renew.h"
#include "agent/command/service.h"
#include "agent/command/unrevoked.h"
#include "agent/local.h"

#include <time.h>

#define SERVICE_TIMEOUT_S 60

#define SERIAL_SIZE (sizeof(((struct agent_state *)NULL)->certificate_sn))

static void free_pkeyp(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

/* --- events -------------------------------------------------------------------------------------
 */

/* Hand an event to gatekeyd; done when the hub has it. It does not wait in the spool: by the next
 * run the question may be another. events is consumed. */
static enum gk_status post(struct renewal *r, const char *event, json_t *events,
                           struct gk_error *err)
{
    CLEANUP(json_freep) json_t *status_reply = NULL;
    CLEANUP(json_freep) json_t *reply = NULL;
    CLEANUP(json_freep) json_t *request = NULL;
    struct timespec now;
    char topic[96];
    enum gk_status status;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(topic, sizeof(topic), "thing/event/%s/post", event);
    request =
        json_pack("{ss ss sb s{so sI}}", "op", "publish", "topic", topic, "now", 1, "params",
                  "events", events, "time", (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    if (request == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    /* Another device's gatekeyd must not speak for this one. */
    status = service_call(r->config, "status", SERVICE_TIMEOUT_S, &status_reply, err);
    if (status == GK_OK) {
        status = agent_local_call(r->config, request, SERVICE_TIMEOUT_S, &reply, err);
    }
    return status == GK_OK ? service_verdict(reply, err) : status;
}

/* --- the hub's list -----------------------------------------------------------------------------
 */

static enum gk_status read_list(struct hub *hub, struct enos_record **records, size_t *count,
                                struct gk_error *err)
{
    *records = calloc(HUB_RECORDS_MAX, sizeof(**records));
    return *records != NULL ? hub_certificate_list(hub, *records, count, err)
                            : gk_fail(err, GK_NO_MEMORY, NULL);
}

static bool is_ours_in_use(const struct agent_state *s, const char *serial)
{
    return strcmp(serial, s->certificate_sn) == 0 || agent_state_knows_other(s, serial) ||
           agent_state_is_unrevoked(s, serial);
}

static enum gk_status note_other(struct renewal *r, const char *serial, struct gk_error *err)
{
    char *others = r->state.others;
    size_t used = strlen(others), room = sizeof(r->state.others) - used;

    if (strlen(serial) + 2 > room) {
        gk_fail(err, GK_HUB_REFUSED, "this device has too many valid certificates");
        gk_advise(err, "revoke those at the hub that nobody uses");
        return GK_HUB_REFUSED;
    }
    snprintf(others + used, room, "%s%s", used > 0 ? " " : "", serial);
    say_note(r->run,
             "this device has a valid certificate that this gateway does not hold (serial %s); "
             "revoke it at the hub if nobody uses it",
             serial);
    return GK_OK;
}

/* In ten years others come and go: what is not valid any more makes room. */
static void forget_gone(struct agent_state *s, const struct enos_record *records, size_t count)
{
    char kept[sizeof(s->others)] = "";
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        /* A list that names one twice must not make it longer. */
        if (records[i].valid && agent_state_knows_other(s, records[i].serial) &&
            used + strlen(records[i].serial) + 2 <= sizeof(kept)) {
            used += (size_t)snprintf(kept + used, sizeof(kept) - used, "%s%s", used > 0 ? " " : "",
                                     records[i].serial);
        }
    }
    memcpy(s->others, kept, sizeof(kept));
}

static enum gk_status revoke_orphan(struct renewal *r, struct hub *hub, const char *serial,
                                    struct gk_error *err)
{
    enum gk_status status = hub_certificate_revoke(hub, serial, ENOS_SUPERSEDED, err);

    if (status == GK_OK) {
        say_step(r->run, "certificate %s, which never got into use, revoked at the hub", serial);
    }
    return status;
}

/*
 * The certificate to be renewed. Where a hub allows one only, it ended ours for one that never
 * arrived: that is the last one by which the hub knows us, and is renewed in its place.
 */
static const char *find_base(const struct agent_state *s, const struct enos_record *records,
                             size_t count)
{
    const char *orphan = NULL;
    bool revoked = false;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(records[i].serial, s->certificate_sn) == 0) {
            revoked = records[i].revoked;
        } else if (records[i].valid && !is_ours_in_use(s, records[i].serial)) {
            orphan = records[i].serial;
        }
    }
    return revoked && orphan != NULL ? orphan : s->certificate_sn;
}

/*
 * Before anything is asked for: who has what. While something is asked for, what is new is ours.
 * base receives what is to be renewed.
 */
static enum gk_status look_at_list(struct renewal *r, struct hub *hub,
                                   char base[static SERIAL_SIZE], struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = NULL;
    size_t count = 0;
    bool begins = r->state.renewal == AGENT_RENEWAL_NONE || r->state.settled != 0;
    enum gk_status status = read_list(hub, &records, &count, err);

    if (status != GK_OK) {
        return status;
    }
    r->state.settled = 0;
    if (begins) {
        forget_gone(&r->state, records, count);
    }
    unrevoked_forget_gone(r, records, count);
    snprintf(base, SERIAL_SIZE, "%s",
             begins ? r->state.certificate_sn : find_base(&r->state, records, count));
    for (size_t i = 0; status == GK_OK && i < count; i++) {
        if (records[i].valid && strcmp(records[i].serial, base) != 0 &&
            !is_ours_in_use(&r->state, records[i].serial)) {
            status = begins ? note_other(r, records[i].serial, err)
                            : revoke_orphan(r, hub, records[i].serial, err);
        }
    }
    return status;
}

enum gk_status renewal_look_up(struct renewal *renewal, const char *serial,
                               struct enos_record *record, struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = NULL;
    struct hub *hub;
    size_t count = 0;
    enum gk_status status = renewal_hub(renewal, &hub, err);

    if (status == GK_OK) {
        status = read_list(hub, &records, &count, err);
    }
    *record = (struct enos_record){ 0 };
    for (size_t i = 0; status == GK_OK && i < count; i++) {
        if (strcmp(records[i].serial, serial) == 0) {
            *record = records[i];
        }
    }
    return status;
}

static enum gk_status revoke_if_valid(struct renewal *r, const char *serial, struct gk_error *err)
{
    struct enos_record record;
    enum gk_status status = renewal_look_up(r, serial, &record, err);

    if (status != GK_OK || !record.valid) {
        return status;
    }
    status = hub_certificate_revoke(r->hub, serial, ENOS_SUPERSEDED, err);
    if (status == GK_OK) {
        say_step(r->run, "certificate %s revoked at the hub (superseded)", serial);
    }
    return status;
}

enum gk_status renewal_supersede(struct renewal *renewal, const char *serial, struct gk_error *err)
{
    enum gk_status status;

    switch (renewal->config->renew_by) {
    case AGENT_RENEW_API:
        return revoke_if_valid(renewal, serial, err);
    case AGENT_RENEW_EVENT:
        status = post(renewal, "certificateSuperseded", json_pack("{ss}", "certSN", serial), err);
        if (status == GK_OK) {
            say_step(renewal->run, "certificate %s reported as superseded", serial);
        }
        return status;
    case AGENT_RENEW_AUTO:
    case AGENT_RENEW_HAND:
        break;
    }
    say_note(renewal->run, "revoke certificate %s at the hub; nobody uses it any more", serial);
    return GK_OK;
}

/* --- asking -------------------------------------------------------------------------------------
 */

/* What was asked for: the same name, another certificate. */
static enum gk_status check(struct renewal *r, const struct certificate *certificate,
                            struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *current = NULL;
    CLEANUP(free_pkeyp) EVP_PKEY *key = NULL;
    enum gk_status status = next_key(r->run, &key, err);

    if (status == GK_OK) {
        status = certificate_check(r->config, r->openssl, certificate, key, err);
    }
    if (status == GK_OK) {
        status = certificate_read(r->config, r->openssl, &current, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (strcmp(certificate_serial(certificate), certificate_serial(current)) == 0) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "its serial is %s, as the one in use has",
                       certificate_serial(current));
    }
    if (strcmp(certificate_subject_name(certificate), certificate_subject_name(current)) != 0) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "it is for %.80s, and not for %s as the one in use",
                       certificate_subject_name(certificate), certificate_subject_name(current));
    }
    return GK_OK;
}

enum gk_status renewal_keep(struct renewal *renewal, const struct certificate *certificate,
                            struct gk_error *err)
{
    struct agent_state *s = &renewal->state;
    enum gk_status status = check(renewal, certificate, err);

    if (status == GK_OK) {
        status = next_put(renewal->run, certificate, err);
    }
    if (status != GK_OK) {
        return status;
    }
    snprintf(s->next_sn, sizeof(s->next_sn), "%s", certificate_serial(certificate));
    s->next_at = s->settled = agent_clock_now(renewal->config);
    status = renewal_write(renewal, AGENT_RENEWAL_READY, err);
    if (status == GK_OK) {
        say_step(renewal->run, "certificate %s received; it is tried before it is used",
                 s->next_sn);
    }
    return status;
}

/* A run that was killed may have got it, and have had no time to say so. */
static bool has_arrived(struct renewal *r)
{
    CLEANUP(certificate_freep) struct certificate *there = NULL;

    return r->state.renewal == AGENT_RENEWAL_ASKING && r->state.next_sn[0] == '\0' &&
           next_read(r->run, &there, NULL) == GK_OK && renewal_keep(r, there, NULL) == GK_OK;
}

static enum gk_status make_request(struct renewal *r, char **csr, struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *current = NULL;
    CLEANUP(free_pkeyp) EVP_PKEY *key = NULL;
    bool awaits_answer = r->config->renew_by == AGENT_RENEW_EVENT && r->state.asked_at != 0;
    enum gk_status status = next_prepare(r->run, awaits_answer, err);

    if (status == GK_OK) {
        status = certificate_read(r->config, r->openssl, &current, err);
    }
    if (status == GK_OK) {
        status = next_key(r->run, &key, err);
    }
    return status == GK_OK ? next_request(r->run, key, certificate_subject_name(current), csr, err)
                           : status;
}

static enum gk_status announce(struct renewal *r, struct gk_error *err)
{
    return renewal_write(r, AGENT_RENEWAL_ASKING, err);
}

static enum gk_status ask_api(struct renewal *r, struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    CLEANUP(json_freep) json_t *data = NULL;
    CLEANUP(gk_freep) char *csr = NULL;
    struct enos_certificate reply;
    char base[SERIAL_SIZE];
    struct hub *hub;
    enum gk_status status = renewal_hub(r, &hub, err);

    if (status == GK_OK) {
        status = look_at_list(r, hub, base, err);
    }
    if (status == GK_OK) {
        status = announce(r, err);
    }
    if (status == GK_OK) {
        status = make_request(r, &csr, err);
    }
    if (status == GK_OK) {
        status = hub_certificate_renew(hub, base, csr, &data, &reply, err);
    }
    if (status == GK_OK) {
        status = certificate_parse(r->openssl, reply.certificate, reply.issuer, &certificate, err);
    }
    if (status == GK_OK && strcmp(certificate_serial(certificate), reply.serial) != 0) {
        status = gk_fail(err, GK_BAD_CERTIFICATE, "its serial is %s, but the hub says %s",
                         certificate_serial(certificate), reply.serial);
    }
    /* Before the new one is named in the state: then what is not named is nobody's. */
    if (status == GK_OK && strcmp(base, r->state.certificate_sn) != 0) {
        status = revoke_if_valid(r, base, err);
    }
    return status == GK_OK ? renewal_keep(r, certificate, err) : status;
}

static enum gk_status ask_event(struct renewal *r, struct gk_error *err)
{
    CLEANUP(gk_freep) char *csr = NULL;
    enum gk_status status = announce(r, err);

    if (status == GK_OK) {
        status = make_request(r, &csr, err);
    }
    if (status == GK_OK) {
        status = post(r, "certificateRequest",
                      json_pack("{ss ss sI}", "csr", csr, "certSN", r->state.certificate_sn,
                                "validDay", (json_int_t)r->config->valid_days),
                      err);
    }
    if (status != GK_OK) {
        return status;
    }
    r->state.asked_at = agent_clock_now(r->config);
    status = renewal_write(r, AGENT_RENEWAL_ASKING, err);
    if (status == GK_OK) {
        say_step(r->run, "the application beside the hub is asked for a new certificate; gatekeyd "
                         "takes its answer");
    }
    return status;
}

/* One that was refused is not forgotten before it is reported. */
static enum gk_status drop_refused(struct renewal *r, struct gk_error *err)
{
    enum gk_status status;

    if (r->state.renewal != AGENT_RENEWAL_ASKING || r->state.next_sn[0] == '\0') {
        return GK_OK;
    }
    status = next_discard(r->run, NULL, err);
    if (status == GK_OK) {
        status = renewal_supersede(r, r->state.next_sn, err);
    }
    if (status != GK_OK) {
        return status;
    }
    r->state.next_sn[0] = '\0';
    return renewal_write(r, AGENT_RENEWAL_ASKING, err);
}

enum gk_status renewal_ask(struct renewal *renewal, struct gk_error *err)
{
    enum gk_status status = drop_refused(renewal, err);

    if (status != GK_OK || has_arrived(renewal)) {
        return status;
    }
    switch (renewal->config->renew_by) {
    case AGENT_RENEW_API:
        return ask_api(renewal, err);
    case AGENT_RENEW_EVENT:
        return ask_event(renewal, err);
    case AGENT_RENEW_AUTO:
    case AGENT_RENEW_HAND:
        break;
    }
    gk_fail(err, GK_REFUSED, "[renew] by = hand: nobody asks the hub from here");
    gk_advise(err, "run gatekey csr, have the request signed, and run gatekey install FILE");
    return GK_REFUSED;
}
