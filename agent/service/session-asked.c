/* SPDX-License-Identifier: Apache-2.0 */
/* What the session does when it is asked to, or when the identity changes. */
#include "agent/service/session-internal.h"

#include "agent/service/log.h"
#include "agent/tls.h"
#include "identity/identity.h"

#define AGAIN_MS 10000 /* after the budget could not be looked at */

/* --- plans
 * ---------------------------------------------------------------------------------------- */

static void carry_out_plan(struct session *session);

static int on_plan_due(sd_event_source *source, uint64_t time, void *context)
{
    (void)source;
    (void)time;
    carry_out_plan(context);
    return 0;
}

static void plan_for(struct session *session, int64_t wait_ms)
{
    uint64_t delay_us = (uint64_t)wait_ms * 1000;

    if (session->plan_source == NULL) {
        sd_event_add_time_relative(session->service->event, &session->plan_source, CLOCK_BOOTTIME,
                                   delay_us, 0, on_plan_due, session);
    } else {
        sd_event_source_set_time_relative(session->plan_source, delay_us);
        sd_event_source_set_enabled(session->plan_source, SD_EVENT_ONESHOT);
    }
}

/* It may have taken the place of a reconnect that is due all the same. */
static void drop_try(struct session *session)
{
    if (session->plan == PLAN_TRY) {
        session->plan = session->reconnect_is_due ? PLAN_RECONNECT : NO_PLAN;
        carry_out_plan(session);
    }
}

/* Whoever asked is not kept for long. A reconnect is made all the same, a try is not. */
static void put_plan_off(struct session *session, int64_t wait_ms)
{
    struct gk_error err = { 0 };

    if (wait_ms <= VERDICT_MS || session->plan == PLAN_RECONNECT) {
        plan_for(session, wait_ms);
    }
    if (wait_ms > VERDICT_MS) {
        gk_fail(&err, GK_THROTTLED, "%s", session->service->config->host);
        gk_advise(&err,
                  session->plan == PLAN_RECONNECT ? "gatekeyd connects anew by itself in %lld s"
                                                  : "run it again in %lld s",
                  (long long)(wait_ms + 999) / 1000);
        session_tell(session, &err);
        drop_try(session);
    }
}

/* What is trusted may have changed: a reconnect is not dropped because a file could not be read. */
static void plan_again(struct session *session, const struct gk_error *why)
{
    bool due = session->plan == PLAN_RECONNECT || session->reconnect_is_due;

    log_failure(LOG_LEVEL_WARNING, "keep the connect budget", why);
    session->plan = due ? PLAN_RECONNECT : NO_PLAN;
    if (due) {
        plan_for(session, AGAIN_MS);
    }
    session_tell(session, why);
}

/* A connection is only left when the budget has room for the next one, and for one back. */
static void carry_out_plan(struct session *session)
{
    bool stands = session->phase == CONNECTED || session->phase == CONNECTING;
    struct gk_error err = { 0 };
    int64_t wait_ms = 0;

    if (session->plan == NO_PLAN) {
        return;
    }
    if ((stands || session->plan == PLAN_TRY) &&
        patience_room(session->service->patience, session->plan == PLAN_TRY ? 2 : 1, &wait_ms,
                      &err) != GK_OK) {
        plan_again(session, &err);
    } else if (wait_ms > 0) {
        put_plan_off(session, wait_ms);
    } else {
        /* Not even what the connection in between has left. */
        agent_tls_session_forget(session->plan == PLAN_RECONNECT ? session->tls : NULL);
        session_move(session, session->plan == PLAN_TRY ? AGENT_PAIR_NEXT : AGENT_PAIR_CURRENT);
    }
}

/* A plan that somebody waits for is not replaced by one that nobody asked for. */
static void make_plan(struct session *session, enum plan plan)
{
    if (session->plan == NO_PLAN || session->verdict == NULL) {
        session->plan = plan;
    }
    carry_out_plan(session);
}

/* --- asked
 * ---------------------------------------------------------------------------------------- */

static enum gk_status refuse_identity(const struct session *session,
                                      const struct identity *identity, struct gk_error *err)
{
    const char *directory = session->service->config->directory;

    if (!identity->resetting) {
        return gk_fail(err, GK_NOT_ENROLLED, "%s", directory);
    }
    gk_fail(err, GK_NOT_ENROLLED, "%s is being reset", directory);
    gk_advise(err, "run gatekey reset, which finishes what was begun");
    return GK_NOT_ENROLLED;
}

/* Only one can wait for a verdict. */
static bool take_verdict(struct session *session, session_verdict *verdict, void *context,
                         enum gk_status status, struct gk_error *why)
{
    if (status == GK_OK && session->verdict != NULL) {
        status = gk_fail(why, GK_LOCK_HELD, "somebody else asked gatekeyd to reconnect");
    }
    if (status != GK_OK) {
        verdict(context, why);
        return false;
    }
    session->verdict = verdict;
    session->verdict_context = context;
    return true;
}

void session_reconnect(struct session *session, session_verdict *verdict, void *context)
{
    struct gk_error why = { 0 };
    struct identity identity;
    enum gk_status status = identity_look(session->service, &identity, &why);

    if (status == GK_OK && !identity.enrolled && !identity.certified) {
        status = refuse_identity(session, &identity, &why);
    }
    if (!take_verdict(session, verdict, context, status, &why)) {
        return;
    }
    /* Whoever asks wants to know whether the hub takes this certificate and this secret. */
    session_forget_keys(session);
    if (session->phase == CONNECTING && session->pair == AGENT_PAIR_CURRENT && !session->resuming &&
        mark_equal(&session->identity.current, &identity.current) &&
        mark_equal(&session->identity.trust, &identity.trust)) {
        return; /* the attempt that is on its way gives the verdict */
    }
    session->plan = NO_PLAN;
    make_plan(session, PLAN_RECONNECT);
}

/* What can be known without the hub is known before a connection is left for it. */
static enum gk_status check_next(const struct session *session, struct gk_error *err)
{
    const struct service *service = session->service;
    CLEANUP(agent_tls_freep) struct agent_tls *tls = NULL;
    struct identity identity;
    enum gk_status status = identity_look(service, &identity, err);

    if (status == GK_OK && !identity.enrolled) {
        return refuse_identity(session, &identity, err);
    }
    if (status == GK_OK && !identity.has_next) {
        gk_fail(err, GK_NO_FILE, "%s/" GK_FILE_NEXT "/" GK_FILE_CERTIFICATE,
                service->config->directory);
        gk_advise(err, "run gatekey renew, which puts a new certificate there");
        return GK_NO_FILE;
    }
    return status == GK_OK
               ? agent_tls_new(service->config, service->openssl, AGENT_PAIR_NEXT, NULL, &tls, err)
               : status;
}

void session_try(struct session *session, session_verdict *verdict, void *context)
{
    struct gk_error why = { 0 };
    enum gk_status status = check_next(session, &why);

    if (take_verdict(session, verdict, context, status, &why)) {
        session->reconnect_is_due = session->plan == PLAN_RECONNECT;
        session->plan = NO_PLAN;
        make_plan(session, PLAN_TRY);
    }
}

void session_forget(struct session *session, const void *context)
{
    if (session->verdict != NULL && session->verdict_context == context) {
        session->verdict = NULL;
        drop_try(session); /* nobody would promote it */
    }
}

void session_stop(struct session *session)
{
    struct gk_error why = { 0 };
    struct identity identity;
    enum gk_status status = identity_look(session->service, &identity, NULL);
    bool there = status != GK_OK || identity.enrolled || identity.certified;

    gk_fail(&why, GK_UNREACHABLE, "gatekeyd was told to stay disconnected");
    session_leave(session, there ? STOPPED : NOT_ENROLLED, &why);
    session->identity = identity;
}

/* --- noticed
 * -------------------------------------------------------------------------------------- */

/* The pair that was tried is the current one now, and we use it already. */
static void note_promotion(struct session *session, const struct identity *identity)
{
    if (session->pair == AGENT_PAIR_NEXT && session->phase == CONNECTED &&
        mark_equal(&session->identity.current, &identity->current)) {
        session->pair = AGENT_PAIR_CURRENT;
        log_line(LOG_LEVEL_NOTICE, "the new certificate is in place");
    }
}

/* Is what we use still in the directory, where it belongs? */
static bool is_replaced(const struct session *session, const struct identity *identity)
{
    const struct mark *ours = &session->identity.current;

    return session->pair == AGENT_PAIR_NEXT
               ? !identity->has_next || !mark_equal(ours, &identity->next)
               : !mark_equal(ours, &identity->current);
}

static void plan_reconnect(struct session *session, const char *reason)
{
    if (session->plan == NO_PLAN) {
        log_line(LOG_LEVEL_NOTICE, "%s", reason);
        make_plan(session, PLAN_RECONNECT);
    }
}

/* A new list came. What is in the old one was looked up before the connection was made. */
static bool is_revoked(struct session *session, const struct identity *identity,
                       struct gk_error *err)
{
    bool changed = !mark_equal(&session->identity.list, &identity->list);

    session->identity.list = identity->list;
    return changed && revocation_look_up(session, err) == GK_REVOKED;
}

/* Connected or about to be: is what the connection was made with still what is wanted? */
static void check_connection(struct session *session, const struct identity *identity)
{
    struct gk_error why = { 0 };

    note_promotion(session, identity);
    if (is_revoked(session, identity, &why)) {
        session_end_revoked(session, &why);
    } else if (is_replaced(session, identity)) {
        plan_reconnect(session, "the identity was replaced; connecting with the new one");
    } else if (!mark_equal(&session->identity.trust, &identity->trust)) {
        plan_reconnect(session, "the hub's roots or revocation list changed; connecting anew");
    }
}

static void check_enrolled(struct session *session, const struct identity *identity)
{
    bool replaced = is_replaced(session, identity);
    bool changed = replaced || !mark_equal(&session->identity.trust, &identity->trust) ||
                   !mark_equal(&session->identity.list, &identity->list);

    switch (session->phase) {
    case NOT_ENROLLED:
        log_line(LOG_LEVEL_NOTICE, "enrolled");
        session_attempt(session, true);
        break;
    case STOPPED:
        if (replaced) {
            session_attempt(session, true);
        }
        break;
    case REVOKED:
    case CLOCK_WRONG:
    case WAITING:
        if (changed) {
            session_attempt(session, true);
        }
        break;
    case CONNECTING:
    case CONNECTED:
        check_connection(session, identity);
        break;
    }
}

void session_clock_changed(struct session *session)
{
    struct gk_error why = { 0 };
    enum gk_status status = clock_watch_permit(session->service->clock, &why);

    switch (session->phase) {
    case NOT_ENROLLED:
    case STOPPED:
        break;
    case CLOCK_WRONG:
        if (status == GK_OK) {
            session_attempt(session, true);
        }
        break;
    case REVOKED:
    case WAITING:
    case CONNECTING:
    case CONNECTED:
        if (status != GK_OK) {
            session_leave(session, CLOCK_WRONG, &why);
        }
        break;
    }
}

/* There is nothing to connect with, or not for long. */
static void check_gone(struct session *session, const struct identity *identity)
{
    struct gk_error why = { 0 };

    if (session->phase != NOT_ENROLLED) {
        refuse_identity(session, identity, &why);
        session_leave(session, NOT_ENROLLED, &why);
    }
}

void session_look_around(void *context)
{
    struct session *session = context;
    struct gk_error why = { 0 };
    struct identity identity;

    if (identity_look(session->service, &identity, &why) != GK_OK) {
        /* A connection stays, and an attempt that waits will find out; here nobody else would. */
        if (session->phase == NOT_ENROLLED) {
            session_attempt(session, true);
        }
    } else if (!identity.enrolled && !identity.certified) {
        check_gone(session, &identity);
    } else if (identity.enrolled && !identity.promoting) {
        check_enrolled(session, &identity);
    }
}
