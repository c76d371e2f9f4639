/* SPDX-License-Identifier: Apache-2.0 */
/* The one lock on an identity directory: whoever changes something in it holds it. */
#ifndef GATEKEY_AGENT_LOCK_H
#define GATEKEY_AGENT_LOCK_H

#include "cleanup.h"
#include "error.h"

struct agent_lock;

/*
 * Take the lock; it goes with the process, however that ends. One per process and directory
 * (fcntl(2) locks belong to processes). The caller gives it back with agent_lock_release(). Fails
 * with GK_LOCK_HELD (by which process, in the error), GK_NO_FILE, GK_FILE_DENIED, GK_FILE_FAILED,
 * GK_NO_MEMORY.
 */
enum gk_status agent_lock_take(const char *directory, struct agent_lock **lock,
                               struct gk_error *err) GK_MUST_CHECK;

/* Remove the lock's own file too, while it is held: the last step of emptying the directory. */
void agent_lock_forget(struct agent_lock *lock);

void agent_lock_release(struct agent_lock *lock); /* NULL is fine */
GK_DEFINE_CLEANUP(struct agent_lock, agent_lock_release)

#endif
