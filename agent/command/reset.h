/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of gatekey reset share; the commands' door to it is reset_finish() (command.h).
 *
 * Every part can be done twice, because whoever is killed is followed by somebody who begins again.
 * The caller holds the lock. One thread. Errors: see error.h.
 */
#ifndef GATEKEY_COMMAND_RESET_H
#define GATEKEY_COMMAND_RESET_H

#include "agent/command/command.h"
#include "agent/state.h"
#include "agent/tls.h"

struct certificate;

/* cert.pem, next/cert.pem, what the state calls current, next and old, and what waits in the inbox.
 */
#define RESET_SERIALS_MAX 32
#define RESET_SERIAL_SIZE 49

struct reset {
    struct run *run;
    struct agent_state state; /* as it lies on the disk */
    char serials[RESET_SERIALS_MAX][RESET_SERIAL_SIZE];
    size_t serial_count;
};

/* How long gatekeyd is given to answer. */
#define RESET_SERVICE_S 30

/* --- reset-revoke.c --- */

/* Note the serials of all certificates of ours that state and files know of. */
void reset_note_serials(struct reset *reset);

/*
 * See that the hub takes none of our certificates any more, by its API where this gateway has
 * credentials for it, else by event; and note it in the state. Does nothing where that was done, or
 * where nothing was ever applied for.
 */
enum gk_status reset_revoke(struct reset *reset, struct gk_error *err) GK_MUST_CHECK;

/* --- reset-event.c --- */

/*
 * Ask the application beside the hub to revoke our certificates by the event revokeMe, and wait
 * until the hub refuses this gateway because it is revoked: the hub's 200 says no more than that
 * the event was taken. gatekeyd must be stopped. Fails with GK_HUB_REFUSED when the hub goes on
 * taking the certificate, and as agent_link_post() does.
 */
enum gk_status reset_revoke_by_event(struct reset *reset, struct gk_error *err) GK_MUST_CHECK;

/* --- reset-key.c --- */

/*
 * Destroy every key of ours in the TPM, the one in use, one that was rotated away and one that a
 * renewal made, and prove that they are gone: the handle is empty, and signing with the reference
 * fails. Then remove the references.
 */
enum gk_status reset_destroy_keys(struct reset *reset, struct gk_error *err) GK_MUST_CHECK;

/* --- reset-erase.c --- */

/* Have gatekeyd forget what it keeps for this identity, and erase what is left of that. */
enum gk_status reset_forget_service(struct reset *reset, struct gk_error *err) GK_MUST_CHECK;

/* Empty the identity directory; state.json goes last. */
enum gk_status reset_erase(struct reset *reset, struct gk_error *err) GK_MUST_CHECK;

/* The certificate of a pair as it lies there; the caller frees it. Fails as certificate_read(). */
enum gk_status reset_certificate(struct reset *reset, enum agent_pair pair,
                                 struct certificate **certificate,
                                 struct gk_error *err) GK_MUST_CHECK;

#endif
