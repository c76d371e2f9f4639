/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the identity directory, which others write, and notices when they do. */
#include "identity/identity.h"
#include "agent/service/service.h"
#include "agent/state.h"

#include <errno.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define SETTLE_US ((uint64_t)500000)  /* a change comes as several files */
#define RETRY_US ((uint64_t)30000000) /* while there is no directory to watch */

static void advise_on_modes(struct gk_error *err)
{
    gk_advise(err, "let the user that gatekeyd runs as read it; gatekey(1) has the modes under "
                   "FILES");
}

/* Inode and time, which a replaced file never both keeps. GK_NO_FILE leaves err alone. */
static enum gk_status note_file(const struct agent_config *config, const char *name,
                                struct identity *identity, struct gk_error *err)
{
    CLEANUP(gk_freep) char *path = NULL;
    struct stat info = { 0 };
    size_t used = strlen(identity->mark);
    enum gk_status status = GK_OK;

    if (asprintf(&path, "%s/%s", config->directory, name) < 0) {
        path = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (stat(path, &info) != 0) {
        status = errno == ENOENT ? GK_NO_FILE : gk_fail_file(err, errno, path);
    }
    if (status == GK_FILE_DENIED) {
        advise_on_modes(err);
    }
    snprintf(identity->mark + used, sizeof(identity->mark) - used, "%ju.%jd.%ld ",
             (uintmax_t)info.st_ino, (intmax_t)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    return status;
}

enum gk_status identity_look(const struct agent_config *config, struct identity *identity,
                             struct gk_error *err)
{
    /* A software key has no device.pem. */
    static const struct {
        const char *name;
        bool needed;
    } files[] = { { GK_FILE_CERTIFICATE, true },
                  { GK_FILE_SECRET, true },
                  { GK_FILE_DEVICE, false } };
    struct agent_state state = { 0 };
    enum gk_status status;
    bool complete = true;

    *identity = (struct identity){ 0 };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        status = note_file(config, files[i].name, identity, err);
        if (status != GK_OK && status != GK_NO_FILE) {
            return status;
        }
        complete = complete && (status == GK_OK || !files[i].needed);
    }
    status = agent_state_read(config->directory, &state, err);
    if (status == GK_FILE_DENIED) {
        advise_on_modes(err);
    }
    if (status != GK_OK) {
        return status;
    }
    identity->enrolled = complete && state.stage == AGENT_STAGE_ENROLLED;
    identity->certified = complete && state.stage == AGENT_STAGE_CERTIFIED;
    return GK_OK;
}

struct identity_watch {
    sd_event *event;
    const char *directory;
    identity_changed *changed;
    void *context;
    sd_event_source *inotify_source, *settle_source, *retry_source;
};

static int on_settled(sd_event_source *source, uint64_t time, void *context)
{
    struct identity_watch *watch = context;

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
    struct identity_watch *watch = context;

    (void)source;
    if ((event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
        /* The directory itself is gone; another may come. */
        sd_event_source_set_enabled(watch->inotify_source, SD_EVENT_OFF);
        after(watch->event, &watch->retry_source, RETRY_US, on_retry, watch);
    }
    after(watch->event, &watch->settle_source, SETTLE_US, on_settled, watch);
    return 0;
}

static int begin(struct identity_watch *watch)
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
    struct identity_watch *watch = context;

    (void)source;
    (void)time;
    if (begin(watch) < 0) {
        return after(watch->event, &watch->retry_source, RETRY_US, on_retry, watch);
    }
    watch->changed(watch->context);
    return 0;
}

enum gk_status identity_watch_new(sd_event *event, const char *directory, identity_changed *changed,
                                  void *context, struct identity_watch **watch,
                                  struct gk_error *err)
{
    struct identity_watch *made = calloc(1, sizeof(*made));
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
        identity_watch_free(made);
        return gk_fail(err, GK_INTERNAL, "watching %s: %s", directory, strerror(-code));
    }
    *watch = made;
    return GK_OK;
}

void identity_watch_free(struct identity_watch *watch)
{
    if (watch != NULL) {
        sd_event_source_disable_unref(watch->inotify_source);
        sd_event_source_disable_unref(watch->settle_source);
        sd_event_source_disable_unref(watch->retry_source);
        free(watch);
    }
}
