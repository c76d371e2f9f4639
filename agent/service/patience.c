/* SPDX-License-Identifier: Apache-2.0 */
/* The connect budget as the service uses it. */
#include "agent/service/patience.h"

#include "agent/budget.h"
#include "agent/service/log.h"

#include <assert.h>
#include <sys/random.h>

#define AGAIN_MS 250 /* after somebody else held the file */
#define HELD_MS 4000 /* for so long that is nothing to speak of: gatekey holds it for a moment */
#define LATER_MS 10000
#define NOTES_MAX 8

/* What happened, and may have to wait until the file can be had. */
struct note {
    enum { GIVEN_BACK, SENT, FAILED, LASTED } what;
    int64_t at_ms, taken_ms; /* since boot */
    uint32_t jitter;
    int64_t spread_ms;
};

struct patience {
    const struct service *service;
    struct note notes[NOTES_MAX]; /* in their order: nothing is taken before they are in the file */
    size_t count;
    sd_event_source *source;
    uint64_t held_since_ms; /* by somebody else; 0: it is not */
};

/* --- notes ----------------------------------------------------------------------------------- */

static enum gk_status write_down(const struct patience *patience, const struct note *note,
                                 int64_t *wait_ms, struct gk_error *err)
{
    const char *directory = patience->service->config->state_directory;
    struct agent_moment now;
    enum gk_status status = agent_moment_now(&now, err);

    if (status != GK_OK) {
        return status;
    }
    switch (note->what) {
    case GIVEN_BACK:
        return agent_budget_give_back(directory, &now, note->taken_ms, err);
    case SENT:
        return agent_budget_sent(directory, &now, note->taken_ms, note->at_ms, err);
    case FAILED:
        return agent_budget_failed(directory, &now, note->at_ms, note->jitter, note->spread_ms,
                                   wait_ms, err);
    case LASTED:
        return agent_budget_lasted(directory, &now, err);
    }
    return GK_OK;
}

/* Somebody else has the file: for longer than a moment? */
static bool is_held_long(struct patience *patience)
{
    uint64_t now = service_now_ms();

    if (patience->held_since_ms == 0) {
        patience->held_since_ms = now;
    }
    return now - patience->held_since_ms >= HELD_MS;
}

static void settle_later(struct patience *patience)
{
    uint64_t wait_ms = is_held_long(patience) ? LATER_MS : AGAIN_MS;

    sd_event_source_set_time_relative(patience->source, wait_ms * 1000);
    sd_event_source_set_enabled(patience->source, SD_EVENT_ONESHOT);
}

/* Fails with GK_BUSY alone: what cannot be written for another reason is said, and done without. */
static enum gk_status settle(struct patience *patience, int64_t *wait_ms, struct gk_error *err)
{
    while (patience->count > 0) {
        enum gk_status status = write_down(patience, &patience->notes[0], wait_ms, err);

        if (status == GK_BUSY) {
            settle_later(patience);
            return status;
        }
        if (status != GK_OK) {
            log_failure(LOG_LEVEL_WARNING, "keep the connect budget", err);
        }
        patience->count--;
        memmove(&patience->notes[0], &patience->notes[1],
                patience->count * sizeof(patience->notes[0]));
    }
    sd_event_source_set_enabled(patience->source, SD_EVENT_OFF);
    return GK_OK;
}

static int on_again(sd_event_source *source, uint64_t time, void *context)
{
    struct gk_error err = { 0 };
    int64_t ignored;

    (void)source;
    (void)time;
    (void)!settle(context, &ignored, &err);
    return 0;
}

static void take_note(struct patience *patience, const struct note *note, int64_t *wait_ms)
{
    struct gk_error err = { 0 };

    /* One attempt has no more to tell than that, and there is no other before it was written. */
    assert(patience->count < NOTES_MAX);
    patience->notes[patience->count++] = *note;
    (void)!settle(patience, wait_ms, &err);
}

/* --- taking ---------------------------------------------------------------------------------- */

/* It is tried again soon, and no failure before long. */
static enum gk_status bear(struct patience *patience, enum gk_status status, int64_t *wait_ms)
{
    if (status != GK_BUSY) {
        patience->held_since_ms = 0;
        return status;
    }
    if (is_held_long(patience)) {
        return status;
    }
    *wait_ms = AGAIN_MS;
    return GK_OK;
}

enum gk_status patience_take(struct patience *patience, bool patient, int64_t *wait_ms,
                             int64_t *taken_ms, struct gk_error *err)
{
    const char *directory = patience->service->config->state_directory;
    struct agent_moment now;
    int64_t ignored;
    enum gk_status status = agent_moment_now(&now, err);

    if (status == GK_OK) {
        status = settle(patience, &ignored, err);
    }
    if (status == GK_OK) {
        status = agent_budget_take(directory, &now, patient, wait_ms, err);
    }
    if (status == GK_OK && *wait_ms == 0) {
        *taken_ms = now.since_boot_ms;
    }
    return bear(patience, status, wait_ms);
}

enum gk_status patience_room(struct patience *patience, unsigned connects, int64_t *wait_ms,
                             struct gk_error *err)
{
    struct agent_moment now;
    int64_t ignored;
    enum gk_status status = agent_moment_now(&now, err);

    if (status == GK_OK) {
        status = settle(patience, &ignored, err);
    }
    if (status == GK_OK) {
        status = agent_budget_room(patience->service->config->state_directory, &now, connects,
                                   wait_ms, err);
    }
    return bear(patience, status, wait_ms);
}

/* --- what came of it ------------------------------------------------------------------------- */

static uint32_t throw_dice(void)
{
    uint32_t jitter;

    return getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK) == sizeof(jitter) ? jitter
                                                                               : UINT32_MAX / 2;
}

static int64_t spread(const struct patience *patience, bool lost)
{
    return lost ? (int64_t)patience->service->config->spread_s * 1000 : 0;
}

void patience_give_back(struct patience *patience, int64_t taken_ms)
{
    int64_t ignored;

    if (taken_ms != PATIENCE_NONE) {
        take_note(patience, &(const struct note){ .what = GIVEN_BACK, .taken_ms = taken_ms },
                  &ignored);
    }
}

int64_t patience_sent(struct patience *patience, int64_t taken_ms)
{
    const struct note note = { .what = SENT,
                               .at_ms = (int64_t)service_now_ms(),
                               .taken_ms = taken_ms };
    int64_t ignored;

    take_note(patience, &note, &ignored);
    return note.at_ms;
}

int64_t patience_failed(struct patience *patience, bool lost)
{
    const struct note note = { .what = FAILED,
                               .at_ms = (int64_t)service_now_ms(),
                               .jitter = throw_dice(),
                               .spread_ms = spread(patience, lost) };
    int64_t wait_ms = AGENT_BACKOFF_LAST_MS;

    take_note(patience, &note, &wait_ms);
    /* Where that is not in the file yet, patience_take() says how much longer it is. */
    return patience->count > 0 ? AGENT_BACKOFF_FIRST_MS : wait_ms;
}

int64_t patience_missed(struct patience *patience, int64_t taken_ms, unsigned misses, bool lost)
{
    patience_give_back(patience, taken_ms);
    return agent_budget_miss_ms(misses, throw_dice(), spread(patience, lost));
}

void patience_lasted(struct patience *patience)
{
    int64_t ignored;

    take_note(patience, &(const struct note){ .what = LASTED }, &ignored);
}

/* --- the whole ------------------------------------------------------------------------------- */

enum gk_status patience_new(const struct service *service, struct patience **patience,
                            struct gk_error *err)
{
    struct patience *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    code = sd_event_add_time_relative(service->event, &made->source, CLOCK_BOOTTIME, 0, 0, on_again,
                                      made);
    if (code < 0) {
        free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    sd_event_source_set_enabled(made->source, SD_EVENT_OFF);
    *patience = made;
    return GK_OK;
}

void patience_free(struct patience *patience)
{
    struct gk_error err = { 0 };
    int64_t ignored;

    if (patience == NULL) {
        return;
    }
    (void)!settle(patience, &ignored, &err);
    sd_event_source_disable_unref(patience->source);
    free(patience);
}
