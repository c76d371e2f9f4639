/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of the commander: commander-take.c finds out what came, commander.c sees it
 * through. */
#ifndef GATEKEY_AGENT_SERVICE_COMMANDER_INTERNAL_H
#define GATEKEY_AGENT_SERVICE_COMMANDER_INTERNAL_H

#include "agent/service/answers.h"
#include "agent/service/commands.h"
#include "agent/service/seen.h"
#include "agent/service/service.h"

struct commander {
    struct service *service;
    sd_event_source *time_source; /* off while nothing waits for its time */
    struct commands commands;
    struct answers answers;
    struct seen seen;
    uint64_t refused; /* a bit for each subscription that the hub refused, once said */
    uint64_t received, duplicates;
};

/* Whom a command is for. */
const struct agent_handler *commander_find_handler(const struct commander *commander,
                                                   const char *name);

/*
 * Answer the hub: id is borrowed and may be NULL, data may be none, message is NULL or words that
 * it may read; end_ms as in struct answer.
 */
struct verdict {
    int code;
    struct enos_text data;
    const char *message;
};
void commander_reply(struct commander *commander, const char *rest, json_t *id, uint64_t end_ms,
                     const struct verdict *verdict);
/* The same for what came just now and was never under way; message may be NULL. */
void commander_reply_now(struct commander *commander, const char *rest, json_t *id, int code,
                         const char *message);
/* The same for what was not carried out, and is to be when it comes again. */
void commander_turn_down(struct commander *commander, const char *rest, json_t *id, int code,
                         const char *message);
/* Bytes for a command that was raw. */
void commander_reply_raw(struct commander *commander, const char *rest, const void *payload,
                         size_t size, uint64_t end_ms);

/* Of bytes there is nobody to tell that nobody is there. */
void commander_drop_raw(struct commander *commander, const char *rest);

/* It is answered: forget it. Was it not begun, it is carried out when it comes again. */
void commander_conclude(struct commander *commander, struct command *command,
                        const struct verdict *verdict);

/* Begin what can be begun, and set the clock for what waits. To be called last. */
void commander_advance(struct commander *commander);

#endif
