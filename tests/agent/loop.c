/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop whose clock the test moves. */
#include "tests/agent/loop.h"

#include "cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define STEPS_MAX 100000 /* at one moment: more is a loop that never sleeps */

struct sd_event_source {
    struct sd_event_source *next;
    sd_event_handler_t handler; /* of a deferred one; NULL: it is a timer */
    sd_event_time_handler_t on_time;
    sd_event_handler_t prepare;
    void *context;
    int enabled;
    int64_t priority;
    uint64_t at_us, turn; /* turn: since when it waits for those of its priority */
};

static struct sd_event_source *sources;
static uint64_t now_us = UINT64_C(1000000) * 1000, turns;

int64_t loop_boot_ms = LOOP_BOOT_MS;

uint64_t loop_now_ms(void)
{
    return now_us / 1000;
}

void loop_skip(uint64_t ms)
{
    now_us += ms * 1000;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    uint64_t us = now_us + (clock == CLOCK_REALTIME ? (uint64_t)loop_boot_ms * 1000 : 0);

    if (clock != CLOCK_BOOTTIME && clock != CLOCK_REALTIME) {
        return (int)syscall(SYS_clock_gettime, clock, time);
    }
    *time = (struct timespec){ .tv_sec = (time_t)(us / 1000000),
                               .tv_nsec = (long)(us % 1000000) * 1000 };
    return 0;
}

/* --- what is due ----------------------------------------------------------------------------- */

static bool is_due(const struct sd_event_source *source)
{
    return source->enabled != SD_EVENT_OFF && (source->handler != NULL || source->at_us <= now_us);
}

static bool goes_before(const struct sd_event_source *one, const struct sd_event_source *other)
{
    return one->priority != other->priority ? one->priority < other->priority
                                            : one->turn < other->turn;
}

static struct sd_event_source *next_due(void)
{
    struct sd_event_source *first = NULL;

    for (struct sd_event_source *s = sources; s != NULL; s = s->next) {
        if (is_due(s) && (first == NULL || goes_before(s, first))) {
            first = s;
        }
    }
    return first;
}

static void prepare_all(void)
{
    for (struct sd_event_source *s = sources, *next; s != NULL; s = next) {
        next = s->next;
        if (s->prepare != NULL && s->enabled != SD_EVENT_OFF) {
            s->prepare(s, s->context);
        }
    }
}

static void dispatch(struct sd_event_source *source)
{
    source->turn = ++turns;
    if (source->enabled == SD_EVENT_ONESHOT) {
        source->enabled = SD_EVENT_OFF;
    }
    if (source->handler != NULL) {
        assert_true(source->handler(source, source->context) >= 0);
    } else {
        assert_true(source->on_time(source, source->at_us, source->context) >= 0);
    }
}

void loop_settle(void)
{
    struct sd_event_source *source;
    unsigned steps = 0;

    for (;;) {
        prepare_all();
        source = next_due();
        if (source == NULL) {
            return;
        }
        if (++steps > STEPS_MAX) {
            fail_msg("the loop never sleeps");
        }
        dispatch(source);
    }
}

void loop_pass(uint64_t ms)
{
    uint64_t end_us = now_us + ms * 1000;

    for (;;) {
        uint64_t next_us = end_us;

        loop_settle();
        for (const struct sd_event_source *s = sources; s != NULL; s = s->next) {
            if (s->enabled != SD_EVENT_OFF && s->handler == NULL && s->at_us < next_us) {
                next_us = s->at_us;
            }
        }
        if (now_us == end_us) {
            return;
        }
        now_us = next_us;
    }
}

/* --- sd-event(3) ----------------------------------------------------------------------------- */

static int add(sd_event_source **source, struct sd_event_source like)
{
    struct sd_event_source *made = calloc(1, sizeof(*made));

    assert_non_null(made);
    *made = like;
    made->enabled = SD_EVENT_ONESHOT;
    made->turn = ++turns;
    made->next = sources;
    sources = made;
    *source = made;
    return 0;
}

int sd_event_add_defer(sd_event *event, sd_event_source **source, sd_event_handler_t handler,
                       void *context)
{
    (void)event;
    return add(source, (struct sd_event_source){ .handler = handler, .context = context });
}

int sd_event_add_time(sd_event *event, sd_event_source **source, clockid_t clock, uint64_t at_us,
                      uint64_t accuracy_us, sd_event_time_handler_t handler, void *context)
{
    (void)event;
    (void)accuracy_us;
    assert_int_equal(clock, CLOCK_BOOTTIME);
    return add(source,
               (struct sd_event_source){ .on_time = handler, .context = context, .at_us = at_us });
}

int sd_event_add_time_relative(sd_event *event, sd_event_source **source, clockid_t clock,
                               uint64_t delay_us, uint64_t accuracy_us,
                               sd_event_time_handler_t handler, void *context)
{
    return sd_event_add_time(event, source, clock, now_us + delay_us, accuracy_us, handler,
                             context);
}

int sd_event_source_set_time(sd_event_source *source, uint64_t at_us)
{
    source->at_us = at_us;
    return 0;
}

int sd_event_source_set_time_relative(sd_event_source *source, uint64_t delay_us)
{
    return sd_event_source_set_time(source, now_us + delay_us);
}

int sd_event_source_set_time_accuracy(sd_event_source *source, uint64_t accuracy_us)
{
    (void)source;
    (void)accuracy_us;
    return 0;
}

int sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
    source->enabled = enabled;
    return 0;
}

int sd_event_source_set_priority(sd_event_source *source, int64_t priority)
{
    source->priority = priority;
    return 0;
}

int sd_event_source_set_prepare(sd_event_source *source, sd_event_handler_t prepare)
{
    source->prepare = prepare;
    return 0;
}

sd_event_source *sd_event_source_unref(sd_event_source *source)
{
    for (struct sd_event_source **at = &sources; source != NULL && *at != NULL; at = &(*at)->next) {
        if (*at == source) {
            *at = source->next;
            free(source);
            break;
        }
    }
    return NULL;
}

sd_event_source *sd_event_source_disable_unref(sd_event_source *source)
{
    return sd_event_source_unref(source);
}
