/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a TLS peer was not believed, or did not believe us, in words with a next step. Pure
 * functions.
 */
#ifndef GATEKEY_AGENT_ALERT_H
#define GATEKEY_AGENT_ALERT_H

#include "error.h"

#include <stdbool.h>

/*
 * Our check of the hub's certificate failed. verify_error is an X509_V_ERR_...; name is whom we
 * expected, ca_file the roots (NULL: the system's). Notes and returns GK_UNTRUSTED.
 */
enum gk_status agent_alert_distrust(int verify_error, const char *name, const char *ca_file,
                                    struct gk_error *err);

/*
 * The hub sent a TLS alert (RFC 8446, 6). expired: our certificate has, by our own clock. Notes and
 * returns GK_REVOKED for certificate_revoked, GK_EXPIRED for certificate_expired where that is so,
 * else GK_HUB_REFUSED with what the alert means for us.
 */
enum gk_status agent_alert_received(int alert, bool expired, const char *name,
                                    struct gk_error *err);

#endif
