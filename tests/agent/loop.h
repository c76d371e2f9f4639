/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sd-event for tests, in place of libsystemd's: its clock stands until the test lets time pass, so
 * that an hour of waiting takes no time, and what becomes due at the same moment comes by priority.
 *
 * CLOCK_BOOTTIME and CLOCK_REALTIME stand as well, for all that reads them in this process;
 * CLOCK_REALTIME is past every build. One thread; "event" is ignored and may be NULL.
 */
#ifndef GATEKEY_TESTS_AGENT_LOOP_H
#define GATEKEY_TESTS_AGENT_LOOP_H

#include <stdint.h>

/* UNIX time when CLOCK_BOOTTIME was 0; a test that sets the clock sets it back. */
#define LOOP_BOOT_MS ((int64_t)4000000000000)
extern int64_t loop_boot_ms;

/* Whatever is due by now, and what comes of it. */
void loop_settle(void);
/* The same for so long from now. */
void loop_pass(uint64_t ms);
/* Time passes while a handler runs. */
void loop_skip(uint64_t ms);
uint64_t loop_now_ms(void); /* since boot */

#endif
