/* SPDX-License-Identifier: Apache-2.0 */
/* Sends the answers to commands, and keeps them for a while. */
#include "agent/service/answers.h"

#include "agent/service/log.h"

static void answer_clear(struct answer *answer)
{
    free(answer->topic);
    free(answer->payload);
    *answer = (struct answer){ 0 };
}

/* Whether another moment may help; whatever keeps us from the hub, it may pass. */
static bool is_passing(enum gk_status status)
{
    return status != GK_OK && status != GK_USAGE && status != GK_NO_MEMORY;
}

static enum gk_status send_one(struct answers *answers, struct answer *answer, struct gk_error *err)
{
    enum gk_status status = session_publish_mid(answers->service->session, answer->topic,
                                                answer->payload, answer->size, &answer->mid, err);

    if (status == GK_OK) {
        answers->sent += !answer->counted;
        answer->sent = answer->counted = true;
    }
    return status;
}

/* Take one out of its place, for those behind it to move up. */
static void drop(struct answers *answers, size_t place)
{
    answer_clear(&answers->kept[place]);
    for (; place + 1 < ANSWERS_MAX && answers->kept[place + 1].topic != NULL; place++) {
        answers->kept[place] = answers->kept[place + 1];
        answers->kept[place + 1] = (struct answer){ 0 };
    }
}

/* Whatever has its turn, as far as the connection takes it. */
static void flush(struct answers *answers)
{
    size_t i = 0;

    while (i < ANSWERS_MAX && answers->kept[i].topic != NULL) {
        struct answer *answer = &answers->kept[i];
        struct gk_error err = { 0 };
        enum gk_status status = answer->sent ? GK_OK : send_one(answers, answer, &err);

        if (status == GK_OK) {
            i++;
        } else if (is_passing(status)) {
            return;
        } else {
            log_failure(LOG_LEVEL_WARNING, "answer the hub's command", &err);
            drop(answers, i);
        }
    }
}

/* Where there is room for one of that size, or ANSWERS_MAX. */
static size_t find_place(const struct answers *answers, size_t size)
{
    size_t place = 0;

    while (place < ANSWERS_MAX && answers->kept[place].topic != NULL) {
        size += answers->kept[place++].size;
    }
    return size <= ANSWERS_BYTES ? place : ANSWERS_MAX;
}

enum answers_outcome answers_put(struct answers *answers, const char *topic, char *payload,
                                 size_t size, uint64_t end_ms)
{
    CLEANUP(answer_clear)
    struct answer answer = {
        .topic = strdup(topic), .payload = payload, .size = size, .end_ms = end_ms
    };
    size_t place = find_place(answers, size);
    struct gk_error err = { 0 };
    enum gk_status status =
        answer.topic != NULL ? send_one(answers, &answer, &err) : gk_fail(&err, GK_NO_MEMORY, NULL);

    if (place < ANSWERS_MAX && (status == GK_OK || is_passing(status))) {
        answers->kept[place] = answer;
        answer = (struct answer){ 0 };
    } else if (status != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "answer the hub's command", &err);
        return ANSWERS_LOST;
    }
    return status == GK_OK ? ANSWERS_SENT : ANSWERS_HELD;
}

void answers_up(struct answers *answers)
{
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        answers->kept[i].sent = false;
    }
    flush(answers);
}

void answers_acknowledged(struct answers *answers, int mid)
{
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        if (answers->kept[i].sent && answers->kept[i].mid == mid) {
            drop(answers, i);
            break;
        }
    }
    flush(answers);
}

void answers_expire(struct answers *answers)
{
    uint64_t now = service_now_ms();
    size_t i = 0;

    while (i < ANSWERS_MAX && answers->kept[i].topic != NULL) {
        if (answers->kept[i].end_ms > now) {
            i++;
            continue;
        }
        log_line(LOG_LEVEL_WARNING, "dropped the answer on %s: the hub did not take it in time",
                 answers->kept[i].topic);
        drop(answers, i);
    }
}

uint64_t answers_due(const struct answers *answers)
{
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; i < ANSWERS_MAX && answers->kept[i].topic != NULL; i++) {
        due = answers->kept[i].end_ms < due ? answers->kept[i].end_ms : due;
    }
    return due;
}

void answers_clear(struct answers *answers)
{
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        answer_clear(&answers->kept[i]);
    }
}
