/* SPDX-License-Identifier: Apache-2.0 */
/* Whole conversations with the hub for programs that may wait: activation, the proof of an
 * identity, messages posted without the service. */
#include "agent/link.h"

#include "agent/budget.h"
#include "agent/enos/message.h"
#include "agent/enos/rest.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#define GOODBYE_S 3
#define ACTIVATE_INFO "thing/activate/info"

struct conversation {
    const struct agent_config *config;
    struct agent_link *link;
    agent_link_store *store; /* NULL: this is no activation */
    void *context;
    const char *rest;      /* what posts are sent on; NULL: there are none */
    json_t *const *params; /* of the posts */
    size_t count, sent;
    unsigned long long last_id; /* of the post that was sent last */
    bool done, cut;
    unsigned stay_s;       /* after it is done */
    enum gk_status status; /* of what went wrong within a callback */
    struct gk_error err;
};

/* --- activation ------------------------------------------------------------------------------ */

static void fail_in_callback(struct conversation *talk, enum gk_status status)
{
    if (status != GK_OK && talk->status == GK_OK) {
        talk->status = status;
    }
}

static const char *member(const json_t *params, const char *name)
{
    const char *value = json_string_value(json_object_get(params, name));

    return value != NULL ? value : "";
}

/* Tell the hub that its secret arrived; only now, when it is stored. */
static enum gk_status confirm(struct conversation *talk, json_t *id)
{
    const struct agent_config *config = talk->config;
    CLEANUP(gk_freep) char *text = NULL;
    char topic[ENOS_TOPIC_MAX];
    size_t size = 0;
    enum gk_status status =
        enos_reply_format(id, ENOS_CODE_OK, NULL, NULL, &text, &size, &talk->err);

    if (status != GK_OK) {
        return status;
    }
    if (!enos_session_topic(config->product_key, config->device_key, ACTIVATE_INFO "_reply",
                            topic)) {
        return gk_fail(&talk->err, GK_BAD_CONFIG, "[device] product_key or device_key");
    }
    return agent_link_publish(talk->link, topic, text, size, NULL, &talk->err);
}

static enum gk_status take_secret(struct conversation *talk, const void *payload, size_t size)
{
    CLEANUP(enos_request_clear) struct enos_request request = { 0 };
    const struct agent_config *config = talk->config;
    enum gk_status status = enos_request_parse(payload, size, &request, &talk->err);

    if (status != GK_OK) {
        return status;
    }
    if (strcmp(member(request.params, "productKey"), config->product_key) != 0 ||
        strcmp(member(request.params, "deviceKey"), config->device_key) != 0 ||
        member(request.params, "deviceSecret")[0] == '\0') {
        return gk_fail(&talk->err, GK_HUB_GARBLED, "the activation is not for this device");
    }
    if (!enos_text_is_clean(member(request.params, "deviceSecret")) ||
        !enos_text_is_clean(member(request.params, "assetId"))) {
        return gk_fail(&talk->err, GK_HUB_GARBLED, "control characters in the activation");
    }
    status = talk->store(talk->context, member(request.params, "deviceSecret"),
                         member(request.params, "assetId"), &talk->err);
    if (status == GK_OK) {
        status = confirm(talk, request.id);
    }
    talk->done = status == GK_OK;
    return status;
}

/* --- posts ----------------------------------------------------------------------------------- */

/* On the device's topic behind which this stands. */
static enum gk_status name_topic(const struct conversation *talk, const char *suffix,
                                 char topic[static ENOS_TOPIC_MAX], struct gk_error *err)
{
    char rest[ENOS_TOPIC_MAX];

    snprintf(rest, sizeof(rest), "%s%s", talk->rest, suffix);
    return enos_topic(talk->config->product_key, talk->config->device_key, rest, topic)
               ? GK_OK
               : gk_fail(err, GK_BAD_CONFIG, "[device] product_key or device_key");
}

static enum gk_status send_next(struct conversation *talk)
{
    CLEANUP(gk_freep) char *text = NULL;
    char topic[ENOS_TOPIC_MAX], id[24];
    size_t size = 0;
    enum gk_status status = name_topic(talk, "", topic, &talk->err);

    snprintf(id, sizeof(id), "%llu", ++talk->last_id);
    if (status == GK_OK) {
        status =
            enos_request_format(id, talk->rest, talk->params[talk->sent], &text, &size, &talk->err);
    }
    if (status == GK_OK) {
        status = agent_link_publish(talk->link, topic, text, size, NULL, &talk->err);
    }
    talk->sent += status == GK_OK ? 1 : 0;
    return status;
}

static enum gk_status begin_posts(struct conversation *talk)
{
    char topic[ENOS_TOPIC_MAX];
    enum gk_status status = name_topic(talk, "_reply", topic, &talk->err);

    if (status == GK_OK) {
        status = agent_link_subscribe(talk->link, topic, &talk->err);
    }
    return status == GK_OK ? send_next(talk) : status;
}

static enum gk_status take_answer(struct conversation *talk, const void *payload, size_t size)
{
    CLEANUP(enos_reply_clear) struct enos_reply reply = { 0 };
    enum gk_status status = enos_reply_parse(payload, size, &reply, &talk->err);
    char message[161];

    if (status != GK_OK) {
        return status;
    }
    if (strtoull(reply.id, NULL, 10) != talk->last_id) {
        return GK_OK;
    }
    if (reply.code != ENOS_CODE_OK) {
        enos_text_clean(reply.message, message, sizeof(message));
        return gk_fail(&talk->err, GK_HUB_REFUSED, "%s: code %" JSON_INTEGER_FORMAT "%s%s",
                       talk->rest, reply.code, message[0] != '\0' ? ", " : "", message);
    }
    talk->done = talk->sent == talk->count;
    return talk->done ? GK_OK : send_next(talk);
}

static bool is_answer(const struct conversation *talk, const char *topic)
{
    char expected[ENOS_TOPIC_MAX];

    return name_topic(talk, "_reply", expected, NULL) == GK_OK && strcmp(topic, expected) == 0;
}

/* --- a conversation as such ------------------------------------------------------------------ */

static void on_message(void *context, const char *topic, const void *payload, size_t size)
{
    struct conversation *talk = context;
    char expected[ENOS_TOPIC_MAX];

    if (talk->rest != NULL) {
        if (!talk->done && talk->status == GK_OK && is_answer(talk, topic)) {
            fail_in_callback(talk, take_answer(talk, payload, size));
        }
        return;
    }
    if (talk->store != NULL && !talk->done && talk->status == GK_OK &&
        enos_session_topic(talk->config->product_key, talk->config->device_key, ACTIVATE_INFO,
                           expected) &&
        strcmp(topic, expected) == 0) {
        fail_in_callback(talk, take_secret(talk, payload, size));
    }
}

/* The hub sends it without being asked; the documents say to subscribe. Both. */
static void on_up(void *context)
{
    struct conversation *talk = context;
    char topic[ENOS_TOPIC_MAX];

    if (talk->rest != NULL) {
        fail_in_callback(talk, begin_posts(talk));
    } else if (talk->store == NULL) {
        talk->done = true;
    } else if (enos_session_topic(talk->config->product_key, talk->config->device_key,
                                  ACTIVATE_INFO, topic)) {
        fail_in_callback(talk, agent_link_subscribe(talk->link, topic, &talk->err));
    }
}

static const struct agent_link_events events = { .up = on_up, .message = on_message };

static time_t seconds(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

/* Waits where it is a matter of seconds; two minutes are for the caller to decide about. */
static enum gk_status wait_for_budget(const struct agent_config *config, int64_t *taken_ms,
                                      struct gk_error *err)
{
    int64_t allowance_ms = (int64_t)AGENT_LINK_TIMEOUT_S * 1000;

    for (;;) {
        struct agent_moment now;
        int64_t wait_ms = 0;
        enum gk_status status = agent_moment_now(&now, err);

        if (status == GK_OK) {
            status = agent_budget_take(config->state_directory, &now, false, &wait_ms, err);
        }
        if (status != GK_OK || wait_ms == 0) {
            *taken_ms = now.since_boot_ms;
            return status;
        }
        if (wait_ms > allowance_ms) {
            gk_fail(err, GK_THROTTLED, "%d connects in two minutes", AGENT_BUDGET_CONNECTS);
            gk_advise(err, "wait %lld s, then run it again", (long long)(wait_ms + 999) / 1000);
            return GK_THROTTLED;
        }
        allowance_ms -= wait_ms;
        nanosleep(&(const struct timespec){ wait_ms / 1000, wait_ms % 1000 * 1000000 }, NULL);
    }
}

/* One round of the loop: wait a moment at most, then let the link work. */
static enum gk_status turn(struct conversation *talk, struct gk_error *err)
{
    struct pollfd poller = { agent_link_fd(talk->link), agent_link_poll(talk->link), 0 };
    int count = poll(&poller, 1, 200);

    if (count < 0 && errno != EINTR) {
        return gk_fail(err, GK_INTERNAL, "poll: %s", strerror(errno));
    }
    return agent_link_step(talk->link, count > 0 ? poller.revents : 0, err);
}

/* All posts were sent; a hub that then cuts us need not have answered the last one. */
static bool was_said(const struct conversation *talk)
{
    return talk->count > 0 && talk->sent == talk->count;
}

static enum gk_status until_done(struct conversation *talk, struct gk_error *err)
{
    time_t end = seconds() + AGENT_LINK_TIMEOUT_S;

    while (!talk->done) {
        enum gk_status status = turn(talk, err);

        if (talk->status != GK_OK) {
            *err = talk->err;
            return talk->status;
        }
        if (status != GK_OK) {
            talk->cut = true;
            return was_said(talk) ? GK_OK : status;
        }
        /* Until then the link itself is patient for so long, and no longer. */
        if (!agent_link_is_up(talk->link)) {
            end = seconds() + AGENT_LINK_TIMEOUT_S;
        }
        if (seconds() > end) {
            return gk_fail(err, GK_UNREACHABLE, "%s let us in and then said nothing",
                           talk->config->host);
        }
    }
    return GK_OK;
}

/* The hub may cut us for what was posted; if it does not, that is for the caller to think about. */
static void stay(struct conversation *talk)
{
    time_t end = seconds() + (time_t)talk->stay_s;

    while (!talk->cut && seconds() < end) {
        talk->cut = turn(talk, NULL) != GK_OK;
    }
}

/* What was said has been stored here and heard there, or not: neither changes the outcome. */
static void say_goodbye(struct conversation *talk)
{
    time_t end = seconds() + GOODBYE_S;
    enum gk_status status = talk->cut ? GK_UNREACHABLE : GK_OK;

    while (status == GK_OK && agent_link_unacknowledged(talk->link) > 0 && seconds() < end) {
        status = turn(talk, NULL);
    }
    agent_link_disconnect(talk->link);
    while (status == GK_OK && seconds() < end) {
        status = turn(talk, NULL);
    }
}

/* If the file cannot be written, a later run waits longer than it must, or as long as it should. */
static void settle_budget(const struct conversation *talk, int64_t taken_ms)
{
    const char *directory = talk->config->state_directory;
    struct agent_moment now;

    if (agent_moment_now(&now, NULL) != GK_OK) {
        return;
    }
    if (talk->link != NULL && agent_link_has_sent_connect(talk->link)) {
        (void)!agent_budget_sent(directory, &now, taken_ms, now.since_boot_ms, NULL);
    } else {
        (void)!agent_budget_give_back(directory, &now, taken_ms, NULL);
    }
}

static enum gk_status converse(struct conversation *talk, struct agent_openssl *openssl,
                               enum enos_mode mode, enum agent_pair pair, const char *secret,
                               struct gk_error *err)
{
    const struct agent_link_options options = {
        .mode = mode, .pair = pair, .secret = secret, .events = &events, .context = talk
    };
    CLEANUP(agent_link_freep) struct agent_link *link = NULL;
    int64_t taken_ms = 0;
    struct gk_error own = { 0 };
    enum gk_status status = wait_for_budget(talk->config, &taken_ms, &own);

    if (status == GK_OK) {
        status = agent_link_start(talk->config, openssl, &options, &link, &own);
        talk->link = link;
        if (status == GK_OK) {
            status = until_done(talk, &own);
        }
        settle_budget(talk, taken_ms);
        if (status == GK_OK) {
            stay(talk);
            say_goodbye(talk);
        }
    }
    if (status != GK_OK && err != NULL) {
        *err = own;
    }
    return status;
}

enum gk_status agent_link_activate(const struct agent_config *config, struct agent_openssl *openssl,
                                   const char *product_secret, agent_link_store *store,
                                   void *context, struct gk_error *err)
{
    struct conversation talk = { .config = config, .store = store, .context = context };

    return converse(&talk, openssl, ENOS_DYNAMIC, AGENT_PAIR_NONE, product_secret, err);
}

enum gk_status agent_link_prove(const struct agent_config *config, struct agent_openssl *openssl,
                                enum agent_pair pair, const char *device_secret,
                                struct gk_error *err)
{
    struct conversation talk = { .config = config };

    return converse(&talk, openssl, ENOS_STATIC, pair, device_secret, err);
}

enum gk_status agent_link_post(const struct agent_config *config, struct agent_openssl *openssl,
                               enum agent_pair pair, const char *device_secret, const char *rest,
                               json_t *const *params, size_t count, unsigned stay_s,
                               struct gk_error *err)
{
    struct conversation talk = { .config = config,
                                 .rest = rest,
                                 .params = params,
                                 .count = count,
                                 .last_id = (unsigned long long)time(NULL) * 1000,
                                 .stay_s = stay_s };

    return converse(&talk, openssl, ENOS_STATIC, pair, device_secret, err);
}
