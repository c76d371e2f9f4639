/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that wait or are under way, in the order they came. One of a name at a time: what
 * carries it out need not think of its own twin, and the order of two settings is the hub's.
 * Bounded, because the hub's patience is: who comes too late to be answered in time should hear so
 * at once.
 */
#ifndef GATEKEY_AGENT_SERVICE_COMMANDS_H
#define GATEKEY_AGENT_SERVICE_COMMANDS_H

#include "agent/service/command.h"

#define COMMANDS_MAX 16
#define COMMANDS_OF_A_NAME 8
#define COMMANDS_BYTES ((size_t)1024 * 1024) /* of their payloads, together */
#define COMMANDS_PROGRAMS 4                  /* that run at a time */

struct commands {
    struct command *first;
};

/* Put it at the end. Takes the command unless it fails with GK_BUSY (too many wait). */
enum gk_status commands_put(struct commands *commands, struct command **command,
                            struct gk_error *err) GK_MUST_CHECK;

/* The oldest whose turn it is, and which is not too late now, or NULL. The caller begins or removes
 * it. */
struct command *commands_next(const struct commands *commands, uint64_t now_ms);

/* One whose command_deadline() is over, or NULL. */
struct command *commands_expired(const struct commands *commands, uint64_t now_ms);
/* When the next one's is; UINT64_MAX: there is none. */
uint64_t commands_deadline(const struct commands *commands);

/* The one that is under way at the applications on that topic, or NULL. */
struct command *commands_under_way(const struct commands *commands, const char *rest);

size_t commands_count(const struct commands *commands);
bool commands_run_programs(const struct commands *commands);

/* Take it out, for the caller to free. */
void commands_remove(struct commands *commands, struct command *command);
void commands_clear(struct commands *commands);

#endif
