/* SPDX-License-Identifier: Apache-2.0 */
/* Commands to devices: sends one and waits for the reply with the same id. */
#ifndef GATEKEY_HUB_COMMAND_H
#define GATEKEY_HUB_COMMAND_H

#include "tests/hub/hub.h"

/* What can come of a command, by EnOS's codes. */
enum hub_command_result {
    HUB_COMMAND_ANSWERED = 0,
    HUB_COMMAND_OFFLINE = 11900,
    HUB_COMMAND_UNANSWERED = 11915,
};

struct hub_commands;

struct hub_commands *hub_commands_new(void);
void hub_commands_free(struct hub_commands *commands);

/*
 * Send a command to a device (its row) and wait. rest is the topic after /sys/PK/DK/; the method
 * follows from it. The reply is the device's whole envelope, the caller's to release. For any
 * thread but the broker's.
 */
enum hub_command_result hub_command_call(struct hub *hub, const json_t *device, const char *rest,
                                         json_t *params, int timeout_ms, json_t **reply);

/* A device answered on the topic that follows /sys/PK/DK/, "_reply" and all. The broker's thread.
 */
void hub_command_answer(struct hub_commands *commands, const char *asset_id, const char *rest,
                        json_t *reply);

/* For good: whoever waits is let go. */
void hub_commands_close(struct hub_commands *commands);

#endif
