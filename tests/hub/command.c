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
    char id[24];
    const char *asset_id;
    char *reply_rest;
    json_t *reply;
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

static char *envelope_of(const char *id, const char *rest, json_t *params)
{
    CLEANUP(gk_freep) char *method = method_of(rest);
    CLEANUP(json_decrefp)
    json_t *envelope = json_pack("{s:s,s:s,s:s,s:O}", "id", id, "version", "1.0", "method", method,
                                 "params", params);

    return json_dumps(envelope, JSON_COMPACT);
}

enum hub_command_result hub_command_call(struct hub *hub, const json_t *device, const char *rest,
                                         json_t *params, int timeout_ms, json_t **reply)
{
    struct pending pending = { .asset_id = hub_text(device, "assetId") };
    CLEANUP(gk_freep) char *reply_rest = hub_print("%s_reply", rest);
    CLEANUP(gk_freep)
    char *topic = hub_print("/sys/%s/%s/%s", hub_text(device, "productKey"),
                            hub_text(device, "deviceKey"), rest);
    CLEANUP(gk_freep) char *text = NULL;

    snprintf(pending.id, sizeof(pending.id), "%" PRId64, hub_store_next(hub->store, "command", 1));
    text = envelope_of(pending.id, rest, params);
    if (reply_rest == NULL || topic == NULL || text == NULL) {
        return HUB_COMMAND_UNANSWERED;
    }
    pending.reply_rest = reply_rest;
    begin(hub->commands, &pending);
    if (!hub_broker_send(hub, pending.asset_id, topic, text)) {
        end(hub->commands, &pending);
        return HUB_COMMAND_OFFLINE;
    }
    wait_for_reply(hub->commands, &pending, timeout_ms);
    end(hub->commands, &pending);
    if (pending.reply == NULL) {
        return HUB_COMMAND_UNANSWERED;
    }
    *reply = pending.reply;
    return HUB_COMMAND_ANSWERED;
}

static bool answers(const struct pending *pending, const char *asset_id, const char *rest,
                    const json_t *reply)
{
    return pending->reply == NULL && strcmp(pending->asset_id, asset_id) == 0 &&
           strcmp(pending->reply_rest, rest) == 0 &&
           strcmp(pending->id, hub_text(reply, "id")) == 0;
}

void hub_command_answer(struct hub_commands *commands, const char *asset_id, const char *rest,
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

void hub_commands_close(struct hub_commands *commands)
{
    pthread_mutex_lock(&commands->lock);
    commands->closed = true;
    pthread_cond_broadcast(&commands->changed);
    pthread_mutex_unlock(&commands->lock);
}
