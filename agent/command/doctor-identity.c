/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey doctor looks at the identity: configuration, key, certificate, secret, state. */
#include "agent/command/doctor.h"

#include "agent/command/devicekey.h"
#include "agent/command/trust.h"
#include "agent/secret.h"

#include <inttypes.h>

#define DAY_S 86400

/* Where nobody but a person renews, there must be time to fetch one. */
#define WARN_FROM_S ((int64_t)60 * DAY_S)

void doctor_configuration(struct doctor *doctor, struct doctor_finding *finding)
{
    const struct agent_config *c = doctor->config;
    const struct {
        const char *value, *name;
    } needed[] = {
        { c->product_key, "[device] product_key" },
        { c->device_key, "[device] device_key" },
        { c->host, "[hub] host" },
    };

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        struct gk_error err = { 0 };

        if (agent_config_need(c, needed[i].value, needed[i].name, &err) != GK_OK) {
            doctor_fail(finding, &err);
            return;
        }
    }
    doctor_fine(finding, "%s", c->path != NULL ? c->path : "no file, so the defaults");
}

void doctor_tpm(struct doctor *doctor, struct doctor_finding *finding)
{
    struct gk_error err = doctor->no_tpm;
    struct gk_clock clock;

    if (doctor->admin != NULL) {
        err.status = gk_admin_clock(doctor->admin, &clock, &err);
    }
    if (err.status == GK_OK) {
        doctor_fine(finding, "%s, %" PRIu32 " starts so far", doctor->config->tcti, clock.resets);
    } else {
        doctor_fail(finding, &err);
    }
}

void doctor_key(struct doctor *doctor, struct doctor_finding *finding)
{
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    struct gk_error err = { 0 };
    enum gk_status status;

    if (!devicekey_is_ours_to_make(doctor->config)) {
        doctor_skip(finding, "%s is somebody else's to keep", doctor->config->key);
        return;
    }
    status = devicekey_read(doctor->config, &d, &err);
    if (status == GK_OK && d.key == NULL) {
        status = gk_fail(&err, GK_NO_KEY, "no device.pem in %s", doctor->config->directory);
    } else if (status == GK_OK && doctor->admin == NULL) {
        doctor_skip(finding, "without the TPM nobody knows");
        return;
    }
    if (status == GK_OK) {
        status = devicekey_look(doctor->admin, &d, &err);
    }
    if (status == GK_OK && d.held_status == GK_NO_KEY) {
        status = gk_fail(&err, GK_NO_KEY, "0x%08" PRIx32, d.handle);
    } else if (status == GK_OK && (d.held == NULL || !gk_key_identical(d.held, d.key))) {
        status = gk_fail(&err, GK_WRONG_KEY, "0x%08" PRIx32, d.handle);
    }
    if (status != GK_OK) {
        doctor_fail(finding, &err);
    } else {
        doctor_fine(finding, "at 0x%08" PRIx32, d.handle);
    }
}

/* The key itself is loaded by its URI: for gatekey's own that asks no TPM. */
static enum gk_status check_certificate(struct doctor *doctor, struct gk_error *err)
{
    EVP_PKEY *key = NULL;
    enum gk_status status = agent_openssl_load_key(doctor->openssl, doctor->config->key, &key, err);

    if (status == GK_OK) {
        status = certificate_check(doctor->config, doctor->openssl, doctor->certificate, key, err);
    }
    EVP_PKEY_free(key);
    return status;
}

void doctor_certificate(struct doctor *doctor, struct doctor_finding *finding)
{
    struct gk_error err = doctor->no_certificate;
    char text[TRUST_TIME_SIZE];

    if (doctor->certificate != NULL && certificate_end(doctor->certificate) < doctor->now) {
        trust_format_time(certificate_end(doctor->certificate), text);
        err.status = gk_fail(&err, GK_EXPIRED, "serial %s on %s",
                             certificate_serial(doctor->certificate), text);
    } else if (doctor->certificate != NULL) {
        err.status = check_certificate(doctor, &err);
    }
    if (err.status != GK_OK) {
        doctor_fail(finding, &err);
        return;
    }
    trust_format_time(certificate_end(doctor->certificate), text);
    doctor_fine(finding, "serial %s, valid until %s", certificate_serial(doctor->certificate),
                text);
}

void doctor_expiry(struct doctor *doctor, struct doctor_finding *finding)
{
    const struct agent_state *state = &doctor->state;
    int64_t left;

    if (doctor->certificate == NULL) {
        doctor_skip(finding, "there is no certificate");
        return;
    }
    left = certificate_end(doctor->certificate) - doctor->now;
    if (doctor->config->renew_by == AGENT_RENEW_HAND && left < WARN_FROM_S) {
        doctor_warn(finding,
                    "carry a new one in with gatekey csr and gatekey install, or let [renew] by "
                    "fetch it",
                    "%" PRId64 " days left, and nobody renews it by himself", left / DAY_S);
    } else if (state->failures > 0) {
        doctor_warn(finding, "run gatekey renew, which says why",
                    "%" PRId64 " days left, and the renewal failed %" PRId64 " times", left / DAY_S,
                    state->failures);
    } else {
        doctor_fine(finding, "%" PRId64 " days left", left / DAY_S);
    }
}

void doctor_secret(struct doctor *doctor, struct doctor_finding *finding)
{
    CLEANUP(agent_secret_clear) struct agent_secret secret = { 0 };
    struct gk_error err = { 0 };

    if (doctor->admin == NULL) {
        doctor_skip(finding, "without the TPM nobody knows");
        return;
    }
    if (agent_secret_load(doctor->config, &secret, &err) != GK_OK) {
        doctor_fail(finding, &err);
        return;
    }
    doctor_fine(finding, "sealed to %s",
                doctor->config->seal_pcrs != NULL ? doctor->config->seal_pcrs : "this TPM");
}

void doctor_state(struct doctor *doctor, struct doctor_finding *finding)
{
    const struct agent_state *state = &doctor->state;
    struct gk_error err = doctor->no_state;

    if (err.status == GK_OK && state->stage == AGENT_STAGE_RESETTING) {
        gk_fail(&err, GK_NOT_ENROLLED, "a reset was interrupted");
        gk_advise(&err, "run gatekey reset to finish it");
    } else if (err.status == GK_OK && state->stage != AGENT_STAGE_ENROLLED) {
        gk_fail(&err, GK_NOT_ENROLLED, "%s", agent_stage_name(state->stage));
    }
    if (err.status != GK_OK) {
        doctor_fail(finding, &err);
    } else if (state->renewal == AGENT_RENEWAL_NONE || state->renewal == AGENT_RENEWAL_OVERLAP) {
        doctor_fine(
            finding, "enrolled%s",
            state->renewal == AGENT_RENEWAL_NONE ? "" : "; the certificate before is still valid");
    } else {
        doctor_warn(finding, "run gatekey renew to go on with it", "a renewal is under way: %s",
                    agent_renewal_name(state->renewal));
    }
}
