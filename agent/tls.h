/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS towards the hub's MQTT listener: who is trusted, who we are, and why a handshake failed.
 *
 * TLS 1.2 or later, chain and host name always checked, no switch to turn either off. Who is
 * trusted is read anew for each connection (agent/roots.h). A session is resumed only for an owner
 * who keeps one (agent/tls-session.h), and only while the hub's certificate would be believed anew;
 * without, each connection proves that the key is here. Everything is judged by agent_clock_now(),
 * which a connection moves forward: the hub's certificate has begun.
 *
 * Threads: one at a time per object. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_TLS_H
#define GATEKEY_AGENT_TLS_H

#include "agent/config.h"
#include "agent/openssl.h"
#include "agent/pair.h"
#include "agent/tls-session.h"
#include "cleanup.h"
#include "error.h"

#include <openssl/types.h>
#include <stdbool.h>

struct agent_tls;

/*
 * Make the context for one connection to [hub] host. pair: what to show and sign with. session:
 * where the hub's sessions are kept and taken from, borrowed; NULL: none is kept or resumed.
 * server-crl.pem is used where it exists, and then must make sense; that it is missing although
 * [hub] crl_url is set, or too old, is decided by [trust] grace and stale. config and openssl must
 * outlive the object; the caller frees it with agent_tls_free(). Fails with GK_NOT_ENROLLED (no
 * cert.pem), GK_BAD_CERTIFICATE (it makes no sense, or belongs to another key), GK_BAD_FILE,
 * GK_NO_FILE (roots), GK_STALE_CRL (it is missing), GK_BAD_CONFIG, GK_CRYPTO_FAILED, GK_NO_MEMORY,
 * and what loading the key fails with.
 */
enum gk_status agent_tls_new(const struct agent_config *config, struct agent_openssl *openssl,
                             enum agent_pair pair, struct agent_tls_session *session,
                             struct agent_tls **tls, struct gk_error *err) GK_MUST_CHECK;
void agent_tls_free(struct agent_tls *tls); /* NULL is fine */
GK_DEFINE_CLEANUP(struct agent_tls, agent_tls_free)

/*
 * The next connection goes to this host, which is borrowed: it must show a certificate for [hub]
 * server_name or, without that, for its own name. Fails with GK_BAD_CONFIG.
 */
enum gk_status agent_tls_expect(struct agent_tls *tls, const char *host,
                                struct gk_error *err) GK_MUST_CHECK;

/* For one SSL at a time; lives as long as the object. */
SSL_CTX *agent_tls_context(struct agent_tls *tls);

/* Forget what earlier connections noted: before each of them. */
void agent_tls_reset(struct agent_tls *tls);

/* The handshake is done on our side. In TLS 1.3 the hub may still refuse our certificate. */
bool agent_tls_is_established(const struct agent_tls *tls);

/*
 * The hub accepted us over this connection. Before that a session of TLS 1.2 is not offered again,
 * nor one without the extended master secret (RFC 7627): that proves less than the handshake did
 * that it came from.
 */
void agent_tls_accepted(struct agent_tls *tls, SSL *ssl);

/* The connection failed. A hub that answered to a session that was offered, and then hung up, is
 * not offered it again. */
void agent_tls_failed(struct agent_tls *tls);

/*
 * What the hub was saying is said in full. More than so many bytes without that end the connection,
 * with GK_HUB_GARBLED: twice what EnOS puts into one message.
 */
#define AGENT_TLS_UNFINISHED_MAX (1024U * 1024)
void agent_tls_finished(struct agent_tls *tls);

/* The hub has seen our certificate, and said no by an alert. */
bool agent_tls_is_refused(const struct agent_tls *tls);

/* It resumed a session: no certificate was shown, and nothing signed. */
bool agent_tls_is_resumed(const struct agent_tls *tls);

/* What the socket last said when it failed (errno), 0 when it did not: libmosquitto keeps that
 * back. */
int agent_tls_system_error(const struct agent_tls *tls);

/* What somebody should be told although the connection was made: that the hub's certificate was
 * checked against no list, or an old one. NULL: nothing. */
const char *agent_tls_remark(const struct agent_tls *tls);

/*
 * Say why TLS failed, as far as TLS knows: our own check of the hub (GK_UNTRUSTED, GK_STALE_CRL),
 * the alert it sent (GK_REVOKED, GK_EXPIRED, GK_HUB_REFUSED), or our own failure to sign (as
 * gatekey's provider says). GK_OK: TLS has nothing to do with it.
 */
enum gk_status agent_tls_explain(const struct agent_tls *tls, struct gk_error *err) GK_MUST_CHECK;

#endif
