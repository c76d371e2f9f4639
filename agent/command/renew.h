/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The renewal of a certificate, in two phases: asked for and laid into next/, where nobody uses it;
 * then tried, and moved into place only after the hub accepted it.
 *
 * state.json says where it stands (enum agent_renewal), and is written before what it announces is
 * begun, so that whoever comes after a crash goes on from there:
 *
 *     none       -> asking     the request is in next/; the hub, or its application, is asked
 *     asking     -> ready      what came fits, and is in next/
 *     ready      -> promoting  the hub accepted it
 *     ready      -> asking     the hub refused it: next/ is empty, what was issued is revoked
 *     promoting  -> overlap    it is in place; the one before still works
 *     overlap    -> none       the one before is revoked, its key (where it was rotated) destroyed
 *
 * One thread, under the lock of the identity directory. Errors: see error.h; besides their own
 * these functions fail as agent/file.h, agent/command/hub.h and agent/command/devicekey.h do.
 */
#ifndef GATEKEY_COMMAND_RENEW_H
#define GATEKEY_COMMAND_RENEW_H

#include "agent/command/certificate.h"
#include "agent/command/command.h"
#include "agent/command/hub.h"
#include "agent/state.h"

#include <stdbool.h>
#include <stdint.h>

/* --- for other commands -------------------------------------------------------------------------
 */

/* Finish a promotion that was interrupted, for run_lock(): it was decided, and needs nobody. */
enum gk_status renewal_finish(struct run *run, struct gk_error *err) GK_MUST_CHECK;

/*
 * Take a certificate that somebody carried in, for an enrolled gateway: into next/, wait, try,
 * promote. Where it comes from is the caller's to judge: its issuers are believed here. Checked is
 * that it is for the key it was asked for (or, where nothing was asked for, the device's), valid
 * now, for the same common name, and not older than the one in place. One that is in place already
 * is no error. A letter (from the inbox) that comes during an overlap is superseded, since nobody
 * has it afterwards. Fails with GK_BAD_CERTIFICATE, GK_NOT_YET_VALID, GK_NOT_ENROLLED, GK_BUSY (an
 * overlap is not over), and what trying it fails with; what was taken is tried again by gatekey
 * renew then.
 */
enum gk_status renewal_take(struct run *run, const struct certificate *certificate, bool is_letter,
                            struct gk_error *err) GK_MUST_CHECK;

/*
 * Destroy the keys that a renewal made or left behind (those of next/, and device.pem.old), prove
 * that the TPM no longer holds them, and remove next/ and device.pem.old. *evicted is true when the
 * TPM held one.
 */
enum gk_status renewal_discard(struct run *run, bool *evicted, struct gk_error *err) GK_MUST_CHECK;

/* --- among the files of the renewal -------------------------------------------------------------
 */

struct renewal {
    struct run *run;
    const struct agent_config *config;
    struct agent_openssl *openssl;
    struct hub *hub; /* NULL until renewal_hub() */
    struct agent_state state;
};

/* Read the state and make ready; cleared by renewal_close(), whether that worked or not. */
enum gk_status renewal_open(struct run *run, struct renewal *renewal,
                            struct gk_error *err) GK_MUST_CHECK;
void renewal_close(struct renewal *renewal);

/* The hub's API, made ready when it is first needed. Fails as hub_new() does. */
enum gk_status renewal_hub(struct renewal *renewal, struct hub **hub,
                           struct gk_error *err) GK_MUST_CHECK;

/* Store the state durably. */
enum gk_status renewal_write(struct renewal *renewal, enum agent_renewal stands,
                             struct gk_error *err) GK_MUST_CHECK;

/*
 * Ask for a certificate. The renewal is ready after it, or still asking where the answer comes
 * later (event). Fails with GK_REVOKED (the one in use: it is never renewed), GK_BAD_CERTIFICATE,
 * GK_REFUSED (by hand), GK_NO_SERVICE. renew-ask.c
 */
enum gk_status renewal_ask(struct renewal *renewal, struct gk_error *err) GK_MUST_CHECK;

/*
 * Tell whoever issued it that a certificate is superseded: revoked by the API, reported by event,
 * or said on stderr where neither is possible. renew-ask.c
 */
enum gk_status renewal_supersede(struct renewal *renewal, const char *serial,
                                 struct gk_error *err) GK_MUST_CHECK;

/*
 * What the hub's list says of a certificate, for gateways that may use the API; *record is all zero
 * where it says nothing. renew-ask.c
 */
enum gk_status renewal_look_up(struct renewal *renewal, const char *serial,
                               struct enos_record *record, struct gk_error *err) GK_MUST_CHECK;

/* Check what came against what was asked for, and lay it into next/: the renewal is ready then. */
enum gk_status renewal_keep(struct renewal *renewal, const struct certificate *certificate,
                            struct gk_error *err) GK_MUST_CHECK;

/*
 * Wait until the hub knows the new certificate, then connect with it, by gatekeyd where that runs.
 * Refused for good: next/ is emptied and the certificate revoked, and the renewal is asking again.
 * Blocks for [renew] settle and some minutes at most. renew-try.c
 */
enum gk_status renewal_try(struct renewal *renewal, struct gk_error *err) GK_MUST_CHECK;

/* Ask systemd to reload [renew] reloaded; what fails is said and forgiven. renew-reload.c */
void renewal_reload(const struct run *run, const char *systemctl, const char *units);

#endif
