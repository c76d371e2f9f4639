/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the gateway connected: when to try, when to wait, when to leave it. */
#include "agent/service/session-internal.h"

#include "agent/secret.h"
#include "agent/service/log.h"

#include <poll.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define TICK_US ((uint64_t)1000000)
#define LASTING_MS 120000 /* a connection that stood so long begins the backoff anew */
#define GOODBYE_MS 1000
#define VERDICT_MS 20000 /* the longest that "reconnect" waits for its turn */

static void attempt(struct session *session, bool patient);

uint64_t service_now_ms(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- what others are told
 * ------------------------------------------------------------------------- */

static void tell_verdict(struct session *session, const struct gk_error *err)
{
    session_verdict *verdict = session->verdict;

    session->verdict = NULL;
    if (verdict != NULL) {
        verdict(session->verdict_context, err);
    }
}

/* Enters a phase; the log and systemd hear of changes only. */
static void enter(struct session *session, enum phase phase)
{
    const struct agent_config *config = session->service->config;
    char sentence[1024];

    if (phase == NOT_ENROLLED && session->phase != NOT_ENROLLED) {
        log_line(LOG_LEVEL_NOTICE, "not enrolled; waiting for gatekey enroll");
    } else if (phase == STOPPED && session->phase != STOPPED) {
        log_line(LOG_LEVEL_NOTICE, "disconnected as asked; waiting for another identity");
    } else if (phase == CONNECTED) {
        log_line(LOG_LEVEL_NOTICE, "connected to %s port %u as device %s of product %s",
                 config->host, config->port, config->device_key, config->product_key);
    }
    session->phase = phase;
    if (phase == WAITING) {
        gk_error_sentence(&session->last, "connect", sentence, sizeof(sentence));
        sd_notifyf(0, "STATUS=%s", sentence);
    } else {
        sd_notifyf(0, "STATUS=%s", session_phase_name(phase));
    }
}

/* One line per reason, not per attempt. */
static void log_reason(struct session *session, const struct gk_error *err, bool was_connected)
{
    if (was_connected || err->status != session->last.status ||
        strcmp(err->object, session->last.object) != 0) {
        log_failure(LOG_LEVEL_WARNING, was_connected ? "stay connected" : "connect", err);
    }
    session->last = *err;
}

/* --- the link's descriptor
 * ------------------------------------------------------------------------ */

static int on_io(sd_event_source *source, int fd, uint32_t events, void *context);

/*
 * libmosquitto closes and opens descriptors as it pleases, and numbers come back: so the source is
 * taken off before the link works, and made anew after it.
 */
static void unwatch(struct session *session)
{
    session->io_source = sd_event_source_disable_unref(session->io_source);
}

void session_watch_link(struct session *session)
{
    unwatch(session);
    if (session->link != NULL && agent_link_fd(session->link) >= 0) {
        int code = sd_event_add_io(session->service->event, &session->io_source,
                                   agent_link_fd(session->link),
                                   (uint32_t)agent_link_poll(session->link), on_io, session);

        if (code < 0) {
            log_line(LOG_LEVEL_ERROR, "cannot watch the connection: %s", strerror(-code));
        }
    }
}

static void drop_link(struct session *session)
{
    unwatch(session);
    agent_link_free(TAKE(session->link));
}

/* Send what is queued and the DISCONNECT, as far as that goes without waiting for long. */
static void say_goodbye(struct session *session)
{
    uint64_t end = service_now_ms() + GOODBYE_MS;

    unwatch(session);
    if (session->link != NULL && session->phase == CONNECTED) {
        agent_link_disconnect(session->link);
        while (agent_link_step(session->link, POLLOUT, NULL) == GK_OK && service_now_ms() < end) {
            nanosleep(&(const struct timespec){ 0, 10000000 }, NULL);
        }
    }
    drop_link(session);
}

/* --- attempts
 * ------------------------------------------------------------------------------------- */

static int on_wait_over(sd_event_source *source, uint64_t time, void *context)
{
    (void)source;
    (void)time;
    attempt(context, true);
    return 0;
}

static void wait_for(struct session *session, int64_t wait_ms)
{
    uint64_t delay_us = (uint64_t)wait_ms * 1000;

    session->next_ms = service_now_ms() + (uint64_t)wait_ms;
    if (session->wait_source == NULL) {
        sd_event_add_time_relative(session->service->event, &session->wait_source, CLOCK_BOOTTIME,
                                   delay_us, 0, on_wait_over, session);
    } else {
        sd_event_source_set_time_relative(session->wait_source, delay_us);
        sd_event_source_set_enabled(session->wait_source, SD_EVENT_ONESHOT);
    }
    enter(session, WAITING);
}

static void stop_waiting(struct session *session)
{
    sd_event_source_set_enabled(session->wait_source, SD_EVENT_OFF);
}

/* The attempt or the connection is over. */
static void went_down(struct session *session, const struct gk_error *err)
{
    bool was_connected = session->phase == CONNECTED;
    bool sent = session->link != NULL && agent_link_has_sent_connect(session->link);
    struct gk_error why = *err;
    int64_t wait_ms;

    drop_link(session);
    if (why.status == GK_UNREACHABLE) {
        gk_advise(&why, "check the network and the address; gatekeyd tries again by itself");
    }
    log_reason(session, &why, was_connected);
    wait_ms = patience_failed(session->service, sent);
    wait_for(session, wait_ms);
    if (was_connected) {
        publisher_down(session->service->publisher, &why);
    }
    tell_verdict(session, &why);
}

static void step(struct session *session, short revents)
{
    struct gk_error err = { 0 };
    enum gk_status status;

    unwatch(session);
    status = agent_link_step(session->link, revents, &err);
    if (status != GK_OK) {
        went_down(session, &err);
        return;
    }
    session_watch_link(session);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *context)
{
    (void)source;
    (void)fd;
    step(context, (short)events);
    return 0;
}

static int on_tick(sd_event_source *source, uint64_t time, void *context)
{
    struct session *session = context;

    (void)time;
    if (session->link != NULL) {
        step(session, 0);
    }
    if (session->phase == CONNECTED && !session->lasted &&
        service_now_ms() - session->since_ms > LASTING_MS) {
        session->lasted = true;
        patience_lasted(session->service);
    }
    sd_event_source_set_time_relative(source, TICK_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_up(void *context)
{
    struct session *session = context;

    session->connects++;
    session->since_ms = service_now_ms();
    session->since = (int64_t)time(NULL);
    session->lasted = false;
    session->last = (struct gk_error){ 0 };
    enter(session, CONNECTED);
    publisher_up(session->service->publisher);
    commander_up(session->service->commander);
    tell_verdict(session, NULL);
}

static const char *rest_of(const struct session *session, const char *topic)
{
    return enos_topic_rest(session->service->config->product_key,
                           session->service->config->device_key, topic);
}

static void on_message(void *context, const char *topic, const void *payload, size_t size)
{
    struct session *session = context;
    const char *rest = rest_of(session, topic);

    if (rest != NULL && !publisher_receive(session->service->publisher, rest, payload, size)) {
        commander_receive(session->service->commander, rest, payload, size);
    }
}

static void on_unsubscribed(void *context, const char *topic)
{
    struct session *session = context;
    const char *rest = rest_of(session, topic);

    if (rest != NULL) {
        log_line(LOG_LEVEL_WARNING, "the hub refused the subscription to %s", rest);
        publisher_refused(session->service->publisher, rest);
    }
}

static const struct agent_link_events events = { on_up, on_message, on_unsubscribed };

static enum gk_status start_link(struct session *session, struct gk_error *err)
{
    struct agent_link_options options = {
        .mode = ENOS_STATIC, .pair = AGENT_PAIR_CURRENT, .events = &events, .context = session
    };
    CLEANUP(agent_secret_clear) struct agent_secret secret = { 0 };
    enum gk_status status = agent_secret_load(session->service->config, &secret, err);

    if (status != GK_OK) {
        return status;
    }
    options.secret = secret.text;
    return agent_link_start(session->service->config, session->service->openssl, &options,
                            &session->link, err);
}

/* The budget or the backoff says: not yet. Whoever waits for a verdict is not kept for long. */
static void put_off(struct session *session, int64_t wait_ms)
{
    struct gk_error err = { 0 };

    if (session->last.status == GK_OK) {
        gk_fail(&session->last, GK_THROTTLED, "%s", session->service->config->host);
    }
    wait_for(session, wait_ms);
    if (wait_ms > VERDICT_MS) {
        gk_fail(&err, GK_THROTTLED, "%s", session->service->config->host);
        gk_advise(&err, "gatekeyd connects by itself in %lld s", (long long)(wait_ms + 999) / 1000);
        tell_verdict(session, &err);
    }
}

/* Connect now if the budget allows. patient: keep to the backoff as well. */
static void attempt(struct session *session, bool patient)
{
    struct gk_error err = { 0 };
    struct identity identity;
    int64_t wait_ms = 0;
    enum gk_status status = patience_take(session->service, patient, &wait_ms, &err);

    if (status == GK_OK && wait_ms > 0) {
        put_off(session, wait_ms);
        return;
    }
    stop_waiting(session);
    if (status == GK_OK) {
        status = identity_look(session->service->config, &identity, &err);
        memcpy(session->mark, identity.mark, sizeof(session->mark));
    }
    session->attempts++;
    if (status == GK_OK) {
        status = start_link(session, &err);
    }
    if (status != GK_OK) {
        went_down(session, &err);
        return;
    }
    enter(session, CONNECTING);
    session_watch_link(session);
}

/* --- the identity
 * --------------------------------------------------------------------------------- */

static void leave(struct session *session, enum phase phase, const struct gk_error *why)
{
    say_goodbye(session);
    stop_waiting(session);
    publisher_down(session->service->publisher, why);
    enter(session, phase);
    session->last = *why;
    tell_verdict(session, why);
}

static void on_identity_changed(void *context)
{
    struct session *session = context;
    struct gk_error why = { 0 };
    struct identity identity;

    if (identity_look(session->service->config, &identity, &why) != GK_OK) {
        /* A connection stays, and an attempt that waits will find out; here nobody else would. */
        if (session->phase == NOT_ENROLLED) {
            attempt(session, true);
        }
    } else if (!identity.enrolled && !identity.certified) {
        if (session->phase != NOT_ENROLLED) {
            gk_fail(&why, GK_NOT_ENROLLED, "%s", session->service->config->directory);
            leave(session, NOT_ENROLLED, &why);
        }
    } else if (identity.enrolled && session->phase == NOT_ENROLLED) {
        log_line(LOG_LEVEL_NOTICE, "enrolled");
        attempt(session, true);
    } else if (identity.enrolled && strcmp(identity.mark, session->mark) != 0) {
        log_line(LOG_LEVEL_NOTICE, "the identity was replaced; connecting with the new one");
        gk_fail(&why, GK_UNREACHABLE, "the identity was replaced");
        say_goodbye(session);
        publisher_down(session->service->publisher, &why);
        attempt(session, true);
    }
}

void session_reconnect(struct session *session, session_verdict *verdict, void *context)
{
    struct gk_error why = { 0 };
    struct identity identity;
    enum gk_status status;

    if (session->verdict != NULL) {
        gk_fail(&why, GK_LOCK_HELD, "somebody else asked gatekeyd to reconnect");
        verdict(context, &why);
        return;
    }
    status = identity_look(session->service->config, &identity, &why);
    if (status == GK_OK && !identity.enrolled && !identity.certified) {
        status = gk_fail(&why, GK_NOT_ENROLLED, "%s", session->service->config->directory);
    }
    if (status != GK_OK) {
        verdict(context, &why);
        return;
    }
    gk_fail(&why, GK_UNREACHABLE, "gatekeyd was told to reconnect");
    say_goodbye(session);
    publisher_down(session->service->publisher, &why);
    session->verdict = verdict;
    session->verdict_context = context;
    attempt(session, false);
}

void session_forget(struct session *session, const void *context)
{
    if (session->verdict != NULL && session->verdict_context == context) {
        session->verdict = NULL;
    }
}

void session_stop(struct session *session)
{
    struct gk_error why = { 0 };
    struct identity identity;
    enum gk_status status;

    status = identity_look(session->service->config, &identity, NULL);
    memcpy(session->mark, identity.mark, sizeof(session->mark));
    gk_fail(&why, GK_UNREACHABLE, "gatekeyd was told to stay disconnected");
    leave(session,
          status != GK_OK || identity.enrolled || identity.certified ? STOPPED : NOT_ENROLLED,
          &why);
}

enum gk_status session_new(struct service *service, struct session **session, struct gk_error *err)
{
    CLEANUP(session_freep) struct session *made = calloc(1, sizeof(*made));
    struct identity identity;
    enum gk_status status;
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->phase = WAITING;
    status = identity_watch_new(service->event, service->config->directory, on_identity_changed,
                                made, &made->watch, err);
    if (status != GK_OK) {
        return status;
    }
    code = sd_event_add_time_relative(service->event, &made->tick_source, CLOCK_BOOTTIME, TICK_US,
                                      0, on_tick, made);
    if (code < 0) {
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    /* An attempt finds out, says and tries again what is wrong with an identity. */
    if (identity_look(service->config, &identity, NULL) != GK_OK || identity.enrolled) {
        attempt(made, true);
    } else {
        enter(made, NOT_ENROLLED);
        gk_fail(&made->last, GK_NOT_ENROLLED, "%s", service->config->directory);
    }
    *session = TAKE(made);
    return GK_OK;
}

void session_free(struct session *session)
{
    if (session == NULL) {
        return;
    }
    say_goodbye(session);
    identity_watch_free(session->watch);
    sd_event_source_disable_unref(session->tick_source);
    sd_event_source_disable_unref(session->wait_source);
    free(session);
}
