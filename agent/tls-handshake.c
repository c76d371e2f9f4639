/* SPDX-License-Identifier: Apache-2.0 */
/* What is said in a handshake with the hub: what we note of it, and what we make of it. */
#include "agent/tls-internal.h"

#include "agent/alert.h"
#include "agent/clock.h"
#include "agent/roots.h"
#include "identity/identity.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

/* The SSL_CTX's application data leads back from OpenSSL's callbacks to us. */
static struct agent_tls *owner_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/*
 * libmosquitto puts the address it was given on the wire as server name; the name belongs there.
 * The start of the handshake is the last moment before it is sent. A name that does not go in is as
 * good as none: the certificate is checked against it all the same.
 */
static void set_server_name(const struct agent_tls *tls, const SSL *ssl)
{
    SSL_set_tlsext_host_name((SSL *)ssl, tls->name_is_address ? NULL : (char *)tls->name);
}

/* Not the wall clock, which may stand before what certainly has passed. */
static void set_time(struct agent_tls *tls, const SSL *ssl)
{
    tls->now = agent_clock_now(tls->config);
    X509_VERIFY_PARAM_set_time(SSL_get0_param((SSL *)ssl), (time_t)tls->now);
}

/* The hub's certificate began to be valid: that moment has passed. If it cannot be noted, the floor
 * stays where it is. */
static void raise_floor(const struct agent_tls *tls, const SSL *ssl)
{
    const X509 *hub = SSL_get0_peer_certificate(ssl);
    int64_t begin, end;

    if (hub != NULL && agent_certificate_dates(hub, &begin, &end)) {
        (void)!agent_clock_raise(tls->config, AGENT_CLOCK_HUB, begin, NULL);
    }
}

/*
 * libmosquitto takes in whatever length a hub announces, up to 256 MiB. That many bytes are asked
 * for and not yet touched, and this is before they are: the socket fails.
 */
static bool is_too_much(struct agent_tls *tls)
{
    if (!tls->established || tls->unfinished <= AGENT_TLS_UNFINISHED_MAX) {
        return false;
    }
    if (tls->own.status == GK_OK) {
        tls->own.status = gk_fail(&tls->own, GK_HUB_GARBLED, "%s: a message of more than %u bytes",
                                  tls->name, AGENT_TLS_UNFINISHED_MAX);
    }
    return true;
}

/*
 * A hub that refuses us sends an alert and hangs up, and our next write may fail before the alert
 * was read; libmosquitto would then close the socket, and the reason with it. So a write that fails
 * only says "later": the next read brings the alert, or the end.
 */
static long on_socket(BIO *bio, int operation, const char *data, size_t size, int number,
                      long argument, int result, size_t *processed)
{
    struct agent_tls *tls = (struct agent_tls *)BIO_get_callback_arg(bio);

    if (operation == (BIO_CB_READ | BIO_CB_RETURN) && result > 0) {
        tls->heard = true;
        tls->unfinished += processed != NULL ? *processed : 0;
        return is_too_much(tls) ? -1 : result;
    }
    (void)data;
    (void)size;
    (void)number;
    (void)argument;
    if ((operation != (BIO_CB_READ | BIO_CB_RETURN) &&
         operation != (BIO_CB_WRITE | BIO_CB_RETURN)) ||
        result >= 0 || BIO_should_retry(bio)) {
        return result;
    }
    tls->system_error = errno;
    if (operation == (BIO_CB_WRITE | BIO_CB_RETURN) && tls->established &&
        (errno == ECONNRESET || errno == EPIPE)) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return result;
}

/*
 * Now or never, since libmosquitto empties the queue: either our key failed, or what came was no
 * TLS. The queue is empty while the handshake only waits; a connection cut off is not told here.
 */
static void note_own_failure(struct agent_tls *tls)
{
    unsigned long code = ERR_peek_error();

    if (code != 0 && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        tls->own.status = agent_openssl_peek(&tls->own, GK_HUB_GARBLED, tls->name);
    }
}

/* A goodbye is one too: a hub that throws us out may not want our certificate any more. */
static void note_alert(struct agent_tls *tls, int alert)
{
    agent_tls_session_forget(tls->session);
    if (alert != SSL_AD_CLOSE_NOTIFY && tls->alert < 0) {
        tls->alert = alert;
    }
}

/* TLS 1.2 gives one at the end of the handshake, TLS 1.3 whenever the hub sends one. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    agent_tls_session_keep(owner_of(ssl), ssl, session);
    return 0; /* it stays OpenSSL's */
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct agent_tls *tls = owner_of(ssl);

    if ((where & SSL_CB_HANDSHAKE_START) != 0) {
        set_server_name(tls, ssl);
        set_time(tls, ssl);
        agent_tls_session_offer(tls, (SSL *)ssl);
        BIO_set_callback_arg(SSL_get_wbio(ssl), (char *)tls);
        BIO_set_callback_ex(SSL_get_wbio(ssl), on_socket);
    } else if ((where & SSL_CB_HANDSHAKE_DONE) != 0) {
        tls->established = true;
        tls->resumed = SSL_session_reused(ssl) == 1;
        tls->shown = true; /* in TLS 1.3 perhaps in a compressed message of its own (RFC 8879) */
        raise_floor(tls, ssl);
    } else if ((where & SSL_CB_LOOP) != 0 && SSL_get_state(ssl) == TLS_ST_CW_CERT) {
        tls->shown = true; /* TLS 1.2 waits for the hub's Finished after it */
    } else if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
        note_alert(tls, value & 0xff);
    } else if ((where & SSL_CB_EXIT) != 0 && value <= 0 && tls->own.status == GK_OK) {
        note_own_failure(tls);
    }
}

/*
 * No list of the issuer, or one past its nextUpdate, tells nothing of what was revoked since. Until
 * [trust] grace is over it is heeded as it is; then [trust] stale decides. Either way somebody is
 * told.
 */
static bool may_do_without(struct agent_tls *tls, const X509_CRL *list)
{
    bool stops = tls->config->stale == AGENT_STOP;
    int64_t next;
    struct tm tm;

    if (list == NULL) {
        snprintf(tls->remark, sizeof(tls->remark),
                 GK_FILE_SERVER_CRL " has no list of the issuer of the certificate of %s",
                 tls->name);
        return !stops;
    }
    if (ASN1_TIME_to_tm(X509_CRL_get0_nextUpdate(list), &tm) != 1) {
        return false;
    }
    next = timegm(&tm);
    if (tls->now - next <= (int64_t)tls->config->grace_s) {
        stops = false;
    }
    snprintf(tls->remark, sizeof(tls->remark),
             "the list in " GK_FILE_SERVER_CRL " is %lld s past its nextUpdate",
             (long long)(tls->now - next));
    return !stops;
}

static bool is_for_want_of_a_list(int verify_error)
{
    return verify_error == X509_V_ERR_CRL_HAS_EXPIRED ||
           verify_error == X509_V_ERR_UNABLE_TO_GET_CRL;
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct agent_tls *tls = owner_of(ssl);
    int why = X509_STORE_CTX_get_error(store);

    if (!ok && is_for_want_of_a_list(why)) {
        ok = may_do_without(
            tls, why == X509_V_ERR_CRL_HAS_EXPIRED ? X509_STORE_CTX_get0_current_crl(store) : NULL);
    }
    if (!ok && tls->verify_error == X509_V_OK) {
        tls->verify_error = why;
    }
    return ok;
}

void agent_tls_listen(struct agent_tls *tls)
{
    SSL_CTX_set_app_data(tls->context, tls);
    SSL_CTX_set_info_callback(tls->context, on_info);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, on_verify);
    if (tls->session != NULL) {
        SSL_CTX_set_session_cache_mode(tls->context,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(tls->context, on_session);
    } else {
        SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(tls->context, SSL_OP_NO_TICKET);
    }
}

void agent_tls_reset(struct agent_tls *tls)
{
    tls->established = false;
    tls->offered = false;
    tls->resumed = false;
    tls->heard = false;
    tls->unfinished = 0;
    tls->shown = false;
    tls->alert = -1;
    tls->verify_error = X509_V_OK;
    tls->system_error = 0;
    tls->own = (struct gk_error){ 0 };
}

int agent_tls_system_error(const struct agent_tls *tls)
{
    return tls->system_error;
}

void agent_tls_finished(struct agent_tls *tls)
{
    tls->unfinished = 0;
}

bool agent_tls_is_established(const struct agent_tls *tls)
{
    return tls->established;
}

void agent_tls_failed(struct agent_tls *tls)
{
    if (tls->offered && !tls->established && tls->heard) {
        agent_tls_session_forget(tls->session);
    }
}

bool agent_tls_is_refused(const struct agent_tls *tls)
{
    return tls->shown && tls->alert >= 0;
}

bool agent_tls_is_resumed(const struct agent_tls *tls)
{
    return tls->resumed;
}

const char *agent_tls_remark(const struct agent_tls *tls)
{
    return tls->remark[0] != '\0' ? tls->remark : NULL;
}

/* Our own certificate, by the time that it was shown at. */
static bool has_expired(const struct agent_tls *tls)
{
    const X509 *ours = SSL_CTX_get0_certificate(tls->context);
    int64_t begin, end;

    return ours != NULL && agent_certificate_dates(ours, &begin, &end) && end < tls->now;
}

/* Until it was shown nobody can judge it: in the clear anybody on the way may say so. */
static bool is_premature(const struct agent_tls *tls)
{
    return !tls->shown &&
           (tls->alert == SSL_AD_CERTIFICATE_REVOKED || tls->alert == SSL_AD_CERTIFICATE_EXPIRED);
}

enum gk_status agent_tls_explain(const struct agent_tls *tls, struct gk_error *err)
{
    if (is_for_want_of_a_list(tls->verify_error)) {
        return gk_fail(err, GK_STALE_CRL, "%s, and [trust] stale is stop", tls->remark);
    }
    if (tls->verify_error != X509_V_OK) {
        return agent_alert_distrust(tls->verify_error, tls->name, tls->roots, err);
    }
    if (is_premature(tls)) {
        return gk_fail(err, GK_HUB_GARBLED,
                       "%s judges our certificate before it has seen it, TLS alert %d", tls->name,
                       tls->alert);
    }
    if (tls->alert >= 0) {
        return agent_alert_received(tls->alert, has_expired(tls), tls->name, err);
    }
    if (tls->own.status != GK_OK && err != NULL) {
        *err = tls->own;
    }
    return tls->own.status;
}
