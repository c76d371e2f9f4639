/* SPDX-License-Identifier: Apache-2.0 */
/* Notices when something in a directory that others write was changed. */
#include "agent/service/service.h"

#include <sys/inotify.h>

#define SETTLE_US ((uint64_t)500000)  /* a change comes as several files */
#define RETRY_US ((uint64_t)30000000) /* while there is no directory to watch */

struct watch {
    sd_event *event;
    const char *directory;
    watch_changed *changed;
    void *context;
    sd_event_source *inotify_source, *settle_source, *retry_source;
};

static int on_settled(sd_event_source *source, uint64_t time, void *context)
{
    struct watch *watch = context;

    (void)source;
    (void)time;
    watch->changed(watch->context);
    return 0;
}

static int after(sd_event *event, sd_event_source **source, uint64_t delay_us,
                 sd_event_time_handler_t handler, void *context)
{
    if (*source == NULL) {
        return sd_event_add_time_relative(event, source, CLOCK_BOOTTIME, delay_us, 0, handler,
                                          context);
    }
    sd_event_source_set_time_relative(*source, delay_us);
    return sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
}

static int on_retry(sd_event_source *source, uint64_t time, void *context);

static int on_change(sd_event_source *source, const struct inotify_event *event, void *context)
{
    struct watch *watch = context;

    (void)source;
    if ((event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
        /* The directory itself is gone; another may come. */
        sd_event_source_set_enabled(watch->inotify_source, SD_EVENT_OFF);
        after(watch->event, &watch->retry_source, RETRY_US, on_retry, watch);
    }
    after(watch->event, &watch->settle_source, SETTLE_US, on_settled, watch);
    return 0;
}

static int begin(struct watch *watch)
{
    watch->inotify_source = sd_event_source_disable_unref(watch->inotify_source);
    return sd_event_add_inotify(watch->event, &watch->inotify_source, watch->directory,
                                IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                    IN_ATTRIB | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF |
                                    IN_ONLYDIR,
                                on_change, watch);
}

static int on_retry(sd_event_source *source, uint64_t time, void *context)
{
    struct watch *watch = context;

    (void)source;
    (void)time;
    if (begin(watch) < 0) {
        return after(watch->event, &watch->retry_source, RETRY_US, on_retry, watch);
    }
    watch->changed(watch->context);
    return 0;
}

enum gk_status watch_new(sd_event *event, const char *directory, watch_changed *changed,
                         void *context, struct watch **watch, struct gk_error *err)
{
    struct watch *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->event = event;
    made->directory = directory;
    made->changed = changed;
    made->context = context;
    code = begin(made);
    if (code < 0) {
        code = after(event, &made->retry_source, RETRY_US, on_retry, made);
    }
    if (code < 0) {
        watch_free(made);
        return gk_fail(err, GK_INTERNAL, "watching %s: %s", directory, strerror(-code));
    }
    *watch = made;
    return GK_OK;
}

void watch_free(struct watch *watch)
{
    if (watch != NULL) {
        sd_event_source_disable_unref(watch->inotify_source);
        sd_event_source_disable_unref(watch->settle_source);
        sd_event_source_disable_unref(watch->retry_source);
        free(watch);
    }
}
