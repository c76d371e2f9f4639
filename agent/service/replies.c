/* SPDX-License-Identifier: Apache-2.0 */
/* Subscribes to the topics that the hub's answers come on. */
#include "agent/service/replies.h"

bool replies_belong(const char *reply_rest, const char *rest)
{
    size_t length = strlen(rest);

    return strncmp(reply_rest, rest, length) == 0 && strcmp(reply_rest + length, "_reply") == 0;
}

/* REPLIES_MAX where there is none. */
static size_t find_topic(const struct replies *replies, const char *rest)
{
    size_t i = 0;

    while (i < REPLIES_MAX &&
           (replies->topics[i].rest == NULL || strcmp(replies->topics[i].rest, rest) != 0)) {
        i++;
    }
    return i;
}

/* A free place, or else that of the topic nobody has used for longest. */
static size_t find_place(const struct replies *replies, replies_needed *is_needed,
                         const void *context)
{
    size_t oldest = REPLIES_MAX;

    for (size_t i = 0; i < REPLIES_MAX; i++) {
        if (replies->topics[i].rest == NULL) {
            return i;
        }
        if ((oldest == REPLIES_MAX ||
             replies->topics[i].last_used < replies->topics[oldest].last_used) &&
            !is_needed(context, replies->topics[i].rest)) {
            oldest = i;
        }
    }
    return oldest;
}

static enum gk_status name_reply(const char *rest, char **reply, struct gk_error *err)
{
    if (asprintf(reply, "%s_reply", rest) < 0) {
        *reply = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return GK_OK;
}

static enum gk_status unsubscribe(struct replies *replies, size_t place, struct gk_error *err)
{
    CLEANUP(gk_freep) char *rest = TAKE(replies->topics[place].rest);
    CLEANUP(gk_freep) char *reply = NULL;
    enum gk_status status = name_reply(rest, &reply, err);

    return status == GK_OK ? session_unsubscribe(*replies->session, reply, err) : status;
}

static enum gk_status subscribe(struct replies *replies, size_t place, const char *rest,
                                struct gk_error *err)
{
    CLEANUP(gk_freep) char *copy = strdup(rest);
    CLEANUP(gk_freep) char *reply = NULL;
    enum gk_status status = name_reply(rest, &reply, err);

    if (copy == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    /* The hub handles what we send in order, so the SUBACK need not be waited for. */
    if (status == GK_OK) {
        status = session_subscribe(*replies->session, reply, err);
    }
    if (status == GK_OK) {
        replies->topics[place].rest = TAKE(copy);
    }
    return status;
}

enum gk_status replies_expect(struct replies *replies, const char *rest, replies_needed *is_needed,
                              const void *context, struct gk_error *err)
{
    size_t place = find_topic(replies, rest);
    enum gk_status status = GK_OK;

    if (place == REPLIES_MAX) {
        place = find_place(replies, is_needed, context);
        if (place == REPLIES_MAX) {
            return gk_fail(err, GK_BUSY, "answers are waited for on %d topics", REPLIES_MAX);
        }
        if (replies->topics[place].rest != NULL) {
            status = unsubscribe(replies, place, err);
        }
        if (status == GK_OK) {
            status = subscribe(replies, place, rest, err);
        }
    }
    replies->topics[place].last_used = ++replies->uses;
    return status;
}

bool replies_are_expected(const struct replies *replies, const char *reply_rest)
{
    for (size_t i = 0; i < REPLIES_MAX; i++) {
        if (replies->topics[i].rest != NULL &&
            replies_belong(reply_rest, replies->topics[i].rest)) {
            return true;
        }
    }
    return false;
}

void replies_refused(struct replies *replies, const char *reply_rest)
{
    for (size_t i = 0; i < REPLIES_MAX; i++) {
        if (replies->topics[i].rest != NULL &&
            replies_belong(reply_rest, replies->topics[i].rest)) {
            free(TAKE(replies->topics[i].rest));
        }
    }
}

void replies_forget(struct replies *replies)
{
    for (size_t i = 0; i < REPLIES_MAX; i++) {
        free(TAKE(replies->topics[i].rest));
    }
}
