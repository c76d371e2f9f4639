/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the hub's commands, has a program answer each, and sends the answer. */
#include "agent/service/service.h"

#include "agent/enos/message.h"
#include "agent/service/handler.h"
#include "agent/service/log.h"

#define COMMANDS "thing/service/#"
#define RUNS_MAX 4     /* programs at a time */
#define SEEN_MAX 64    /* commands that are remembered, to drop what is delivered twice */
#define SEEN_MS 120000 /* and for how long; the hub itself gives up after a minute */
#define HELD_MAX 16    /* answers that wait for a connection */
#define HELD_MS 30000  /* and for how long: as long as the hub waits */
#define RETRY_US ((uint64_t)1000000)

/* The one service that needs no program: it is ours. */
#define INSTALL_CERTIFICATE "installCertificate"

struct run {
    struct commander *commander;
    struct handler_run *run; /* NULL: this place is free */
    const struct agent_handler *handler;
    char *rest;
    json_t *id;
};

struct seen {
    char *key; /* topic and id */
    uint64_t at_ms;
};

/* An answer that could not be sent when it was ready. */
struct held {
    char *rest; /* NULL: this place is free */
    char *text;
    size_t size;
    uint64_t end_ms;
};

struct commander {
    struct service *service;
    sd_event_source *retry_source;
    struct held held[HELD_MAX]; /* the oldest first */
    struct run runs[RUNS_MAX];
    struct seen seen[SEEN_MAX];
    size_t next_seen;
    uint64_t received, duplicates, answered;
};

/* --- answers
 * -------------------------------------------------------------------------------------- */

static void drop_held(struct held *held)
{
    free(held->rest);
    free(held->text);
    *held = (struct held){ 0 };
}

/* Between two connections, or behind too many others: a moment later it can be sent. */
static bool is_passing(const struct commander *commander, enum gk_status status)
{
    return status == GK_BUSY || status == GK_UNREACHABLE ||
           session_is_moving(commander->service->session);
}

static void retry_later(struct commander *commander)
{
    sd_event_source_set_time_relative(commander->retry_source, RETRY_US);
    sd_event_source_set_enabled(commander->retry_source, SD_EVENT_ONESHOT);
}

/* Takes rest and text. The hub does not wait for ever, so neither do we. */
static bool hold(struct commander *commander, char **rest, char **text, size_t size)
{
    for (size_t i = 0; i < HELD_MAX; i++) {
        if (commander->held[i].rest == NULL) {
            commander->held[i] =
                (struct held){ TAKE(*rest), TAKE(*text), size, service_now_ms() + HELD_MS };
            retry_later(commander);
            return true;
        }
    }
    return false;
}

/* True when it is not to be kept any longer. */
static bool send_one(struct commander *commander, const struct held *held)
{
    struct gk_error err = { 0 };
    enum gk_status status =
        session_publish(commander->service->session, held->rest, held->text, held->size, &err);

    if (status == GK_OK) {
        commander->answered++;
        return true;
    }
    if (held->end_ms <= service_now_ms() || !is_passing(commander, status)) {
        log_failure(LOG_LEVEL_WARNING, "answer the hub's command", &err);
        return true;
    }
    return false;
}

/* In their order, as far as the connection takes them; the others move up. */
static void send_held(struct commander *commander)
{
    size_t kept = 0;

    for (size_t i = 0; i < HELD_MAX && commander->held[i].rest != NULL; i++) {
        struct held held = commander->held[i];

        commander->held[i] = (struct held){ 0 };
        if (kept == 0 && send_one(commander, &held)) {
            drop_held(&held);
        } else {
            commander->held[kept++] = held;
        }
    }
    if (kept > 0) {
        retry_later(commander);
    }
}

static int on_retry(sd_event_source *source, uint64_t time, void *context)
{
    (void)source;
    (void)time;
    send_held(context);
    return 0;
}

static void reply(struct commander *commander, const char *rest, json_t *id, enum handler_code code,
                  json_t *data, const char *message)
{
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(gk_freep) char *topic = NULL;
    struct gk_error err = { 0 };
    size_t size = 0;
    enum gk_status status = enos_reply_format(id, (int)code, data, message, &text, &size, &err);
    bool held = false;

    if (status == GK_OK && asprintf(&topic, "%s_reply", rest) < 0) {
        topic = NULL;
        status = gk_fail(&err, GK_NO_MEMORY, NULL);
    }
    if (status == GK_OK) {
        status = session_publish(commander->service->session, topic, text, size, &err);
        held = status != GK_OK && is_passing(commander, status) &&
               hold(commander, &topic, &text, size);
    }
    if (status != GK_OK && !held) {
        log_failure(LOG_LEVEL_WARNING, "answer the hub's command", &err);
        return;
    }
    commander->answered += held ? 0 : 1;
    log_line(code == HANDLER_DONE ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
             "answered the command %s with code %d%s%s%s", rest, (int)code,
             message != NULL ? ": " : "", message != NULL ? message : "",
             held ? ", as soon as there is a connection" : "");
}

/* A program may have sent a child out of its session. Nobody can tell whose, so it waits for the
 * last. */
static void sweep_when_idle(const struct commander *commander)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (commander->runs[i].run != NULL) {
            return;
        }
    }
    handler_sweep();
}

static void on_done(void *context, enum handler_code code, json_t *data, const char *message)
{
    struct run *run = context;
    struct commander *commander = run->commander;

    reply(commander, run->rest, run->id, code, data, message);
    free(run->rest);
    json_decref(run->id);
    *run = (struct run){ 0 };
    sweep_when_idle(commander);
}

/* --- commands
 * ------------------------------------------------------------------------------------- */

/* A broker may deliver a message twice, and one that we did not subscribe to besides. */
static bool was_seen(struct commander *commander, const char *rest, const json_t *id)
{
    CLEANUP(gk_freep) char *id_text = json_dumps(id, JSON_ENCODE_ANY);
    uint64_t now = service_now_ms();
    struct seen *slot = &commander->seen[commander->next_seen];
    char *key = NULL;

    if (id_text == NULL || asprintf(&key, "%s %s", rest, id_text) < 0) {
        return false;
    }
    for (size_t i = 0; i < SEEN_MAX; i++) {
        const struct seen *seen = &commander->seen[i];

        if (seen->key != NULL && now - seen->at_ms < SEEN_MS && strcmp(seen->key, key) == 0) {
            free(key);
            return true;
        }
    }
    free(slot->key);
    *slot = (struct seen){ key, now };
    commander->next_seen = (commander->next_seen + 1) % SEEN_MAX;
    return false;
}

static const struct agent_handler *find_handler(const struct agent_config *config,
                                                const char *service)
{
    for (size_t i = 0; i < config->handler_count; i++) {
        if (strcmp(config->handlers[i].service, service) == 0) {
            return &config->handlers[i];
        }
    }
    return NULL;
}

/* One program of a kind at a time, so that none of them has to think of its own twin. */
static struct run *find_place(struct commander *commander, const struct agent_handler *handler)
{
    struct run *place = NULL;

    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (commander->runs[i].run == NULL) {
            place = &commander->runs[i];
        } else if (commander->runs[i].handler == handler) {
            return NULL;
        }
    }
    return place;
}

static void start(struct commander *commander, const struct agent_handler *handler,
                  const char *rest, const struct enos_request *request)
{
    CLEANUP(gk_freep) char *input = json_dumps(request->params, JSON_COMPACT | JSON_ENCODE_ANY);
    struct run *place = find_place(commander, handler);
    struct gk_error err = { 0 };
    enum gk_status status;

    if (place == NULL) {
        reply(commander, rest, request->id, HANDLER_BUSY, NULL, "busy with an earlier command");
        return;
    }
    *place = (struct run){ .commander = commander,
                           .handler = handler,
                           .rest = strdup(rest),
                           .id = json_incref(request->id) };
    if (place->rest == NULL) {
        status = gk_fail(&err, GK_NO_MEMORY, NULL);
    } else {
        /* Without parameters the program gets an empty object. */
        const char *text = input != NULL ? input : "{}";

        status = handler_start(commander->service->event, handler, text, strlen(text),
                               HANDLER_TIME_MS, on_done, place, &place->run, &err);
    }
    if (status != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "run the program for a command", &err);
        /* The hub need not know our paths. */
        on_done(place, HANDLER_NOT_RUNNABLE, NULL, "the program cannot be run");
    }
}

/* The application beside the hub sends a certificate; what it is worth, gatekey install finds out.
 */
static void take_certificate(struct commander *commander, const char *rest,
                             const struct enos_request *request)
{
    struct gk_error err = { 0 };
    enum gk_status status =
        inbox_put(commander->service->config, request->id, request->params, &err);

    if (status == GK_OK) {
        reply(commander, rest, request->id, HANDLER_DONE, NULL, NULL);
        return;
    }
    log_failure(LOG_LEVEL_WARNING, "keep a certificate from the hub", &err);
    /* The hub need not know our paths. */
    reply(commander, rest, request->id,
          status == GK_BUSY          ? HANDLER_BUSY
          : status == GK_HUB_GARBLED ? HANDLER_BAD_COMMAND
                                     : HANDLER_FAILED,
          NULL, gk_status_cause(status));
}

void commander_receive(struct commander *commander, const char *rest, const void *payload,
                       size_t size)
{
    CLEANUP(enos_request_clear) struct enos_request request = { 0 };
    const char *service = enos_service_of(rest);
    const struct agent_handler *handler;
    struct gk_error err = { 0 };

    if (service == NULL) {
        return;
    }
    commander->received++;
    if (enos_request_parse(payload, size, &request, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "read the hub's command", &err);
        reply(commander, rest, NULL, HANDLER_BAD_COMMAND, NULL, "not a JSON envelope");
        return;
    }
    if (request.id != NULL && was_seen(commander, rest, request.id)) {
        commander->duplicates++;
        return;
    }
    if (strcmp(service, INSTALL_CERTIFICATE) == 0) {
        take_certificate(commander, rest, &request);
        return;
    }
    handler = find_handler(commander->service->config, service);
    if (handler == NULL) {
        reply(commander, rest, request.id, HANDLER_NOT_CONFIGURED, NULL,
              "no program is configured for this service");
        return;
    }
    start(commander, handler, rest, &request);
}

/* --- the rest
 * ------------------------------------------------------------------------------------- */

void commander_up(struct commander *commander)
{
    struct gk_error err = { 0 };

    if (session_subscribe(commander->service->session, COMMANDS, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "subscribe to commands", &err);
    }
    send_held(commander);
}

void commander_describe(const struct commander *commander, json_t *status)
{
    json_object_set_new(status, "commands", json_integer((json_int_t)commander->received));
    json_object_set_new(status, "duplicates", json_integer((json_int_t)commander->duplicates));
    json_object_set_new(status, "answered", json_integer((json_int_t)commander->answered));
}

enum gk_status commander_new(struct service *service, struct commander **commander,
                             struct gk_error *err)
{
    struct commander *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    code = sd_event_add_time_relative(service->event, &made->retry_source, CLOCK_BOOTTIME, RETRY_US,
                                      0, on_retry, made);
    if (code < 0) {
        commander_free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    inbox_sweep(service->config);
    *commander = made;
    return GK_OK;
}

void commander_free(struct commander *commander)
{
    if (commander == NULL) {
        return;
    }
    for (size_t i = 0; i < RUNS_MAX; i++) {
        handler_cancel(commander->runs[i].run);
        free(commander->runs[i].rest);
        json_decref(commander->runs[i].id);
    }
    for (size_t i = 0; i < SEEN_MAX; i++) {
        free(commander->seen[i].key);
    }
    for (size_t i = 0; i < HELD_MAX; i++) {
        drop_held(&commander->held[i]);
    }
    sd_event_source_disable_unref(commander->retry_source);
    free(commander);
    handler_sweep();
}
