/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey doctor looks at what is trusted, and at the time it is judged by. */
#include "agent/command/doctor.h"

#include "agent/clock-file.h"
#include "agent/clock.h"
#include "agent/command/trust.h"

#include <time.h>

/* A root's successor is known long before it is needed. */
#define ROOT_WARN_S ((int64_t)180 * 86400)

static void count_roots(const struct doctor *doctor, const struct agent_roots *roots, int *valid,
                        int *ending)
{
    *valid = *ending = 0;
    for (int i = 0; i < agent_roots_count(roots); i++) {
        int64_t begin, end;

        if (!agent_certificate_dates(agent_roots_at(roots, i), &begin, &end) || end < doctor->now ||
            begin > doctor->now) {
            continue;
        }
        ++*valid;
        *ending += end - doctor->now < ROOT_WARN_S;
    }
}

void doctor_roots(struct doctor *doctor, struct doctor_finding *finding)
{
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    struct gk_error err = { 0 };
    int valid, ending;
    char where[160];
    bool system;

    if (agent_roots_trusted(doctor->config, doctor->openssl, AGENT_TRUST_HUB, &roots, &system,
                            &err) != GK_OK) {
        doctor_fail(finding, &err);
        return;
    }
    agent_roots_describe(doctor->config, AGENT_TRUST_HUB, where, sizeof(where));
    count_roots(doctor, &roots, &valid, &ending);
    if (system) {
        doctor_fine(finding, "%s", where);
    } else if (valid == 0) {
        gk_fail(&err, GK_EXPIRED, "no root of the hub in %s is valid now", where);
        gk_advise(&err, "check the clock; a new root is made known with gatekey ca add");
        doctor_fail(finding, &err);
    } else if (valid == ending) {
        doctor_warn(finding, "ask the hub's operator for the root that follows",
                    "every root in %s ends within half a year", where);
    } else {
        doctor_fine(finding, "%d valid in %s", valid, where);
    }
}

void doctor_waiting(struct doctor *doctor, struct doctor_finding *finding)
{
    CLEANUP(agent_roots_clear) struct agent_roots pending = { 0 };
    char fingerprint[AGENT_FINGERPRINT_SHOWN_SIZE];
    struct gk_error err = { 0 };

    if (agent_roots_read(doctor->config, doctor->openssl, GK_FILE_PENDING_CA, &pending, &err) !=
        GK_OK) {
        doctor_fail(finding, &err);
    } else if (agent_roots_count(&pending) == 0) {
        doctor_fine(finding, "none");
    } else {
        agent_fingerprint_show(agent_roots_at(&pending, 0), fingerprint);
        doctor_warn(finding,
                    "compare fingerprints with the hub's operator, then run gatekey ca add "
                    "--ca-fingerprint, or gatekey ca remove",
                    "%d, the first with SHA-256 %s", agent_roots_count(&pending), fingerprint);
    }
}

static void look_at_list(struct doctor *doctor, enum refresh_kind kind,
                         struct doctor_finding *finding)
{
    bool stops = doctor->config->stale == AGENT_STOP;
    struct trust_list list;
    struct gk_error err = { 0 };

    trust_look_at_list(doctor->config, doctor->openssl, kind, &list);
    if (list.lists_own) {
        gk_fail(&err, GK_REVOKED, "its serial stands in %s", refresh_kind_file(kind));
        doctor_fail(finding, &err);
    } else if (list.standing == TRUST_NOT_CHECKED) {
        doctor_skip(finding, "not checked: %s", list.why);
    } else if (list.standing == TRUST_UNUSABLE) {
        gk_fail(&err, GK_BAD_CRL, "%s: %s", refresh_kind_file(kind), list.why);
        gk_advise(&err, "run gatekey refresh");
        doctor_fail(finding, &err);
    } else if (stops && (list.standing == TRUST_STALE || list.standing == TRUST_MISSING)) {
        gk_fail(&err, GK_STALE_CRL, "%s, and [trust] stale is stop", list.why);
        doctor_fail(finding, &err);
    } else if (list.standing != TRUST_FRESH) {
        doctor_warn(finding, "run gatekey refresh, and see why no newer one comes", "%s%s%s",
                    list.why, list.error[0] != '\0' ? "; " : "", list.error);
    } else if (list.error[0] != '\0') {
        doctor_warn(finding, "run gatekey refresh", "%s, but the last refresh failed: %s", list.why,
                    list.error);
    } else {
        doctor_fine(finding, "%s", list.why);
    }
}

void doctor_crl(struct doctor *doctor, struct doctor_finding *finding)
{
    look_at_list(doctor, REFRESH_CRL, finding);
}

void doctor_server_crl(struct doctor *doctor, struct doctor_finding *finding)
{
    look_at_list(doctor, REFRESH_SERVER_CRL, finding);
}

void doctor_clock(struct doctor *doctor, struct doctor_finding *finding)
{
    struct agent_clock_record record;
    int64_t floor = agent_clock_floor(doctor->config);
    struct gk_error err = { 0 };
    char text[TRUST_TIME_SIZE];

    trust_format_time(floor, text);
    if ((int64_t)time(NULL) < floor) {
        gk_fail(&err, GK_CLOCK_WRONG, "it stands before %s, which has passed", text);
        doctor_fail(finding, &err);
        return;
    }
    if (agent_clock_read(doctor->config->state_directory, &record, &err) == GK_OK &&
        record.report.stands) {
        doctor_warn(finding, "see that the clock is right, then run gatekey clock accept", "%s",
                    record.report.detail);
        return;
    }
    doctor_fine(finding, "not before %s", text);
}
