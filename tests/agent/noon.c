/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway that the tests of the clock's verdict begin with. */
#include "tests/agent/noon.h"

const struct agent_clock_mark noon = {
    .known = true,
    .wall_ms = NOON,
    .moment = { 10 * HOUR, HERE },
    .settled = true,
    .last_ms = NOON,
    .has_tpm = true,
    .tpm = { .ms = 90 * DAY, .up_ms = 10 * HOUR, .resets = 7, .restarts = 0, .safe = true },
    .settled_ms = NOON - 2 * DAY,
};

struct agent_clock_look two_hours_later(void)
{
    return (struct agent_clock_look){
        .wall_ms = NOON + 2 * HOUR,
        .moment = { 12 * HOUR, HERE },
        .synchronised = true,
        .has_battery = true,
        .has_tpm = true,
        .tpm = { .ms = 90 * DAY + 2 * HOUR, .up_ms = 12 * HOUR, .resets = 7, .safe = true },
    };
}
