/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey status: what is known of the time, from clock.json and from gatekeyd. */
#include "agent/command/status.h"

#include "agent/clock-file.h"
#include "agent/clock.h"

#include <time.h>

static void format_time(int64_t seconds, char text[static 32])
{
    time_t time = (time_t)seconds;
    struct tm tm = { 0 };

    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &tm));
}

/* Before which no certificate is judged, and who says so. */
static void show_floor(struct run *run, struct gk_error *first)
{
    struct agent_clock_record record;
    struct gk_error err = { 0 };
    enum gk_status status = agent_clock_read(run->config->state_directory, &record, &err);
    char text[32];

    if (status == GK_FILE_DENIED) {
        return; /* it is root's and gatekeyd's */
    }
    if (record.floor != agent_clock_floor(run->config)) {
        /* It counts for nothing, beyond the ceiling. */
        record.refused = record.floor;
        record.refused_source = record.source;
        record.floor = agent_clock_floor(run->config);
        record.source = AGENT_CLOCK_BUILD;
    }
    format_time(record.floor, text);
    say_line(run, "%-12s not before %s (%s)", "floor", text,
             agent_clock_source_name(record.source));
    say_text(run, "clockFloor", text);
    say_text(run, "clockFloorSource", agent_clock_source_name(record.source));
    if (record.refused != 0) {
        format_time(record.refused, text);
        say_line(run, "%-12s %s (%s), not believed: it is too far ahead", "", text,
                 agent_clock_source_name(record.refused_source));
        say_text(run, "clockFloorRefused", text);
    }
    if (status != GK_OK) {
        status_note(first, &err);
    }
}

void status_show_clock(struct run *run, const json_t *reply, struct gk_error *first)
{
    const json_t *clock = json_object_get(reply, "clock");
    const json_t *tampering = json_object_get(clock, "tampering");
    const char *detail = json_string_value(json_object_get(clock, "detail"));
    const char *found = json_string_value(json_object_get(tampering, "detail"));
    struct gk_error err = { 0 };

    if (detail != NULL) {
        say_line(run, "%-12s %s", "clock", detail);
    }
    if (found != NULL && json_is_true(json_object_get(tampering, "stands"))) {
        if (detail == NULL || strcmp(detail, found) != 0) {
            say_line(run, "%-12s %s", "", found);
        }
        gk_fail(&err, GK_CLOCK_WRONG, "%s", found);
        gk_advise(&err, "set it right, or run gatekey clock accept if it is");
        status_note(first, &err);
    }
    show_floor(run, first);
}
