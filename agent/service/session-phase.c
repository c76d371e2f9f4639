/* SPDX-License-Identifier: Apache-2.0 */
/* Which phase the session is in, and who hears of it. */
#include "agent/service/session-internal.h"

#include "agent/service/log.h"

const char *session_phase_name(enum phase phase)
{
    switch (phase) {
    case NOT_ENROLLED:
        return "not-enrolled";
    case STOPPED:
        return "stopped";
    case REVOKED:
        return "revoked";
    case CLOCK_WRONG:
        return "clock-wrong";
    case WAITING:
        return "waiting";
    case CONNECTING:
        return "connecting";
    case CONNECTED:
        return "connected";
    }
    return "";
}

void session_enter(struct session *session, enum phase phase)
{
    const struct agent_config *config = session->service->config;

    if (phase == NOT_ENROLLED && session->phase != NOT_ENROLLED) {
        log_line(LOG_LEVEL_NOTICE, "not enrolled; waiting for gatekey enroll");
    } else if (phase == STOPPED && session->phase != STOPPED) {
        log_line(LOG_LEVEL_NOTICE, "disconnected as asked; waiting for another identity");
    } else if (phase == CLOCK_WRONG && session->phase != CLOCK_WRONG) {
        log_failure(LOG_LEVEL_WARNING, "connect", &session->last);
    } else if (phase == CONNECTED) {
        log_line(LOG_LEVEL_NOTICE, "connected to %s port %u as device %s of product %s",
                 agent_link_host(session->link), config->port, config->device_key,
                 config->product_key);
    }
    session->phase = phase;
    metrics_changed(session->service->metrics);
}

/* How long a list is too old, or which try it was, changes each time and is no other reason. */
static bool is_alike(const char *one, const char *other)
{
    static const char digits[] = "0123456789";

    for (;;) {
        one += strspn(one, digits);
        other += strspn(other, digits);
        if (*one != *other || *one == '\0') {
            return *one == *other;
        }
        one++;
        other++;
    }
}

/* An error is what stays until somebody does something; what may pass by itself is a warning. */
static enum log_level level_of(enum gk_status status)
{
    return status == GK_REVOKED || status == GK_EXPIRED || status == GK_UNTRUSTED ||
                   status == GK_BAD_CERTIFICATE || status == GK_NO_KEY || status == GK_WRONG_KEY
               ? LOG_LEVEL_ERROR
               : LOG_LEVEL_WARNING;
}

void session_log_reason(struct session *session, const struct gk_error *err, bool was_connected)
{
    bool known = err->status == session->last.status &&
                 (err->status == GK_REVOKED || is_alike(err->object, session->last.object));

    if (was_connected || !known) {
        log_failure(level_of(err->status), was_connected ? "stay connected" : "connect", err);
    }
    session->last = *err;
}
