/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the last TLS session with the hub, and offers it while it may be offered. */
#include "agent/tls-session.h"

#include "agent/tls-internal.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <time.h>

struct agent_tls_session {
    SSL_SESSION *last; /* NULL: none */
    STACK_OF(X509) * chain;
    char *host;
    int64_t full_ms; /* since boot: the handshake that showed certificates */
    bool is_bound;   /* to that handshake, as far as is known */
};

GK_DEFINE_CLEANUP(SSL_SESSION, SSL_SESSION_free)
GK_DEFINE_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free)

static int64_t since_boot_ms(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum gk_status agent_tls_session_new(struct agent_tls_session **session, struct gk_error *err)
{
    struct agent_tls_session *made = calloc(1, sizeof(*made));

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *session = made;
    return GK_OK;
}

void agent_tls_session_forget(struct agent_tls_session *session)
{
    if (session == NULL) {
        return;
    }
    SSL_SESSION_free(TAKE(session->last));
    sk_X509_pop_free(TAKE(session->chain), X509_free);
    free(TAKE(session->host));
}

bool agent_tls_session_is_kept(const struct agent_tls_session *session)
{
    return session != NULL && session->last != NULL;
}

void agent_tls_session_free(struct agent_tls_session *session)
{
    agent_tls_session_forget(session);
    free(session);
}

/*
 * A copy, here and in agent_tls_session_offer(): OpenSSL marks the session of a connection that was
 * cut as one not to be resumed, and a cut is what this is for.
 */
void agent_tls_session_keep(struct agent_tls *tls, SSL *ssl, const SSL_SESSION *given)
{
    struct agent_tls_session *session = tls->session;
    CLEANUP(SSL_SESSION_freep) SSL_SESSION *copy = NULL;
    int64_t full_ms = SSL_session_reused(ssl) ? session->full_ms : since_boot_ms();
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);

    if (!SSL_SESSION_is_resumable(given)) {
        return;
    }
    copy = SSL_SESSION_dup(given);
    agent_tls_session_forget(session);
    session->chain = chain != NULL ? X509_chain_up_ref(chain) : NULL;
    session->host = strdup(tls->host);
    session->full_ms = full_ms;
    session->is_bound = SSL_version(ssl) >= TLS1_3_VERSION;
    if (session->chain != NULL && session->host != NULL) {
        session->last = TAKE(copy);
    }
    ERR_clear_error();
}

/* OpenSSL does not tell before the handshake is over. */
void agent_tls_accepted(struct agent_tls *tls, SSL *ssl)
{
    if (tls->session != NULL && SSL_get_extms_support(ssl) == 1) {
        tls->session->is_bound = true;
    }
}

/* As OpenSSL does in a full handshake. */
static bool is_believed(struct agent_tls *tls, SSL *ssl, X509 *hub, STACK_OF(X509) * chain)
{
    CLEANUP(X509_STORE_CTX_freep) X509_STORE_CTX *check = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *param;

    if (check == NULL ||
        X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(tls->context), hub, chain) != 1 ||
        X509_STORE_CTX_set_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl) != 1 ||
        X509_STORE_CTX_set_default(check, "ssl_server") != 1) {
        return false;
    }
    param = X509_STORE_CTX_get0_param(check);
    X509_VERIFY_PARAM_set_auth_level(param, SSL_get_security_level(ssl));
    X509_STORE_CTX_set_verify_cb(check, SSL_get_verify_callback(ssl));
    return X509_VERIFY_PARAM_set1(param, SSL_get0_param(ssl)) == 1 && X509_verify_cert(check) == 1;
}

static bool may_be_offered(struct agent_tls *tls, SSL *ssl)
{
    struct agent_tls_session *session = tls->session;
    X509 *hub = SSL_SESSION_get0_peer(session->last);

    return session->is_bound && since_boot_ms() - session->full_ms < AGENT_TLS_SESSION_MS &&
           hub != NULL && is_believed(tls, ssl, hub, session->chain);
}

void agent_tls_session_offer(struct agent_tls *tls, SSL *ssl)
{
    struct agent_tls_session *session = tls->session;
    CLEANUP(SSL_SESSION_freep) SSL_SESSION *copy = NULL;

    if (session == NULL || session->last == NULL || strcmp(session->host, tls->host) != 0) {
        return;
    }
    if (may_be_offered(tls, ssl)) {
        copy = SSL_SESSION_dup(session->last);
        tls->offered = copy != NULL && SSL_set_session(ssl, copy) == 1;
    } else {
        /* A full handshake finds out, and says, what is wrong. */
        agent_tls_session_forget(session);
        tls->verify_error = X509_V_OK;
        tls->remark[0] = '\0';
    }
    ERR_clear_error();
}
