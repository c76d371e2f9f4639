/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey clock accept: somebody at the gateway has looked at its clock and found it right. */
#include "agent/command/command.h"

#include "agent/clock-file.h"

#include <time.h>

static void say_time(int64_t seconds, char text[static 32])
{
    time_t time = (time_t)seconds;
    struct tm tm = { 0 };

    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &tm));
}

/* No word of anybody makes a clock right that stands before this program was made. */
static enum gk_status check(struct gk_error *err)
{
    char now[32], build[32];

    if (agent_clock_build() <= (int64_t)time(NULL)) {
        return GK_OK;
    }
    say_time((int64_t)time(NULL), now);
    say_time(agent_clock_build(), build);
    return gk_fail(err, GK_CLOCK_WRONG, "it stands at %s; gatekey was built on %s", now, build);
}

enum gk_status command_clock_accept(struct run *run, int argc, char **argv, struct gk_error *err)
{
    struct agent_clock_record record;
    char now[32], floor[32];
    enum gk_status status = words_read(run, argc, argv, NULL, 0, 0, NULL, err);

    if (status == GK_OK) {
        status = check(err);
    }
    if (status != GK_OK) {
        return status;
    }
    status = agent_clock_read(run->config->state_directory, &record, err);
    if (status != GK_OK && status != GK_BAD_FILE) {
        return status;
    }
    status = agent_clock_accept(run->config, err);
    if (status != GK_OK) {
        return status;
    }
    say_time((int64_t)time(NULL), now);
    say_time(record.floor, floor);
    if (record.report.stands) {
        say_note(run, "no longer held against it: %s", record.report.detail);
    }
    if (record.source != AGENT_CLOCK_BUILD) {
        say_note(run, "forgotten: that %s has passed (%s)", floor,
                 agent_clock_source_name(record.source));
    }
    say_step(run, "the clock is accepted as it is: %s", now);
    say_text(run, "clock", now);
    return GK_OK;
}
