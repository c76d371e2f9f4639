/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hub keeps of what its CA gave it, in the working directory: its own certificate, the
 * roots, the revocation lists. The launcher writes them before the broker starts, the running hub
 * whenever they change. Safe from several threads.
 */
#ifndef GATEKEY_HUB_KEEPING_H
#define GATEKEY_HUB_KEEPING_H

#include "tests/hub/hub.h"

#define HUB_DATABASE_FILE "hub.db"
#define HUB_AUTHORITY_DIRECTORY "ca" /* the CA's own; the hub does not look into it */
#define HUB_CA_SOCKET "ca.sock"
#define HUB_CA_TOKEN_FILE "ca.token"
#define HUB_FIRST_ROOT_FILE "root.pem" /* what a gateway is given before it knows anything */
#define HUB_ROOTS_FILE "roots.pem"     /* what the broker trusts */
#define HUB_PUBLISHED_ROOTS_FILE "cacert.pem"
#define HUB_CRL_FILE "crl.pem"   /* what is published */
#define HUB_CRLS_FILE "crls.pem" /* what the broker checks */
#define HUB_SERVER_KEY_FILE "server.key"
#define HUB_SERVER_CERTIFICATE_FILE "server.pem"
#define HUB_CONTROL_SOCKET "control.sock"
#define HUB_ENVIRONMENT_FILE "hub.env"

/*
 * Have a certificate for the hub's own key, which is made on first use: key pair and request here,
 * the certificate from the CA. Nothing happens while the last one fits the names, the settings and
 * the fault "server-certificate", and two thirds of its life are not over. Not from two threads at
 * once.
 */
GK_MUST_CHECK enum gk_status hub_keep_server_certificate(struct hub *hub, bool *changed,
                                                         struct gk_error *err);

/* Take the CA's lists of the revoked, and its roots. */
GK_MUST_CHECK enum gk_status hub_keep_crl(struct hub *hub, struct gk_error *err);
GK_MUST_CHECK enum gk_status hub_keep_roots(struct hub *hub, struct gk_error *err);

/* A device's certificate from the CA by the settings, for so many days where they say nothing else.
 */
GK_MUST_CHECK enum gk_status hub_issue(struct hub *hub, const char *csr, int days,
                                       struct hub_issued *issued, struct gk_error *err);

/* The same, of the same serial, by a CA that nobody knows. */
GK_MUST_CHECK enum gk_status hub_issue_by_stranger(struct hub *hub, int64_t serial, const char *csr,
                                                   int days, struct hub_issued *issued,
                                                   struct gk_error *err);

/* Have the CA revoke one, and remember it. The broker knows when it has reloaded. */
GK_MUST_CHECK enum gk_status hub_revoke(struct hub *hub, int64_t serial, int reason,
                                        struct gk_error *err);

/* The serial of the certificate the hub shows, 0 where it has none. */
int64_t hub_server_serial(struct hub *hub);

#endif
