/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of command came, and keeping one. */
#include "agent/service/command.h"

#include "agent/service/service.h"

#define RRPC_REQUEST "rrpc/request/"
#define RRPC_RESPONSE "rrpc/response/"
#define TRAFFIC "traffic/control"

static const struct command_kind kinds[] = {
    { "thing/service/", false, false },
    { "thing/enable", false, true },
    { "thing/disable", false, true },
    { "thing/delete", false, true },
    { "thing/model/down_raw", true, false },
    { RRPC_REQUEST, true, false },
    { TRAFFIC, false, true },
};

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

static bool is_prefix(const struct command_kind *kind)
{
    return kind->topic[strlen(kind->topic) - 1] == '/';
}

const struct command_kind *command_kind_of(const char *rest)
{
    if (!enos_rest_is_publishable(rest)) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (is_prefix(&kinds[i]) ? begins_with(rest, kinds[i].topic)
                                 : strcmp(rest, kinds[i].topic) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

const char *command_name(const struct command_kind *kind, const char *rest)
{
    const char *service = enos_service_of(rest);

    if (service != NULL) {
        return service;
    }
    return kind->is_raw && is_prefix(kind) ? "rrpc/request" : rest;
}

void command_answer_topic(const char *rest, char topic[static ENOS_TOPIC_MAX])
{
    if (begins_with(rest, RRPC_REQUEST)) {
        snprintf(topic, ENOS_TOPIC_MAX, RRPC_RESPONSE "%s", rest + strlen(RRPC_REQUEST));
    } else {
        snprintf(topic, ENOS_TOPIC_MAX, "%s%s", rest, strcmp(rest, TRAFFIC) == 0 ? "" : "_reply");
    }
}

struct command *command_new(const struct command_kind *kind, const char *rest, json_t *id,
                            const void *payload, size_t size)
{
    CLEANUP(command_freep) struct command *made = calloc(1, sizeof(*made));

    if (made == NULL) {
        return NULL;
    }
    made->kind = kind;
    made->id = json_incref(id);
    made->end_ms = service_now_ms() + COMMAND_LIFE_MS;
    made->rest = strdup(rest);
    made->payload = malloc(size + 1);
    if (made->rest == NULL || made->payload == NULL) {
        return NULL;
    }
    memcpy(made->payload, payload, size);
    made->size = size;
    return TAKE(made);
}

void command_free(struct command *command)
{
    if (command != NULL) {
        handler_cancel(command->run);
        json_decref(command->id);
        free(command->rest);
        free(command->payload);
        free(command);
    }
}

uint64_t command_deadline(const struct command *command)
{
    if (command->handler != NULL && command->begun) {
        return UINT64_MAX;
    }
    return command->end_ms - COMMAND_LIFE_MS + (command->begun ? COMMAND_END_MS : COMMAND_BEGIN_MS);
}
