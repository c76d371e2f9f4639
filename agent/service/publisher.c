/* SPDX-License-Identifier: Apache-2.0 */
/* Sends what was handed over and waits for the hub's answer to each. */
#include "agent/service/service.h"

#include "agent/enos/message.h"
#include "agent/enos/rest.h"
#include "agent/service/log.h"
#include "agent/service/replies.h"

#include <inttypes.h>
#include <time.h>

#define WAIT_MS 30000  /* for the hub's answer */
#define PENDING_MAX 16 /* as many as may wait for their PUBACK */
#define TICK_US ((uint64_t)1000000)

struct pending {
    publisher_done *done; /* NULL: whoever asked is gone */
    void *context;
    bool used;
    bool own; /* the service's own, which nobody handed over: not counted */
    uint64_t end_ms;
    uint64_t number;
    char id[24]; /* the same, as text */
    char *rest;  /* of the request; the answer comes on it with "_reply" */
    char *text;  /* the request, to be sent again over another connection */
    size_t size;
    bool sent, sent_before; /* over this connection; over an earlier one */
};

struct publisher {
    struct service *service;
    sd_event_source *tick_source;
    uint64_t last_id;
    struct pending pending[PENDING_MAX];
    struct replies replies;
    uint64_t sent, accepted, refused, unanswered;
};

static void finish(struct pending *pending, json_int_t code, json_t *data,
                   const struct gk_error *err)
{
    struct pending over = *pending;

    *pending = (struct pending){ 0 };
    if (over.done != NULL) {
        over.done(over.context, over.id, code, data, err);
    }
    free(over.rest);
    free(over.text);
}

/* Nobody will answer any more; why may be advised on as to whether the hub has it. */
static void abandon(struct publisher *publisher, struct pending *pending, struct gk_error *why)
{
    if (pending->sent || pending->sent_before) {
        gk_advise(why,
                  "it may have been received all the same, as message %s; send it again if that "
                  "does no harm",
                  pending->id);
    } else {
        gk_advise(why, "it was not sent; send it again");
    }
    publisher->unanswered += pending->own ? 0 : 1;
    finish(pending, 0, NULL, why);
}

static void send_kept(struct publisher *publisher);

static int on_tick(sd_event_source *source, uint64_t now_us, void *context)
{
    struct publisher *publisher = context;
    uint64_t now = service_now_ms();

    (void)now_us;
    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &publisher->pending[i];

        if (pending->used && pending->end_ms <= now) {
            struct gk_error err = { 0 };

            gk_fail(&err, GK_UNREACHABLE,
                    pending->sent ? "the hub did not answer within %d s" : "no connection in %d s",
                    WAIT_MS / 1000);
            abandon(publisher, pending, &err);
        }
    }
    send_kept(publisher);
    sd_event_source_set_time_relative(source, TICK_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- replies
 * -------------------------------------------------------------------------------------- */

static bool is_waited_on(const void *context, const char *rest)
{
    const struct publisher *publisher = context;

    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (publisher->pending[i].used && strcmp(publisher->pending[i].rest, rest) == 0) {
            return true;
        }
    }
    return false;
}

static void take_reply(struct publisher *publisher, struct pending *pending,
                       const struct enos_reply *reply)
{
    struct gk_error err = { 0 };
    char message[161];

    if (reply->code == ENOS_CODE_OK) {
        publisher->accepted += pending->own ? 0 : 1;
        finish(pending, reply->code, reply->data, NULL);
        return;
    }
    publisher->refused += pending->own ? 0 : 1;
    enos_text_clean(reply->message, message, sizeof(message));
    gk_fail(&err, GK_HUB_REFUSED, "%s: code %" JSON_INTEGER_FORMAT "%s%s", pending->rest,
            reply->code, message[0] != '\0' ? ", " : "", message);
    finish(pending, reply->code, reply->data, &err);
}

bool publisher_receive(struct publisher *publisher, const char *rest, const void *payload,
                       size_t size)
{
    CLEANUP(enos_reply_clear) struct enos_reply reply = { 0 };
    struct gk_error err = { 0 };

    if (!replies_are_expected(&publisher->replies, rest)) {
        return false;
    }
    if (enos_reply_parse(payload, size, &reply, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "read the hub's answer", &err);
        return true;
    }
    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &publisher->pending[i];

        if (pending->used && strcmp(pending->id, reply.id) == 0 &&
            replies_belong(rest, pending->rest)) {
            take_reply(publisher, pending, &reply);
            break;
        }
    }
    return true;
}

/* The hub will not answer on that topic. */
void publisher_refused(struct publisher *publisher, const char *rest)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &publisher->pending[i];

        if (pending->used && replies_belong(rest, pending->rest)) {
            struct gk_error err = { 0 };

            gk_fail(&err, GK_HUB_REFUSED, "no permission to receive %s", rest);
            finish(pending, 0, NULL, &err);
        }
    }
    replies_refused(&publisher->replies, rest);
}

/* What publisher_send() sends is over when the hub answered, not when it acknowledged. */
void publisher_acknowledged(struct publisher *publisher, int mid)
{
    (void)publisher;
    (void)mid;
}

/* --- requests
 * ------------------------------------------------------------------------------------- */

static struct pending *free_slot(struct publisher *publisher)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (!publisher->pending[i].used) {
            return &publisher->pending[i];
        }
    }
    return NULL;
}

static enum gk_status check(const char *rest, const json_t *params, struct gk_error *err)
{
    if (!enos_rest_is_publishable(rest)) {
        gk_fail(err, GK_USAGE, "topic %.130s", rest);
        gk_advise(err, "give what follows /sys/PRODUCT/DEVICE/, such as thing/measurepoint/post");
        return GK_USAGE;
    }
    if (!json_is_object(params) && !json_is_array(params)) {
        return gk_fail(err, GK_USAGE, "params must be a JSON object or array");
    }
    return GK_OK;
}

static enum gk_status transmit(struct publisher *publisher, struct pending *pending,
                               struct gk_error *err)
{
    enum gk_status status =
        replies_expect(&publisher->replies, pending->rest, is_waited_on, publisher, err);

    if (status == GK_OK) {
        status = session_publish(publisher->service->session, pending->rest, pending->text,
                                 pending->size, err);
    }
    pending->sent = status == GK_OK;
    return status;
}

static struct pending *oldest_kept(struct publisher *publisher)
{
    struct pending *oldest = NULL;

    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &publisher->pending[i];

        if (pending->used && !pending->sent &&
            (oldest == NULL || pending->number < oldest->number)) {
            oldest = pending;
        }
    }
    return oldest;
}

/* In the order they were handed over. What does not go now, goes with the next tick or is too late.
 */
static void send_kept(struct publisher *publisher)
{
    struct pending *pending;

    if (session_require(publisher->service->session, NULL) != GK_OK) {
        return;
    }
    while ((pending = oldest_kept(publisher)) != NULL) {
        struct gk_error err = { 0 };
        enum gk_status status = transmit(publisher, pending, &err);

        if (status == GK_BUSY || status == GK_UNREACHABLE) {
            break;
        }
        if (status != GK_OK) {
            abandon(publisher, pending, &err);
        }
    }
}

static enum gk_status fill(struct publisher *publisher, struct pending *pending, const char *rest,
                           json_t *params, struct gk_error *err)
{
    enum gk_status status;

    *pending = (struct pending){ .number = ++publisher->last_id, .rest = strdup(rest) };
    snprintf(pending->id, sizeof(pending->id), "%" PRIu64, pending->number);
    if (pending->rest == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = enos_request_format(pending->id, rest, params, &pending->text, &pending->size, err);
    /* Kept, when the next connection is a moment away. */
    if (status == GK_OK && !session_is_moving(publisher->service->session)) {
        status = transmit(publisher, pending, err);
    }
    return status;
}

static enum gk_status take(struct publisher *publisher, bool own, const char *rest, json_t *params,
                           publisher_done *done, void *context, struct gk_error *err)
{
    const struct session *session = publisher->service->session;
    struct pending *pending = free_slot(publisher);
    enum gk_status status = check(rest, params, err);

    if (status == GK_OK && !session_is_moving(session)) {
        status = session_require(session, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (pending == NULL) {
        return gk_fail(err, GK_BUSY, "%d messages wait for the hub's answer", PENDING_MAX);
    }
    status = fill(publisher, pending, rest, params, err);
    if (status != GK_OK) {
        free(pending->rest);
        free(pending->text);
        *pending = (struct pending){ 0 };
        return status;
    }
    pending->used = true;
    pending->done = done;
    pending->context = context;
    pending->own = own;
    pending->end_ms = service_now_ms() + WAIT_MS;
    publisher->sent += own ? 0 : 1;
    return GK_OK;
}

enum gk_status publisher_send(struct publisher *publisher, const char *rest, json_t *params,
                              publisher_done *done, void *context, struct gk_error *err)
{
    return take(publisher, false, rest, params, done, context, err);
}

enum gk_status publisher_send_own(struct publisher *publisher, const char *rest, json_t *params,
                                  publisher_done *done, void *context, struct gk_error *err)
{
    return take(publisher, true, rest, params, done, context, err);
}

void publisher_forget(struct publisher *publisher, const void *context)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (publisher->pending[i].context == context) {
            publisher->pending[i].done = NULL;
        }
    }
}

/* --- the connection
 * ------------------------------------------------------------------------------- */

void publisher_up(struct publisher *publisher)
{
    replies_forget(&publisher->replies);
    send_kept(publisher);
}

void publisher_hold(struct publisher *publisher)
{
    replies_forget(&publisher->replies);
    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &publisher->pending[i];

        pending->sent_before = pending->sent_before || pending->sent;
        pending->sent = false;
    }
}

void publisher_down(struct publisher *publisher, const struct gk_error *err)
{
    replies_forget(&publisher->replies);
    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (publisher->pending[i].used) {
            struct gk_error why = *err;

            abandon(publisher, &publisher->pending[i], &why);
        }
    }
}

void publisher_describe(const struct publisher *publisher, json_t *status)
{
    json_object_set_new(status, "published", json_integer((json_int_t)publisher->sent));
    json_object_set_new(status, "accepted", json_integer((json_int_t)publisher->accepted));
    json_object_set_new(status, "refused", json_integer((json_int_t)publisher->refused));
    json_object_set_new(status, "unanswered", json_integer((json_int_t)publisher->unanswered));
}

enum gk_status publisher_new(struct service *service, struct publisher **publisher,
                             struct gk_error *err)
{
    struct publisher *made = calloc(1, sizeof(*made));
    struct timespec now = { 0 };
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->replies.session = &service->session;
    /* Ids go on where an earlier run of the service cannot have been, a thousand messages a second.
     */
    clock_gettime(CLOCK_REALTIME, &now);
    made->last_id = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    code = sd_event_add_time_relative(service->event, &made->tick_source, CLOCK_BOOTTIME, TICK_US,
                                      0, on_tick, made);
    if (code < 0) {
        publisher_free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    *publisher = made;
    return GK_OK;
}

void publisher_free(struct publisher *publisher)
{
    if (publisher == NULL) {
        return;
    }
    sd_event_source_disable_unref(publisher->tick_source);
    for (size_t i = 0; i < PENDING_MAX; i++) {
        free(publisher->pending[i].rest);
        free(publisher->pending[i].text);
    }
    replies_forget(&publisher->replies);
    free(publisher);
}
