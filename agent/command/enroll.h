/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of an enrolment, for gatekey enroll, csr and install. Each looks first whether it was
 * done, does it once, and leaves behind on disk what the next run needs to know, before it does
 * what cannot be taken back.
 *
 * One thread, under the lock of the identity directory. Errors: see error.h.
 */
#ifndef GATEKEY_COMMAND_ENROLL_H
#define GATEKEY_COMMAND_ENROLL_H

#include "agent/command/certificate.h"
#include "agent/command/command.h"
#include "agent/command/hub.h"
#include "agent/secret.h"
#include "agent/state.h"

struct enrolment {
    struct run *run;
    const struct agent_config *config;
    struct agent_openssl *openssl;
    struct hub *hub;         /* NULL until enrolment_hub() */
    EVP_PKEY *key;           /* the device key by its URI; NULL until enrolment_key() */
    const char *secret_file; /* --secret-file, or NULL */
    bool connects;           /* [hub] host will be needed */
    struct agent_state state;
    struct agent_secret secret; /* the device's; empty until enrolment_secret() has one */
};

/*
 * Check the configuration, take the lock (NULL: the caller holds it), make OpenSSL ready, and read
 * the state, which then says which device this directory is for. Fails with GK_BAD_CONFIG (what is
 * not set), GK_REFUSED (another device's), and as run_lock() does. enrolment_close() follows
 * whether it worked or not.
 */
enum gk_status enrolment_open(struct run *run, struct agent_lock **lock, struct enrolment *e,
                              struct gk_error *err) GK_MUST_CHECK;
void enrolment_close(struct enrolment *e);

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

/* The device key: made, or found, or another program's. */
enum gk_status enrolment_key(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

/*
 * The device secret: found, handed over, activated, or asked for; sealed and stored. Where nothing
 * says where it comes from it stays empty. activation.c
 */
enum gk_status enrolment_secret(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

/*
 * The certificate: found, or applied for, checked and installed. Fails with GK_NOT_ENROLLED, and
 * says what to carry where, when there is none and no API to ask. application.c
 */
enum gk_status enrolment_certificate(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

/*
 * Install one that was checked: the issuers first, then cert.pem, then identity.pem, then the
 * state; a certificate that it replaces is revoked last. installation.c
 */
enum gk_status enrolment_install(struct enrolment *e, const struct certificate *certificate,
                                 struct gk_error *err) GK_MUST_CHECK;

/* The same from cert.pem on, for a run that comes back to an installed one. */
enum gk_status enrolment_settle(struct enrolment *e, const struct certificate *certificate,
                                struct gk_error *err) GK_MUST_CHECK;

/* Revoke what is valid at the hub, ours by the state, and not this one. application.c */
enum gk_status enrolment_revoke_replaced(struct enrolment *e, const char *serial,
                                         struct gk_error *err) GK_MUST_CHECK;

/* The proving connection. Fails with GK_NOT_ENROLLED where the device secret is missing. proof.c */
enum gk_status enrolment_proof(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

/* All is done: say so. */
void enrolment_say_done(struct enrolment *e);

#endif
