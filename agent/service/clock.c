/* SPDX-License-Identifier: Apache-2.0 */
/* Watches the wall clock: looks at all clocks when something happens, and acts on the verdict. */
#include "agent/service/service.h"

#include "agent/clock-file.h"
#include "agent/secret.h"
#include "agent/service/log.h"

#include <dirent.h>
#include <errno.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <time.h>

#define SAVE_US ((uint64_t)6 * 3600 * 1000000) /* how often, beside when there is news */
#define GRACE_US ((uint64_t)10000000)          /* to tell the hub before it is left */
#define FRESH_MS                                                                    \
    ((int64_t)3600 * 1000) /* a look is good for so long while the clocks run alike \
                            */
#define ALIKE_MS 1000
#define PAST_MS 1000                 /* surely past what was waited for */
#define AGAIN_US ((uint64_t)2000000) /* after somebody else held clock.json */
#define EVENT "clockTampered"

struct clock_watch {
    struct service *service;
    sd_event_source *set_source, *save_source, *again_source, *grace_source;
    struct watch *file_watch;
    struct agent_clock_mark mark;
    struct agent_clock_report report;
    struct agent_clock_judgement found, at_start; /* by the last look, and by the first */
    int64_t floor_s, moment_ms, offset_ms;        /* at the last look; the wall clock's from boot */
    bool is_synchronised;
    bool
        is_saved; /* clock.json has a mark of ours; where it has none any more, somebody accepted */
    bool is_grace;
    bool garbled; /* that clock.json made no sense was said */
};

/* --- all clocks at one moment ---------------------------------------------------------------- */

/* Did the kernel take its time from a clock that goes on without power? */
static bool has_battery(void)
{
    static const char folder[] = "/sys/class/rtc";
    DIR *clocks = opendir(folder);
    const struct dirent *entry;
    bool found = false;

    while (clocks != NULL && !found && (entry = readdir(clocks)) != NULL) {
        char path[sizeof(folder) + sizeof(entry->d_name) + sizeof("/hctosys")];
        CLEANUP(gk_fclosep) FILE *file = NULL;

        snprintf(path, sizeof(path), "%s/%s/hctosys", folder, entry->d_name);
        file = fopen(path, "re");
        found = file != NULL && fgetc(file) == '1';
    }
    if (clocks != NULL) {
        closedir(clocks);
    }
    return found;
}

/* Without a TPM the other clocks have to do. */
static void ask_tpm(const struct agent_config *config, struct agent_clock_look *look)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;

    look->has_tpm = agent_admin_open(config, &admin, NULL) == GK_OK &&
                    gk_admin_clock(admin, &look->tpm, NULL) == GK_OK;
}

static enum gk_status look_at_clocks(const struct clock_watch *watch, struct agent_clock_look *look,
                                     struct gk_error *err)
{
    struct timex kernel = { .modes = 0 };
    struct timespec wall = { 0 };

    *look = (struct agent_clock_look){ .has_battery = has_battery() };
    ask_tpm(watch->service->config, look);
    look->synchronised = adjtimex(&kernel) >= 0 && (kernel.status & STA_UNSYNC) == 0;
    clock_gettime(CLOCK_REALTIME, &wall);
    look->wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    return agent_moment_now(&look->moment, err);
}

/* --- clock.json ------------------------------------------------------------------------------ */

static bool put(struct agent_clock_record *record, void *context)
{
    const struct clock_watch *watch = context;

    if (watch->is_saved && !record->mark.known) {
        return false; /* accepted a moment ago: on_file_changed() is on its way */
    }
    record->mark = watch->mark;
    record->report = watch->report;
    return true;
}

/* gatekey has the file for a moment; the event loop does not wait for whoever has it for longer. */
static void save_again(struct clock_watch *watch)
{
    sd_event_source_set_time_relative(watch->again_source, AGAIN_US);
    sd_event_source_set_enabled(watch->again_source, SD_EVENT_ONESHOT);
}

static void save(struct clock_watch *watch)
{
    struct gk_error err = { 0 };
    enum gk_status status =
        agent_clock_change(watch->service->config->state_directory, put, watch, &err);

    if (status == GK_BUSY) {
        save_again(watch);
    } else if (status != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "keep what is known of the clock", &err);
    } else {
        watch->is_saved = true;
    }
}

static int on_again(sd_event_source *source, uint64_t time, void *context)
{
    (void)source;
    (void)time;
    save(context);
    return 0;
}

static void load(struct clock_watch *watch, struct agent_clock_record *record)
{
    struct gk_error err = { 0 };
    enum gk_status status = agent_clock_read(watch->service->config->state_directory, record, &err);

    if (status != GK_OK && !watch->garbled) {
        log_failure(LOG_LEVEL_WARNING, "read what is known of the clock", &err);
    }
    watch->garbled = status != GK_OK;
}

/* --- what comes of a look -------------------------------------------------------------------- */

static void on_told(void *context)
{
    struct clock_watch *watch = context;

    watch->report.told = true;
    save(watch);
    if (watch->is_grace) {
        /* It is over, but the connection must not be left from within what it received. */
        sd_event_source_set_time_relative(watch->grace_source, 0);
    }
}

static void tell_hub(struct clock_watch *watch)
{
    json_t *members =
        json_pack("{ss sI ss}", "kind", agent_clock_verdict_name(watch->report.kind), "seconds",
                  (json_int_t)watch->report.seconds, "detail", watch->report.detail);

    if (service_notify_until(watch->service, EVENT, members, on_told, watch) != GK_OK) {
        log_line(LOG_LEVEL_WARNING, "cannot keep event " EVENT " for the hub");
    }
}

/* The hub is told while there is still a connection: afterwards there is none for long. */
static void begin_grace(struct clock_watch *watch)
{
    const struct service *service = watch->service;

    if (service->config->on_tamper == AGENT_STOP && service->session != NULL &&
        session_require(service->session, NULL) == GK_OK) {
        watch->is_grace = true;
        sd_event_source_set_time_relative(watch->grace_source, GRACE_US);
        sd_event_source_set_enabled(watch->grace_source, SD_EVENT_ONESHOT);
    }
}

static void act(struct clock_watch *watch, enum agent_clock_news news,
                enum agent_clock_verdict before)
{
    switch (news) {
    case AGENT_CLOCK_TAMPERED:
        log_line(LOG_LEVEL_WARNING, "the clock was tampered with: %s", watch->report.detail);
        tell_hub(watch);
        begin_grace(watch);
        break;
    case AGENT_CLOCK_RIGHT_AGAIN:
        log_line(LOG_LEVEL_NOTICE, "the clock is right again");
        break;
    case AGENT_CLOCK_NO_NEWS:
        if (watch->found.verdict != before && watch->found.verdict != AGENT_CLOCK_RIGHT &&
            !agent_clock_is_tampered(watch->found.verdict)) {
            log_line(LOG_LEVEL_INFO, "%s", watch->found.sentence);
        }
        break;
    }
}

/* Does it matter to the next one who reads the file? That the clock went on does not. */
static bool is_other(const struct clock_watch *watch, const struct agent_clock_mark *known)
{
    return watch->mark.settled != known->settled || watch->mark.wall_ms != known->wall_ms;
}

/* No setting of it need come for a clock that runs to be believed again. */
static void plan_look(struct clock_watch *watch)
{
    int64_t wait_ms = agent_clock_wait_ms(&watch->found);
    uint64_t wait_us = SAVE_US;

    if (wait_ms > 0 && wait_ms < (int64_t)(SAVE_US / 1000)) {
        wait_us = (uint64_t)(wait_ms + PAST_MS) * 1000;
    }
    sd_event_source_set_time_relative(watch->save_source, wait_us);
    sd_event_source_set_enabled(watch->save_source, SD_EVENT_ONESHOT);
}

/* must_save: there is no news, but it is time. */
static void look(struct clock_watch *watch, bool must_save)
{
    const struct agent_config *config = watch->service->config;
    enum agent_clock_verdict before = watch->found.verdict;
    struct agent_clock_mark known = watch->mark;
    struct agent_clock_look now;
    struct gk_error err = { 0 };
    enum agent_clock_news news;

    if (look_at_clocks(watch, &now, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "look at the clocks", &err);
        return;
    }
    watch->is_synchronised = now.synchronised;
    watch->moment_ms = now.moment.since_boot_ms;
    watch->offset_ms = now.wall_ms - now.moment.since_boot_ms;
    watch->floor_s = agent_clock_floor(config);
    watch->found = agent_clock_judge(&known, &now, watch->floor_s, config->tolerance_s);
    if (watch->found.tpm == AGENT_TPM_CLEARED) {
        log_line(LOG_LEVEL_NOTICE, "the TPM was cleared; its clock began anew");
    }
    news = agent_clock_report(&watch->report, &now, &watch->found, config->tolerance_s);
    watch->mark = agent_clock_remember(&known, &now, &watch->found);
    act(watch, news, before);
    if (must_save || news != AGENT_CLOCK_NO_NEWS || (watch->is_saved && is_other(watch, &known))) {
        save(watch);
    }
    if (must_save || agent_clock_wait_ms(&watch->found) > 0) {
        plan_look(watch);
    }
}

/* --- when to look ---------------------------------------------------------------------------- */

/* Never due, but cancelled whenever the clock is set (timerfd_create(2)). */
static int wait_for_setting(int fd)
{
    const struct itimerspec never = { .it_value.tv_sec = INT32_MAX };

    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

static int on_set(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct clock_watch *watch = context;
    uint64_t ignored;

    (void)source;
    (void)events;
    if (read(fd, &ignored, sizeof(ignored)) < 0 && errno != ECANCELED) {
        return 0;
    }
    wait_for_setting(fd);
    look(watch, false);
    session_clock_changed(watch->service->session);
    return 0;
}

static int on_save(sd_event_source *source, uint64_t time, void *context)
{
    struct clock_watch *watch = context;

    (void)source;
    (void)time;
    plan_look(watch); /* whatever comes of this one */
    look(watch, true);
    session_clock_changed(watch->service->session);
    return 0;
}

static int on_grace_over(sd_event_source *source, uint64_t time, void *context)
{
    struct clock_watch *watch = context;

    (void)source;
    (void)time;
    if (watch->is_grace) {
        watch->is_grace = false;
        session_clock_changed(watch->service->session);
    }
    return 0;
}

/* gatekey has written clock.json, or we have. */
static void on_file_changed(void *context)
{
    struct clock_watch *watch = context;
    struct agent_clock_record record;

    load(watch, &record);
    if (watch->is_saved && !record.mark.known) {
        log_line(LOG_LEVEL_NOTICE, "what was known of the clock was erased; it counts from now");
        watch->mark = record.mark;
        watch->report = record.report;
        watch->is_saved = false;
        /* A gateway that was reset leaves nothing behind until there is something to say. */
        look(watch, agent_clock_is_there(watch->service->config->state_directory));
    } else if (agent_clock_floor(watch->service->config) != watch->floor_s) {
        look(watch, false);
    } else {
        return;
    }
    session_clock_changed(watch->service->session);
}

static int add_timers(struct clock_watch *watch)
{
    sd_event *event = watch->service->event;
    int code = sd_event_add_time_relative(event, &watch->save_source, CLOCK_BOOTTIME, SAVE_US, 0,
                                          on_save, watch);

    if (code >= 0) {
        code = sd_event_add_time_relative(event, &watch->grace_source, CLOCK_BOOTTIME, GRACE_US, 0,
                                          on_grace_over, watch);
    }
    if (code >= 0) {
        code = sd_event_add_time_relative(event, &watch->again_source, CLOCK_BOOTTIME, AGAIN_US, 0,
                                          on_again, watch);
    }
    if (code < 0) {
        return code;
    }
    sd_event_source_set_enabled(watch->again_source, SD_EVENT_OFF);
    return sd_event_source_set_enabled(watch->grace_source, SD_EVENT_OFF);
}

static int add_set_source(struct clock_watch *watch)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    int code;

    if (fd < 0 || wait_for_setting(fd) != 0) {
        code = -errno;
    } else {
        code =
            sd_event_add_io(watch->service->event, &watch->set_source, fd, EPOLLIN, on_set, watch);
    }
    if (code < 0) {
        gk_closep(&fd);
        return code;
    }
    return sd_event_source_set_io_fd_own(watch->set_source, true);
}

/* --- for the other parts --------------------------------------------------------------------- */

enum gk_status clock_watch_permit(const struct clock_watch *watch, struct gk_error *err)
{
    const struct agent_config *config = watch->service->config;

    if (watch->found.verdict == AGENT_CLOCK_UNSET) {
        gk_fail(err, GK_CLOCK_WRONG, "%s", watch->found.sentence);
        gk_advise(err, "gatekeyd goes on by itself once it is set, by NTP or by hand");
        return GK_CLOCK_WRONG;
    }
    if (config->on_tamper == AGENT_STOP && watch->report.stands && !watch->is_grace) {
        gk_fail(err, GK_CLOCK_WRONG, "%s", watch->report.detail);
        gk_advise(err, "set it right, or run gatekey clock accept if it is");
        return GK_CLOCK_WRONG;
    }
    return GK_OK;
}

/*
 * Links that are cut one after the other should not cost the TPM a command each: while the wall
 * clock goes as the kernel's own does, its clock would say what it said.
 */
static bool is_fresh(const struct clock_watch *watch)
{
    struct timespec wall = { 0 };
    int64_t moment_ms = (int64_t)service_now_ms();
    int64_t drift_ms;

    clock_gettime(CLOCK_REALTIME, &wall);
    drift_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000 - moment_ms - watch->offset_ms;
    return watch->found.verdict == AGENT_CLOCK_RIGHT && watch->found.tpm == AGENT_TPM_RAN &&
           moment_ms - watch->moment_ms < FRESH_MS && drift_ms < ALIKE_MS && drift_ms > -ALIKE_MS &&
           agent_clock_floor(watch->service->config) == watch->floor_s;
}

enum gk_status clock_watch_look(struct clock_watch *watch, struct gk_error *err)
{
    if (!is_fresh(watch)) {
        look(watch, false);
    }
    return clock_watch_permit(watch, err);
}

static json_t *describe_report(const struct agent_clock_report *report)
{
    return json_pack("{ss sI sI ss sb sb}", "kind", agent_clock_verdict_name(report->kind),
                     "seconds", (json_int_t)report->seconds, "at", (json_int_t)report->at, "detail",
                     report->detail, "stands", report->stands, "told", report->told);
}

static json_t *describe_judgement(const struct agent_clock_judgement *found)
{
    return json_pack("{ss ss ss}", "verdict", agent_clock_verdict_name(found->verdict), "detail",
                     found->sentence, "tpm", agent_clock_tpm_name(found->tpm));
}

void clock_watch_describe(const struct clock_watch *watch, json_t *status)
{
    json_t *clock = describe_judgement(&watch->found);

    json_object_set_new(clock, "synchronised", json_boolean(watch->is_synchronised));
    json_object_set_new(clock, "atStart", describe_judgement(&watch->at_start));
    if (watch->report.kind != AGENT_CLOCK_NEW) {
        json_object_set_new(clock, "tampering", describe_report(&watch->report));
    }
    json_object_set_new(status, "clock", clock);
}

static void begin(struct clock_watch *watch)
{
    struct agent_clock_record record;

    load(watch, &record);
    watch->mark = record.mark;
    watch->report = record.report;
    watch->is_saved = record.mark.known;
    if (watch->report.kind != AGENT_CLOCK_NEW && !watch->report.told) {
        tell_hub(watch);
    }
    look(watch, !watch->is_saved);
    watch->at_start = watch->found;
}

enum gk_status clock_watch_new(struct service *service, struct clock_watch **watch,
                               struct gk_error *err)
{
    struct clock_watch *made = calloc(1, sizeof(*made));
    enum gk_status status;
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    code = add_timers(made);
    if (code >= 0) {
        code = add_set_source(made);
    }
    status =
        code >= 0 ? GK_OK : gk_fail(err, GK_INTERNAL, "watching the clock: %s", strerror(-code));
    if (status == GK_OK) {
        begin(made);
        status = watch_new(service->event, service->config->state_directory, on_file_changed, made,
                           &made->file_watch, err);
    }
    if (status != GK_OK) {
        clock_watch_free(made);
        return status;
    }
    *watch = made;
    return GK_OK;
}

void clock_watch_free(struct clock_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    if (watch->is_saved) {
        look(watch, true);
    }
    watch_free(watch->file_watch);
    sd_event_source_disable_unref(watch->set_source);
    sd_event_source_disable_unref(watch->save_source);
    sd_event_source_disable_unref(watch->again_source);
    sd_event_source_disable_unref(watch->grace_source);
    free(watch);
}
