/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the identity directory so that a crash leaves the old file or the new one, never half of
 * one.
 *
 * Every change is on the disk when the function returns: the file and the directory are synced.
 * Safe from several threads on different names; between processes struct agent_lock keeps writers
 * apart. Errors: see error.h; besides its own each function may fail with GK_FILE_DENIED,
 * GK_FILE_FAILED, GK_DISK_FULL and GK_NO_MEMORY.
 */
#ifndef GATEKEY_AGENT_FILE_H
#define GATEKEY_AGENT_FILE_H

#include "cleanup.h"
#include "error.h"
#include "identity/identity.h"

#include <stdbool.h>

/* Who may read a file. Group means the group gatekey where there is one, so that gatekeyd can read
 * it. */
enum agent_audience {
    AGENT_FOR_ALL,   /* 0644 */
    AGENT_FOR_GROUP, /* 0640 root:gatekey */
    AGENT_FOR_OWNER, /* 0600 */
};

/*
 * Read a regular file of at most max bytes; a symbolic link is followed, since the owner named the
 * path. The caller frees it with gk_content_clear(), which wipes it. Fails with GK_NO_FILE,
 * GK_BAD_FILE (larger, or not a regular file).
 */
enum gk_status agent_file_read(const char *path, size_t max, struct gk_content *content,
                               struct gk_error *err) GK_MUST_CHECK;

/* Give directory/name this content in one step. What a crash leaves beside it, agent_file_sweep()
 * removes. */
enum gk_status agent_file_replace(const char *directory, const char *name, const void *data,
                                  size_t size, enum agent_audience audience,
                                  struct gk_error *err) GK_MUST_CHECK;

/* Rename inside the directory, replacing what is there. Fails with GK_NO_FILE. */
enum gk_status agent_file_rename(const char *directory, const char *from, const char *to,
                                 struct gk_error *err) GK_MUST_CHECK;

/* Remove a file; one that does not exist is as good as removed. */
enum gk_status agent_file_remove(const char *directory, const char *name,
                                 struct gk_error *err) GK_MUST_CHECK;

/* Create a file that must not exist, such as the one a secret is handed over in. Relative paths are
 * fine. */
enum gk_status agent_file_create(const char *path, const void *data, size_t size,
                                 enum agent_audience audience, struct gk_error *err) GK_MUST_CHECK;

/* Make the directory, 0755 whatever the umask, if it is missing; its parent must exist. */
enum gk_status agent_file_make_directory(const char *directory, struct gk_error *err) GK_MUST_CHECK;

/*
 * Lock an open file or directory against others, flock(2), path for errors. Whoever may open it can
 * hold it for ever, so this waits for some seconds only. Fails with GK_BUSY then.
 */
enum gk_status agent_file_lock(int fd, const char *path, struct gk_error *err) GK_MUST_CHECK;

/* Not so in a process that has a loop to keep, and comes back by itself; as long as it has. */
void agent_file_wait_for_locks(bool wait);

/* Remove what writers that were killed left beside the files. Only for the holder of the lock. */
enum gk_status agent_file_sweep(const char *directory, struct gk_error *err) GK_MUST_CHECK;

#endif
