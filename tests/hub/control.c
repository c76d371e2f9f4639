/* SPDX-License-Identifier: Apache-2.0 */
/* What only hubctl may ask, by the control socket: faults, and cutting a connection. */
#include "tests/hub/api.h"
#include "tests/hub/broker.h"
#include "tests/hub/keeping.h"
#include "tests/hub/route.h"
#include "tests/hub/setting.h"
#include "tests/hub/text.h"

void hub_control_faults(struct hub_call *call, struct hub_answer *answer)
{
    answer->data = hub_faults_list(call->hub->faults);
}

/* The server's certificate may have to change with a fault: the broker's listeners and the API show
 * a new one. */
static void take_up(struct hub_call *call, struct hub_answer *answer)
{
    struct gk_error err = { 0 };
    bool changed = false;

    if (hub_keep_server_certificate(call->hub, &changed, &err) != GK_OK ||
        (changed && hub_api_renew(call->hub->api, &err) != GK_OK)) {
        gk_error_sentence(&err, "change the server's certificate", answer->message,
                          sizeof(answer->message));
        answer->code = HUB_CODE_FAULT;
        return;
    }
    if (changed) {
        hub_broker_reload(call->hub);
    }
}

/* {"set": "NAME=VALUE", "times": n}, or {"clear": "NAME"}, or {"clear": ""} for all. */
void hub_control_fault(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    const char *set = json_string_value(json_object_get(body, "set"));
    const char *clear = json_string_value(json_object_get(body, "clear"));
    bool known = false;

    if (body == NULL) {
        return;
    }
    if (set != NULL) {
        known = hub_fault_set(call->hub->faults, set, (int)hub_number(body, "times"));
    } else if (clear != NULL) {
        known = hub_fault_clear(call->hub->faults, *clear != '\0' ? clear : NULL);
    }
    if (!known) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL, "there is no such fault");
        return;
    }
    take_up(call, answer);
}

void hub_control_settings(struct hub_call *call, struct hub_answer *answer)
{
    answer->data = hub_settings_list(call->hub->store);
}

/* {"name": "...", "value": "..."}: it counts from now on, a new list is out when the call ends. */
void hub_control_setting(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    struct gk_error err = { 0 };

    if (body == NULL) {
        return;
    }
    if (!hub_setting_change(call->hub->store, hub_text(body, "name"), hub_text(body, "value"))) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "there is no such setting, or it does not take that value");
        return;
    }
    hub_take_up_settings(call->hub);
    if (hub_keep_crl(call->hub, &err) != GK_OK) {
        gk_error_sentence(&err, "issue the revocation list", answer->message,
                          sizeof(answer->message));
        answer->code = HUB_CODE_FAULT;
        return;
    }
    hub_broker_reload(call->hub);
    take_up(call, answer);
}

/* End a device's connection, as a network may. */
void hub_control_drop(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);

    if (device != NULL) {
        hub_broker_cut_device(call->hub, hub_text(device, "assetId"));
    }
}
