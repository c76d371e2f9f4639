/* SPDX-License-Identifier: Apache-2.0 */
/* What only hubctl may ask, by the control socket: faults, settings, what becomes of the CA's roots
 * and the hub's own certificate, and cutting a connection. */
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

static enum gk_status renew_lists(struct hub *hub, struct gk_error *err)
{
    enum gk_status status =
        hub_ca_set_list_life(hub->ca, hub_setting_number(hub->store, HUB_SETTING_CRL_SECONDS), err);

    if (status == GK_OK) {
        status = hub_keep_crl(hub, err);
    }
    if (status == GK_OK) {
        hub_broker_reload(hub);
    }
    return status;
}

/* {"name": "...", "value": "..."}: it counts from now on; a list of another life is out when the
 * call ends. */
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
    if (strcmp(hub_text(body, "name"), "crlSeconds") == 0 &&
        renew_lists(call->hub, &err) != GK_OK) {
        hub_answer_fault(answer, "have the revocation list issued", &err);
        return;
    }
    take_up(call, false, answer);
}

/* {"reason": n}: the certificate the hub shows is revoked, and goes on being shown. */
void hub_control_revoke_server(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    struct gk_error err = { 0 };

    if (body == NULL) {
        return;
    }
    if (hub_revoke(call->hub, hub_server_serial(call->hub), (int)hub_number(body, "reason"),
                   &err) != GK_OK) {
        hub_answer_fault(answer, "have the CA revoke the hub's certificate", &err);
        return;
    }
    hub_broker_reload(call->hub);
}

/* {}: a new certificate for the hub itself, whether it is due or not. */
void hub_control_renew_server(struct hub_call *call, struct hub_answer *answer)
{
    take_up(call, true, answer);
}

static enum gk_status change_root(struct hub *hub, bool with_link, struct gk_error *err)
{
    enum gk_status status = hub_ca_new_root(hub->ca, with_link, err);

    if (status == GK_OK) {
        status = hub_keep_roots(hub, err);
    }
    if (status == GK_OK) {
        status = hub_keep_crl(hub, err);
    }
    if (status == GK_OK) {
        hub_broker_reload(hub);
    }
    return status;
}

/* Have the newest root sign the hub's own certificate from now on. */
static void switch_server(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(hub_ca_roots_clear) struct hub_ca_roots roots = { 0 };
    struct gk_error err = { 0 };
    char number[16];

    if (hub_ca_roots(call->hub->ca, &roots, &err) != GK_OK) {
        hub_answer_fault(answer, "ask the CA for its roots", &err);
        return;
    }
    snprintf(number, sizeof(number), "%d", roots.newest);
    hub_setting_change(call->hub->store, "serverRoot", number);
    take_up(call, false, answer);
}

/* {"link": b, "switchServer": b}: another root signs from now on. */
void hub_control_new_root(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *body = hub_call_json(call, answer);
    struct gk_error err = { 0 };

    if (body == NULL) {
        return;
    }
    if (change_root(call->hub, json_is_true(json_object_get(body, "link")), &err) != GK_OK) {
        hub_answer_fault(answer, "change the root", &err);
        return;
    }
    if (json_is_true(json_object_get(body, "switchServer"))) {
        switch_server(call, answer);
    }
}

/* {} */
void hub_control_switch_server(struct hub_call *call, struct hub_answer *answer)
{
    switch_server(call, answer);
}

/* End a device's connection, as a network may. */
void hub_control_drop(struct hub_call *call, struct hub_answer *answer)
{
    CLEANUP(json_decrefp) json_t *device = hub_call_device(call, answer);

    if (device != NULL) {
        hub_broker_cut_device(call->hub, hub_text(device, "assetId"));
    }
}
