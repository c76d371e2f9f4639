/* SPDX-License-Identifier: Apache-2.0 */
/* Has the hub's commands carried out, one of a kind at a time, and sees to it that each is answered
 * in time. */
#include "agent/service/commander-internal.h"

#include "agent/service/log.h"

/* Some deliver commands to whoever is connected, some to who subscribed: both is fine. */
static const char *const subscriptions[] = {
    "thing/service/#",      "thing/enable",    "thing/disable",  "thing/delete",
    "thing/model/down_raw", "traffic/control", "rrpc/request/+",
};
#define SUBSCRIPTIONS (sizeof(subscriptions) / sizeof(subscriptions[0]))

/* --- answers --------------------------------------------------------------------------------- */

static const char *outcome_text(enum answers_outcome outcome)
{
    return outcome == ANSWERS_HELD ? ", as soon as there is a connection" : "";
}

/* Also where there is no memory for more. */
static const struct verdict too_large = { .code = HANDLER_BAD_OUTPUT,
                                          .message = "the answer is too large" };

void commander_reply(struct commander *commander, const char *rest, json_t *id, uint64_t end_ms,
                     const struct verdict *verdict)
{
    char topic[ENOS_TOPIC_MAX];
    struct gk_error err = { 0 };
    char *text = NULL;
    size_t size = 0;
    enum gk_status status;
    enum answers_outcome outcome;

    status =
        enos_reply_format(id, verdict->code, &verdict->data, verdict->message, &text, &size, &err);
    if (status != GK_OK && verdict != &too_large) {
        log_failure(LOG_LEVEL_WARNING, "answer the hub's command", &err);
        commander_reply(commander, rest, id, end_ms, &too_large);
        return;
    }
    if (status != GK_OK) {
        return;
    }
    command_answer_topic(rest, topic);
    outcome = answers_put(&commander->answers, topic, text, size, end_ms);
    if (outcome != ANSWERS_LOST) {
        log_line(verdict->code == HANDLER_DONE ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
                 "answered the command %s with code %d%s%s%s", rest, verdict->code,
                 verdict->message != NULL ? ": " : "",
                 verdict->message != NULL ? verdict->message : "", outcome_text(outcome));
    }
}

void commander_reply_now(struct commander *commander, const char *rest, json_t *id, int code,
                         const char *message)
{
    commander_reply(commander, rest, id, service_now_ms() + COMMAND_LIFE_MS,
                    &(const struct verdict){ .code = code, .message = message });
}

void commander_turn_down(struct commander *commander, const char *rest, json_t *id, int code,
                         const char *message)
{
    seen_release(&commander->seen, rest, id, service_now_ms());
    commander_reply_now(commander, rest, id, code, message);
}

void commander_reply_raw(struct commander *commander, const char *rest, const void *payload,
                         size_t size, uint64_t end_ms)
{
    char topic[ENOS_TOPIC_MAX];
    char *copy = malloc(size + 1);
    enum answers_outcome outcome;

    if (copy == NULL) {
        log_line(LOG_LEVEL_WARNING, "cannot answer the command %s: out of memory", rest);
        return;
    }
    memcpy(copy, payload, size);
    command_answer_topic(rest, topic);
    outcome = answers_put(&commander->answers, topic, copy, size, end_ms);
    if (outcome != ANSWERS_LOST) {
        log_line(LOG_LEVEL_INFO, "answered the command %s with %zu bytes%s", rest, size,
                 outcome_text(outcome));
    }
}

void commander_drop_raw(struct commander *commander, const char *rest)
{
    seen_release(&commander->seen, rest, NULL, service_now_ms());
    log_line(LOG_LEVEL_WARNING, "dropped the command %s: nobody is there for it", rest);
}

void commander_conclude(struct commander *commander, struct command *command,
                        const struct verdict *verdict)
{
    commands_remove(&commander->commands, command);
    if (!command->begun) {
        seen_release(&commander->seen, command->rest, command->id, service_now_ms());
    }
    if (!command->kind->is_raw) {
        commander_reply(commander, command->rest, command->id, command->end_ms, verdict);
    } else if (verdict->code != HANDLER_DONE) {
        log_line(LOG_LEVEL_WARNING, "the command %s failed, which its topic has no answer for: %s",
                 command->rest, verdict->message);
    }
    command_free(command);
}

/* --- carrying out ---------------------------------------------------------------------------- */

const struct agent_handler *commander_find_handler(const struct commander *commander,
                                                   const char *name)
{
    const struct agent_config *config = commander->service->config;

    for (size_t i = 0; i < config->handler_count; i++) {
        if (strcmp(config->handlers[i].service, name) == 0) {
            return &config->handlers[i];
        }
    }
    return NULL;
}

static void on_done(void *context, const struct handler_result *result)
{
    struct command *command = context;
    struct commander *commander = command->commander;

    command->run = NULL;
    if (command->kind->is_raw && result->size > 0) {
        commander_reply_raw(commander, command->rest, result->bytes, result->size, command->end_ms);
    }
    commander_conclude(commander, command,
                       &(const struct verdict){ (int)result->code, result->data, result->message });
    /* A program may have sent a child out of its session. Nobody can tell whose, so it waits for
     * the last. */
    if (!commands_run_programs(&commander->commands)) {
        handler_sweep();
    }
    commander_advance(commander);
}

static enum gk_status run_program(struct commander *commander, struct command *command,
                                  struct gk_error *err)
{
    uint64_t left_ms = command->end_ms - (COMMAND_LIFE_MS - COMMAND_END_MS) - service_now_ms();
    const struct handler_task task = {
        .handler = command->handler,
        .input = command->payload,
        .size = command->size,
        .is_raw = command->kind->is_raw,
        .time_ms = left_ms < HANDLER_TIME_MS ? (unsigned)left_ms : HANDLER_TIME_MS,
    };

    return handler_start(commander->service->event, &task, on_done, command, &command->run, err);
}

static enum gk_status hand_over(struct commander *commander, const struct command *command,
                                struct gk_error *err)
{
    char topic[ENOS_TOPIC_MAX];

    snprintf(topic, sizeof(topic), "down/%s", command->rest);
    return relay_command(commander->service->relay, topic, command->payload, command->size,
                         command_deadline(command), err);
}

/* The hub need not know our paths. */
static const struct verdict not_runnable = { .code = HANDLER_NOT_RUNNABLE,
                                             .message = "the program cannot be run" };
static const struct verdict nobody = { .code = HANDLER_NOT_CONFIGURED,
                                       .message = "no program is configured, and no local broker "
                                                  "is there" };
static const struct verdict unheard = { .code = HANDLER_NOT_CONFIGURED,
                                        .message = "no application is there for it" };
static const struct verdict busy = { .code = HANDLER_BUSY, .message = "the local broker is busy" };
static const struct verdict timed_out = { .code = HANDLER_TIMED_OUT,
                                          .message = "no answer in time" };
static const struct verdict waited = { .code = HANDLER_TIMED_OUT,
                                       .message = "earlier commands took too long; it was not "
                                                  "begun" };

static void begin(struct commander *commander, struct command *command)
{
    struct gk_error err = { 0 };
    enum gk_status status;

    command->begun = true;
    if (command->handler != NULL) {
        status = run_program(commander, command, &err);
    } else {
        status = hand_over(commander, command, &err);
    }
    if (status != GK_OK) {
        /* What to say of a broker that is not there is in the answer. */
        if (status != GK_UNREACHABLE) {
            log_failure(LOG_LEVEL_WARNING, "have a command carried out", &err);
        }
        command->begun = false;
        commander_conclude(commander, command,
                           command->handler != NULL ? &not_runnable
                           : status == GK_BUSY      ? &busy
                                                    : &nobody);
        return;
    }
    free(TAKE(command->payload));
    command->size = 0;
}

/* An application that gets to it late, out of a session that the broker kept for it, finds this
 * behind the command. */
static void call_off(struct commander *commander, const struct command *command)
{
    CLEANUP(json_freep)
    json_t *error = json_pack("{s:s, s:O*}", "error", "no answer in time; the hub was told so",
                              "id", command->id);
    CLEANUP(gk_freep) char *text = json_dumps(error, JSON_COMPACT);
    char topic[ENOS_TOPIC_MAX];

    snprintf(topic, sizeof(topic), "error/%s", command->rest);
    if (text == NULL ||
        relay_publish(commander->service->relay, topic, text, strlen(text), false, NULL) != GK_OK) {
        log_line(LOG_LEVEL_INFO, "the applications cannot be told that %s is over", command->rest);
    }
}

/* --- time ------------------------------------------------------------------------------------ */

static void set_clock(struct commander *commander)
{
    uint64_t due = commands_deadline(&commander->commands);
    uint64_t answers = answers_due(&commander->answers);

    due = answers < due ? answers : due;
    if (due == UINT64_MAX) {
        sd_event_source_set_enabled(commander->time_source, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time(commander->time_source, due * 1000);
    sd_event_source_set_enabled(commander->time_source, SD_EVENT_ONESHOT);
}

static void expire(struct commander *commander)
{
    struct command *command;

    while ((command = commands_expired(&commander->commands, service_now_ms())) != NULL) {
        if (command->begun) {
            call_off(commander, command);
        }
        commander_conclude(commander, command, command->begun ? &timed_out : &waited);
    }
}

/* Where this machine slept or was held up, whatever woke us may have come before the clock. */
void commander_advance(struct commander *commander)
{
    struct command *command;

    expire(commander);
    while ((command = commands_next(&commander->commands, service_now_ms())) != NULL) {
        begin(commander, command);
    }
    set_clock(commander);
}

static int on_time(sd_event_source *source, uint64_t time, void *context)
{
    struct commander *commander = context;

    (void)source;
    (void)time;
    answers_expire(&commander->answers);
    commander_advance(commander);
    return 0;
}

/* --- nobody is there ---------------------------------------------------------------------------
 */

void commander_unheard(struct commander *commander, const char *rest, uint64_t end_ms)
{
    struct command *command = commands_under_way(&commander->commands, rest);
    const struct command_kind *kind = command_kind_of(rest);

    if (kind != NULL && kind->is_raw) {
        commander_drop_raw(commander, rest);
    } else if (command != NULL && command_deadline(command) == end_ms) {
        command->begun = false;
        commander_conclude(commander, command, &unheard);
        commander_advance(commander);
    }
}

/* --- the rest -------------------------------------------------------------------------------- */

void commander_up(struct commander *commander)
{
    struct gk_error err = { 0 };

    for (size_t i = 0; i < SUBSCRIPTIONS; i++) {
        if (session_subscribe(commander->service->session, subscriptions[i], &err) != GK_OK) {
            log_failure(LOG_LEVEL_WARNING, "subscribe to commands", &err);
            break;
        }
    }
    answers_up(&commander->answers);
    set_clock(commander);
}

void commander_acknowledged(struct commander *commander, int mid)
{
    answers_acknowledged(&commander->answers, mid);
    set_clock(commander);
}

bool commander_refused(struct commander *commander, const char *rest)
{
    for (size_t i = 0; i < SUBSCRIPTIONS; i++) {
        if (strcmp(subscriptions[i], rest) == 0) {
            if ((commander->refused & (UINT64_C(1) << i)) == 0) {
                log_line(i == 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
                         "the hub refused the subscription to %s; what it sends there unasked is "
                         "taken all the same",
                         rest);
            }
            commander->refused |= UINT64_C(1) << i;
            return true;
        }
    }
    return false;
}

void commander_describe(const struct commander *commander, json_t *status)
{
    json_object_set_new(status, "commands", json_integer((json_int_t)commander->received));
    json_object_set_new(status, "duplicates", json_integer((json_int_t)commander->duplicates));
    json_object_set_new(status, "answered", json_integer((json_int_t)commander->answers.sent));
    json_object_set_new(status, "commands_waiting",
                        json_integer((json_int_t)commands_count(&commander->commands)));
}

enum gk_status commander_new(struct service *service, struct commander **commander,
                             struct gk_error *err)
{
    struct commander *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->answers.service = service;
    code = sd_event_add_time(service->event, &made->time_source, CLOCK_BOOTTIME, UINT64_MAX, 0,
                             on_time, made);
    if (code >= 0) {
        code = sd_event_source_set_enabled(made->time_source, SD_EVENT_OFF);
    }
    if (code < 0) {
        commander_free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    inbox_sweep(service->config);
    *commander = made;
    return GK_OK;
}

void commander_forget(struct commander *commander)
{
    commands_clear(&commander->commands);
    relay_forget_commands(commander->service->relay);
    answers_clear(&commander->answers);
    seen_clear(&commander->seen);
    handler_sweep();
    set_clock(commander);
}

void commander_free(struct commander *commander)
{
    if (commander == NULL) {
        return;
    }
    if (commander->time_source != NULL) {
        commander_forget(commander);
    }
    sd_event_source_disable_unref(commander->time_source);
    free(commander);
}
