/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A journal of all that devices posted, as it came, for those who count: a file that only grows.
 * Per request one line
 *
 *     MICROSECONDS CODE DEVICEKEY TOPIC SIZE
 *
 * (CLOCK_MONOTONIC, so that whoever sent it on this machine can tell how long it took; the code it
 * was answered with; what follows /sys/PK/DK/), then SIZE bytes of payload and a newline. It is
 * written before the answer goes out: what a device was told arrived is in it, also when the hub is
 * killed, though not when the machine is. Only the broker's thread may call these.
 */
#ifndef GATEKEY_HUB_JOURNAL_H
#define GATEKEY_HUB_JOURNAL_H

#include "tests/hub/session.h"

#define HUB_JOURNAL_FILE "journal"

struct hub_journal;

/* Go on with the file, or begin it. */
GK_MUST_CHECK enum gk_status hub_journal_open(const char *path, struct hub_journal **journal,
                                              struct gk_error *err);
void hub_journal_close(struct hub_journal *journal); /* NULL is fine */

/* False when the disk took less than the whole, and the request must not be answered. */
bool hub_journal_write(struct hub_journal *journal, const struct hub_session *session, int code,
                       const char *rest, const void *payload, size_t size);

#endif
