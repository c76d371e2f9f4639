/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files the hub keeps beside its database, in the working directory: its server certificate and
 * its CRL. The launcher writes them before the broker starts, the running hub whenever they change.
 */
#ifndef GATEKEY_HUB_KEEPING_H
#define GATEKEY_HUB_KEEPING_H

#include "tests/hub/hub.h"

#define HUB_DATABASE_FILE "hub.db"
#define HUB_AUTHORITY_DIRECTORY "ca"
#define HUB_ROOT_FILE "ca/root.pem"
#define HUB_CRL_FILE "ca/crl.pem"
#define HUB_OLD_CRL_FILE "ca/crl.pem.old"
#define HUB_OTHER_AUTHORITY_DIRECTORY "other-ca"
#define HUB_SERVER_KEY_FILE "server.key"
#define HUB_SERVER_CERTIFICATE_FILE "server.pem"
#define HUB_CONTROL_SOCKET "control.sock"
#define HUB_ENVIRONMENT_FILE "hub.env"

/*
 * Have the CA issue the hub's server certificate for the hub's own key, which is made on first use.
 * Nothing is issued while the last one fits the names and the fault "server-certificate" is as it
 * was.
 */
GK_MUST_CHECK enum gk_status hub_keep_server_certificate(struct hub *hub, bool *changed,
                                                         struct gk_error *err);

/* Issue a CRL of all revoked certificates, valid for as long as the settings say. */
GK_MUST_CHECK enum gk_status hub_keep_crl(struct hub *hub, struct gk_error *err);

/* A CRL as nobody should believe it: "expired", "old" (the one before the last) or "other-ca". The
 * caller frees it. */
GK_MUST_CHECK enum gk_status hub_wrong_crl(struct hub *hub, const char *how, char **pem,
                                           struct gk_error *err);

/* Have the CA issue as the settings say from now on. */
void hub_take_up_settings(struct hub *hub);

/* A CA of another name, for tests that need one; made on first use. */
GK_MUST_CHECK enum gk_status hub_other_authority(struct hub_authority **authority,
                                                 struct gk_error *err);

#endif
