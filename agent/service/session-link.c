/* SPDX-License-Identifier: Apache-2.0 */
/* The session's end of the link: its descriptor in the event loop, and its last words. */
#include "agent/service/session-internal.h"

#include "agent/service/log.h"

#include <poll.h>
#include <time.h>

#define GOODBYE_MS 1000

static int on_io(sd_event_source *source, int fd, uint32_t events, void *context)
{
    (void)source;
    (void)fd;
    session_step(context, (short)events);
    return 0;
}

void session_unwatch_link(struct session *session)
{
    session->io_source = sd_event_source_disable_unref(session->io_source);
}

static int on_link_time(sd_event_source *source, uint64_t time, void *context)
{
    (void)source;
    (void)time;
    session_step(context, 0);
    return 0;
}

static int watch_descriptor(struct session *session, int fd, uint32_t events)
{
    if (session->io_source != NULL && sd_event_source_get_io_fd(session->io_source) == fd) {
        return sd_event_source_set_io_events(session->io_source, events);
    }
    session_unwatch_link(session);
    return fd < 0 ? 0
                  : sd_event_add_io(session->service->event, &session->io_source, fd, events, on_io,
                                    session);
}

void session_watch_link(struct session *session)
{
    int code;

    if (session->link == NULL) {
        session_unwatch_link(session);
        return;
    }
    code = watch_descriptor(session, agent_link_fd(session->link),
                            (uint32_t)agent_link_poll(session->link));
    if (code < 0) {
        log_line(LOG_LEVEL_ERROR, "cannot watch the connection: %s", strerror(-code));
    }
    session_after(session, &session->link_source, agent_link_next_ms(session->link), on_link_time);
}

void session_drop_link(struct session *session)
{
    session_unwatch_link(session);
    sd_event_source_set_enabled(session->link_source, SD_EVENT_OFF);
    sd_event_source_set_enabled(session->try_source, SD_EVENT_OFF);
    sd_event_source_set_enabled(session->lasting_source, SD_EVENT_OFF);
    session->accepted = false;
    agent_link_free(TAKE(session->link));
}

void session_say_goodbye(struct session *session)
{
    uint64_t end = service_now_ms() + GOODBYE_MS;

    session_unwatch_link(session);
    if (session->link != NULL && session->phase == CONNECTED) {
        session->leaving = true;
        agent_link_disconnect(session->link);
        while (agent_link_step(session->link, POLLOUT, NULL) == GK_OK && service_now_ms() < end) {
            nanosleep(&(const struct timespec){ 0, 10000000 }, NULL);
        }
        session->leaving = false;
    }
    session_drop_link(session);
}
