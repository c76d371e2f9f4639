/* SPDX-License-Identifier: Apache-2.0 */
/* Sends the answers to commands, or holds them for a while. */
#include "agent/service/answers.h"

#include "agent/service/log.h"

/* With a connection, only its window of publishes stands in the way: that opens in a moment. */
#define RETRY_MS 1000

static void answer_clear(struct answer *answer)
{
    free(answer->topic);
    free(answer->payload);
    *answer = (struct answer){ 0 };
}

static enum gk_status send_one(struct answers *answers, const struct answer *answer,
                               struct gk_error *err)
{
    enum gk_status status = session_publish(answers->service->session, answer->topic,
                                            answer->payload, answer->size, err);

    answers->sent += status == GK_OK;
    return status;
}

/* Whether another moment may help; whatever keeps us from the hub, it may pass. */
static bool is_passing(enum gk_status status)
{
    return status != GK_OK && status != GK_USAGE && status != GK_NO_MEMORY;
}

static bool has_room(const struct answers *answers, size_t size)
{
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        if (answers->held[i].topic == NULL) {
            return size <= ANSWERS_BYTES;
        }
        size += answers->held[i].size;
    }
    return false;
}

/* Takes what the answer owns. */
static void hold(struct answers *answers, struct answer *answer)
{
    size_t place = 0;

    while (answers->held[place].topic != NULL) {
        place++;
    }
    answers->held[place] = *answer;
    *answer = (struct answer){ 0 };
}

enum answers_outcome answers_put(struct answers *answers, const char *topic, char *payload,
                                 size_t size, uint64_t end_ms)
{
    CLEANUP(answer_clear)
    struct answer answer = { strdup(topic), payload, size, end_ms };
    struct gk_error err = { 0 };
    enum gk_status status;

    answers_flush(answers);
    status =
        answer.topic != NULL ? send_one(answers, &answer, &err) : gk_fail(&err, GK_NO_MEMORY, NULL);
    if (status == GK_OK) {
        return ANSWERS_SENT;
    }
    if (is_passing(status) && has_room(answers, size)) {
        hold(answers, &answer);
        return ANSWERS_HELD;
    }
    log_failure(LOG_LEVEL_WARNING, "answer the hub's command", &err);
    return ANSWERS_LOST;
}

/* True when it is not to be held any longer. */
static bool settle(struct answers *answers, const struct answer *answer)
{
    struct gk_error err = { 0 };
    enum gk_status status;

    if (answer->end_ms <= service_now_ms()) {
        log_line(LOG_LEVEL_WARNING, "dropped the answer on %s: the hub could not be told in time",
                 answer->topic);
        return true;
    }
    status = send_one(answers, answer, &err);
    if (status != GK_OK && !is_passing(status)) {
        log_failure(LOG_LEVEL_WARNING, "answer the hub's command", &err);
    }
    return !is_passing(status);
}

void answers_flush(struct answers *answers)
{
    size_t kept = 0;

    for (size_t i = 0; i < ANSWERS_MAX && answers->held[i].topic != NULL; i++) {
        struct answer answer = answers->held[i];

        answers->held[i] = (struct answer){ 0 };
        if (settle(answers, &answer)) {
            answer_clear(&answer);
        } else {
            answers->held[kept++] = answer;
        }
    }
}

uint64_t answers_due(const struct answers *answers)
{
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; i < ANSWERS_MAX && answers->held[i].topic != NULL; i++) {
        due = answers->held[i].end_ms < due ? answers->held[i].end_ms : due;
    }
    /* Without a connection nothing is tried: the next one brings a flush with it. */
    if (due != UINT64_MAX && session_require(answers->service->session, NULL) == GK_OK) {
        uint64_t retry = service_now_ms() + RETRY_MS;

        due = retry < due ? retry : due;
    }
    return due;
}

void answers_clear(struct answers *answers)
{
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        answer_clear(&answers->held[i]);
    }
}
