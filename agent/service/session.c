/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the gateway connected: when to try, when to wait, when to leave it. */
#include "agent/service/session-internal.h"

#include "agent/service/log.h"

#include <time.h>

#define LASTING_MS 120000 /* a connection that stood so long begins the backoff anew */
/* For a new certificate, so that there is time for the way back in the 30 s that messages are kept.
 */
#define TRY_MS 12000
#define KNOCK_MS ((int64_t)6 * 3600 * 1000) /* how often while our certificate is revoked */

uint64_t service_now_ms(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- what others are told
 * ------------------------------------------------------------------------- */

void session_tell(struct session *session, const struct gk_error *err)
{
    session_verdict *verdict = session->verdict;

    session->verdict = NULL;
    if (verdict != NULL) {
        verdict(session->verdict_context, err);
    }
}

/* --- attempts
 * ------------------------------------------------------------------------------------- */

/* What was kept for the next connection is not kept any longer. */
static void give_up(struct session *session, const struct gk_error *why)
{
    session->moving = false;
    uplink_down(session->service->uplink);
    publisher_down(session->service->publisher, why);
}

/* The new certificate was tried, and there was room in the budget for the way back. */
static void go_back(struct session *session, const struct gk_error *why, bool sent)
{
    log_failure(LOG_LEVEL_WARNING, "connect with the new certificate", why);
    log_line(LOG_LEVEL_NOTICE, "going back to the certificate in use");
    if (!sent) {
        patience_give_back(session->service->patience, session->taken_ms);
    }
    session_tell(session, why);
    session_attempt(session, false);
}

static void begin_with(struct session *session, const char *host)
{
    snprintf(session->first_host, sizeof(session->first_host), "%s", host);
}

/* A CONNECT that was sent counts with the hub; what did not come so far costs it nothing. */
static int64_t be_patient(struct session *session, bool sent, bool lost)
{
    if (sent) {
        session->misses = 0;
        return patience_failed(session->service->patience, lost);
    }
    return patience_missed(session->service->patience, session->taken_ms, ++session->misses, lost);
}

/* The attempt or the connection is over. */
static void went_down(struct session *session, const struct gk_error *err)
{
    bool was_connected = session->phase == CONNECTED;
    bool sent = session->link != NULL && agent_link_has_sent_connect(session->link);
    bool tried = session->pair == AGENT_PAIR_NEXT && !was_connected;
    bool hub_is_down = session->link != NULL && agent_link_is_turned_away(session->link);
    struct gk_error why = *err;
    int64_t wait_ms;

    if (session->link != NULL && !was_connected) {
        begin_with(session, agent_link_other_host(session->link));
    }
    session_drop_link(session);
    session->plan = NO_PLAN;
    session->pair = AGENT_PAIR_CURRENT;
    if (sent) {
        revocation_doubt(session, &why);
    }
    if (tried) {
        go_back(session, &why, sent);
        return;
    }
    if (why.status == GK_UNREACHABLE && why.advice[0] == '\0') {
        gk_advise(&why, "check the network and the address; gatekeyd tries again by itself");
    }
    session_log_reason(session, &why, was_connected);
    wait_ms = be_patient(session, sent, was_connected || hub_is_down);
    session->patient = true;
    if (why.status == GK_REVOKED) {
        agent_tls_session_forget(session->tls);
        session_wait(session, REVOKED, KNOCK_MS);
    } else {
        session_wait(session, WAITING, wait_ms);
    }
    if (was_connected || session->moving) {
        give_up(session, &why);
    }
    session_tell(session, &why);
}

/* Once libmosquitto is done: what is sent while it still handles the CONNACK, it sends twice. */
static void arrive(struct session *session)
{
    session->accepted = false;
    session->moving = false;
    commander_up(session->service->commander);
    expiry_check(session->service->expiry);
    notices_up(session->service->notices);
    uplink_up(session->service->uplink);
    /* Whoever wants to know of the next connection, or of the next pair, is not told of this one.
     */
    if (session->plan == NO_PLAN) {
        session_tell(session, NULL);
    }
}

/* The hub counts from when the CONNECT came, which may be a while after the attempt began. */
static void count_connect(struct session *session)
{
    if (!session->counted && agent_link_has_sent_connect(session->link)) {
        session->counted = true;
        session->taken_ms = patience_sent(session->service->patience, session->taken_ms);
    }
}

void session_step(struct session *session, short revents)
{
    struct gk_error err = { 0 };
    enum gk_status status;

    /* Once it is up, libmosquitto may close its descriptor, but opens no other. */
    if (session->phase != CONNECTED) {
        session_unwatch_link(session);
    }
    status = agent_link_step(session->link, revents, &err);
    count_connect(session);
    if (status != GK_OK) {
        went_down(session, &err);
        return;
    }
    if (session->accepted) {
        arrive(session);
    }
    session_watch_link(session);
}

/* Once for as long as it stays the same remark; its numbers change with each connection. */
static void log_remark(struct session *session)
{
    const char *remark = agent_link_remark(session->link);

    if (remark != NULL && !session->remarked) {
        log_line(LOG_LEVEL_WARNING,
                 "whether the hub's certificate is revoked is not known for sure: %s; run gatekey "
                 "refresh, and see why no newer list comes",
                 remark);
    }
    session->remarked = remark != NULL;
}

static int on_lasting(sd_event_source *source, uint64_t time, void *context)
{
    const struct session *session = context;

    (void)source;
    (void)time;
    patience_lasted(session->service->patience);
    return 0;
}

static void on_up(void *context)
{
    struct session *session = context;

    session->connects++;
    session->resumed += agent_link_is_resumed(session->link) ? 1 : 0;
    session->misses = 0;
    begin_with(session, agent_link_host(session->link));
    session->since = (int64_t)time(NULL);
    session_after(session, &session->lasting_source, LASTING_MS, on_lasting);
    session->last = (struct gk_error){ 0 };
    session->accepted = true;
    session->known = session->identity.current;
    session_enter(session, CONNECTED);
    log_remark(session);
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

    if (rest != NULL && !commander_refused(session->service->commander, rest)) {
        log_line(LOG_LEVEL_WARNING, "the hub refused the subscription to %s", rest);
        publisher_refused(session->service->publisher, rest);
    }
}

static void on_acknowledged(void *context, int mid)
{
    struct session *session = context;

    publisher_acknowledged(session->service->publisher, mid);
    commander_acknowledged(session->service->commander, mid);
}

static const struct agent_link_events events = { on_up, on_message, on_unsubscribed,
                                                 on_acknowledged };

static enum gk_status start_link(struct session *session, struct gk_error *err)
{
    struct agent_link_options options = { .mode = ENOS_STATIC,
                                          .pair = session->pair,
                                          .first_host = session->first_host,
                                          .session = session_resumable(session),
                                          .events = &events,
                                          .context = session };
    enum gk_status status = session_open_secret(session, &options.secret, err);

    if (status != GK_OK) {
        return status;
    }
    session->resuming = agent_tls_session_is_kept(options.session);
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
    session_wait(session, WAITING, wait_ms);
    if (wait_ms > VERDICT_MS) {
        session->pair = AGENT_PAIR_CURRENT;
        gk_fail(&err, GK_THROTTLED, "%s", session->service->config->host);
        gk_advise(&err, "gatekeyd connects by itself in %lld s", (long long)(wait_ms + 999) / 1000);
        give_up(session, &err);
        session_tell(session, &err);
    }
}

/* What the attempt is made with, as it is now. */
static enum gk_status look(struct session *session, struct gk_error *err)
{
    struct identity identity;
    enum gk_status status = identity_look(session->service, &identity, err);

    if (session->pair == AGENT_PAIR_NEXT) {
        identity.current = identity.next;
    }
    session->identity = identity;
    return status;
}

static int on_try_over(sd_event_source *source, uint64_t time, void *context)
{
    struct session *session = context;
    struct gk_error err = { 0 };

    (void)source;
    (void)time;
    if (session->phase == CONNECTING && session->pair == AGENT_PAIR_NEXT) {
        gk_fail(&err, GK_UNREACHABLE, "%s does not answer", agent_link_host(session->link));
        went_down(session, &err);
    }
    return 0;
}

void session_attempt(struct session *session, bool patient)
{
    struct gk_error err = { 0 };
    int64_t wait_ms = 0;
    enum gk_status status = clock_watch_look(session->service->clock, &err);

    session->patient = patient;
    if (status != GK_OK) {
        session_leave(session, CLOCK_WRONG, &err);
        return;
    }
    session->taken_ms = PATIENCE_NONE; /* the last one may have been sent: it is not given back */
    status = patience_take(session->service->patience, patient, &wait_ms, &session->taken_ms, &err);
    if (status == GK_OK && wait_ms > 0) {
        put_off(session, wait_ms);
        return;
    }
    session_stop_waiting(session);
    session->counted = false;
    if (status == GK_OK) {
        status = look(session, &err);
    }
    session->attempts++;
    if (status == GK_OK) {
        status = revocation_look_up(session, &err);
    }
    if (status == GK_OK) {
        status = start_link(session, &err);
    }
    if (status != GK_OK) {
        went_down(session, &err);
        return;
    }
    session_enter(session, CONNECTING);
    if (session->pair == AGENT_PAIR_NEXT) {
        session_after(session, &session->try_source, TRY_MS, on_try_over);
    }
    session_watch_link(session);
}

void session_move(struct session *session, enum agent_pair pair)
{
    const struct gk_error between = { .status = GK_UNREACHABLE,
                                      .object = "between two connections" };

    if (session->phase == CONNECTED) {
        session->moving = true;
    }
    session_say_goodbye(session);
    session_stop_waiting(session);
    if (session->moving) {
        uplink_down(session->service->uplink);
        publisher_down(session->service->publisher, &between);
    }
    session->plan = NO_PLAN;
    session->pair = pair;
    session_attempt(session, false);
}

void session_end_revoked(struct session *session, const struct gk_error *why)
{
    session_log_reason(session, why, session->phase == CONNECTED);
    session_say_goodbye(session);
    agent_tls_session_forget(session->tls);
    session->plan = NO_PLAN;
    session->pair = AGENT_PAIR_CURRENT;
    session->patient = true;
    session_wait(session, REVOKED, KNOCK_MS);
    give_up(session, why);
    session_tell(session, why);
}

void session_leave(struct session *session, enum phase phase, const struct gk_error *why)
{
    session_say_goodbye(session);
    session_forget_keys(session);
    session_stop_waiting(session);
    session->plan = NO_PLAN;
    session->pair = AGENT_PAIR_CURRENT;
    give_up(session, why);
    session->last = *why;
    session_enter(session, phase);
    session_tell(session, why);
}

/* --- the whole
 * ---------------------------------------------------------------------------------------- */

/* The roots may lie elsewhere. What cannot be watched is seen at the next connection. */
static void watch_roots(struct session *session)
{
    const struct agent_config *config = session->service->config;
    const char *slash = config->hub_ca_file != NULL ? strrchr(config->hub_ca_file, '/') : NULL;
    struct gk_error err = { 0 };

    if (slash == NULL) {
        return;
    }
    session->roots_directory =
        slash == config->hub_ca_file
            ? strdup("/")
            : strndup(config->hub_ca_file, (size_t)(slash - config->hub_ca_file));
    if (session->roots_directory == NULL ||
        watch_new(session->service->event, session->roots_directory, session_look_around, session,
                  &session->roots_watch, &err) != GK_OK) {
        log_line(LOG_LEVEL_WARNING, "cannot watch %s for changes", config->hub_ca_file);
    }
}

static enum gk_status watch_all(struct session *session, struct gk_error *err)
{
    struct service *service = session->service;
    enum gk_status status = watch_new(service->event, service->config->directory,
                                      session_look_around, session, &session->watch, err);

    if (status != GK_OK) {
        return status;
    }
    watch_roots(session);
    return GK_OK;
}

enum gk_status session_new(struct service *service, struct session **session, struct gk_error *err)
{
    CLEANUP(session_freep) struct session *made = calloc(1, sizeof(*made));
    struct identity identity;
    enum gk_status status;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->phase = WAITING;
    made->pair = AGENT_PAIR_CURRENT;
    status = agent_tls_session_new(&made->tls, err);
    if (status == GK_OK) {
        status = watch_all(made, err);
    }
    if (status != GK_OK) {
        return status;
    }
    /* An attempt finds out, says and tries again what is wrong with an identity. */
    if (identity_look(service, &identity, NULL) != GK_OK || identity.enrolled) {
        session_attempt(made, true);
    } else {
        session_enter(made, NOT_ENROLLED);
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
    session_say_goodbye(session);
    session_forget_keys(session);
    agent_tls_session_free(session->tls);
    watch_free(session->watch);
    watch_free(session->roots_watch);
    session_free_waits(session);
    sd_event_source_disable_unref(session->plan_source);
    free(session->roots_directory);
    free(session);
}
