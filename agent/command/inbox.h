/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inbox: certificates that gatekeyd took from the hub and could not judge, [local]
 * state_directory/inbox/, one JSON object per file.
 *
 * gatekeyd's user owns it and may put there what it likes, while we are root: no link is followed,
 * nothing but a small regular file of that user is read, and a name means nothing but its place in
 * the order. One thread. Errors: see error.h.
 */
#ifndef GATEKEY_COMMAND_INBOX_H
#define GATEKEY_COMMAND_INBOX_H

#include "agent/config.h"
#include "cleanup.h"
#include "error.h"
#include "identity/identity.h"

struct inbox;

/*
 * List what waits, oldest first by the number that a name begins with; no more than one run will
 * deal with. No inbox is an empty one. The caller frees it with inbox_close(). Fails with
 * GK_FILE_DENIED, GK_FILE_FAILED, GK_BAD_FILE (it is no directory), GK_NO_MEMORY.
 */
enum gk_status inbox_open(const struct agent_config *config, struct inbox **inbox,
                          struct gk_error *err) GK_MUST_CHECK;
void inbox_close(struct inbox *inbox); /* NULL is fine */
GK_DEFINE_CLEANUP(struct inbox, inbox_close)

size_t inbox_count(const struct inbox *inbox);
const char *inbox_name(const struct inbox *inbox, size_t index); /* borrowed; any bytes */

/*
 * Read one whole. Fails with GK_NO_FILE (gone meanwhile), GK_BAD_FILE (a link, no regular file,
 * somebody else's, too large), GK_FILE_DENIED, GK_FILE_FAILED, GK_NO_MEMORY.
 */
enum gk_status inbox_read(const struct inbox *inbox, size_t index, struct gk_content *content,
                          struct gk_error *err) GK_MUST_CHECK;

/* Remove one durably, whatever it is; one that is gone is as good as removed. */
enum gk_status inbox_remove(const struct inbox *inbox, size_t index,
                            struct gk_error *err) GK_MUST_CHECK;

#endif
