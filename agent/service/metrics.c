/* SPDX-License-Identifier: Apache-2.0 */
/* Tells what the service knows of itself: when asked, and by itself when that changed. */
#include "agent/service/metrics-internal.h"

#include "agent/local.h"
#include "agent/service/log.h"
#include "agent/spool/spool.h"
#include "config.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#define SOON_MS 200       /* a change comes with others */
#define INTERVAL_MS 15000 /* the shortest between two tellings of mere traffic */
#define REFRESH_MS 300000 /* of the file, which tells by its age that nobody writes it any more */
/* How much later it may be, so that another wake-up serves for it. */
#define SOON_SLACK_US ((uint64_t)100000)
#define REFRESH_SLACK_US ((uint64_t)60000000)

/* What can be compared at every turn of the loop. */
struct glance {
    uint64_t accepted, acknowledged, refused, dropped;
    bool usable, broker;
};

struct metrics {
    struct service *service;
    sd_event_source *source;              /* always on: it is asked before the loop sleeps, too */
    uint64_t started_ms, told_ms, due_ms; /* since boot; due: UINT64_MAX for never */
    bool soon, changed;
    struct glance seen;
    json_t *published; /* what gatekey/status says */
    char *sentence;    /* what systemd was told */
    bool file_failed;
};

json_t *metrics_status(const struct metrics *metrics)
{
    return figures_gather(metrics->service, metrics->started_ms);
}

/* --- telling --------------------------------------------------------------------------------- */

/* Said once, until it works again. */
static void write_file(struct metrics *metrics, const json_t *figures)
{
    const char *path = metrics->service->config->metrics_file;
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };
    enum gk_status status;
    size_t size = 0;

    if (path == NULL) {
        return;
    }
    text = prometheus_format(figures, &size);
    status =
        text != NULL ? prometheus_write(path, text, size, &err) : gk_fail(&err, GK_NO_MEMORY, NULL);
    if (status == GK_FILE_DENIED || status == GK_FILE_FAILED) {
        gk_advise(&err, "let gatekeyd write that folder; gatekey.conf(5), metrics_file");
    }
    if (status != GK_OK && !metrics->file_failed) {
        log_failure(LOG_LEVEL_WARNING, "write the metrics", &err);
    }
    metrics->file_failed = status != GK_OK;
}

static void tell_systemd(struct metrics *metrics, const json_t *figures)
{
    char sentence[1024];

    figures_sentence(figures, sentence, sizeof(sentence));
    if (metrics->sentence != NULL && strcmp(metrics->sentence, sentence) == 0) {
        return;
    }
    sd_notifyf(0, "STATUS=%s", sentence);
    free(metrics->sentence);
    metrics->sentence = strdup(sentence);
}

/* Without a broker the relay keeps it for when there is one. */
static void publish(struct metrics *metrics, json_t *status)
{
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(json_freep) json_t *dated = json_copy(status);

    if (metrics->published != NULL && json_equal(metrics->published, status)) {
        return;
    }
    json_object_set_new(dated, "time", json_integer((json_int_t)time(NULL)));
    text = json_dumps(dated, JSON_COMPACT);
    if (text != NULL &&
        relay_publish(metrics->service->relay, "status", text, strlen(text), true, NULL) == GK_OK) {
        json_decref(metrics->published);
        metrics->published = json_incref(status);
    }
}

static void tell_applications(struct metrics *metrics, const json_t *figures)
{
    CLEANUP(json_freep) json_t *status = figures_for_applications(figures);

    if (status != NULL && metrics->service->relay != NULL && relay_is_up(metrics->service->relay)) {
        publish(metrics, status);
    }
}

static void tell(struct metrics *metrics)
{
    CLEANUP(json_freep) json_t *figures = metrics_status(metrics);

    metrics->told_ms = service_now_ms();
    metrics->soon = false;
    metrics->changed = false;
    if (figures != NULL) {
        tell_systemd(metrics, figures);
        tell_applications(metrics, figures);
        write_file(metrics, figures);
    }
}

/* --- when ------------------------------------------------------------------------------------ */

static uint64_t when(const struct metrics *metrics)
{
    if (metrics->soon) {
        return 0;
    }
    if (metrics->changed) {
        return metrics->told_ms + INTERVAL_MS;
    }
    return metrics->service->config->metrics_file != NULL ? metrics->told_ms + REFRESH_MS
                                                          : UINT64_MAX;
}

/* The timer is touched only when what it is for changed, so that traffic costs nothing. */
static void plan(struct metrics *metrics)
{
    uint64_t due_ms = when(metrics), now_ms = service_now_ms(), soon_ms = now_ms + SOON_MS;
    bool is_refresh = !metrics->soon && !metrics->changed;

    if (due_ms == metrics->due_ms) {
        return;
    }
    metrics->due_ms = due_ms;
    sd_event_source_set_time_accuracy(metrics->source,
                                      is_refresh ? REFRESH_SLACK_US : SOON_SLACK_US);
    if (due_ms == UINT64_MAX) {
        sd_event_source_set_time(metrics->source, UINT64_MAX);
        return;
    }
    sd_event_source_set_time_relative(metrics->source,
                                      ((due_ms > soon_ms ? due_ms : soon_ms) - now_ms) * 1000);
}

static struct glance glance_at(const struct service *service)
{
    struct glance glance = { 0 };
    struct spool_counters counters;

    if (service->spool != NULL) {
        spool_count(service->spool, &counters);
        glance.accepted = counters.accepted;
        glance.acknowledged = counters.acknowledged;
        glance.refused = counters.refused;
        glance.dropped = counters.dropped;
        glance.usable = spool_is_open(service->spool);
    }
    glance.broker = service->relay != NULL && relay_is_up(service->relay);
    return glance;
}

static bool is_same_traffic(const struct glance *one, const struct glance *other)
{
    return one->accepted == other->accepted && one->acknowledged == other->acknowledged &&
           one->refused == other->refused && one->dropped == other->dropped;
}

/* Called before the loop sleeps, whatever woke it: no part has to tell of each message. */
static int on_prepare(sd_event_source *source, void *context)
{
    struct metrics *metrics = context;
    struct glance now = glance_at(metrics->service);

    (void)source;
    metrics->soon =
        metrics->soon || now.broker != metrics->seen.broker || now.usable != metrics->seen.usable;
    metrics->changed = metrics->changed || !is_same_traffic(&now, &metrics->seen);
    metrics->seen = now;
    if (metrics->told_ms == 0) {
        tell(metrics); /* the service is ready, and whoever waited for that reads on */
    }
    plan(metrics);
    return 0;
}

static int on_due(sd_event_source *source, uint64_t time, void *context)
{
    struct metrics *metrics = context;

    (void)source;
    (void)time;
    tell(metrics);
    plan(metrics);
    return 0;
}

void metrics_changed(struct metrics *metrics)
{
    if (metrics != NULL) {
        metrics->soon = true;
    }
}

/* --- the whole ------------------------------------------------------------------------------- */

enum gk_status metrics_new(struct service *service, struct metrics **metrics, struct gk_error *err)
{
    struct metrics *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->started_ms = service_now_ms();
    made->soon = true;
    made->due_ms = UINT64_MAX;
    code = sd_event_add_time(service->event, &made->source, CLOCK_BOOTTIME, UINT64_MAX, 0, on_due,
                             made);
    if (code >= 0) {
        code = sd_event_source_set_enabled(made->source, SD_EVENT_ON);
    }
    if (code >= 0) {
        code = sd_event_source_set_prepare(made->source, on_prepare);
    }
    if (code < 0) {
        sd_event_source_disable_unref(made->source);
        free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    *metrics = made;
    return GK_OK;
}

/* A file without a state says that gatekeyd is down; one that was not written at all grows old. */
static void say_goodbye(struct metrics *metrics)
{
    const struct agent_config *config = metrics->service->config;
    CLEANUP(json_freep)
    json_t *figures = json_pack("{s:s, s:s*, s:s*, s:I}", "version", PACKAGE_VERSION, "product_key",
                                config->product_key, "device_key", config->device_key, "time",
                                (json_int_t)time(NULL));

    if (metrics->service->relay != NULL) {
        (void)!relay_publish(metrics->service->relay, "status", AGENT_LOCAL_ENDED,
                             strlen(AGENT_LOCAL_ENDED), true, NULL);
    }
    if (figures != NULL) {
        write_file(metrics, figures);
    }
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    say_goodbye(metrics);
    sd_event_source_disable_unref(metrics->source);
    json_decref(metrics->published);
    free(metrics->sentence);
    free(metrics);
}
