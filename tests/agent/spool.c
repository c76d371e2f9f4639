/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of agent/spool/ share. */
#include "tests/agent/spool.h"

#define RIG_TIME INT64_C(4000000000000) /* after every build */

char rig_said[512];
unsigned rig_said_count;

static void on_said(void *context, const char *sentence)
{
    (void)context;
    snprintf(rig_said, sizeof(rig_said), "%s", sentence);
    rig_said_count++;
}

struct spool_settings rig_settings(void)
{
    return (struct spool_settings){ .directory = ".",
                                    .product_key = "pk",
                                    .device_key = "dk",
                                    .max_bytes = 1024 * 1024,
                                    .max_age_ms = INT64_C(3600000),
                                    .said = on_said };
}

int rig_setup(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    rig_said[0] = '\0';
    rig_said_count = 0;
    return spool_erase(".", &err) == GK_OK ? 0 : -1;
}

struct spool *rig_open_as(const struct spool_settings *settings)
{
    struct spool *spool = NULL;
    struct gk_error err = { 0 };

    if (spool_open(settings, NULL, &spool, &err) != GK_OK) {
        char text[512];

        gk_error_sentence(&err, "open the spool", text, sizeof(text));
        fail_msg("%s", text);
    }
    return spool;
}

struct spool *rig_open(void)
{
    struct spool_settings settings = rig_settings();

    return rig_open_as(&settings);
}

int64_t rig_put(struct spool *spool, const char *topic, int64_t at, const char *body)
{
    const struct spool_message message = {
        .topic = topic, .accepted_ms = RIG_TIME + at, .body = body, .size = strlen(body)
    };
    struct gk_error err = { 0 };
    int64_t id = 0;

    assert_int_equal(spool_put(spool, &message, &id, &err), GK_OK);
    return id;
}

void rig_commit(struct spool *spool)
{
    struct gk_error err = { 0 };

    assert_int_equal(spool_commit(spool, &err), GK_OK);
}

int64_t rig_store(struct spool *spool, const char *topic, int64_t at, const char *body)
{
    int64_t id = rig_put(spool, topic, at, body);

    rig_commit(spool);
    return id;
}

static char listed[4096];

static bool list_message(void *context, const struct spool_message *message)
{
    size_t length = strlen(listed);

    (void)context;
    snprintf(listed + length, sizeof(listed) - length, "%.*s ", (int)message->size,
             (const char *)message->body);
    return true;
}

const char *rig_bodies(struct spool *spool, enum spool_lane lane)
{
    struct gk_error err = { 0 };

    listed[0] = '\0';
    assert_int_equal(spool_next(spool, lane, 0, list_message, NULL, &err), GK_OK);
    return listed;
}

static bool list_refusal(void *context, const struct spool_refusal *refusal)
{
    size_t length = strlen(listed);

    snprintf(listed + length, sizeof(listed) - length, "%lld:%s:", (long long)refusal->code,
             refusal->reason);
    return list_message(context, &refusal->message);
}

const char *rig_refused(struct spool *spool)
{
    struct gk_error err = { 0 };

    listed[0] = '\0';
    assert_int_equal(spool_refused(spool, 0, list_refusal, NULL, &err), GK_OK);
    return listed;
}

struct spool_counters rig_count(const struct spool *spool)
{
    struct spool_counters counters;

    spool_count(spool, &counters);
    return counters;
}

void rig_balance(const struct spool *spool)
{
    struct spool_counters counters = rig_count(spool);

    assert_int_equal(counters.accepted,
                     counters.acknowledged + counters.refused + counters.dropped + counters.queued);
}
