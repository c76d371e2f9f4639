/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway that the tests of the clock's verdict begin with. */
#ifndef GATEKEY_TESTS_AGENT_NOON_H
#define GATEKEY_TESTS_AGENT_NOON_H

#include "agent/clock-verdict.h"

#define S ((int64_t)1000)
#define HOUR (3600 * S)
#define DAY (24 * HOUR)
#define NOON (1830340800 * S) /* 2028-01-01T12:00:00Z: when the mark was made */
#define FLOOR_S ((NOON - 30 * DAY) / S)
#define TOLERANCE_S 60
#define HERE "11111111-2222-3333-4444-555555555555"
#define ELSEWHERE "99999999-2222-3333-4444-555555555555"

/*
 * A gateway that was switched on ten hours before the mark, and whose clock was set by NTP soon
 * after. Its TPM was powered for 90 days in its life.
 */
extern const struct agent_clock_mark noon;

/* What all clocks show two hours after noon, where nothing has happened; the cases differ from it.
 */
struct agent_clock_look two_hours_later(void);

#endif
