/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay's connection to the local broker.
 *
 * The order that the promise stands on: libmosquitto is told that it is threaded, so a PUBACK is
 * only queued while a message is handed to us and leaves with mosquitto_loop_write(). Between the
 * two lies the commit, one for all that was read. When it fails the connection is dropped, what was
 * queued with it, and the broker delivers again.
 */
#include "agent/service/relay-internal.h"

#include "agent/local.h"
#include "agent/service/log.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define READS_MAX 256 /* packets at a time, so that a flood leaves time for the rest */
#define RETRY_MIN_US ((uint64_t)1000000)
#define RETRY_MAX_US ((uint64_t)60000000)
#define CONNACK_US ((uint64_t)30000000)
/* A local broker's end shows at once, so this only finds one that hangs. A ping leaves when the
 * timer ends and KEEPALIVE_S have passed; the broker waits one and a half times as long. */
#define KEEPALIVE_S 600
#define ALIVE_US ((uint64_t)280000000)
/* What a broker may send before it has our PUBACKs: some commits' worth. */
#define RECEIVE_MAX 1024
#define HANGUPS_MAX 2 /* one may be a broker's end that has nothing to do with what we speak */

static void attempt(struct relay *relay);

static const char *const filters[] = { "gatekey/up/#", "gatekey/reply/#" };
#define FILTERS (sizeof(filters) / sizeof(filters[0]))

/* --- waiting --------------------------------------------------------------------------------- */

static void arm(sd_event_source *source, uint64_t delay_us)
{
    sd_event_source_set_time_relative(source, delay_us);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_changed(void *context)
{
    struct relay *relay = context;

    relay->attempts = 0;
    attempt(relay);
}

static void watch_one(struct relay *relay, const char *folder, struct watch **watch)
{
    struct gk_error err = { 0 };

    if (*watch == NULL && access(folder, F_OK) == 0 &&
        watch_new(relay->service->event, folder, on_changed, relay, watch, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "wait for the local broker", &err);
    }
}

static void unwatch(struct relay *relay)
{
    watch_free(TAKE(relay->folder_watch));
    watch_free(TAKE(relay->parent_watch));
}

/* The socket's folder comes and goes with the broker's unit; the one above is ours. */
static void watch_for_socket(struct relay *relay)
{
    if (relay->folder_watch != NULL && access(relay->folder, F_OK) != 0) {
        watch_free(TAKE(relay->folder_watch));
    }
    watch_one(relay, relay->folder, &relay->folder_watch);
    watch_one(relay, relay->parent, &relay->parent_watch);
}

/* Where there is no socket, its folder says when there is one; else another attempt is due. */
static void wait_for_broker(struct relay *relay)
{
    uint64_t delay = RETRY_MIN_US << (relay->attempts < 6 ? relay->attempts : 6);
    bool watched;

    watch_for_socket(relay);
    watched = relay->folder_watch != NULL || relay->parent_watch != NULL;
    relay->attempts++;
    if (!watched || access(relay->path, F_OK) == 0) {
        arm(relay->retry_source, delay < RETRY_MAX_US ? delay : RETRY_MAX_US);
    }
}

/* --- the end of a connection ----------------------------------------------------------------- */

static void drop(struct relay *relay)
{
    relay->io_source = sd_event_source_disable_unref(relay->io_source);
    sd_event_source_set_enabled(relay->alive_source, SD_EVENT_OFF);
    sd_event_source_set_enabled(relay->retry_source, SD_EVENT_OFF);
    /* With it goes what it had queued, PUBACKs among that. */
    mosquitto_destroy(TAKE(relay->mosquitto));
    if (relay->connected) {
        relay->changed_s = time(NULL);
        relay->down_since_ms = service_now_ms();
    }
    relay->connected = relay->closed = false;
    relay_forget(relay);
    relay->failed = false;
    relay_queue_down(relay);
}

/* Once per reason: a broker that is away may be so for months. */
static void say(struct relay *relay, enum log_level level, const char *why)
{
    if (strcmp(relay->said, why) != 0) {
        snprintf(relay->said, sizeof(relay->said), "%s", why);
        log_line(level, "no connection to the local broker on %s: %s", relay->path, why);
    }
}

static const char *reason(const struct relay *relay, int code)
{
    if (relay->failed) {
        return "a message could not be stored; it will come again";
    }
    if (relay->connack > 0) {
        return relay->old ? mosquitto_connack_string(relay->connack)
                          : mosquitto_reason_string(relay->connack);
    }
    return relay->goodbye != 0        ? mosquitto_reason_string(relay->goodbye)
           : code != MOSQ_ERR_SUCCESS ? mosquitto_strerror(code)
           : mosquitto_socket(relay->mosquitto) < 0 || relay->closed ? "it hung up"
                                                                     : "it does not answer";
}

/*
 * Is it one that knows MQTT 3.1.1 only? It says so, in its own way; or answers something that is
 * nothing in MQTT 5; or hangs up.
 */
static bool is_old(struct relay *relay, int code)
{
    bool asked = !relay->old && !relay->connected;
    bool silent = relay->connack == 0 && (relay->closed || code != MOSQ_ERR_SUCCESS);

    relay->hangups = asked && silent ? relay->hangups + 1 : 0;
    return asked && (relay->connack == CONNACK_REFUSED_PROTOCOL_VERSION ||
                     relay->connack == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION ||
                     (silent && (code == MOSQ_ERR_PROTOCOL || code == MOSQ_ERR_MALFORMED_PACKET ||
                                 relay->hangups == HANGUPS_MAX)));
}

static void down(struct relay *relay, int code)
{
    const char *why = reason(relay, code);

    relay->old = is_old(relay, code);
    if (relay->old) {
        drop(relay);
        attempt(relay);
        return;
    }
    say(relay, LOG_LEVEL_WARNING, why);
    drop(relay);
    wait_for_broker(relay);
}

/* --- what libmosquitto calls ----------------------------------------------------------------- */

static void on_connect(struct mosquitto *mosquitto, void *context, int code, int flags,
                       const mosquitto_property *properties)
{
    struct relay *relay = context;
    uint16_t alive_s = KEEPALIVE_S;

    (void)mosquitto;
    (void)flags;
    relay->connack = code;
    relay->connected = code == 0;
    mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE, &alive_s, false);
    /* A ping leaves when that is over and we look; the broker waits half as long again. */
    if (alive_s > 0 && alive_s < KEEPALIVE_S) {
        relay->alive_us = (uint64_t)alive_s * 1000000 / 4;
    }
}

static void on_disconnect(struct mosquitto *mosquitto, void *context, int code)
{
    struct relay *relay = context;

    (void)mosquitto;
    relay->closed = true;
    relay->goodbye = code >= MQTT_RC_UNSPECIFIED ? code : 0; /* below are libmosquitto's own */
}

static void on_subscribe(struct mosquitto *mosquitto, void *context, int mid, int count,
                         const int *granted)
{
    const struct relay *relay = context;

    (void)mosquitto;
    for (size_t i = 0; i < FILTERS; i++) {
        if (relay->filter_mids[i] == mid && count == 1 && granted[0] >= MQTT_RC_UNSPECIFIED) {
            log_line(LOG_LEVEL_WARNING, "the local broker refused the subscription to %s: %s",
                     filters[i], mosquitto_reason_string(granted[0]));
        }
    }
}

static void on_message(struct mosquitto *mosquitto, void *context,
                       const struct mosquitto_message *message)
{
    (void)mosquitto;
    relay_receive(context, message);
}

static void on_publish(struct mosquitto *mosquitto, void *context, int mid, int code,
                       const mosquitto_property *properties)
{
    (void)mosquitto;
    (void)properties;
    relay_queue_done(context, mid, code);
}

/* --- driving it ------------------------------------------------------------------------------ */

static void set_events(struct relay *relay)
{
    sd_event_source_set_io_events(
        relay->io_source, EPOLLIN | (mosquitto_want_write(relay->mosquitto) ? EPOLLOUT : 0));
}

void relay_link_flush(struct relay *relay)
{
    if (relay->io_source != NULL) {
        set_events(relay);
    }
}

static bool is_readable(const struct relay *relay)
{
    int waiting = 0;

    return ioctl(mosquitto_socket(relay->mosquitto), FIONREAD, &waiting) == 0 && waiting > 0;
}

static int read_all(struct relay *relay)
{
    int code = MOSQ_ERR_SUCCESS;

    for (int i = 0; i < READS_MAX && code == MOSQ_ERR_SUCCESS; i++) {
        code = mosquitto_loop_read(relay->mosquitto, 1);
        if (relay->failed || relay->closed || !is_readable(relay)) {
            break;
        }
    }
    return code;
}

static bool is_down(const struct relay *relay, int code)
{
    return code != MOSQ_ERR_SUCCESS || relay->failed || relay->closed || relay->connack > 0 ||
           mosquitto_socket(relay->mosquitto) < 0;
}

static void greet(struct relay *relay)
{
    /* What is retained was taken when it was published. */
    int options = relay->old ? 0 : MQTT_SUB_OPT_NO_LOCAL | MQTT_SUB_OPT_SEND_RETAIN_NEVER;

    sd_event_source_set_enabled(relay->retry_source, SD_EVENT_OFF);
    unwatch(relay);
    relay->attempts = 0;
    relay->said[0] = '\0';
    relay->refused_for = 0;
    relay->changed_s = time(NULL);
    log_line(LOG_LEVEL_INFO, "connected to the local broker on %s%s", relay->path,
             relay->old ? ", which speaks MQTT 3.1.1: no command expires there" : "");
    arm(relay->alive_source, relay->alive_us);
    for (size_t i = 0; i < FILTERS; i++) {
        /* Out of memory it is refused, and the broker says nothing: the next connection will. */
        relay->failed |= mosquitto_subscribe_v5(relay->mosquitto, &relay->filter_mids[i],
                                                filters[i], 1, options, NULL) != MOSQ_ERR_SUCCESS;
    }
    relay_queue_up(relay);
}

static void step(struct relay *relay, uint32_t events)
{
    bool was_connected = relay->connected;
    int code = MOSQ_ERR_SUCCESS;

    if (events != 0) {
        code = read_all(relay);
    } else {
        code = mosquitto_loop_misc(relay->mosquitto);
    }
    relay_commit(relay);
    if (!was_connected && relay->connected && !is_down(relay, code)) {
        greet(relay);
    }
    if (!is_down(relay, code) && mosquitto_want_write(relay->mosquitto)) {
        code = mosquitto_loop_write(relay->mosquitto, READS_MAX);
    }
    if (is_down(relay, code)) {
        down(relay, code);
        return;
    }
    set_events(relay);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *context)
{
    (void)source;
    (void)fd;
    step(context, events);
    return 0;
}

static int on_alive(sd_event_source *source, uint64_t time, void *context)
{
    (void)time;
    arm(source, ((struct relay *)context)->alive_us);
    step(context, 0);
    return 0;
}

/* --- making it ------------------------------------------------------------------------------- */

static bool set_options(struct relay *relay)
{
    struct mosquitto *client = relay->mosquitto;

    return mosquitto_threaded_set(client, true) == MOSQ_ERR_SUCCESS &&
           mosquitto_will_set(client, "gatekey/status", (int)strlen(AGENT_LOCAL_ENDED),
                              AGENT_LOCAL_ENDED, 1, true) == MOSQ_ERR_SUCCESS &&
           mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION,
                                relay->old ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5) ==
               MOSQ_ERR_SUCCESS &&
           mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, RECEIVE_MAX) ==
               MOSQ_ERR_SUCCESS &&
           mosquitto_username_pw_set(client, RELAY_CLIENT_ID, relay->password) == MOSQ_ERR_SUCCESS;
}

static bool set_up(struct relay *relay)
{
    struct mosquitto *client = mosquitto_new(RELAY_CLIENT_ID, false, relay);

    relay->mosquitto = client;
    if (client == NULL) {
        return false;
    }
    mosquitto_connect_v5_callback_set(client, on_connect);
    mosquitto_disconnect_callback_set(client, on_disconnect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    mosquitto_publish_v5_callback_set(client, on_publish);
    return set_options(relay);
}

/* A unix socket takes us at once or not at all: this does not block. */
static int open_connection(struct relay *relay)
{
    mosquitto_property *properties = NULL;
    int code = set_up(relay) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;

    /* As long as the broker likes; MQTT 3.1.1 has no say in it. */
    if (code == MOSQ_ERR_SUCCESS && !relay->old) {
        code = mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                            UINT32_MAX);
    }
    if (code == MOSQ_ERR_SUCCESS) {
        code = mosquitto_connect_bind_v5(relay->mosquitto, relay->path, 0, KEEPALIVE_S, NULL,
                                         properties);
    }
    mosquitto_property_free_all(&properties);
    return code;
}

static void attempt(struct relay *relay)
{
    int code;

    if (relay->mosquitto != NULL) {
        return;
    }
    relay->connack = relay->goodbye = 0;
    relay->alive_us = ALIVE_US;
    errno = 0;
    code = open_connection(relay);
    if (code == MOSQ_ERR_SUCCESS &&
        sd_event_add_io(relay->service->event, &relay->io_source,
                        mosquitto_socket(relay->mosquitto), EPOLLIN | EPOLLOUT, on_io, relay) < 0) {
        code = MOSQ_ERR_NOMEM;
    }
    if (code != MOSQ_ERR_SUCCESS) {
        bool absent = code == MOSQ_ERR_ERRNO && errno == ENOENT;

        say(relay, absent ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
            code == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(code));
        relay->old = false;
        drop(relay);
        wait_for_broker(relay);
        return;
    }
    arm(relay->retry_source, CONNACK_US);
    arm(relay->alive_source, ALIVE_US);
}

/* Time for another attempt, or over for this one. */
static int on_retry(sd_event_source *source, uint64_t time, void *context)
{
    struct relay *relay = context;

    (void)source;
    (void)time;
    if (relay->mosquitto != NULL) {
        down(relay, MOSQ_ERR_SUCCESS);
    } else {
        attempt(relay);
    }
    return 0;
}

enum gk_status relay_link_start(struct relay *relay, struct gk_error *err)
{
    sd_event *event = relay->service->event;
    int code = sd_event_add_time_relative(event, &relay->retry_source, CLOCK_BOOTTIME, 0, 0,
                                          on_retry, relay);

    if (code >= 0) {
        code = sd_event_add_time_relative(event, &relay->alive_source, CLOCK_BOOTTIME, ALIVE_US, 0,
                                          on_alive, relay);
    }
    if (code < 0) {
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    sd_event_source_set_enabled(relay->alive_source, SD_EVENT_OFF);
    relay->changed_s = time(NULL);
    return GK_OK;
}

void relay_link_stop(struct relay *relay)
{
    if (relay->mosquitto != NULL && relay->connected && !relay->closed) {
        mosquitto_disconnect(relay->mosquitto);
        mosquitto_loop_write(relay->mosquitto, READS_MAX);
    }
    drop(relay);
    unwatch(relay);
    sd_event_source_disable_unref(relay->retry_source);
    sd_event_source_disable_unref(relay->alive_source);
}
