/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked for on the local socket (agent/local.h). */
#include "agent/clock.h"
#include "agent/service/service.h"

#include <sys/stat.h>

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

/*
 * Events that the application beside the hub acts on: whoever sends them has this gateway's
 * certificate revoked, or one issued for a key of his.
 */
static bool is_about_certificates(const char *topic)
{
    static const char *const events[] = { "certificateRequest", "certificateSuperseded",
                                          "revokeMe" };
    static const char folder[] = "thing/event/";

    if (strncasecmp(topic, folder, strlen(folder)) != 0) {
        return false;
    }
    topic += strlen(folder);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        size_t size = strlen(events[i]);

        if (strncasecmp(topic, events[i], size) == 0 &&
            (topic[size] == '/' || topic[size] == '\0')) {
            return true;
        }
    }
    return false;
}

static void publish(struct service *service, struct client *client, const json_t *request)
{
    const char *topic = json_string_value(json_object_get(request, "topic"));
    json_t *params = json_object_get(request, "params");
    struct gk_error err = { 0 };
    enum gk_status status;

    if (topic == NULL || params == NULL) {
        status = gk_fail(&err, GK_USAGE, "topic and params are needed");
    } else if (is_about_certificates(topic) && !client_is_privileged(client)) {
        status = gk_fail(&err, GK_REFUSED, "%.60s: only root and gatekeyd's own user may", topic);
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
    CLEANUP(json_freep) json_t *reply = metrics_status(service->metrics);

    (void)request;
    client_reply(client, reply);
}

/* --- reconnect, try and stop
 * ---------------------------------------------------------------------- */

/* What the request says, where it says nothing what we have. */
static const char *text_or(const json_t *request, const char *name, const char *ours)
{
    const json_t *member = json_object_get(request, name);
    const char *text = json_string_value(member);

    return member == NULL ? ours : text != NULL ? text : "";
}

/* One directory may go by two names. */
static bool is_same_directory(const char *one, const char *other)
{
    struct stat first, second;

    return strcmp(one, other) == 0 ||
           (stat(one, &first) == 0 && stat(other, &second) == 0 && first.st_dev == second.st_dev &&
            first.st_ino == second.st_ino);
}

/* Two configurations may name one socket: the verdict on this identity is none on another. */
static enum gk_status check_identity(const struct agent_config *config, const json_t *request,
                                     struct gk_error *err)
{
    const char *directory = text_or(request, "directory", config->directory);
    const char *product_key = text_or(request, "product_key", config->product_key);
    const char *device_key = text_or(request, "device_key", config->device_key);

    if (strcmp(product_key, config->product_key) == 0 &&
        strcmp(device_key, config->device_key) == 0 &&
        is_same_directory(directory, config->directory)) {
        return GK_OK;
    }
    gk_fail(err, GK_NO_SERVICE,
            "device %.40s of product %.40s in %.80s; on this socket is the one for device %.40s of "
            "product %.40s in %.80s",
            device_key, product_key, directory, config->device_key, config->product_key,
            config->directory);
    gk_advise(err, "give each gatekeyd a [local] socket of its own");
    return GK_NO_SERVICE;
}

static bool is_allowed(const struct service *service, struct client *client, const json_t *request,
                       const char *operation)
{
    struct gk_error err = { 0 };
    enum gk_status status =
        client_is_privileged(client)
            ? check_identity(service->config, request, &err)
            : gk_fail(&err, GK_REFUSED, "only root and gatekeyd's own user may");

    if (status != GK_OK) {
        client_fail(client, operation, &err, 0);
    }
    return status == GK_OK;
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
    if (is_allowed(service, client, request, "reconnect")) {
        session_reconnect(service->session, on_verdict, client);
    }
}

static void on_tried(void *context, const struct gk_error *err)
{
    if (err != NULL) {
        client_fail(context, "connect with the new certificate", err, 0);
    } else {
        on_verdict(context, NULL);
    }
}

static void try_next(struct service *service, struct client *client, const json_t *request)
{
    if (is_allowed(service, client, request, "try")) {
        session_try(service->session, on_tried, client);
    }
}

/* The connect budget stays: it is the hub's limit, and knows no identity. */
static enum gk_status forget(struct service *service, struct gk_error *err)
{
    enum gk_status status = inbox_empty(service->config, err);

    notices_forget(service->notices);
    return status == GK_OK ? agent_clock_forget(service->config, err) : status;
}

static void stop(struct service *service, struct client *client, const json_t *request)
{
    CLEANUP(json_freep) json_t *reply = json_pack("{s:b}", "ok", 1);
    struct gk_error err = { 0 };
    enum gk_status status = GK_OK;

    if (!is_allowed(service, client, request, "stop")) {
        return;
    }
    session_stop(service->session);
    if (json_is_true(json_object_get(request, "forget"))) {
        status = forget(service, &err);
    }
    if (status != GK_OK) {
        client_fail(client, "forget what is kept for this identity", &err, 0);
    } else {
        client_reply(client, reply);
    }
}

/* --- all of them
 * ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    handle *handle;
} operations[] = {
    { "publish", publish },     { "status", status }, { "reconnect", reconnect },
    { "relay", request_relay }, { "stop", stop },     { "try", try_next },
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
