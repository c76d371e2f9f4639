/* SPDX-License-Identifier: Apache-2.0 */
/* Commands to devices: sends one and waits for the reply with the same id. */
#ifndef GATEKEY_HUB_COMMAND_H
#define GATEKEY_HUB_COMMAND_H

#include "tests/hub/session.h"

/* What can come of a command, by EnOS's codes. */
enum hub_command_result {
    HUB_COMMAND_ANSWERED = 0,
    HUB_COMMAND_OFFLINE = 11900,
    HUB_COMMAND_UNANSWERED = 11915,
};

struct hub_commands;

struct hub_commands *hub_commands_new(void);
void hub_commands_free(struct hub_commands *commands);

/* What is sent; all borrowed. */
struct hub_command {
    const char *rest; /* the topic after /sys/PK/DK/; the method follows from it */
    json_t *params;   /* of the envelope; NULL: there is none, the payload is bytes */
    const char *hex;  /* these */
    const char *id;   /* NULL: the next number */
    bool twice;       /* as a broker may deliver it that was not told that it arrived */
    int qos;
    int timeout_ms;
};

/*
 * Send a command to a device (its row), wait, and note both in the table "command". The reply is
 * the device's whole envelope, or {"hex":...} where the command was bytes; the caller's to release.
 * For any thread but the broker's.
 */
enum hub_command_result hub_command_call(struct hub *hub, const json_t *device,
                                         const struct hub_command *command, json_t **reply);

/* Whether a device answers commands on the topic that follows /sys/PK/DK/. */
bool hub_command_is_answer(const char *rest);

/* A device answered there: it goes to whoever waits, and into the table "answer" in any case. False
 * when it is not what such an answer must be. The broker's thread. */
bool hub_command_answer(struct hub *hub, const struct hub_session *session, const char *rest,
                        const void *payload, size_t size);

/* For good: whoever waits is let go. */
void hub_commands_close(struct hub_commands *commands);

#endif
