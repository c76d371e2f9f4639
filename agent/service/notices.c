/* SPDX-License-Identifier: Apache-2.0 */
/* Events of our own for the hub: each is told until the hub has taken it. */
#include "agent/service/service.h"

#include "agent/enos/message.h"
#include "agent/service/log.h"
#include "agent/spool/spool.h"

#include <inttypes.h>
#include <time.h>

#define KINDS_MAX 8
#define RETRY_US ((uint64_t)10000000)

struct notice {
    struct notices *notices;
    const char *event; /* NULL: this place is free */
    json_t *params;    /* what is to be told; NULL: the hub has it */
    json_t *sent;      /* what the hub has not answered yet; a newer one may stand in params */
    char id[24];       /* of params: sent again it is told by that; empty: it has none yet */
    void (*told)(void *context); /* called when the hub has params; may be NULL */
    void *context;
};

struct notices {
    struct service *service;
    sd_event_source *retry_source;
    struct notice notices[KINDS_MAX];
    uint64_t told;
};

static void retry_later(struct notices *notices)
{
    sd_event_source_set_time_relative(notices->retry_source, RETRY_US);
    sd_event_source_set_enabled(notices->retry_source, SD_EVENT_ONESHOT);
}

/* The hub has it, and nothing newer came meanwhile. */
static void forget_if_same(struct notice *notice)
{
    if (notice->params == notice->sent) {
        json_decref(TAKE(notice->params));
        if (notice->told != NULL) {
            notice->told(notice->context);
        }
    }
}

static void on_answered(void *context, const char *id, json_int_t code, json_t *data,
                        const struct gk_error *err)
{
    struct notice *notice = context;

    (void)id;
    (void)data;
    if (code != 0) {
        forget_if_same(notice);
    }
    if (code == ENOS_CODE_OK) {
        notice->notices->told++;
        log_line(LOG_LEVEL_INFO, "the hub has taken event %s", notice->event);
    } else if (code != 0) {
        /* Again it would say the same: its model of this device may not know the event. */
        log_failure(LOG_LEVEL_WARNING, "tell the hub of an event", err);
    }
    json_decref(TAKE(notice->sent));
    if (notice->params != NULL) {
        retry_later(notice->notices);
    }
}

/* These do not wait in the spool: of each kind the newest is enough. */
static enum gk_status post(struct notice *notice)
{
    struct service *service = notice->notices->service;
    CLEANUP(gk_freep) char *text = NULL;
    struct publisher_request request = { .id = notice->id };
    char topic[128];
    enum gk_status status;

    snprintf(topic, sizeof(topic), "thing/event/%s/post", notice->event);
    if (notice->id[0] == '\0') {
        snprintf(notice->id, sizeof(notice->id), "%" PRId64,
                 spool_number(service->spool, SPOOL_KEPT));
    }
    status = enos_request_format(notice->id, topic, notice->params, &text, &request.size, NULL);
    if (status != GK_OK) {
        return status;
    }
    request.rest = topic;
    request.text = text;
    return publisher_send(service->publisher, &request, on_answered, notice, NULL);
}

/* One answer is waited for at a time. */
static void tell(struct notice *notice)
{
    if (notice->params == NULL || notice->sent != NULL) {
        return;
    }
    if (post(notice) == GK_OK) {
        notice->sent = json_incref(notice->params);
    } else {
        retry_later(notice->notices);
    }
}

void notices_up(struct notices *notices)
{
    for (size_t i = 0; i < KINDS_MAX; i++) {
        tell(&notices->notices[i]);
    }
}

static int on_retry(sd_event_source *source, uint64_t time, void *context)
{
    struct notices *notices = context;

    (void)source;
    (void)time;
    /* Without a connection the next one begins with them. */
    if (session_require(notices->service->session, NULL) == GK_OK) {
        notices_up(notices);
    }
    return 0;
}

static struct notice *find(struct notices *notices, const char *event)
{
    struct notice *place = NULL;

    for (size_t i = 0; i < KINDS_MAX; i++) {
        struct notice *notice = &notices->notices[i];

        if (notice->event != NULL && strcmp(notice->event, event) == 0) {
            return notice;
        }
        if (place == NULL &&
            (notice->event == NULL || (notice->params == NULL && notice->sent == NULL))) {
            place = notice;
        }
    }
    return place;
}

/* {"events":{...},"time":ms}, the time being now: it may be told much later. */
static json_t *wrap(json_t *members)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_REALTIME, &now);
    return json_pack("{s:o, s:I}", "events", members != NULL ? members : json_object(), "time",
                     (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

enum gk_status service_notify(struct service *service, const char *event, json_t *members)
{
    return service_notify_until(service, event, members, NULL, NULL);
}

enum gk_status service_notify_until(struct service *service, const char *event, json_t *members,
                                    void (*told)(void *context), void *context)
{
    json_t *params = wrap(members);
    struct notice *notice = find(service->notices, event);

    if (params == NULL) {
        return GK_NO_MEMORY;
    }
    if (notice == NULL) {
        json_decref(params);
        return GK_BUSY;
    }
    json_decref(notice->params);
    notice->event = event;
    notice->params = params;
    notice->id[0] = '\0';
    notice->told = told;
    notice->context = context;
    /* Soon, but not from within whatever noticed it. */
    sd_event_source_set_time_relative(service->notices->retry_source, 0);
    sd_event_source_set_enabled(service->notices->retry_source, SD_EVENT_ONESHOT);
    return GK_OK;
}

void notices_forget(struct notices *notices)
{
    for (size_t i = 0; i < KINDS_MAX; i++) {
        json_decref(TAKE(notices->notices[i].params));
    }
}

void notices_describe(const struct notices *notices, json_t *status)
{
    json_int_t waiting = 0;

    for (size_t i = 0; i < KINDS_MAX; i++) {
        waiting += notices->notices[i].params != NULL ? 1 : 0;
    }
    json_object_set_new(status, "events_told", json_integer((json_int_t)notices->told));
    json_object_set_new(status, "events_waiting", json_integer(waiting));
}

enum gk_status notices_new(struct service *service, struct notices **notices, struct gk_error *err)
{
    struct notices *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    for (size_t i = 0; i < KINDS_MAX; i++) {
        made->notices[i].notices = made;
    }
    code = sd_event_add_time_relative(service->event, &made->retry_source, CLOCK_BOOTTIME, RETRY_US,
                                      0, on_retry, made);
    if (code < 0) {
        notices_free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    *notices = made;
    return GK_OK;
}

void notices_free(struct notices *notices)
{
    if (notices == NULL) {
        return;
    }
    for (size_t i = 0; i < KINDS_MAX; i++) {
        json_decref(notices->notices[i].params);
        json_decref(notices->notices[i].sent);
    }
    sd_event_source_disable_unref(notices->retry_source);
    free(notices);
}
