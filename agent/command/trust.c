/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the lists that are installed, and at what refreshing them came to. */
#include "agent/command/trust.h"

#include "agent/clock.h"

#include <time.h>

const char *trust_standing_name(enum trust_standing standing)
{
    switch (standing) {
    case TRUST_NOT_CHECKED:
        return "not checked";
    case TRUST_MISSING:
        return "missing";
    case TRUST_UNUSABLE:
        return "unusable";
    case TRUST_FRESH:
        return "good";
    case TRUST_GRACE:
        return "overdue";
    case TRUST_STALE:
        return "too old";
    }
    return "";
}

void trust_format_time(int64_t time, char text[static TRUST_TIME_SIZE])
{
    time_t seconds = (time_t)time;
    struct tm tm;

    strftime(text, TRUST_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
}

/* What was remembered of refreshing it; nothing where that cannot be read. */
static void take_memory(const struct agent_config *config, enum refresh_kind kind,
                        struct trust_list *list)
{
    struct refresh_memory memory;

    if (refresh_memory_read(config, &memory, NULL) == GK_OK) {
        list->checked = memory.items[kind].checked;
        snprintf(list->error, sizeof(list->error), "%s", memory.items[kind].error);
    }
}

static void judge_without(const struct agent_config *config, struct agent_openssl *openssl,
                          enum refresh_kind kind, struct trust_list *list)
{
    CLEANUP(gk_freep) char *url = NULL;

    if (refresh_address(config, openssl, kind, &url, NULL) == GK_OK && url != NULL) {
        list->standing = TRUST_MISSING;
        snprintf(list->why, sizeof(list->why), "%s was never fetched", refresh_kind_file(kind));
        return;
    }
    snprintf(list->why, sizeof(list->why), "%s",
             kind == REFRESH_CRL ? "no address of our issuer's list is known"
                                 : "[hub] crl_url is not set");
}

static void judge_age(const struct agent_config *config, const struct agent_crl *crl, int64_t now,
                      struct trust_list *list)
{
    static const enum trust_standing standings[] = {
        [AGENT_CRL_FRESH] = TRUST_FRESH,
        [AGENT_CRL_GRACE] = TRUST_GRACE,
        [AGENT_CRL_STALE] = TRUST_STALE,
    };
    char text[TRUST_TIME_SIZE];

    list->end = agent_crl_next_update(crl);
    list->standing = standings[agent_crl_age(config, crl, now)];
    trust_format_time(list->end, text);
    snprintf(list->why, sizeof(list->why), "%s %s",
             list->standing == TRUST_FRESH ? "the next one by" : "the next one was to come by",
             text);
}

/* Our issuer's list: does it speak of us, and what does it say? */
static void look_up_own(const struct agent_config *config, struct agent_openssl *openssl,
                        const struct agent_crl *crl, struct trust_list *list)
{
    CLEANUP(agent_roots_clear) struct agent_roots own = { 0 };
    CLEANUP(agent_roots_clear) struct agent_roots links = { 0 };

    if (agent_roots_read(config, openssl, GK_FILE_CERTIFICATE, &own, NULL) != GK_OK ||
        agent_roots_read(config, openssl, GK_FILE_LINK_CA, &links, NULL) != GK_OK ||
        agent_roots_count(&own) == 0) {
        return;
    }
    list->lists_own = agent_crl_lists(crl, agent_roots_at(&own, 0), &links);
    if (!agent_crl_counts_for(crl, agent_roots_at(&own, 0), &links)) {
        list->standing = TRUST_NOT_CHECKED;
        snprintf(list->why, sizeof(list->why),
                 GK_FILE_CRL " is the list of another CA than the one that issued our certificate");
    }
}

void trust_look_at_list(const struct agent_config *config, struct agent_openssl *openssl,
                        enum refresh_kind kind, struct trust_list *list)
{
    CLEANUP(agent_crl_freep) struct agent_crl *crl = NULL;
    int64_t now = agent_clock_now(config);
    struct gk_error err = { 0 };
    enum gk_status status =
        agent_crl_read(config, openssl, refresh_kind_file(kind), now, &crl, &err);

    *list = (struct trust_list){ .standing = TRUST_NOT_CHECKED };
    take_memory(config, kind, list);
    if (status == GK_NO_FILE) {
        judge_without(config, openssl, kind, list);
    } else if (status != GK_OK) {
        list->standing = TRUST_UNUSABLE;
        gk_error_sentence(&err, NULL, list->why, sizeof(list->why));
    } else {
        judge_age(config, crl, now, list);
        if (kind == REFRESH_CRL) {
            look_up_own(config, openssl, crl, list);
        }
    }
}
