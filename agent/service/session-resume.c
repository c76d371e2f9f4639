/* SPDX-License-Identifier: Apache-2.0 */
/* When the session may resume a TLS session instead of showing our certificate. */
#include "agent/service/session-internal.h"

struct agent_tls_session *session_resumable(struct session *session)
{
    const struct identity *now = &session->identity;

    /* Who tries a new pair wants to know whether the hub takes it. */
    if (!session->service->config->resume || session->pair == AGENT_PAIR_NEXT) {
        return NULL;
    }
    if (!mark_equal(&session->kept_for.current, &now->current) ||
        !mark_equal(&session->kept_for.trust, &now->trust) ||
        !mark_equal(&session->kept_for.list, &now->list)) {
        agent_tls_session_forget(session->tls);
        session->kept_for = *now;
    }
    return session->tls;
}

void session_forget_keys(struct session *session)
{
    agent_tls_session_forget(session->tls);
    session_forget_secret(session);
}
