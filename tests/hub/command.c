/* SPDX-License-Identifier: Apache-2.0 */
/* Sends commands and matches the replies by device, topic and id. */
#include "tests/hub/command.h"

#include "tests/hub/broker.h"
#include "tests/hub/text.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <time.h>

/* A command under way; lives on the stack of the thread that waits for its reply. */
struct pending {
    struct pending *next;
    char id[72];
    const char *asset_id;
    char *reply_rest;
    json_t *reply;
    bool is_raw; /* the first answer on that topic is its own */
};

struct hub_commands {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct pending *first;
    bool closed;
};

struct hub_commands *hub_commands_new(void)
{
    struct hub_commands *commands = calloc(1, sizeof(*commands));
    pthread_condattr_t monotonic;

    if (commands != NULL) {
        pthread_mutex_init(&commands->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&commands->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
    }
    return commands;
}

void hub_commands_free(struct hub_commands *commands)
{
    if (commands != NULL) {
        pthread_cond_destroy(&commands->changed);
        pthread_mutex_destroy(&commands->lock);
        free(commands);
    }
}

static void begin(struct hub_commands *commands, struct pending *pending)
{
    pthread_mutex_lock(&commands->lock);
    pending->next = commands->first;
    commands->first = pending;
    pthread_mutex_unlock(&commands->lock);
}

static void end(struct hub_commands *commands, const struct pending *pending)
{
    pthread_mutex_lock(&commands->lock);
    for (struct pending **at = &commands->first; *at != NULL; at = &(*at)->next) {
        if (*at == pending) {
            *at = pending->next;
            break;
        }
    }
    pthread_mutex_unlock(&commands->lock);
}

static void wait_for_reply(struct hub_commands *commands, struct pending *pending, int timeout_ms)
{
    struct timespec until;
    int result = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&commands->lock);
    while (pending->reply == NULL && !commands->closed && result == 0) {
        result = pthread_cond_timedwait(&commands->changed, &commands->lock, &until);
    }
    pthread_mutex_unlock(&commands->lock);
}

/* The method is the topic with dots. */
static char *method_of(const char *rest)
{
    char *method = strdup(rest);

    for (char *at = method; at != NULL && *at != '\0'; at++) {
        if (*at == '/') {
            *at = '.';
        }
    }
    return method;
}

static char *envelope_of(const char *id, const struct hub_command *command)
{
    CLEANUP(gk_freep) char *method = method_of(command->rest);
    CLEANUP(json_decrefp)
    json_t *envelope = json_pack("{s:s,s:s,s:s,s:O}", "id", id, "version", "1.0", "method", method,
                                 "params", command->params);

    return json_dumps(envelope, JSON_COMPACT);
}

/* What has no envelope is answered without one. */
static bool is_raw(const char *answer_rest)
{
    return strncmp(answer_rest, "rrpc/response/", 14) == 0 ||
           strcmp(answer_rest, "thing/model/down_raw_reply") == 0;
}

static char *answer_rest_of(const char *rest)
{
    if (strncmp(rest, "rrpc/request/", 13) == 0) {
        return hub_print("rrpc/response/%s", rest + 13);
    }
    return hub_print("%s%s", rest, strcmp(rest, "traffic/control") == 0 ? "" : "_reply");
}

bool hub_command_is_answer(const char *rest)
{
    size_t length = strlen(rest);

    return is_raw(rest) || strcmp(rest, "traffic/control") == 0 ||
           (length > 6 && strcmp(rest + length - 6, "_reply") == 0);
}

static void note_sent(struct hub *hub, const struct pending *pending,
                      const struct hub_command *sent, const char *text)
{
    hub_store_run(hub->store,
                  "INSERT INTO command (timeMs, assetId, topic, commandId, payload)"
                  " VALUES (?, ?, ?, ?, ?)",
                  "issss", hub_now_ms(), pending->asset_id, sent->rest, pending->id, text);
}

/* code is the device's, or what there was instead of an answer. */
static void note_end(struct hub *hub, const struct pending *pending, const struct hub_command *sent,
                     int64_t code)
{
    hub_store_run(hub->store,
                  "UPDATE command SET code = ?, endMs = ? WHERE id = (SELECT max(id) FROM command"
                  " WHERE assetId = ? AND topic = ? AND commandId = ?)",
                  "iisss", code, hub_now_ms(), pending->asset_id, sent->rest, pending->id);
}

static enum hub_command_result call(struct hub *hub, struct pending *pending,
                                    const struct hub_command *command,
                                    const struct hub_message *message)
{
    bool sent;

    begin(hub->commands, pending);
    sent = hub_broker_send(hub, pending->asset_id, message);
    if (sent && command->twice) {
        hub_broker_send(hub, pending->asset_id, message);
    }
    if (sent) {
        wait_for_reply(hub->commands, pending, command->timeout_ms);
    }
    end(hub->commands, pending);
    if (pending->reply != NULL) {
        return HUB_COMMAND_ANSWERED;
    }
    return sent ? HUB_COMMAND_UNANSWERED : HUB_COMMAND_OFFLINE;
}

/* The bytes that hex stands for; the caller frees them. */
static char *bytes_of(const char *hex, size_t *size)
{
    char *bytes = malloc(strlen(hex) / 2 + 1);
    unsigned value;

    for (*size = 0; bytes != NULL && sscanf(hex + 2 * *size, "%2x", &value) == 1; ++*size) {
        bytes[*size] = (char)value;
    }
    return bytes;
}

static bool name_pending(struct hub *hub, const struct hub_command *command,
                         struct pending *pending)
{
    if (command->id != NULL) {
        snprintf(pending->id, sizeof(pending->id), "%s", command->id);
    } else {
        snprintf(pending->id, sizeof(pending->id), "%" PRId64,
                 hub_store_next(hub->store, "command", 1));
    }
    pending->is_raw = command->params == NULL;
    pending->reply_rest = answer_rest_of(command->rest);
    return pending->reply_rest != NULL;
}

enum hub_command_result hub_command_call(struct hub *hub, const json_t *device,
                                         const struct hub_command *command, json_t **reply)
{
    struct pending pending = { .asset_id = hub_text(device, "assetId") };
    bool named = name_pending(hub, command, &pending);
    CLEANUP(gk_freep) char *reply_rest = pending.reply_rest;
    CLEANUP(gk_freep)
    char *topic = hub_print("/sys/%s/%s/%s", hub_text(device, "productKey"),
                            hub_text(device, "deviceKey"), command->rest);
    size_t size = 0;
    CLEANUP(gk_freep)
    char *payload =
        pending.is_raw ? bytes_of(command->hex, &size) : envelope_of(pending.id, command);
    enum hub_command_result result;

    if (!named || topic == NULL || payload == NULL) {
        return HUB_COMMAND_UNANSWERED;
    }
    size = pending.is_raw ? size : strlen(payload);
    note_sent(hub, &pending, command, pending.is_raw ? command->hex : payload);
    result = call(hub, &pending, command,
                  &(const struct hub_message){ topic, payload, size, command->qos });
    note_end(hub, &pending, command,
             result != HUB_COMMAND_ANSWERED ? (int64_t)result
             : pending.is_raw               ? 200
                                            : hub_number(pending.reply, "code"));
    if (pending.reply != NULL) {
        *reply = pending.reply;
    }
    return result;
}

static bool answers(const struct pending *pending, const char *asset_id, const char *rest,
                    const json_t *reply)
{
    return pending->reply == NULL && strcmp(pending->asset_id, asset_id) == 0 &&
           strcmp(pending->reply_rest, rest) == 0 &&
           (pending->is_raw || strcmp(pending->id, hub_text(reply, "id")) == 0);
}

static void hand_over(struct hub_commands *commands, const char *asset_id, const char *rest,
                      json_t *reply)
{
    pthread_mutex_lock(&commands->lock);
    for (struct pending *pending = commands->first; pending != NULL; pending = pending->next) {
        if (answers(pending, asset_id, rest, reply)) {
            /* A copy: two threads must not share one. */
            pending->reply = json_deep_copy(reply);
            pthread_cond_broadcast(&commands->changed);
            break;
        }
    }
    pthread_mutex_unlock(&commands->lock);
}

static json_t *read_raw(const void *payload, size_t size)
{
    CLEANUP(gk_freep) char *hex = malloc(HUB_HEX_SIZE(size));

    if (hex == NULL) {
        return NULL;
    }
    hex[0] = '\0';
    hub_hex(payload, size, hex);
    return json_pack("{s:s}", "hex", hex);
}

bool hub_command_answer(struct hub *hub, const struct hub_session *session, const char *rest,
                        const void *payload, size_t size)
{
    CLEANUP(json_decrefp)
    json_t *reply = is_raw(rest) ? read_raw(payload, size)
                                 : json_loadb(payload, size, JSON_REJECT_DUPLICATES, NULL);
    CLEANUP(gk_freep) char *text = json_dumps(reply, JSON_COMPACT);

    if (!json_is_object(reply)) {
        return false;
    }
    hub_store_run(hub->store,
                  "INSERT INTO answer (timeMs, assetId, topic, payload) VALUES (?, ?, ?, ?)",
                  "isss", hub_now_ms(), session->asset_id, rest, text);
    hand_over(hub->commands, session->asset_id, rest, reply);
    return true;
}

void hub_commands_close(struct hub_commands *commands)
{
    pthread_mutex_lock(&commands->lock);
    commands->closed = true;
    pthread_cond_broadcast(&commands->changed);
    pthread_mutex_unlock(&commands->lock);
}
