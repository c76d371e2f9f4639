/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes what local programs hand over into the spool. What comes within one round of the event loop
 * is made durable together, since a disk takes as long for a hundred messages as for one.
 */
#include "agent/service/service.h"

#include "agent/clock.h"
#include "agent/enos/handed.h"
#include "agent/service/log.h"
#include "agent/spool/spool.h"

#include <time.h>

#define WAITING_MAX 4096
/* So much is not kept waiting for a quiet moment. */
#define HASTE_COUNT 256
#define HASTE_BYTES ((size_t)1024 * 1024)
#define HASTE_MS 20
#define FLOOR_MS ((uint64_t)3600000)

struct waiting {
    intake_done *done; /* NULL: whoever asked is gone */
    void *context;
    int64_t id;
};

/* Those that are being told; a callback may hand over the next, or forget another. */
struct telling {
    struct waiting *waiting;
    size_t count;
    struct telling *outer;
};

struct intake {
    struct service *service;
    sd_event_source *commit_source;
    struct waiting *waiting;
    size_t count, room;
    size_t bytes;      /* taken since the last commit */
    uint64_t since_ms; /* when the first of them was */
    struct telling *telling;
    int64_t floor_ms; /* no clock is believed below; as of floor_at_ms since boot */
    uint64_t floor_at_ms;
    enum gk_status last; /* what the last commit ended with, as the log has it */
    uint64_t taken, refused;
};

int64_t intake_time_ms(struct intake *intake)
{
    struct timespec now = { 0 };
    int64_t now_ms;

    if (intake->floor_at_ms == 0 || service_now_ms() - intake->floor_at_ms > FLOOR_MS) {
        /* It is read from disk, and moves slowly. */
        intake->floor_ms = agent_clock_floor(intake->service->config) * 1000;
        intake->floor_at_ms = service_now_ms();
    }
    clock_gettime(CLOCK_REALTIME, &now);
    now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    return now_ms > intake->floor_ms ? now_ms : intake->floor_ms;
}

/* --- what may be handed over -------------------------------------------------------------------
 */

/*
 * Events that the application beside the hub acts on: whoever sends them has this gateway's
 * certificate revoked, or one issued for a key of his.
 */
static bool is_about_certificates(const char *topic)
{
    static const char *const events[] = { "certificateRequest", "certificateSuperseded",
                                          "revokeMe" };
    static const char folder[] = "thing.event.";
    char method[ENOS_TOPIC_MAX];

    /* By the method that it will have, which the dots of a topic's level get into as well. */
    snprintf(method, sizeof(method), "%s.", topic);
    for (char *slash = method; (slash = strchr(slash, '/')) != NULL;) {
        *slash = '.';
    }
    if (strncasecmp(method, folder, strlen(folder)) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        const char *name = method + strlen(folder);
        size_t size = strlen(events[i]);

        if (strncasecmp(name, events[i], size) == 0 && name[size] == '.') {
            return true;
        }
    }
    return false;
}

static enum gk_status check(const struct intake *intake, const struct intake_message *message,
                            struct gk_error *err)
{
    const struct service *service = intake->service;
    enum gk_status status;

    if (service->session == NULL || service->spool == NULL) {
        return gk_fail(err, GK_BUSY, "gatekeyd is still starting");
    }
    status = session_accepts(service->session, err);
    if (status != GK_OK) {
        return status;
    }
    if (is_about_certificates(message->topic) && !message->trusted) {
        return gk_fail(err, GK_REFUSED, "%.60s: only root and gatekeyd's own user may",
                       message->topic);
    }
    return intake->count < WAITING_MAX
               ? GK_OK
               : gk_fail(err, GK_BUSY, "%d messages wait for the disk", WAITING_MAX);
}

/* --- taking ------------------------------------------------------------------------------------
 */

static enum gk_status make_room(struct intake *intake, struct gk_error *err)
{
    size_t room = intake->room == 0 ? 16 : intake->room * 2;
    struct waiting *more;

    if (intake->count < intake->room) {
        return GK_OK;
    }
    more = reallocarray(intake->waiting, room, sizeof(*more));
    if (more == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    intake->waiting = more;
    intake->room = room;
    return GK_OK;
}

static enum gk_status put(struct intake *intake, const struct intake_message *message, int64_t *id,
                          struct gk_error *err)
{
    CLEANUP(enos_handed_clear) struct enos_handed handed = { 0 };
    struct spool_message kept = { .topic = message->topic, .accepted_ms = intake_time_ms(intake) };
    enum gk_status status = enos_handed_parse(message->topic, message->payload, message->size,
                                              message->is_params, kept.accepted_ms, &handed, err);

    if (status != GK_OK) {
        return status;
    }
    kept.raw = handed.raw;
    kept.body = handed.body;
    kept.size = handed.size;
    kept.members = handed.members;
    kept.asked = handed.asked;
    intake->bytes += kept.size;
    return spool_put(intake->service->spool, &kept, id, err);
}

/* When all that is there by now was read; a stream without a pause is not waited out. */
static void commit_soon(struct intake *intake)
{
    uint64_t now = service_now_ms();
    bool haste = intake->count >= HASTE_COUNT || intake->bytes >= HASTE_BYTES;

    intake->since_ms = intake->count == 1 ? now : intake->since_ms;
    haste = haste || now - intake->since_ms >= HASTE_MS;
    sd_event_source_set_priority(intake->commit_source,
                                 haste ? SD_EVENT_PRIORITY_IMPORTANT : SD_EVENT_PRIORITY_IDLE);
    sd_event_source_set_enabled(intake->commit_source, SD_EVENT_ONESHOT);
}

enum gk_status intake_take(struct intake *intake, const struct intake_message *message,
                           intake_done *done, void *context, struct gk_error *err)
{
    int64_t id = 0;
    enum gk_status status = check(intake, message, err);

    if (status == GK_OK) {
        status = make_room(intake, err);
    }
    if (status == GK_OK) {
        status = put(intake, message, &id, err);
    }
    if (status != GK_OK) {
        intake->refused++;
        return status;
    }
    intake->waiting[intake->count++] = (struct waiting){ done, context, id };
    commit_soon(intake);
    return GK_OK;
}

/* --- making it durable -------------------------------------------------------------------------
 */

static void tell(struct intake *intake, struct waiting *waiting, size_t count,
                 const struct gk_error *err)
{
    struct telling telling = { waiting, count, intake->telling };

    intake->telling = &telling;
    for (size_t i = 0; i < count; i++) {
        if (waiting[i].done != NULL) {
            waiting[i].done(waiting[i].context, waiting[i].id, err);
        }
    }
    intake->telling = telling.outer;
}

enum gk_status intake_commit(struct intake *intake, struct gk_error *err)
{
    CLEANUP(gk_freep) struct waiting *waiting = TAKE(intake->waiting);
    size_t count = intake->count;
    struct gk_error why = { 0 };
    enum gk_status status = spool_commit(intake->service->spool, &why);

    intake->count = intake->room = intake->bytes = 0;
    sd_event_source_set_enabled(intake->commit_source, SD_EVENT_OFF);
    intake->taken += status == GK_OK ? count : 0;
    intake->refused += status == GK_OK ? 0 : count;
    tell(intake, waiting, count, status == GK_OK ? NULL : &why);
    uplink_stored(intake->service->uplink);
    if (status != GK_OK && status != intake->last) {
        /* Whoever waits is told each time; the log once. */
        log_failure(LOG_LEVEL_ERROR, "store what was handed over", &why);
    }
    if (err != NULL) {
        *err = why;
    }
    intake->last = status;
    return status;
}

static int on_commit(sd_event_source *source, void *context)
{
    (void)source;
    (void)!intake_commit(context, NULL);
    return 0;
}

static void forget(struct waiting *waiting, size_t count, const void *context)
{
    for (size_t i = 0; i < count; i++) {
        if (waiting[i].context == context) {
            waiting[i].done = NULL;
        }
    }
}

void intake_forget(struct intake *intake, const void *context)
{
    forget(intake->waiting, intake->count, context);
    for (struct telling *telling = intake->telling; telling != NULL; telling = telling->outer) {
        forget(telling->waiting, telling->count, context);
    }
}

void intake_describe(const struct intake *intake, json_t *status)
{
    json_object_set_new(status, "handed_over", json_integer((json_int_t)intake->taken));
    json_object_set_new(status, "turned_away", json_integer((json_int_t)intake->refused));
}

enum gk_status intake_new(struct service *service, struct intake **intake, struct gk_error *err)
{
    struct intake *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    code = sd_event_add_defer(service->event, &made->commit_source, on_commit, made);
    if (code >= 0) {
        code = sd_event_source_set_enabled(made->commit_source, SD_EVENT_OFF);
    }
    if (code < 0) {
        intake_free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    *intake = made;
    return GK_OK;
}

void intake_free(struct intake *intake)
{
    if (intake == NULL) {
        return;
    }
    sd_event_source_disable_unref(intake->commit_source);
    free(intake->waiting);
    free(intake);
}
