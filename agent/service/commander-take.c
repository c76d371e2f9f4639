/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in: the hub's commands, and the applications' answers to them. */
#include "agent/service/commander-internal.h"

#include "agent/enos/handed.h"
#include "agent/service/log.h"
#include "agent/service/traffic.h"

#include <limits.h>

/* The one service that needs no program: it is ours. */
#define INSTALL_CERTIFICATE "installCertificate"

#define SHOWN 200 /* bytes of a message that nobody has described, for the log */

/* --- what is ours ---------------------------------------------------------------------------- */

/* The application beside the hub sends a certificate; what it is worth, gatekey install finds out.
 */
static void take_certificate(struct commander *commander, const char *rest,
                             const struct enos_request *request)
{
    struct gk_error err = { 0 };
    enum gk_status status =
        inbox_put(commander->service->config, request->id, request->params, &err);

    if (status == GK_OK) {
        commander_reply_now(commander, rest, request->id, HANDLER_DONE, NULL);
        return;
    }
    log_failure(LOG_LEVEL_WARNING, "keep a certificate from the hub", &err);
    /* The hub need not know our paths. */
    commander_turn_down(commander, rest, request->id,
                        status == GK_BUSY          ? HANDLER_BUSY
                        : status == GK_HUB_GARBLED ? HANDLER_BAD_COMMAND
                                                   : HANDLER_FAILED,
                        gk_status_cause(status));
}

/*
 * Applications are told, and asked nothing; of bytes, which may be a command, no later than of one.
 * Without a local broker there is nobody to tell.
 */
static bool tell(struct commander *commander, const struct command_kind *kind, const char *rest,
                 const void *payload, size_t size)
{
    struct relay *relay = commander->service->relay;
    char topic[ENOS_TOPIC_MAX];
    struct gk_error err = { 0 };
    enum gk_status status;

    snprintf(topic, sizeof(topic), "down/%s", rest);
    status = kind->is_raw ? relay_command(relay, topic, payload, size,
                                          service_now_ms() + COMMAND_END_MS, &err)
                          : relay_publish(relay, topic, payload, size, false, &err);
    if (status != GK_OK && status != GK_UNREACHABLE) {
        log_failure(LOG_LEVEL_WARNING, "tell the applications of a command", &err);
    }
    return status == GK_OK;
}

static void log_notice(const char *rest)
{
    if (strcmp(rest, "thing/delete") == 0) {
        log_line(LOG_LEVEL_ERROR,
                 "the hub has deleted this device and takes nothing from it any more; run gatekey "
                 "reset, or have the device created again and run gatekey enroll");
    } else if (strcmp(rest, "thing/disable") == 0) {
        log_line(LOG_LEVEL_NOTICE, "the hub has disabled this device; it refuses connections until "
                                   "somebody enables the device again");
    } else {
        log_line(LOG_LEVEL_NOTICE, "the hub has enabled this device");
    }
}

static void take_notice(struct commander *commander, const struct command_kind *kind,
                        const char *rest, json_t *id, const void *payload, size_t size)
{
    tell(commander, kind, rest, payload, size);
    commander_reply_now(commander, rest, id, HANDLER_DONE, NULL);
}

/* What is no envelope asks for less all the same. */
static void take_traffic(struct commander *commander, const struct command_kind *kind,
                         const char *rest, const void *payload, size_t size)
{
    CLEANUP(enos_request_clear) struct enos_request request = { 0 };
    enum gk_status status = enos_request_parse(payload, size, &request, NULL);
    unsigned pause_ms = traffic_pause_ms(request.params);

    if (status == GK_OK && traffic_is_answer(request.whole)) {
        return;
    }
    commander->received++;
    if (request.id != NULL && seen_before(&commander->seen, rest, request.id, service_now_ms())) {
        commander->duplicates++;
        return;
    }
    log_line(LOG_LEVEL_NOTICE, "the hub asks for less: nothing is sent for %u s (%.*s)",
             (pause_ms + 999) / 1000, size < SHOWN ? (int)size : SHOWN, (const char *)payload);
    uplink_pause(commander->service->uplink, pause_ms);
    take_notice(commander, kind, rest, request.id, payload, size);
}

/* --- what is for others ---------------------------------------------------------------------- */

/* payload is what is handed over: to a program the parameters, to the applications all of it. */
static void admit(struct commander *commander, const struct command_kind *kind, const char *rest,
                  json_t *id, const void *payload, size_t size)
{
    const struct agent_handler *handler =
        commander_find_handler(commander, command_name(kind, rest));
    CLEANUP(command_freep)
    struct command *command = command_new(kind, rest, id, payload, size);
    struct gk_error err = { 0 };
    enum gk_status status;

    if (command == NULL || payload == NULL) {
        status = gk_fail(&err, GK_NO_MEMORY, NULL);
    } else {
        command->commander = commander;
        command->handler = handler;
        status = commands_put(&commander->commands, &command, &err);
    }
    if (status != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "carry out a command of the hub", &err);
        if (kind->is_raw) {
            seen_release(&commander->seen, rest, id, service_now_ms());
        } else {
            commander_turn_down(commander, rest, id, HANDLER_BUSY, "busy with earlier commands");
        }
    }
    commander_advance(commander);
}

/* Bytes say neither whose answer they are nor whether there will be one, so nothing waits for it:
 * what applications answer is passed on when it comes. */
static void take_raw(struct commander *commander, const struct command_kind *kind, const char *rest,
                     const void *payload, size_t size)
{
    bool has_id = strcmp(kind->topic, rest) != 0;

    commander->received++;
    if (has_id && seen_before(&commander->seen, rest, NULL, service_now_ms())) {
        commander->duplicates++;
    } else if (commander_find_handler(commander, command_name(kind, rest)) != NULL) {
        admit(commander, kind, rest, NULL, payload, size);
    } else if (!tell(commander, kind, rest, payload, size)) {
        commander_drop_raw(commander, rest);
    }
}

static void take_request(struct commander *commander, const struct command_kind *kind,
                         const char *rest, const struct enos_request *request, const void *payload,
                         size_t size)
{
    const char *name = command_name(kind, rest);

    if (kind->is_notice) {
        log_notice(rest);
    }
    if (strcmp(name, INSTALL_CERTIFICATE) == 0) {
        take_certificate(commander, rest, request);
    } else if (commander_find_handler(commander, name) != NULL) {
        CLEANUP(gk_freep) char *input = enos_text_compact(&request->params_text);
        /* Without parameters the program gets an empty object. */
        const char *text = request->params != NULL ? input : "{}";

        admit(commander, kind, rest, request->id, text, text != NULL ? strlen(text) : 0);
    } else if (kind->is_notice) {
        take_notice(commander, kind, rest, request->id, payload, size);
    } else {
        admit(commander, kind, rest, request->id, payload, size);
    }
}

static void take_envelope(struct commander *commander, const struct command_kind *kind,
                          const char *rest, const void *payload, size_t size)
{
    CLEANUP(enos_request_clear) struct enos_request request = { 0 };
    struct gk_error err = { 0 };

    commander->received++;
    if (enos_request_parse(payload, size, &request, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "read the hub's command", &err);
        commander_reply_now(commander, rest, NULL, HANDLER_BAD_COMMAND, "not a JSON envelope");
    } else if (request.id != NULL &&
               seen_before(&commander->seen, rest, request.id, service_now_ms())) {
        commander->duplicates++;
    } else {
        take_request(commander, kind, rest, &request, payload, size);
    }
}

void commander_receive(struct commander *commander, const char *rest, const void *given,
                       size_t size)
{
    const struct command_kind *kind = command_kind_of(rest);
    const void *payload = size > 0 ? given : "";

    if (kind == NULL) {
        return;
    }
    if (kind->is_raw) {
        take_raw(commander, kind, rest, payload, size);
    } else if (strcmp(kind->topic, "traffic/control") == 0) {
        take_traffic(commander, kind, rest, payload, size);
    } else {
        take_envelope(commander, kind, rest, payload, size);
    }
    commander_advance(commander);
}

/* --- what applications answer ---------------------------------------------------------------- */

/* "7" answers 7: what came as a number, some languages send back as a text. */
static bool is_same_id(const json_t *one, const json_t *other)
{
    char number[24];

    if (json_is_integer(one) && json_is_string(other)) {
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(one));
        return strcmp(number, json_string_value(other)) == 0;
    }
    return (one == NULL && other == NULL) || json_equal(one, other) != 0;
}

static enum gk_status check_answer(const json_t *code, const json_t *message, struct gk_error *err)
{
    if (!json_is_integer(code) || json_integer_value(code) > INT_MAX ||
        !enos_code_is_ours((int)json_integer_value(code))) {
        gk_fail(err, GK_USAGE, "code %" JSON_INTEGER_FORMAT, json_integer_value(code));
        gk_advise(err, "answer with \"code\":200, or 2000 and more for an error");
        return GK_USAGE;
    }
    return message == NULL || json_is_string(message)
               ? GK_OK
               : gk_fail(err, GK_USAGE, "a message that is no text");
}

/* It is for that command; whatever it says, the hub hears something now. */
static enum gk_status take_answer(struct commander *commander, struct command *command,
                                  const json_t *answer, const struct enos_text *text,
                                  struct gk_error *err)
{
    const json_t *code = json_object_get(answer, "code");
    const json_t *message = json_object_get(answer, "message");
    struct verdict verdict = { .code = HANDLER_BAD_OUTPUT,
                               .message = "the application's answer makes no sense" };
    struct enos_text data = { NULL, 0 };
    enum gk_status status = check_answer(code, message, err);

    /* What we put around it is no longer than what it put there. */
    if (status == GK_OK && text->size > ENOS_MESSAGE_MAX) {
        status = gk_fail(err, GK_USAGE, "%zu bytes; EnOS takes %zu", text->size, ENOS_MESSAGE_MAX);
    }
    if (status == GK_OK && json_object_get(answer, "data") != NULL &&
        !enos_member_find(text->at, text->size, "data", &data.at, &data.size)) {
        status = gk_fail(err, GK_USAGE, "the name of \"data\" must be written without \\u");
    }
    if (status == GK_OK) {
        verdict =
            (struct verdict){ (int)json_integer_value(code), data, json_string_value(message) };
    }
    commander_conclude(commander, command, &verdict);
    commander_advance(commander);
    return status;
}

static enum gk_status take_raw_answer(struct commander *commander, const char *rest,
                                      const void *payload, size_t size, struct gk_error *err)
{
    if (size > ENOS_MESSAGE_MAX) {
        return gk_fail(err, GK_USAGE, "%zu bytes; EnOS takes %zu", size, ENOS_MESSAGE_MAX);
    }
    commander_reply_raw(commander, rest, payload, size, service_now_ms() + COMMAND_LIFE_MS);
    commander_advance(commander);
    return GK_OK;
}

/*
 * Only with the command's id: an answer that comes too late must not be taken for one to the next
 * command on that topic, so that the bare data is not enough.
 */
enum gk_status commander_answer(struct commander *commander, const char *rest, const void *given,
                                size_t size, struct gk_error *err)
{
    const struct command_kind *kind = command_kind_of(rest);
    const void *payload = size > 0 ? given : "";
    CLEANUP(json_freep) json_t *answer = NULL;
    struct command *command;

    if (kind == NULL) {
        return gk_fail(err, GK_USAGE, "%.100s is no topic of a command", rest);
    }
    if (kind->is_raw) {
        return take_raw_answer(commander, rest, payload, size, err);
    }
    /* jansson passes over NULs between the tokens. */
    if (memchr(payload, '\0', size) == NULL) {
        answer = json_loadb(payload, size, JSON_REJECT_DUPLICATES, NULL);
    }
    if (!json_is_object(answer)) {
        gk_fail(err, GK_USAGE, "%.100s: not a JSON object", rest);
        gk_advise(err, "answer with {\"id\": the command's, \"code\":200, \"data\":...}");
        return GK_USAGE;
    }
    /* We have answered already; who answers all commands alike does no wrong. */
    if (kind->is_notice) {
        return GK_OK;
    }
    command = commands_under_way(&commander->commands, rest);
    if (command == NULL || !is_same_id(command->id, json_object_get(answer, "id"))) {
        gk_fail(err, GK_NO_MESSAGE, "%.100s: no command with that id waits for an answer", rest);
        gk_advise(err, "answer once, with the command's id, within 28 seconds of its arrival");
        return GK_NO_MESSAGE;
    }
    return take_answer(commander, command, answer, &(const struct enos_text){ payload, size }, err);
}
