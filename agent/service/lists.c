/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says in the log that the list of our own issuer grows old: nothing is asked of it while a
 * connection stands, and a connection may stand for years.
 */
#include "agent/clock.h"
#include "agent/crl.h"
#include "agent/service/log.h"
#include "agent/service/service.h"
#include "identity/identity.h"

#define FIRST_US ((uint64_t)2 * 1000000)
#define LOOK_US ((uint64_t)3600 * 1000000)

struct lists {
    struct service *service;
    sd_event_source *source;
    enum agent_crl_age age; /* as it was last said */
};

static const char *words_for(enum agent_crl_age age)
{
    switch (age) {
    case AGENT_CRL_FRESH:
        return "is current again";
    case AGENT_CRL_GRACE:
        return "is past its nextUpdate, and used until its grace period is over; run gatekey "
               "refresh, and see why no newer one comes";
    case AGENT_CRL_STALE:
        return "is too old to say whether our certificate is revoked; run gatekey refresh, and see "
               "why no newer one comes";
    }
    return "";
}

/* One that is missing, or not to be believed, others speak of. */
static void look(struct lists *lists)
{
    CLEANUP(agent_crl_freep) struct agent_crl *crl = NULL;
    const struct agent_config *config = lists->service->config;
    int64_t now = agent_clock_now(config);
    enum agent_crl_age age;

    if (agent_crl_read(config, lists->service->openssl, GK_FILE_CRL, now, &crl, NULL) != GK_OK) {
        return;
    }
    age = agent_crl_age(config, crl, now);
    if (age != lists->age) {
        lists->age = age;
        log_line(age == AGENT_CRL_FRESH ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING,
                 "the revocation list in %s/" GK_FILE_CRL " %s", config->directory, words_for(age));
    }
}

static int on_look(sd_event_source *source, uint64_t time, void *context)
{
    (void)time;
    look(context);
    sd_event_source_set_time_relative(source, LOOK_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

enum gk_status lists_new(struct service *service, struct lists **lists, struct gk_error *err)
{
    struct lists *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->age = AGENT_CRL_FRESH;
    code = sd_event_add_time_relative(service->event, &made->source, CLOCK_BOOTTIME, FIRST_US, 0,
                                      on_look, made);
    if (code < 0) {
        free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    *lists = made;
    return GK_OK;
}

void lists_free(struct lists *lists)
{
    if (lists != NULL) {
        sd_event_source_disable_unref(lists->source);
        free(lists);
    }
}
