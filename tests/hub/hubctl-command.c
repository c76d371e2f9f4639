/* SPDX-License-Identifier: Apache-2.0 */
/* hubctl's commands to devices: sends one and shows what came back, or what was sent and answered
 * before. */
#include "tests/hub/hubctl.h"

#include "tests/hub/table.h"
#include "tests/hub/text.h"

/* Print the device's reply to a command, whatever its code; only 200 is success. */
static int conclude_command(struct run *run, json_t *answer)
{
    json_t *reply = json_object_get(json_object_get(answer, "data"), "reply");

    if (reply == NULL) {
        return hubctl_conclude(run, answer, NULL);
    }
    hub_json_print(reply);
    return hub_number(reply, "code") == 200 ? 0 : 1;
}

static int set_point(struct run *run)
{
    char *split = strchr(run->words[2], '=');
    CLEANUP(json_decrefp)
    json_t *value = split != NULL ? json_loads(split + 1, JSON_DECODE_ANY, NULL) : NULL;
    CLEANUP(json_decrefp) json_t *body = value != NULL ? json_pack("{s:O}", "value", value) : NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(gk_freep) char *path = NULL;

    if (body == NULL) {
        return hubctl_fail("what to set must be POINT=JSON, not %s", run->words[2]);
    }
    *split = '\0';
    path = hubctl_device_path(HUBCTL_COMMANDS, "setMeasurepoint", run->words, "measurepointId",
                              run->words[2]);
    answer = hubctl_ask(path, body);
    return conclude_command(run, answer);
}

static int call_service(struct run *run)
{
    CLEANUP(json_decrefp) json_t *input = json_loads(run->words[3], 0, NULL);
    CLEANUP(json_decrefp)
    json_t *body = json_is_object(input) ? json_pack("{s:O}", "inputData", input) : NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(gk_freep) char *path = NULL;

    if (body == NULL) {
        return hubctl_fail("the service's parameters must be a JSON object, not %s", run->words[3]);
    }
    path = hubctl_device_path(HUBCTL_COMMANDS, "invokeService", run->words, "serviceId",
                              run->words[2]);
    answer = hubctl_ask(path, body);
    return conclude_command(run, answer);
}

static int get_point(struct run *run)
{
    CLEANUP(gk_freep)
    char *path = hubctl_device_path(HUBCTL_COMMANDS, "getMeasurepoint", run->words,
                                    "measurepointId", run->words[2]);
    CLEANUP(json_decrefp) json_t *body = json_object();
    CLEANUP(json_decrefp) json_t *answer = hubctl_ask(path, body);

    return conclude_command(run, answer);
}

/* What bytes were answered, as they are. */
static int conclude_bytes(struct run *run, json_t *answer)
{
    const json_t *reply = json_object_get(json_object_get(answer, "data"), "reply");
    const char *hex = hub_text(reply, "hex");
    unsigned byte;

    if (reply == NULL) {
        return hubctl_conclude(run, answer, NULL);
    }
    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
        putchar((int)byte);
    }
    return 0;
}

static int send_command(struct run *run)
{
    const char *timeout = hubctl_option(run, "--timeout");
    const char *qos = hubctl_option(run, "--qos");
    const char *id = hubctl_option(run, "--id");
    bool is_raw = hubctl_option(run, "--hex") != NULL;
    CLEANUP(gk_freep)
    char *path =
        hubctl_device_path("/command", "", run->words, "timeout", timeout != NULL ? timeout : "30");
    CLEANUP(json_decrefp)
    json_t *params = is_raw ? NULL : json_loads(run->words[3], JSON_DECODE_ANY, NULL);
    CLEANUP(json_decrefp)
    json_t *body = json_pack("{s:s,s:O*,s:s*,s:s*,s:b,s:i}", "topic", run->words[2], "params",
                             params, "hex", is_raw ? run->words[3] : NULL, "id", id, "twice",
                             hubctl_option(run, "--twice") != NULL, "qos",
                             qos != NULL ? (int)strtol(qos, NULL, 10) : 1);
    CLEANUP(json_decrefp) json_t *answer = NULL;

    if (!is_raw && params == NULL) {
        return hubctl_fail("the parameters must be JSON, not %s", run->words[3]);
    }
    answer = hubctl_ask(path, body);
    return is_raw ? conclude_bytes(run, answer) : conclude_command(run, answer);
}

static const char commands[] =
    "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', timeMs / 1000.0, 'unixepoch') AS time, timeMs,"
    " productKey, deviceKey, topic, commandId, code, endMs - timeMs AS tookMs, payload"
    " FROM command c JOIN device USING (assetId) ORDER BY c.id";

static const char answers[] =
    "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', timeMs / 1000.0, 'unixepoch') AS time, timeMs,"
    " productKey, deviceKey, topic, payload FROM answer a JOIN device USING (assetId)"
    " ORDER BY a.id";

const struct verb hubctl_command_verbs[] = {
    { "set", "PRODUCT DEVICE POINT=JSON", 3, 3, "set a measurepoint; prints the reply", set_point,
      NULL, NULL, 0 },
    { "get", "PRODUCT DEVICE POINT", 3, 3, "get a measurepoint; prints the reply", get_point, NULL,
      NULL, 0 },
    { "call", "PRODUCT DEVICE SERVICE JSON", 4, 4, "call a service; prints the reply", call_service,
      NULL, NULL, 0 },
    { "command",
      "PRODUCT DEVICE TOPIC JSON|HEX [--hex] [--twice] [--id ID] [--qos N] [--timeout S]", 4, 4,
      "send any command (--hex: bytes; --twice: delivered so); prints the reply", send_command,
      NULL, "--hex --twice --id= --qos= --timeout=", 0 },
    { "commands", "", 0, 0, "the commands that were sent, and the code each ended with", NULL,
      commands, NULL, 0 },
    { "answers", "", 0, 0, "every answer of a device, in time or not", NULL, answers, NULL, 0 },
    { 0 },
};
