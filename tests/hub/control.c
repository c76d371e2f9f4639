/* SPDX-License-Identifier: Apache-2.0 */
/* What only hubctl may ask, by the control socket: faults, and cutting a connection. */
#include "tests/hub/broker.h"
#include "tests/hub/keeping.h"
#include "tests/hub/route.h"
#include "tests/hub/setting.h"
#include "tests/hub/steward.h"
#include "tests/hub/text.h"

void hub_control_faults(struct hub_call *call, struct hub_answer *answer)
{
    answer->data = hub_faults_list(call->hub->faults);
}

/* The server's certificate may have to change with a fault or a setting. */
static void take_up(struct hub_call *call, bool anew, struct hub_answer *answer)
{
    struct gk_error err = { 0 };

    if (hub_steward_renew(call->hub->steward, anew, &err) != GK_OK) {
        hub_answer_fault(answer, "change the server's certificate", &err);
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
    take_up(call, false, answer);
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
    enum gk_status status;

    if (body == NULL) {
        return;
    }
    if (!hub_setting_change(call->hub->store, hub_text(body, "name"), hub_text(body, "value"))) {
        hub_answer_refuse(answer, HUB_CODE_BAD_CALL,
                          "there is no such setting, or it does not take that value");
        return;
    }
    status = hub_ca_set_list_life(
        call->hub->ca, hub_setting_number(call->hub->store, HUB_SETTING_CRL_SECONDS), &err);
    if (status == GK_OK) {
        status = hub_keep_crl(call->hub, &err);
    }
    if (status != GK_OK) {
        hub_answer_fault(answer, "have the revocation list issued", &err);
        return;
    }
    hub_broker_reload(call->hub);
    take_up(call, false, answer);
}

/* End a device's connection, as a network may. */
void hub_control_drop(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);

    if (device != NULL) {
        hub_broker_cut_device(call->hub, hub_text(device, "assetId"));
    }
}
