/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last TLS session with the hub, so that the next connection can resume it (RFC 5077, RFC 8446,
 * 2.2) without a signature of the device key.
 *
 * It is kept in memory alone. A resumed handshake shows no certificates, so what a full one would
 * find out is looked at when the session is offered: the hub's certificate as it was then must
 * still be believed, by the roots, the list, the name and the clock of now. A session is offered to
 * the host that it was made with, for AGENT_TLS_SESSION_MS after the handshake that showed
 * certificates. Its owner forgets it when the identity or what is trusted changes. It forgets
 * itself when the hub says anything against a connection, or ends one in an orderly way: what the
 * hub has to say may be about our certificate, which the next connection then shows.
 *
 * Threads: one at a time per object. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_TLS_SESSION_H
#define GATEKEY_AGENT_TLS_SESSION_H

#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

#define AGENT_TLS_SESSION_MS ((int64_t)24 * 3600 * 1000)

struct agent_tls_session;

/* Nothing is kept yet. Fails with GK_NO_MEMORY. The caller frees it with agent_tls_session_free().
 */
enum gk_status agent_tls_session_new(struct agent_tls_session **session,
                                     struct gk_error *err) GK_MUST_CHECK;
void agent_tls_session_free(struct agent_tls_session *session); /* NULL is fine */
GK_DEFINE_CLEANUP(struct agent_tls_session, agent_tls_session_free)

/* There is one that the next connection may be offered with. NULL is fine: there is none. */
bool agent_tls_session_is_kept(const struct agent_tls_session *session);

/* The next connection is not to resume anything. NULL is fine. */
void agent_tls_session_forget(struct agent_tls_session *session);

#endif
