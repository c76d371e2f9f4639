/* SPDX-License-Identifier: Apache-2.0 */
/* Asks gatekeyd, and makes sure that it is ours who answers. */
#include "agent/command/service.h"

#include "agent/command/command.h"
#include "agent/local.h"
#include "agent/sentence.h"

static bool differs(const json_t *reply, const char *name, const char *ours)
{
    const char *theirs = json_string_value(json_object_get(reply, name));

    return theirs != NULL && ours != NULL && strcmp(theirs, ours) != 0;
}

/* status is answered to everybody; it names the device it is about. */
static enum gk_status check_device(const struct agent_config *config, const json_t *reply,
                                   struct gk_error *err)
{
    if (!differs(reply, "product_key", config->product_key) &&
        !differs(reply, "device_key", config->device_key)) {
        return GK_OK;
    }
    gk_fail(err, GK_NO_SERVICE, "on %.100s is the one for device %.65s of product %.65s",
            config->socket, json_string_value(json_object_get(reply, "device_key")),
            json_string_value(json_object_get(reply, "product_key")));
    gk_advise(err, "give each gatekeyd a [local] socket of its own");
    return GK_NO_SERVICE;
}

enum gk_status service_verdict(const json_t *reply, struct gk_error *err)
{
    const char *sentence = json_string_value(json_object_get(reply, "error"));
    enum gk_status status = agent_status_of(json_string_value(json_object_get(reply, "status")));

    if (json_is_true(json_object_get(reply, "ok"))) {
        return GK_OK;
    }
    return agent_sentence_read(
        sentence != NULL && sentence[0] != '\0' ? sentence : "gatekeyd does not say why",
        status != GK_OK ? status : GK_INTERNAL, err);
}

enum gk_status service_trouble(const json_t *reply, struct gk_error *err)
{
    const char *sentence = json_string_value(json_object_get(reply, "last_error"));
    const char *name = json_string_value(json_object_get(reply, "last_status"));

    if (json_is_true(json_object_get(reply, "connected")) || sentence == NULL) {
        return GK_OK;
    }
    return agent_sentence_read(sentence, agent_status_of(name), err);
}

static enum gk_status make_request(const struct agent_config *config, const char *operation,
                                   json_t **request, struct gk_error *err)
{
    *request = json_pack("{s:s, s:s*, s:s*, s:s*}", "op", operation, "directory", config->directory,
                         "product_key", config->product_key, "device_key", config->device_key);
    return *request != NULL
               ? GK_OK
               : gk_fail(err, GK_BAD_CONFIG, "[identity] directory or [device] is not valid UTF-8");
}

static enum gk_status send_request(const struct agent_config *config, const json_t *request,
                                   int timeout_s, json_t **reply, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    enum gk_status status = agent_local_call(config, request, timeout_s, &answer, err);

    if (status == GK_OK) {
        status = service_verdict(answer, err);
    }
    if (status == GK_OK) {
        status = check_device(config, answer, err);
    }
    if (status == GK_OK) {
        *reply = TAKE(answer);
    }
    return status;
}

enum gk_status service_call(const struct agent_config *config, const char *operation, int timeout_s,
                            json_t **reply, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *request = NULL;
    enum gk_status status = make_request(config, operation, &request, err);

    return status == GK_OK ? send_request(config, request, timeout_s, reply, err) : status;
}

enum gk_status service_stop(const struct agent_config *config, bool forget, int timeout_s,
                            struct gk_error *err)
{
    CLEANUP(json_freep) json_t *request = NULL;
    CLEANUP(json_freep) json_t *reply = NULL;
    enum gk_status status = make_request(config, "stop", &request, err);

    if (status == GK_OK && forget && json_object_set_new(request, "forget", json_true()) != 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return status == GK_OK ? send_request(config, request, timeout_s, &reply, err) : status;
}
