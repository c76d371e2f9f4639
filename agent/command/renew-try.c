/* SPDX-License-Identifier: Apache-2.0 */
/* Tries the pair in next/, by gatekeyd where it runs, because the hub allows one connection per
 * device. */
#include "agent/clock.h"
#include "agent/command/next.h"
#include "agent/command/renew.h"
#include "agent/command/service.h"
#include "agent/link.h"
#include "agent/secret.h"

#include <time.h>

/* EnOS needs about 30 s before it takes a new certificate; that long after [renew] settle a refusal
 * is a refusal. */
#define NEW_FOR_S 75

/* 8 s doubling, as the service's own backoff; the connect budget goes before it. */
#define FIRST_WAIT_S 8
#define ATTEMPTS 5

/* gatekeyd waits for its connect budget, connects, and goes back where it was refused. */
#define SERVICE_TIMEOUT_S 240

static int64_t age(const struct renewal *r)
{
    return agent_clock_now(r->config) - r->state.next_at;
}

/* A clock that is set meanwhile makes it no longer than it would have been. */
static void settle(const struct renewal *r)
{
    int64_t whole = r->config->settle_s, left = whole - age(r);

    if (left > whole) {
        left = whole;
    }
    if (left > 0) {
        say_note(r->run, "waiting %lld s until the hub knows certificate %s ([renew] settle)",
                 (long long)left, r->state.next_sn);
        while (left > 0) {
            left = sleep((unsigned)left);
        }
    }
}

static enum gk_status prove(struct renewal *r, enum agent_pair pair, struct gk_error *err)
{
    CLEANUP(agent_secret_clear) struct agent_secret secret = { 0 };
    enum gk_status status = agent_secret_load(r->config, &secret, err);

    return status == GK_OK ? agent_link_prove(r->config, r->openssl, pair, secret.text, err)
                           : status;
}

/* A service that is there, but does not answer in time, is no reason to connect beside it. */
static enum gk_status connect_once(struct renewal *r, const char **by, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *known = NULL;
    CLEANUP(json_freep) json_t *reply = NULL;
    enum gk_status status = service_call(r->config, "status", SERVICE_TIMEOUT_S, &known, err);

    *by = "gatekeyd";
    if (status == GK_OK) {
        return service_call(r->config, "try", SERVICE_TIMEOUT_S, &reply, err);
    }
    *by = "gatekey";
    return status == GK_NO_SERVICE ? prove(r, AGENT_PAIR_NEXT, err) : status;
}

/* A certificate that is too new looks like one that is not accepted. */
static bool may_come_right(const struct renewal *r, enum gk_status status)
{
    switch ((int)status) {
    case GK_THROTTLED:
        return true;
    case GK_REVOKED:
    case GK_HUB_REFUSED:
        return age(r) >= 0 && age(r) < NEW_FOR_S + (int64_t)r->config->settle_s;
    default:
        return false;
    }
}

/* A network that is down, or a TPM that is busy, says nothing of the certificate. */
static bool is_refusal(enum gk_status status)
{
    return status == GK_REVOKED || status == GK_HUB_REFUSED || status == GK_BAD_CERTIFICATE ||
           status == GK_EXPIRED;
}

/* Then no hub accepts it, and another is asked for only where this one is given up. */
static bool has_expired(struct renewal *r)
{
    CLEANUP(certificate_freep) struct certificate *current = NULL;

    return certificate_read(r->config, r->openssl, &current, NULL) == GK_OK &&
           agent_clock_now(r->config) >= certificate_end(current);
}

/*
 * Is the pair in use accepted now? A hub that refuses everybody, because the device is disabled or
 * it is under maintenance, says nothing of the new certificate. gatekeyd goes back by itself.
 */
static enum gk_status prove_current(struct renewal *r)
{
    CLEANUP(json_freep) json_t *known = NULL;
    CLEANUP(json_freep) json_t *reply = NULL;
    enum gk_status status = service_call(r->config, "status", SERVICE_TIMEOUT_S, &known, NULL);

    if (status == GK_NO_SERVICE) {
        return prove(r, AGENT_PAIR_CURRENT, NULL);
    }
    if (status == GK_OK && json_is_true(json_object_get(known, "connected"))) {
        return GK_OK;
    }
    return status == GK_OK ? service_call(r->config, "reconnect", SERVICE_TIMEOUT_S, &reply, NULL)
                           : status;
}

/* What lies in next/ stays there, and is tried again. */
static enum gk_status put_off(struct renewal *r, struct gk_error *why)
{
    if (why->status == GK_REVOKED) {
        why->status = GK_HUB_REFUSED; /* not this gateway, as far as is known */
    }
    say_note(r->run,
             "the hub does not take certificate %s, but the one in use was not accepted just now "
             "either; the new one is kept",
             r->state.next_sn);
    gk_advise(why, "see whether the hub lets this device in at all; gatekey renew tries the new "
                   "certificate again");
    return why->status;
}

/*
 * The state says so first: next_sn without "ready" is one that has to go. What fails here is made
 * up for by the next run (renewal_ask()), and the refusal is what is told.
 */
static enum gk_status give_up(struct renewal *r, struct gk_error *why)
{
    enum gk_status refusal = why->status;

    say_note(r->run, "the hub does not take certificate %s; the one in use stays in use",
             r->state.next_sn);
    if (renewal_write(r, AGENT_RENEWAL_ASKING, NULL) == GK_OK &&
        next_discard(r->run, NULL, NULL) == GK_OK &&
        renewal_supersede(r, r->state.next_sn, NULL) == GK_OK) {
        r->state.next_sn[0] = '\0';
        r->state.asked_at = 0;
        (void)!renewal_write(r, AGENT_RENEWAL_ASKING, NULL);
    }
    if (refusal == GK_REVOKED) {
        /* Not this gateway: the certificate that nobody used yet. */
        refusal = why->status = GK_HUB_REFUSED;
    }
    gk_advise(why, "the old certificate is in use as before; gatekey renew asks for another");
    return refusal;
}

enum gk_status renewal_try(struct renewal *renewal, struct gk_error *err)
{
    struct gk_error why = { 0 };
    unsigned wait_s = FIRST_WAIT_S;
    const char *by = "";
    enum gk_status status;

    settle(renewal);
    for (int attempt = 1;; attempt++) {
        status = connect_once(renewal, &by, &why);
        if (attempt == ATTEMPTS || !may_come_right(renewal, status)) {
            break;
        }
        say_note(renewal->run,
                 status == GK_THROTTLED
                     ? "the hub's connect limit asks for patience; trying again in %u s"
                     : "the hub does not take the new certificate yet; trying again in %u s",
                 wait_s);
        sleep(wait_s);
        wait_s *= 2;
    }
    if (status == GK_OK) {
        say_step(renewal->run, "the hub accepts certificate %s: connection made by %s",
                 renewal->state.next_sn, by);
        return GK_OK;
    }
    why.status = status;
    if (is_refusal(status)) {
        status = has_expired(renewal) || prove_current(renewal) == GK_OK ? give_up(renewal, &why)
                                                                         : put_off(renewal, &why);
    }
    *err = why;
    return status;
}
