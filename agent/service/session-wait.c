/* SPDX-License-Identifier: Apache-2.0 */
/* What the session waits for: the moment of the next attempt, and the network before that. */
#include "agent/service/session-internal.h"

#include "agent/service/log.h"

void session_after(struct session *session, sd_event_source **source, uint64_t wait_ms,
                   sd_event_time_handler_t handler)
{
    uint64_t delay_us = wait_ms * 1000;
    int code = 0;

    if (*source == NULL) {
        code = sd_event_add_time_relative(session->service->event, source, CLOCK_BOOTTIME, delay_us,
                                          0, handler, session);
    } else {
        sd_event_source_set_time_relative(*source, delay_us);
        code = sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
    }
    if (code < 0) {
        log_line(LOG_LEVEL_ERROR, "cannot set a timer: %s", strerror(-code));
    }
}

static int on_wait_over(sd_event_source *source, uint64_t time, void *context)
{
    struct session *session = context;

    (void)source;
    (void)time;
    session_attempt(session, session->patient);
    return 0;
}

/* Within the hub's limit: the backoff was for a network that is another one now. */
static void on_network_back(void *context)
{
    struct session *session = context;

    if (session->phase == WAITING && session->last.status == GK_UNREACHABLE) {
        session->misses = 0;
        session_attempt(session, false);
    }
}

/* Where the kernel does not tell, the backoff ends by itself. */
static void listen_for_network(struct session *session)
{
    if (session->network == NULL && session->last.status == GK_UNREACHABLE) {
        (void)!network_new(session->service->event, on_network_back, session, &session->network,
                           NULL);
    }
}

void session_wait(struct session *session, enum phase phase, int64_t wait_ms)
{
    session->next_ms = service_now_ms() + (uint64_t)wait_ms;
    session_after(session, &session->wait_source, (uint64_t)wait_ms, on_wait_over);
    session_enter(session, phase);
    if (phase == WAITING) {
        listen_for_network(session);
    }
}

void session_stop_waiting(struct session *session)
{
    sd_event_source_set_enabled(session->wait_source, SD_EVENT_OFF);
    network_free(TAKE(session->network));
}

void session_free_waits(struct session *session)
{
    network_free(session->network);
    sd_event_source_disable_unref(session->wait_source);
    sd_event_source_disable_unref(session->link_source);
    sd_event_source_disable_unref(session->try_source);
    sd_event_source_disable_unref(session->lasting_source);
}
