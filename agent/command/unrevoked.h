/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of ours that nobody uses any more, and whose revocation was refused.
 *
 * They are not others' for that: they stay in the state until the hub has revoked them, each end of
 * an overlap tries again, and so does a reset. One thread, under the lock of the identity
 * directory.
 */
#ifndef GATEKEY_COMMAND_UNREVOKED_H
#define GATEKEY_COMMAND_UNREVOKED_H

#include "agent/command/renew.h"

/* Remember one, for whoever writes the state next. Where there is no room, the oldest goes, and
 * stderr says that it is to be revoked by hand. */
void unrevoked_note(struct renewal *renewal, const char *serial);

/* Supersede one (renewal_supersede()); where that fails, remember it as unrevoked_note() does. */
void unrevoked_supersede(struct renewal *renewal, const char *serial);

/* Try each again; what goes well is forgotten in the state, which the caller writes. */
void unrevoked_retry(struct renewal *renewal);

/* Forget those that the hub's list does not show as valid, in the state, which the caller writes.
 */
void unrevoked_forget_gone(struct renewal *renewal, const struct enos_record *records,
                           size_t count);

#endif
