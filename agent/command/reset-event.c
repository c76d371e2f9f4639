/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocation where the gateway holds no credentials of an application: the event revokeMe, and the
 * proof that it was acted on.
 *
 * gatekey posts it on a connection of its own. state.json says "resetting" by then, which keeps
 * gatekeyd away from the hub, now and after a crash; and a gateway whose service never ran can be
 * reset as well.
 */
#include "agent/command/certificate.h"
#include "agent/command/promotion.h"
#include "agent/command/reset.h"
#include "agent/enos/rest.h"
#include "agent/link.h"
#include "agent/secret.h"

#include <time.h>

#define REVOKE_ME "thing/event/revokeMe/post"

/* The application acts within that time, and the hub cuts us. */
#define STAY_S 30

/* The connect limit counts over two minutes: whoever waits as long gets his turn. */
#define PATIENCE_S 150

/* EnOS needs about 30 s before it knows a new certificate everywhere. */
#define YOUNG_S 75
#define NAP_S 10

static time_t seconds(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

static json_t *format_event(const char *serial)
{
    return json_pack("{s:{s:s, s:i}, s:I}", "events", "certSN", serial, "reason", ENOS_CESSATION,
                     "time", (json_int_t)time(NULL) * 1000);
}

struct events {
    json_t *all[RESET_SERIALS_MAX + 1];
    size_t count;
};

static void free_events(struct events *events)
{
    for (size_t i = 0; i < events->count; i++) {
        json_decref(events->all[i]);
    }
}

/* All we know, the one that this connection stands on last: the hub cuts it for that. */
static enum gk_status format_events(const struct reset *reset, const char *last,
                                    struct events *events, struct gk_error *err)
{
    for (size_t i = 0; i < reset->serial_count; i++) {
        if (strcmp(reset->serials[i], last) != 0) {
            events->all[events->count++] = format_event(reset->serials[i]);
        }
    }
    events->all[events->count++] = format_event(last);
    for (size_t i = 0; i < events->count; i++) {
        if (events->all[i] == NULL) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
    }
    return GK_OK;
}

/* One connection with a pair. */
struct visit {
    enum agent_pair pair;
    const char *secret;
    const struct events *events; /* NULL: only to see */
};

static enum gk_status make_visit(struct reset *reset, const struct visit *visit,
                                 struct gk_error *err)
{
    const struct agent_config *config = reset->run->config;
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(reset->run, &openssl, err);

    if (status != GK_OK) {
        return status;
    }
    return visit->events != NULL
               ? agent_link_post(config, openssl, visit->pair, visit->secret, REVOKE_ME,
                                 visit->events->all, visit->events->count, STAY_S, err)
               : agent_link_prove(config, openssl, visit->pair, visit->secret, err);
}

/* Nothing here is in a hurry, and gatekeyd may just have used the connects up. */
static enum gk_status visit_patiently(struct reset *reset, const struct visit *visit,
                                      struct gk_error *err)
{
    time_t end = seconds() + PATIENCE_S;
    bool said = false;

    for (;;) {
        enum gk_status status = make_visit(reset, visit, err);

        if (status != GK_THROTTLED || seconds() > end) {
            return status;
        }
        if (!said) {
            say_note(reset->run, "the hub's connect limit asks for patience");
            said = true;
        }
        sleep(NAP_S);
    }
}

/* When the hub may first have heard of a certificate that it has not been seen to take; else 0. */
static int64_t unknown_since(const struct agent_state *state, enum agent_pair pair)
{
    if (pair == AGENT_PAIR_NEXT) {
        return state->next_at;
    }
    return state->enrolled == 0 ? state->certified : 0;
}

/*
 * What a hub does not know yet it may call revoked as well; so one that it has never taken is asked
 * about again when it must know it.
 */
static enum gk_status visit_first(struct reset *reset, const struct visit *visit,
                                  struct gk_error *err)
{
    int64_t age = time(NULL) - unknown_since(&reset->state, visit->pair);
    enum gk_status status = visit_patiently(reset, visit, err);

    if (status == GK_REVOKED && age >= 0 && age < YOUNG_S) {
        say_note(reset->run, "the hub may not know that certificate yet; asking again in %d s",
                 (int)(YOUNG_S - age));
        sleep((unsigned)(YOUNG_S - age));
        status = visit_patiently(reset, visit, err);
    }
    return status;
}

/* The hub refuses it: that is what was wanted. */
static bool is_dead(enum gk_status status)
{
    return status == GK_REVOKED || status == GK_EXPIRED;
}

static enum gk_status revoke_pair(struct reset *reset, enum agent_pair pair, const char *serial,
                                  const char *secret, struct gk_error *err)
{
    CLEANUP(free_events) struct events events = { 0 };
    struct visit visit = { pair, secret, &events };
    enum gk_status status = format_events(reset, serial, &events, err);

    if (status == GK_OK) {
        status = visit_first(reset, &visit, err);
    }
    if (status == GK_OK) {
        say_step(reset->run, "the hub took the event revokeMe for certificate %s", serial);
        visit.events = NULL;
        status = visit_patiently(reset, &visit, err);
        if (status == GK_OK) {
            return gk_fail(err, GK_HUB_REFUSED, "certificate %s is still valid %d s after revokeMe",
                           serial, STAY_S);
        }
    }
    if (!is_dead(status)) {
        return status;
    }
    say_step(reset->run, "the hub refuses certificate %s: %s", serial,
             status == GK_EXPIRED ? "it has expired" : "it is revoked");
    return GK_OK;
}

/*
 * In the middle of a promotion the files are no pair that could connect; it needs nobody to be
 * finished. Where it cannot be, the connection fails and says why.
 */
static void settle_promotion(struct reset *reset)
{
    CLEANUP(renewal_close) struct renewal renewal = { 0 };

    if (reset->state.renewal == AGENT_RENEWAL_PROMOTING &&
        renewal_open(reset->run, &renewal, NULL) == GK_OK &&
        promotion_run(&renewal, NULL) == GK_OK) {
        reset->state = renewal.state;
    }
}

enum gk_status reset_revoke_by_event(struct reset *reset, struct gk_error *err)
{
    static const enum agent_pair pairs[] = { AGENT_PAIR_CURRENT, AGENT_PAIR_NEXT };
    CLEANUP(agent_secret_clear) struct agent_secret secret = { 0 };
    enum gk_status status = agent_link_init(err);

    settle_promotion(reset);
    for (size_t i = 0; status == GK_OK && i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        CLEANUP(certificate_freep) struct certificate *certificate = NULL;

        status = reset_certificate(reset, pairs[i], &certificate, err);
        if (status == GK_NOT_ENROLLED) {
            status = GK_OK;
            continue;
        }
        if (status == GK_OK && secret.size == 0) {
            status = agent_secret_load(reset->run->config, &secret, err);
        }
        if (status == GK_OK) {
            status =
                revoke_pair(reset, pairs[i], certificate_serial(certificate), secret.text, err);
        }
    }
    return status;
}
