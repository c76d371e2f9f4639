/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked for on the local socket (agent/local.h). */
#include "agent/service/service.h"

typedef void handle(struct service *service, struct client *client, const json_t *request);

/* --- publish
 * -------------------------------------------------------------------------------------- */

static void on_published(void *context, const char *id, json_int_t code, json_t *data,
                         const struct gk_error *err)
{
    CLEANUP(json_freep) json_t *reply = NULL;

    if (err != NULL) {
        client_fail(context, "publish", err, code);
        return;
    }
    reply = json_pack("{s:b, s:s, s:I, s:O*}", "ok", 1, "id", id, "code", code, "data", data);
    client_reply(context, reply);
}

static void publish(struct service *service, struct client *client, const json_t *request)
{
    const char *topic = json_string_value(json_object_get(request, "topic"));
    json_t *params = json_object_get(request, "params");
    struct gk_error err = { 0 };
    enum gk_status status;

    if (topic == NULL || params == NULL) {
        status = gk_fail(&err, GK_USAGE, "topic and params are needed");
    } else {
        status = publisher_send(service->publisher, topic, params, on_published, client, &err);
    }
    if (status != GK_OK) {
        client_fail(client, "publish", &err, 0);
    }
}

/* --- status
 * --------------------------------------------------------------------------------------- */

static void status(struct service *service, struct client *client, const json_t *request)
{
    const struct agent_config *config = service->config;
    CLEANUP(json_freep)
    json_t *reply = json_pack("{s:b, s:i, s:s*, s:i, s:s*, s:s*}", "ok", 1, "pid", (int)getpid(),
                              "host", config->host, "port", (int)config->port, "product_key",
                              config->product_key, "device_key", config->device_key);

    (void)request;
    session_describe(service->session, reply);
    publisher_describe(service->publisher, reply);
    commander_describe(service->commander, reply);
    client_reply(client, reply);
}

/* --- reconnect and stop
 * --------------------------------------------------------------------------- */

static bool is_allowed(struct client *client, const char *operation)
{
    struct gk_error err = { 0 };

    if (client_is_privileged(client)) {
        return true;
    }
    gk_fail(&err, GK_REFUSED, "only root and gatekeyd's own user may");
    client_fail(client, operation, &err, 0);
    return false;
}

static void on_verdict(void *context, const struct gk_error *err)
{
    CLEANUP(json_freep) json_t *reply = NULL;

    if (err != NULL) {
        client_fail(context, "connect", err, 0);
        return;
    }
    reply = json_pack("{s:b, s:b}", "ok", 1, "connected", 1);
    client_reply(context, reply);
}

static void reconnect(struct service *service, struct client *client, const json_t *request)
{
    (void)request;
    if (is_allowed(client, "reconnect")) {
        session_reconnect(service->session, on_verdict, client);
    }
}

static void stop(struct service *service, struct client *client, const json_t *request)
{
    CLEANUP(json_freep) json_t *reply = json_pack("{s:b}", "ok", 1);

    (void)request;
    if (is_allowed(client, "stop")) {
        session_stop(service->session);
        client_reply(client, reply);
    }
}

/* --- all of them
 * ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    handle *handle;
} operations[] = {
    { "publish", publish },
    { "status", status },
    { "reconnect", reconnect },
    { "stop", stop },
};

void request_handle(struct service *service, struct client *client, const char *line, size_t size)
{
    CLEANUP(json_freep) json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(request, "op"));
    struct gk_error err = { 0 };

    for (size_t i = 0; name != NULL && i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (strcmp(operations[i].name, name) == 0) {
            operations[i].handle(service, client, request);
            return;
        }
    }
    if (name != NULL) {
        gk_fail(&err, GK_USAGE, "no such operation: %.40s", name);
    } else {
        gk_fail(&err, GK_USAGE, "a line must be a JSON object with \"op\"");
    }
    client_fail(client, "understand the request", &err, 0);
}
