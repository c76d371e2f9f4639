/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked for on the local socket (agent/local.h). */
#include "agent/clock.h"
#include "agent/enos/connect.h"
#include "agent/enos/handed.h"
#include "agent/service/service.h"
#include "agent/spool/spool.h"

#include <inttypes.h>
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

static void on_stored(void *context, int64_t id, const struct gk_error *err)
{
    CLEANUP(json_freep) json_t *reply = NULL;
    char text[24];

    if (err != NULL) {
        client_fail(context, "publish", err, 0);
        return;
    }
    snprintf(text, sizeof(text), "%" PRId64, id);
    reply = json_pack("{s:b, s:s}", "ok", 1, "id", text);
    client_reply(context, reply);
}

/* Its line is gone by now, so what it said is read when the message is taken. */
static void on_stored_wait(void *context, int64_t id, const struct gk_error *err)
{
    struct uplink *uplink = client_service(context)->uplink;
    struct gk_error why = { 0 };

    if (err != NULL) {
        client_fail(context, "publish", err, 0);
    } else if (uplink_wait(uplink, id, client_patience(context), on_published, context, &why) !=
               GK_OK) {
        client_fail(context, "wait for the hub", &why, 0);
    }
}

static enum gk_status hand_over(struct service *service, struct client *client, const char *topic,
                                bool wait, struct gk_error *err)
{
    struct intake_message message = { .topic = topic,
                                      .is_params = true,
                                      .trusted = client_is_privileged(client) };
    const char *text = NULL, *line;
    size_t size;

    /* As it was written: a number that was read and printed again may be another. */
    line = client_line(client, &size);
    if (!enos_member_find(line, size, "params", &text, &message.size)) {
        return gk_fail(err, GK_USAGE, "params must be written without \\u");
    }
    message.payload = text;
    return intake_take(service->intake, &message, wait ? on_stored_wait : on_stored, client, err);
}

/* Past the spool: what is of no use later is better not kept. */
static enum gk_status send_now(struct service *service, struct client *client, const char *topic,
                               json_t *params, struct gk_error *err)
{
    CLEANUP(gk_freep) char *text = NULL;
    struct publisher_request request = { .rest = topic };
    char id[24];
    enum gk_status status;

    if (!client_is_privileged(client)) {
        return gk_fail(err, GK_REFUSED, "\"now\": only root and gatekeyd's own user may");
    }
    if (!enos_rest_is_publishable(topic)) {
        return gk_fail(err, GK_USAGE, "topic %.130s", topic);
    }
    snprintf(id, sizeof(id), "%" PRId64, spool_number(service->spool, spool_lane_of(topic)));
    status = enos_request_format(id, topic, params, &text, &request.size, err);
    if (status != GK_OK) {
        return status;
    }
    request.id = id;
    request.text = text;
    return publisher_send(service->publisher, &request, on_published, client, err);
}

static void publish(struct service *service, struct client *client, const json_t *request)
{
    const char *topic = json_string_value(json_object_get(request, "topic"));
    json_t *params = json_object_get(request, "params");
    bool wait = json_is_true(json_object_get(request, "wait"));
    json_int_t timeout_s = json_integer_value(json_object_get(request, "timeout"));
    struct gk_error err = { 0 };
    enum gk_status status;

    if (topic == NULL || params == NULL) {
        status = gk_fail(&err, GK_USAGE, "topic and params are needed");
    } else if (json_is_true(json_object_get(request, "now"))) {
        status = send_now(service, client, topic, params, &err);
    } else {
        client_set_patience(client,
                            timeout_s > 0 && timeout_s < UINT32_MAX ? (unsigned)timeout_s : 0);
        status = hand_over(service, client, topic, wait, &err);
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
    commander_forget(service->commander);
    /* Whoever handed something over in this moment is told before it goes with the rest. */
    (void)!intake_commit(service->intake, NULL);
    if (status == GK_OK) {
        status = spool_forget(service->spool, err);
    }
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
    { "publish", publish },     { "status", status },       { "reconnect", reconnect },
    { "relay", request_relay }, { "spool", request_spool }, { "stop", stop },
    { "try", try_next },
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
