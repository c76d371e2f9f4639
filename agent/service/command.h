/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command of the hub: what kind it is, told by its topic, and what is kept of it until it is
 * answered.
 *
 *     thing/service/SERVICE    a service, measurepoint/set and measurepoint/get among them
 *     thing/enable, disable, delete    what became of this device at the hub: notices
 *     thing/model/down_raw     bytes; so is what they are answered with, if they are
 *     rrpc/request/ID          the same, answered on rrpc/response/ID
 *     traffic/control          the hub asks for less
 *
 * Topics here and everywhere in the service are what follows /sys/PK/DK/ ("rest").
 */
#ifndef GATEKEY_AGENT_SERVICE_COMMAND_H
#define GATEKEY_AGENT_SERVICE_COMMAND_H

#include "agent/config.h"
#include "agent/enos/connect.h"
#include "agent/enos/message.h"
#include "agent/service/handler.h"

/*
 * How long the hub waits for an answer, and when it is told that there will be none: early enough
 * for that to arrive. What has to wait for others is not begun when little is left, because it
 * would be cut off in the middle of its work.
 */
#define COMMAND_LIFE_MS 30000
#define COMMAND_END_MS 28000
#define COMMAND_BEGIN_MS 23000

struct command_kind {
    const char *topic; /* with a "/" at its end: what the topics of this kind begin with */
    bool is_raw;       /* bytes without an envelope: no id, and no way to say that it failed */
    bool is_notice;    /* tells rather than asks: we answer where no program is named for it */
};

/* NULL when no command comes on that topic; our own answers, which a broker may send back to us,
 * are none. */
const struct command_kind *command_kind_of(const char *rest);

/* Which program is for it, as in [local] command.NAME: "reboot" for thing/service/reboot, the
 * topic itself for other kinds, "rrpc/request" without the id. Lives as long as rest. */
const char *command_name(const struct command_kind *kind, const char *rest);

/* Where its answer goes. */
void command_answer_topic(const char *rest, char topic[static ENOS_TOPIC_MAX]);

struct command {
    struct command *next;
    struct commander *commander;
    const struct command_kind *kind;
    const struct agent_handler *handler; /* NULL: it is for the applications */
    char *rest;
    json_t *id;      /* as it came; NULL where it had none */
    char *payload;   /* what is to be handed over; NULL once it was */
    size_t size;     /* of payload, while it is there */
    uint64_t end_ms; /* when COMMAND_LIFE_MS will be over, by service_now_ms() */
    bool begun;
    struct handler_run *run; /* the program, while it runs */
};

/* id and payload are kept, not taken; allocated, or NULL. */
struct command *command_new(const struct command_kind *kind, const char *rest, json_t *id,
                            const void *payload, size_t size);
/* Ends a program that runs for it. NULL is fine. */
void command_free(struct command *command);
GK_DEFINE_CLEANUP(struct command, command_free)

/* Until when it may wait for its turn, or be under way at the applications; a program has a clock
 * of its own. */
uint64_t command_deadline(const struct command *command);

#endif
