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
 * A floor that stands in the future would make every certificate look expired, for good. So only
 * what was authenticated may raise it (signed by a CA that we trust, or said over TLS by somebody
 * whose certificate was verified), and not beyond a ceiling: the end of our own certificate, or
 * where there is none 20 years after the build. The floor alone can therefore never make our
 * certificate an expired one. What lies beyond is remembered as refused, for "status" to show; a
 * floor that is found beyond it counts for nothing. And
 * somebody at the gateway can begin anew: agent_clock_accept(), "gatekey clock accept".
 *
 * Threads and processes: every call is complete in itself; writers lock the directory (flock(2)),
 * readers see the old file or the new one. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_CLOCK_H
#define GATEKEY_AGENT_CLOCK_H

#include "agent/config.h"
#include "error.h"

#include <stdint.h>

/* Who says that a moment has passed. */
enum agent_clock_source {
    AGENT_CLOCK_BUILD,       /* this program was built then */
    AGENT_CLOCK_CERTIFICATE, /* our certificate's notBefore */
    AGENT_CLOCK_CRL,         /* a revocation list's thisUpdate, its signature verified */
    AGENT_CLOCK_HUB,         /* the notBefore of the hub's certificate, at a connection */
    AGENT_CLOCK_HTTPS,       /* the Date of a reply over HTTPS, the server's certificate verified */
};

/* Its name, as clock.json and "status" show it. */
const char *agent_clock_source_name(enum agent_clock_source source);

/* When this program was built: where the floor begins. UNIX time in seconds. */
int64_t agent_clock_build(void);

/* The floor, UNIX time in seconds: never before the build, even where nothing can be read. */
int64_t agent_clock_floor(const struct agent_config *config);

/* The time to judge by, UNIX time in seconds: the wall clock, but never before the floor. */
int64_t agent_clock_now(const struct agent_config *config);

/*
 * This moment has certainly passed: move the floor there, unless it is further already. The Date of
 * HTTPS replies moves it by an hour or more, or not at all, to spare the flash. What lies beyond
 * the ceiling is no failure of the caller's: the floor stays and GK_OK is returned. Fails with
 * GK_FILE_DENIED, GK_FILE_FAILED, GK_DISK_FULL, GK_NO_MEMORY; the floor is as it was then, and that
 * is no reason to stop what proved the time.
 */
enum gk_status agent_clock_raise(const struct agent_config *config, enum agent_clock_source source,
                                 int64_t passed, struct gk_error *err) GK_MUST_CHECK;

/*
 * Somebody looked at the clock and says that it is right: the floor begins anew at the build, and
 * nothing that the clock did before counts against it. Fails as agent_clock_raise() does.
 */
enum gk_status agent_clock_accept(const struct agent_config *config,
                                  struct gk_error *err) GK_MUST_CHECK;

/* Remove clock.json: a gateway that was reset knows no time. Fails as agent_clock_raise() does. */
enum gk_status agent_clock_forget(const struct agent_config *config,
                                  struct gk_error *err) GK_MUST_CHECK;

#endif
