/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey doctor: a table of checks, each a function that looks at one thing and gives a finding.
 *
 * A check changes nothing, and depends on no other: what it needs and cannot have makes it skipped.
 * One thread.
 */
#ifndef GATEKEY_COMMAND_DOCTOR_H
#define GATEKEY_COMMAND_DOCTOR_H

#include "agent/command/certificate.h"
#include "agent/command/command.h"
#include "agent/state.h"
#include "tpm/admin.h"

#include <stdint.h>

/* From best to worst. */
enum doctor_grade { DOCTOR_OK, DOCTOR_SKIPPED, DOCTOR_WARNING, DOCTOR_FATAL };

struct doctor_finding {
    enum doctor_grade grade;
    char text[512];      /* what was found */
    struct gk_error err; /* of what is fatal */
    char advice[256];    /* what to do; empty where nothing is */
};

/* What several checks look at, read once. */
struct doctor {
    struct run *run;
    const struct agent_config *config;
    struct agent_openssl *openssl;
    struct gk_admin *admin; /* NULL: no TPM answers */
    struct gk_error no_tpm; /* and why */
    struct agent_state state;
    struct gk_error no_state;        /* why state is not known */
    struct certificate *certificate; /* NULL: none, or it makes no sense */
    struct gk_error no_certificate;
    int64_t now; /* agent_clock_now() */
};

/* How a check ends. */
void doctor_fine(struct doctor_finding *finding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void doctor_skip(struct doctor_finding *finding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void doctor_warn(struct doctor_finding *finding, const char *advice, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void doctor_fail(struct doctor_finding *finding, const struct gk_error *err);
/* A warning in the words of a failure. */
void doctor_doubt(struct doctor_finding *finding, const struct gk_error *err);

typedef void doctor_check(struct doctor *doctor, struct doctor_finding *finding);

/* The identity: doctor-identity.c */
doctor_check doctor_configuration, doctor_tpm, doctor_key, doctor_certificate, doctor_expiry;
doctor_check doctor_secret, doctor_state;
/* What is trusted, and the time: doctor-trust.c */
doctor_check doctor_roots, doctor_waiting, doctor_crl, doctor_server_crl, doctor_clock;
/* The machine: doctor-system.c */
doctor_check doctor_service, doctor_broker, doctor_groups, doctor_timers, doctor_modes;

#endif
