/* SPDX-License-Identifier: Apache-2.0 */
/* Sends requests to the hub and waits for its answer to each. */
#include "agent/service/service.h"

#include "agent/enos/message.h"
#include "agent/enos/rest.h"
#include "agent/service/log.h"
#include "agent/service/replies.h"

/* The hub's answer takes so long at most; on the slowest of links (4 KiB/s) a large request needs
 * more time than that to get there. */
#define WAIT_MS 30000
#define WAIT_MS_PER_KIB 250
#define PENDING_MAX 24 /* more than the uplink, the notices and renewals have under way */

struct pending {
    publisher_done *done; /* NULL: whoever asked is gone */
    void *context;
    bool used;
    int mid; /* of a request that ends with its PUBACK; 0: it ends with the answer */
    uint64_t end_ms;
    char id[24];
    char *rest; /* of the request; the answer comes on it with "_reply" */
};

struct publisher {
    struct service *service;
    sd_event_source *time_source; /* at the earliest end */
    struct pending pending[PENDING_MAX];
    struct replies replies;
    uint64_t armed_ms; /* what it is set to; 0: it is off */
    uint64_t sent, unanswered;
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
}

/* --- time --------------------------------------------------------------------------------------
 */

/* It may come too early for what was answered meanwhile, which is cheaper than setting it anew with
 * each request. */
static void set_timer(struct publisher *publisher)
{
    uint64_t earliest = UINT64_MAX, now = service_now_ms();

    for (size_t i = 0; i < PENDING_MAX; i++) {
        const struct pending *pending = &publisher->pending[i];

        if (pending->used && pending->end_ms < earliest) {
            earliest = pending->end_ms;
        }
    }
    if (earliest == UINT64_MAX || (publisher->armed_ms != 0 && publisher->armed_ms <= earliest)) {
        return;
    }
    publisher->armed_ms = earliest;
    sd_event_source_set_time_relative(publisher->time_source,
                                      (earliest > now ? earliest - now : 0) * 1000);
    sd_event_source_set_enabled(publisher->time_source, SD_EVENT_ONESHOT);
}

static int on_time(sd_event_source *source, uint64_t time, void *context)
{
    struct publisher *publisher = context;
    uint64_t now = service_now_ms();

    (void)source;
    (void)time;
    publisher->armed_ms = 0;
    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &publisher->pending[i];

        if (pending->used && pending->end_ms <= now) {
            struct gk_error err = { 0 };

            gk_fail(&err, GK_UNREACHABLE, "the hub did not answer in time");
            gk_advise(&err, "it may have been received all the same, as message %s", pending->id);
            publisher->unanswered++;
            finish(pending, 0, NULL, &err);
        }
    }
    set_timer(publisher);
    return 0;
}

/* --- answers -----------------------------------------------------------------------------------
 */

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

static void take_reply(struct pending *pending, const struct enos_reply *reply)
{
    struct gk_error err = { 0 };
    char message[161];

    if (reply->code == ENOS_CODE_OK) {
        finish(pending, reply->code, reply->data, NULL);
        return;
    }
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
            take_reply(pending, &reply);
            break;
        }
    }
    return true;
}

void publisher_acknowledged(struct publisher *publisher, int mid)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &publisher->pending[i];

        if (pending->used && pending->mid == mid) {
            finish(pending, ENOS_CODE_OK, NULL, NULL);
            break;
        }
    }
    /* There is room in the link's window again. */
    uplink_acknowledged(publisher->service->uplink);
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

/* --- requests ----------------------------------------------------------------------------------
 */

static struct pending *free_slot(struct publisher *publisher)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (!publisher->pending[i].used) {
            return &publisher->pending[i];
        }
    }
    return NULL;
}

static enum gk_status transmit(struct publisher *publisher, const struct publisher_request *request,
                               int *mid, struct gk_error *err)
{
    struct session *session = publisher->service->session;
    enum gk_status status;

    if (request->raw) {
        return session_publish_mid(session, request->rest, request->text, request->size, mid, err);
    }
    status = replies_expect(&publisher->replies, request->rest, is_waited_on, publisher, err);
    return status == GK_OK
               ? session_publish(session, request->rest, request->text, request->size, err)
               : status;
}

enum gk_status publisher_send(struct publisher *publisher, const struct publisher_request *request,
                              publisher_done *done, void *context, struct gk_error *err)
{
    CLEANUP(gk_freep) char *rest = strdup(request->rest);
    struct pending *pending = free_slot(publisher);
    enum gk_status status = session_require(publisher->service->session, err);
    int mid = 0;

    if (status != GK_OK) {
        return status;
    }
    if (pending == NULL) {
        return gk_fail(err, GK_BUSY, "%d requests wait for the hub's answer", PENDING_MAX);
    }
    if (rest == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = transmit(publisher, request, &mid, err);
    if (status != GK_OK) {
        return status;
    }
    *pending = (struct pending){ .done = done, .context = context, .used = true, .mid = mid };
    pending->rest = TAKE(rest);
    pending->end_ms = service_now_ms() + WAIT_MS + request->size / 1024 * WAIT_MS_PER_KIB;
    snprintf(pending->id, sizeof(pending->id), "%s", request->id);
    publisher->sent++;
    set_timer(publisher);
    return GK_OK;
}

void publisher_forget(struct publisher *publisher, const void *context)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (publisher->pending[i].context == context) {
            publisher->pending[i].done = NULL;
        }
    }
}

/* --- the connection ----------------------------------------------------------------------------
 */

void publisher_down(struct publisher *publisher, const struct gk_error *err)
{
    replies_forget(&publisher->replies);
    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (publisher->pending[i].used) {
            struct gk_error why = *err;

            gk_advise(&why,
                      "it may have been received all the same, as message %s; send it again if "
                      "that does no harm",
                      publisher->pending[i].id);
            publisher->unanswered++;
            finish(&publisher->pending[i], 0, NULL, &why);
        }
    }
}

void publisher_describe(const struct publisher *publisher, json_t *status)
{
    json_object_set_new(status, "requests", json_integer((json_int_t)publisher->sent));
    json_object_set_new(status, "unanswered", json_integer((json_int_t)publisher->unanswered));
}

enum gk_status publisher_new(struct service *service, struct publisher **publisher,
                             struct gk_error *err)
{
    struct publisher *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->replies.session = &service->session;
    code = sd_event_add_time_relative(service->event, &made->time_source, CLOCK_BOOTTIME, 0, 0,
                                      on_time, made);
    if (code < 0) {
        publisher_free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    sd_event_source_set_enabled(made->time_source, SD_EVENT_OFF);
    *publisher = made;
    return GK_OK;
}

void publisher_free(struct publisher *publisher)
{
    if (publisher == NULL) {
        return;
    }
    sd_event_source_disable_unref(publisher->time_source);
    for (size_t i = 0; i < PENDING_MAX; i++) {
        free(publisher->pending[i].rest);
    }
    replies_forget(&publisher->replies);
    free(publisher);
}
