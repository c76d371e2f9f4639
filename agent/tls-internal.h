/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of TLS towards the hub share; nobody else includes it. */
#ifndef GATEKEY_AGENT_TLS_INTERNAL_H
#define GATEKEY_AGENT_TLS_INTERNAL_H

#include "agent/tls-session.h"
#include "agent/tls.h"

#include <openssl/ssl.h>
#include <stdint.h>

struct agent_tls {
    const struct agent_config *config;
    SSL_CTX *context;
    struct agent_tls_session *session; /* NULL: none is kept, and none resumed */
    const char *host;                  /* to which the next connection goes */
    const char *name;                  /* what the hub's certificate must be for */
    bool name_is_address;              /* then it is no server name for the wire */
    char roots[160];                   /* where they stand, for errors */

    /* What the handshake said. */
    bool established;
    bool offered; /* to resume a session */
    bool resumed;
    bool heard;          /* anything from the other end */
    uint64_t unfinished; /* bytes, as they come, since what was said last was said in full */
    bool shown;          /* the hub has proved who it is, and our certificate was on its way */
    int alert;           /* received, or -1 */
    int verify_error;    /* X509_V_OK, or why the hub was not believed */
    int system_error;    /* of the last read or write that failed, 0 when none did */
    int64_t now;         /* the time that certificates and lists are judged by */
    char remark[256];    /* on a list that was heeded for want of a better one */
    struct gk_error own; /* our own first failure, GK_OK when there was none */
};

/* Have the context's connections note what their handshakes say, and judge the hub's
 * certificate. */
void agent_tls_listen(struct agent_tls *tls);

/* --- tls-session.c --------------------------------------------------------------------------- */

/* Keep a session that the hub gave; tls->session is not NULL. */
void agent_tls_session_keep(struct agent_tls *tls, SSL *ssl, const SSL_SESSION *given);
/* Offer what is kept, where it may be offered; when the handshake starts, name and time being set.
 */
void agent_tls_session_offer(struct agent_tls *tls, SSL *ssl);

#endif
