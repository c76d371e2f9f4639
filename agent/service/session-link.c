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

void session_watch_link(struct session *session)
{
    session_unwatch_link(session);
    if (session->link != NULL && agent_link_fd(session->link) >= 0) {
        int code = sd_event_add_io(session->service->event, &session->io_source,
                                   agent_link_fd(session->link),
                                   (uint32_t)agent_link_poll(session->link), on_io, session);

        if (code < 0) {
            log_line(LOG_LEVEL_ERROR, "cannot watch the connection: %s", strerror(-code));
        }
    }
}

void session_drop_link(struct session *session)
{
    session_unwatch_link(session);
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
