/* SPDX-License-Identifier: Apache-2.0 */
/* Commands to devices: those that EnOS's REST API offers, and by the control socket any other. */
#include "tests/hub/command.h"
#include "tests/hub/route.h"
#include "tests/hub/text.h"

#define DEFAULT_TIMEOUT_S 30
#define LONGEST_TIMEOUT_S 60

/* How long to wait, in seconds; 0 with the refusal in answer. */
static int timeout_of(const struct hub_call *call, struct hub_answer *answer)
{
    const char *given = hub_call_parameter(call, "timeout");
    long timeout_s = given != NULL ? strtol(given, NULL, 10) : DEFAULT_TIMEOUT_S;

    if (timeout_s < 1 || timeout_s > LONGEST_TIMEOUT_S) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: timeout is 1 to %d s", LONGEST_TIMEOUT_S);
        return 0;
    }
    return (int)timeout_s;
}

/* Send it and put what came back into the answer: the device's data, and its own code and message
 * beside it. */
static void send_command(struct hub_call *call, struct hub_answer *answer,
                         struct hub_command *command)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);
    CLEANUP(json_decrefp) json_t *reply = NULL;
    int timeout_s = device != NULL ? timeout_of(call, answer) : 0;
    enum hub_command_result result;

    if (timeout_s == 0) {
        return;
    }
    command->timeout_ms = timeout_s * 1000;
    result = hub_command_call(call->hub, device, command, &reply);
    if (result != HUB_COMMAND_ANSWERED) {
        hub_answer_refuse(answer, (int)result,
                          result == HUB_COMMAND_OFFLINE ? "the device is offline"
                                                        : "sent, but no reply in time");
        return;
    }
    answer->data = json_pack("{s:O?,s:O?,s:O}", "commandId", json_object_get(reply, "id"),
                             "outputData", json_object_get(reply, "data"), "reply", reply);
    if (command->params != NULL && hub_number(reply, "code") != 200) {
        hub_answer_refuse(answer, (int)hub_number(reply, "code"), "the device says: %.200s",
                          hub_text(reply, "message"));
    }
}

static void call_service(struct hub_call *call, struct hub_answer *answer, const char *service,
                         json_t *params)
{
    CLEANUP(gk_freep) char *rest = hub_print("thing/service/%s", service);

    if (rest != NULL) {
        send_command(call, answer,
                     &(struct hub_command){ .rest = rest, .params = params, .qos = 1 });
    }
}

void hub_device_set_point(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    const char *point = hub_call_parameter(call, "measurepointId");
    json_t *value = json_object_get(body, "value");
    CLEANUP(json_decrefp)
    json_t *params = point != NULL && value != NULL ? json_pack("{s:O}", point, value) : NULL;

    if (body != NULL && params == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: measurepointId or value is missing");
    }
    if (params != NULL) {
        call_service(call, answer, "measurepoint/set", params);
    }
}

/* EnOS has the command, and names no call for it; this one is like the one that sets. */
void hub_device_get_point(struct hub_call *call, struct hub_answer *answer)
{
    const char *point = hub_call_parameter(call, "measurepointId");
    CLEANUP(json_decrefp) json_t *params = point != NULL ? json_pack("[s]", point) : NULL;

    if (params == NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: measurepointId is missing");
        return;
    }
    call_service(call, answer, "measurepoint/get", params);
}

void hub_device_invoke(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    const char *service = hub_call_parameter(call, "serviceId");
    json_t *input = json_object_get(body, "inputData");

    if (body == NULL) {
        return;
    }
    if (service == NULL || !hub_is_key(service) || !json_is_object(input)) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "invalid call parameters: serviceId or inputData is missing");
        return;
    }
    call_service(call, answer, service, input);
}

/* {"topic": "...", "params": ..., or "hex": "..." for bytes, "id": "...", "twice": b, "qos": n}:
 * any command on any topic of a device. */
void hub_control_command(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    const char *rest = json_string_value(json_object_get(body, "topic"));
    struct hub_command command = {
        .rest = rest,
        .params = json_object_get(body, "params"),
        .hex = hub_text(body, "hex"),
        .id = json_string_value(json_object_get(body, "id")),
        .twice = json_is_true(json_object_get(body, "twice")),
        .qos = (int)hub_number(body, "qos"),
    };

    if (body == NULL) {
        return;
    }
    if (rest == NULL || *rest == '\0' || strpbrk(rest, "+#") != NULL) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "invalid call parameters: topic");
        return;
    }
    send_command(call, answer, &command);
}
