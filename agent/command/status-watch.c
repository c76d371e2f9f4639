/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey status --watch: what gatekeyd says of itself, again and again. */
#include "agent/command/status.h"

#include "agent/command/figures.h"
#include "agent/command/service.h"
#include "agent/command/terminal.h"
#include "agent/exit.h"

#include <signal.h>
#include <time.h>

/* A service that hangs must not keep Ctrl-C waiting for long. */
#define SERVICE_TIMEOUT_S 2

/* The answers of this time and of the one before. */
struct view {
    json_t *reply, *before; /* NULL: none */
    struct gk_error err;    /* why there is no reply */
    char time[32];
};

static void view_clear(struct view *view)
{
    json_decref(view->reply);
    json_decref(view->before);
}

/* What was counted by another gatekeyd tells no rate. */
static bool is_the_same_service(const json_t *one, const json_t *other)
{
    return json_equal(json_object_get(one, "pid"), json_object_get(other, "pid"));
}

static void look(struct run *run, struct view *view)
{
    time_t now = time(NULL);
    struct tm tm = { 0 };

    json_decref(view->before);
    view->before = TAKE(view->reply);
    strftime(view->time, sizeof(view->time), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    if (service_call(run->config, "status", SERVICE_TIMEOUT_S, &view->reply, &view->err) != GK_OK) {
        view->reply = NULL;
    } else if (view->before != NULL && !is_the_same_service(view->reply, view->before)) {
        json_decref(TAKE(view->before));
    }
}

static const char *why_not(const struct view *view)
{
    return view->err.status == GK_NO_SERVICE ? "not running" : gk_status_cause(view->err.status);
}

/* --- on a terminal --------------------------------------------------------------------------- */

static bool draw(const struct terminal *terminal, const struct view *view, unsigned interval_s)
{
    struct figure figures[FIGURES_MAX];
    char text[FIGURES_MAX + 2][sizeof(struct figure) + 2];
    const char *lines[FIGURES_MAX + 2];
    size_t count = 0;

    snprintf(text[0], sizeof(text[0]), "%s, every %u s; q or Ctrl-C ends it", view->time,
             interval_s);
    snprintf(text[1], sizeof(text[1]), "%s", "");
    if (view->reply != NULL) {
        count = figures_list(view->reply, view->before, figures);
    } else {
        count = 1;
        snprintf(figures[0].name, sizeof(figures[0].name), "service");
        snprintf(figures[0].text, sizeof(figures[0].text), "%s (%s)", why_not(view),
                 view->err.object);
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(text[i + 2], sizeof(text[0]), "%-12.15s %.399s", figures[i].name, figures[i].text);
    }
    for (size_t i = 0; i < count + 2; i++) {
        agent_text_tame(text[i]);
        lines[i] = text[i];
    }
    return terminal_draw(terminal, lines, count + 2);
}

static enum gk_status watch_on_terminal(struct run *run, unsigned interval_s, struct gk_error *err)
{
    CLEANUP(view_clear) struct view view = { 0 };
    struct terminal *terminal;
    enum terminal_event event = TERMINAL_TIME;
    enum gk_status status = terminal_open(&terminal, err);
    int ended_by;

    if (status != GK_OK) {
        return status;
    }
    while (event == TERMINAL_TIME) {
        look(run, &view);
        event = draw(terminal, &view, interval_s) ? terminal_wait(terminal, (int)interval_s * 1000)
                                                  : TERMINAL_END;
    }
    ended_by = terminal_signal(terminal);
    terminal_close(terminal);
    if (event == TERMINAL_SIGNAL) {
        raise(ended_by);
    }
    return GK_OK;
}

/* --- elsewhere ------------------------------------------------------------------------------- */

static void say(struct run *run, const struct view *view)
{
    char text[400];

    if (run->json) {
        CLEANUP(json_freep)
        json_t *missing = json_pack("{sb ss}", "ok", 0, "status", gk_status_name(view->err.status));

        say_object(view->reply != NULL ? view->reply : missing);
        return;
    }
    if (view->reply != NULL) {
        figures_line(view->reply, text, sizeof(text));
    } else {
        snprintf(text, sizeof(text), "%s", why_not(view));
    }
    say_line(run, "%s %s", view->time, text);
}

/* A line each time, until whoever reads them has enough. */
_Noreturn static void watch_in_lines(struct run *run, unsigned interval_s)
{
    struct view view = { 0 };

    for (;;) {
        look(run, &view);
        say(run, &view);
        if (fflush(stdout) != 0) {
            leave(AGENT_EXIT_FAILED);
        }
        nanosleep(&(const struct timespec){ interval_s, 0 }, NULL);
    }
}

enum gk_status status_watch(struct run *run, unsigned interval_s, struct gk_error *err)
{
    if (run->json || !terminal_is_there()) {
        watch_in_lines(run, interval_s);
    }
    return watch_on_terminal(run, interval_s, err);
}
