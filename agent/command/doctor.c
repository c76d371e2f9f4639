/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey doctor: runs every check, says what each found, and ends by the worst. */
#include "agent/command/doctor.h"

#include "agent/clock.h"
#include "agent/secret.h"

#include <stdarg.h>

static const struct {
    const char *id, *description;
    doctor_check *look;
} checks[] = {
    { "configuration", "what must be set is set", doctor_configuration },
    { "tpm", "the TPM answers", doctor_tpm },
    { "key", "the TPM holds the device key", doctor_key },
    { "certificate", "it is for that key, issued by a known CA, and valid", doctor_certificate },
    { "expiry", "somebody renews it in time", doctor_expiry },
    { "secret", "the TPM opens the device secret", doctor_secret },
    { "state", "nothing was interrupted", doctor_state },
    { "roots", "the hub's roots are there and valid", doctor_roots },
    { "waiting", "no root waits for approval", doctor_waiting },
    { "crl", "our issuer's revocation list is current, without us", doctor_crl },
    { "server-crl", "the revocation list for the hub is current", doctor_server_crl },
    { "clock", "the clock is not behind what has passed, and was not set", doctor_clock },
    { "service", "gatekeyd is connected", doctor_service },
    { "broker", "applications have a broker", doctor_broker },
    { "groups", "the groups that share the files are there", doctor_groups },
    { "timers", "renewal and refresh are started by systemd", doctor_timers },
    { "modes", "secrets are for their owners alone", doctor_modes },
};

#define CHECK_COUNT (sizeof(checks) / sizeof(checks[0]))

static const char *const grades[] = {
    [DOCTOR_OK] = "ok",
    [DOCTOR_SKIPPED] = "skipped",
    [DOCTOR_WARNING] = "warning",
    [DOCTOR_FATAL] = "fatal",
};

void doctor_fine(struct doctor_finding *finding, const char *format, ...)
{
    va_list arguments;

    finding->grade = DOCTOR_OK;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof(finding->text), format, arguments);
    va_end(arguments);
}

void doctor_skip(struct doctor_finding *finding, const char *format, ...)
{
    va_list arguments;

    finding->grade = DOCTOR_SKIPPED;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof(finding->text), format, arguments);
    va_end(arguments);
}

void doctor_warn(struct doctor_finding *finding, const char *advice, const char *format, ...)
{
    va_list arguments;

    finding->grade = DOCTOR_WARNING;
    snprintf(finding->advice, sizeof(finding->advice), "%s", advice);
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof(finding->text), format, arguments);
    va_end(arguments);
}

/* Cause and advice apart, as the table of findings shows them. */
static void take_error(struct doctor_finding *finding, const struct gk_error *err)
{
    snprintf(finding->text, sizeof(finding->text), "%s%s%s%s", gk_status_cause(err->status),
             err->object[0] != '\0' ? " (" : "", err->object, err->object[0] != '\0' ? ")" : "");
    snprintf(finding->advice, sizeof(finding->advice), "%s",
             err->advice[0] != '\0' ? err->advice : gk_status_advice(err->status));
}

void doctor_fail(struct doctor_finding *finding, const struct gk_error *err)
{
    finding->grade = DOCTOR_FATAL;
    finding->err = *err;
    take_error(finding, err);
}

void doctor_doubt(struct doctor_finding *finding, const struct gk_error *err)
{
    finding->grade = DOCTOR_WARNING;
    take_error(finding, err);
}

/* What the checks share; that something is missing is for them to say. */
static enum gk_status prepare(struct doctor *doctor, struct gk_error *err)
{
    enum gk_status status = run_openssl(doctor->run, &doctor->openssl, err);

    if (status != GK_OK) {
        return status;
    }
    doctor->now = agent_clock_now(doctor->config);
    doctor->no_tpm.status = agent_admin_open(doctor->config, &doctor->admin, &doctor->no_tpm);
    doctor->no_state.status =
        agent_state_read(doctor->config->directory, &doctor->state, &doctor->no_state);
    doctor->no_certificate.status = certificate_read(doctor->config, doctor->openssl,
                                                     &doctor->certificate, &doctor->no_certificate);
    return GK_OK;
}

static void clear(struct doctor *doctor)
{
    certificate_free(doctor->certificate);
    gk_admin_close(doctor->admin);
}

static void show(struct run *run, json_t *list, size_t index, const struct doctor_finding *finding)
{
    say_line(run, "%-8s %-14s %s%s%s", grades[finding->grade], checks[index].id, finding->text,
             finding->advice[0] != '\0' ? "; " : "", finding->advice);
    json_array_append_new(list,
                          json_pack("{ss ss ss ss ss}", "id", checks[index].id, "description",
                                    checks[index].description, "result", grades[finding->grade],
                                    "detail", finding->text, "advice", finding->advice));
}

enum gk_status command_doctor(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(clear) struct doctor doctor = { .run = run, .config = run->config };
    enum doctor_grade worst = DOCTOR_OK;
    struct gk_error first = { 0 };
    json_t *list = json_array();
    enum gk_status status = words_read(run, argc, argv, NULL, 0, 0, NULL, err);

    say_member(run, "checks", list);
    if (status == GK_OK) {
        status = prepare(&doctor, err);
    }
    if (status != GK_OK) {
        return status;
    }
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        struct doctor_finding finding = { 0 };

        checks[i].look(&doctor, &finding);
        show(run, list, i, &finding);
        if (finding.grade == DOCTOR_FATAL &&
            (first.status == GK_OK || finding.err.status == GK_REVOKED)) {
            first = finding.err;
        }
        worst = finding.grade > worst ? finding.grade : worst;
    }
    say_text(run, "worst", grades[worst]);
    *err = first;
    return first.status;
}
