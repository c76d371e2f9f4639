/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of gatekey enroll. Each looks first whether it was done, does it once, and leaves
 * behind on disk what the next run needs to know, before it does what cannot be taken back.
 *
 * One thread, under the lock of the identity directory. Errors: see error.h.
 */
#ifndef GATEKEY_COMMAND_ENROLL_H
#define GATEKEY_COMMAND_ENROLL_H

#include "agent/command/command.h"
#include "agent/command/hub.h"
#include "agent/secret.h"
#include "agent/state.h"

struct enrolment {
    struct run *run;
    const struct agent_config *config;
    struct agent_openssl *openssl;
    struct hub *hub;         /* NULL until enrolment_hub() */
    EVP_PKEY *key;           /* the device key by its URI */
    const char *secret_file; /* --secret-file, or NULL */
    struct agent_state state;
    struct agent_secret secret; /* the device's */
};

/* The hub's API, connected to when it is first needed. Fails as hub_new() does. */
enum gk_status enrolment_hub(struct enrolment *e, struct hub **hub,
                             struct gk_error *err) GK_MUST_CHECK;

/* Store the state durably. */
enum gk_status enrolment_write(struct enrolment *e, enum agent_stage stage,
                               struct gk_error *err) GK_MUST_CHECK;

/*
 * For a caller that holds the lock: take all steps once more, which finds fault with an expired
 * certificate and applies for another. enroll.c
 */
enum gk_status enroll_again(struct run *run, struct gk_error *err) GK_MUST_CHECK;

/* The device secret: found, handed over, activated, or asked for; sealed and stored. activation.c
 */
enum gk_status enrolment_secret(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

/* The certificate: found, or applied for, checked and installed. application.c */
enum gk_status enrolment_certificate(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

/* The proving connection. proof.c */
enum gk_status enrolment_proof(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

#endif
