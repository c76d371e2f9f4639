/* SPDX-License-Identifier: Apache-2.0 */
/* The proving connection, by gatekeyd where it runs, and patience with a certificate that is still
 * new. */
#include "agent/command/enroll.h"

#include "agent/command/service.h"
#include "agent/link.h"

#include <time.h>

/* EnOS needs about 30 s before it takes a new certificate; after this long a refusal is a refusal.
 */
#define NEW_FOR_S 75

/* 8 s doubling, as the service's own backoff; the connect budget goes before it. */
#define FIRST_WAIT_S 8
#define ATTEMPTS 5

#define SERVICE_TIMEOUT_S 60

static enum gk_status prove(struct enrolment *e, const char **by, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *reply = NULL;
    enum gk_status status = service_call(e->config, "reconnect", SERVICE_TIMEOUT_S, &reply, err);

    *by = "gatekeyd";
    if (status == GK_NO_SERVICE) {
        *by = "gatekey";
        status = agent_link_prove(e->config, e->openssl, AGENT_PAIR_CURRENT, e->secret.text, err);
    }
    return status;
}

/* A certificate that is too new looks like one that is not accepted. */
static bool may_come_right(const struct enrolment *e, enum gk_status status)
{
    int64_t age = time(NULL) - e->state.certified;

    switch ((int)status) {
    case GK_THROTTLED:
        return true;
    case GK_REVOKED:
    case GK_HUB_REFUSED:
        return age >= 0 && age < NEW_FOR_S;
    default:
        return false;
    }
}

static void say_accepted(const struct enrolment *e, const char *by)
{
    say_step(e->run, "the hub accepts this identity: connection made by %s over mutual TLS", by);
}

/* Is gatekeyd connected? If not, trouble says what it knows of why. */
static bool is_connected(const struct enrolment *e, struct gk_error *trouble)
{
    CLEANUP(json_freep) json_t *reply = NULL;

    return service_call(e->config, "status", SERVICE_TIMEOUT_S, &reply, NULL) == GK_OK &&
           service_trouble(reply, trouble) == GK_OK &&
           json_is_true(json_object_get(reply, "connected"));
}

/*
 * The hub accepted this identity before, and may have thought better of it: whoever runs enroll
 * again wants to know. Once, because nothing here is new that needs patience.
 */
static enum gk_status prove_again(struct enrolment *e, struct gk_error *err)
{
    struct gk_error known = { 0 };
    const char *by = "gatekeyd";
    enum gk_status status = is_connected(e, &known) ? GK_OK : prove(e, &by, err);

    if (status == GK_OK) {
        say_accepted(e, by);
        return GK_OK;
    }
    if (status != GK_THROTTLED) {
        return status;
    }
    if (known.status == GK_REVOKED || known.status == GK_HUB_CREDENTIALS) {
        *err = known;
        return known.status;
    }
    say_note(e->run, "the hub accepted this identity before; its connect limit does not allow "
                     "another look now");
    return GK_OK;
}

enum gk_status enrolment_proof(struct enrolment *e, struct gk_error *err)
{
    unsigned wait_s = FIRST_WAIT_S;
    enum gk_status status = GK_OK;
    const char *by = "";

    if (e->secret.size == 0) {
        gk_fail(err, GK_NOT_ENROLLED, "certificate %s is here, but no device secret",
                e->state.certificate_sn);
        gk_advise(err, "run gatekey enroll with --secret-file, or set [device] "
                       "product_secret_file, or [api]");
        return GK_NOT_ENROLLED;
    }
    if (e->state.stage == AGENT_STAGE_ENROLLED) {
        return prove_again(e, err);
    }
    for (int attempt = 1;; attempt++) {
        status = prove(e, &by, err);
        if (attempt == ATTEMPTS || !may_come_right(e, status)) {
            break;
        }
        say_note(e->run,
                 status == GK_THROTTLED
                     ? "the hub's connect limit asks for patience; trying again in %u s"
                     : "the hub does not take the new certificate yet; trying again in %u s",
                 wait_s);
        sleep(wait_s);
        wait_s *= 2;
    }
    if (status != GK_OK) {
        return status;
    }
    e->state.enrolled = time(NULL);
    status = enrolment_write(e, AGENT_STAGE_ENROLLED, err);
    if (status == GK_OK) {
        say_accepted(e, by);
    }
    return status;
}
