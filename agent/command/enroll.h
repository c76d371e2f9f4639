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
    bool unattended;         /* nobody decides: a secret that cannot be opened is not sealed anew */
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

/*
 * The hub, and its list of this device's certificates, HUB_RECORDS_MAX of them at most: records is
 * the caller's to free(3). application.c
 */
enum gk_status enrolment_list(struct enrolment *e, struct hub **hub, struct enos_record **records,
                              size_t *count, struct gk_error *err) GK_MUST_CHECK;

/* Revoke what is valid at the hub, ours by the state, and not this one. application.c */
enum gk_status enrolment_revoke_replaced(struct enrolment *e, const char *serial,
                                         struct gk_error *err) GK_MUST_CHECK;

/*
 * Note which valid certificates of the device are held by others, for the next write of the state.
 * Fails with GK_HUB_REFUSED (too many). application.c
 */
enum gk_status enrolment_note_others(struct enrolment *e, const struct enos_record *records,
                                     size_t count, struct gk_error *err) GK_MUST_CHECK;

/*
 * Take the device over from another gateway: ask whether that is meant, note what is to be revoked
 * and why. enrolment_revoke_others() does it when the hub has accepted this one, or says who should
 * where there is no API. Fails with GK_USAGE (no such reason), GK_REFUSED. replacement.c
 */
enum gk_status enrolment_replace(struct enrolment *e, bool yes, const char *reason,
                                 struct gk_error *err) GK_MUST_CHECK;
enum gk_status enrolment_revoke_others(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

/*
 * Destroy the device key, so that enrolment_key() makes another: asks first, unless the pair in use
 * is of no use any more. Fails with GK_REFUSED, GK_NOT_OFFERED (another program's key).
 * enrolment_finish_rekeying() goes on where that was interrupted. rekey.c
 */
enum gk_status enrolment_rekey(struct enrolment *e, bool yes, struct gk_error *err) GK_MUST_CHECK;
enum gk_status enrolment_finish_rekeying(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

/* The proving connection. Fails with GK_NOT_ENROLLED where the device secret is missing. proof.c */
enum gk_status enrolment_proof(struct enrolment *e, struct gk_error *err) GK_MUST_CHECK;

/* All is done: say so. */
void enrolment_say_done(struct enrolment *e);

#endif
