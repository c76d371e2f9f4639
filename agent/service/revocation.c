/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether our own certificate is revoked, as far as that can be known for certain: a list that our
 * issuer signed has it, or the hub's TLS says so of a certificate that it must know by now. A
 * CONNACK that refuses us is none: a device that is disabled, or locked out for a while, gets the
 * same.
 */
#include "agent/service/session-internal.h"

#include "agent/clock.h"
#include "agent/crl.h"
#include "agent/service/log.h"
#include "identity/identity.h"

#define YOUNG_S 75 /* EnOS needs about 30 s before it knows a new certificate everywhere */

enum gk_status revocation_look_up(struct session *session, struct gk_error *err)
{
    const struct service *service = session->service;
    struct gk_error trouble = { 0 };
    bool listed = false;

    /* cert.pem is not the one in use then. */
    if (session->pair == AGENT_PAIR_NEXT) {
        return GK_OK;
    }
    if (agent_crl_lists_own(service->config, service->openssl, &listed, &trouble) != GK_OK &&
        !mark_equal(&session->list_doubted, &session->identity.list)) {
        /* A list that is not to be believed says nothing; the hub knows better. */
        session->list_doubted = session->identity.list;
        log_failure(LOG_LEVEL_WARNING, "look our certificate up in the revocation list", &trouble);
    }
    return listed
               ? gk_fail(err, GK_REVOKED, "%s/" GK_FILE_CRL " lists it", service->config->directory)
               : GK_OK;
}

void revocation_doubt(const struct session *session, struct gk_error *why)
{
    int64_t age = agent_clock_now(session->service->config) - session->identity.newest;

    if (why->status == GK_REVOKED && age >= 0 && age < YOUNG_S &&
        !mark_equal(&session->known, &session->identity.current)) {
        gk_fail(why, GK_HUB_REFUSED, "%s calls a certificate revoked that came %d s ago",
                session->service->config->host, (int)age);
        gk_advise(why, "wait: a hub may take a minute to know a new certificate");
    }
}
