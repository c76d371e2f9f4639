/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a renewed certificate into place, forward only, and clearing away the one before.
 *
 * Each step can be done twice, so whoever finds "promoting" does them all. At every moment
 * identity.pem is a pair, and each file is whole; with the same key cert.pem is right beside
 * device.pem, too. One thread, under the lock of the identity directory. Errors: see error.h.
 */
#ifndef GATEKEY_COMMAND_PROMOTION_H
#define GATEKEY_COMMAND_PROMOTION_H

#include "agent/command/renew.h"

/* Move next/ into place; the renewal is in its overlap after it. No TPM, no network. */
enum gk_status promotion_run(struct renewal *renewal, struct gk_error *err) GK_MUST_CHECK;

/* Is there an overlap, and is its time over? */
bool promotion_is_settled(const struct renewal *renewal);

/*
 * End the overlap, whatever the time: revoke the certificate before this one, destroy its key where
 * it was rotated, and prove that it is gone. Done again it does what is left. Revocations that were
 * refused before are tried again; they fail nothing.
 */
enum gk_status promotion_end_overlap(struct renewal *renewal, struct gk_error *err) GK_MUST_CHECK;

#endif
