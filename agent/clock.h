/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What time it is at least, so that no certificate and no revocation list is judged by a clock that
 * went back.
 *
 * The floor is the latest moment that certainly has passed: when this program was built, when our
 * certificate and a revocation list began to be valid, what the hub proved last. It only ever moves
 * forward, and is kept in [local] state_directory, file "clock.json", which gatekey and gatekeyd
 * share.
 *
 * Threads and processes: every call locks the file (flock(2)) and is complete in itself. Errors:
 * see error.h.
 */
#ifndef GATEKEY_AGENT_CLOCK_H
#define GATEKEY_AGENT_CLOCK_H

#include "agent/config.h"
#include "error.h"

#include <stdint.h>

/* The floor, UNIX time in seconds: never before the build, even where nothing can be read. */
int64_t agent_clock_floor(const struct agent_config *config);

/* The time to judge by, UNIX time in seconds: the wall clock, but never before the floor. */
int64_t agent_clock_now(const struct agent_config *config);

/*
 * This moment has certainly passed: move the floor there, unless it is further already.
 * Fails with GK_FILE_DENIED, GK_FILE_FAILED, GK_DISK_FULL, GK_NO_MEMORY; the floor is as it was
 * then.
 */
enum gk_status agent_clock_raise(const struct agent_config *config, int64_t passed,
                                 struct gk_error *err) GK_MUST_CHECK;

#endif
