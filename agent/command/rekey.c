/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey enroll --new-key: another key for a gateway whose certificate was revoked, has expired,
 * or whose key the TPM has lost.
 *
 * The state says "rekeying" before the old key is touched, and no more before the new one is made,
 * so that whoever is killed in between neither leaves a key nobody knows nor destroys the new one.
 */
#include "agent/command/devicekey.h"
#include "agent/command/enroll.h"
#include "agent/command/renew.h"
#include "agent/command/service.h"
#include "agent/crl.h"
#include "agent/link.h"

#include <time.h>

#define SERVICE_TIMEOUT_S 5

enum verdict { FINE, UNFIT, NOT_KNOWN };

/* What the files and the TPM say of the pair. */
static enum verdict judge_pair(struct enrolment *e)
{
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    struct gk_error why = { 0 };
    enum gk_status status = devicekey_read(e->config, &d, &why);

    if (status == GK_OK) {
        status = agent_admin_open(e->config, &admin, &why);
    }
    if (status == GK_OK) {
        status = devicekey_look(admin, &d, &why);
    }
    if (status != GK_OK) {
        return NOT_KNOWN;
    }
    if (d.key == NULL || d.held == NULL || !gk_key_identical(d.key, d.held)) {
        return UNFIT;
    }
    status = certificate_read(e->config, e->openssl, &certificate, &why);
    if (status == GK_OK) {
        status = agent_openssl_load_key(e->openssl, e->config->key, &e->key, &why);
    }
    if (status == GK_OK) {
        status = certificate_check(e->config, e->openssl, certificate, e->key, &why);
    }
    EVP_PKEY_free(TAKE(e->key));
    switch ((int)status) {
    case GK_OK:
        return FINE;
    case GK_NOT_ENROLLED:
    case GK_BAD_CERTIFICATE:
    case GK_EXPIRED:
        return UNFIT;
    default:
        return NOT_KNOWN;
    }
}

/* What the hub's list says of the certificate. */
static enum verdict judge_by_list(struct enrolment *e)
{
    CLEANUP(gk_freep) struct enos_record *records = calloc(HUB_RECORDS_MAX, sizeof(*records));
    struct gk_error why = { 0 };
    struct hub *hub = NULL;
    size_t count = 0;

    if (records == NULL || enrolment_hub(e, &hub, &why) != GK_OK ||
        hub_certificate_list(hub, records, &count, &why) != GK_OK) {
        return NOT_KNOWN;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(records[i].serial, e->state.certificate_sn) == 0) {
            return records[i].valid ? FINE : UNFIT;
        }
    }
    return UNFIT;
}

/* What a connection says: gatekeyd's, or one for this alone. */
static enum verdict judge_by_connection(struct enrolment *e)
{
    CLEANUP(json_freep) json_t *reply = NULL;
    CLEANUP(agent_secret_clear) struct agent_secret secret = { 0 };
    struct gk_error why = { 0 };
    enum gk_status status = service_call(e->config, "status", SERVICE_TIMEOUT_S, &reply, &why);

    if (status == GK_OK) {
        status = service_trouble(reply, &why);
        if (status == GK_OK && !json_is_true(json_object_get(reply, "connected"))) {
            return NOT_KNOWN;
        }
    } else {
        status = agent_secret_load(e->config, &secret, &why);
        if (status == GK_OK) {
            status = agent_link_init(&why);
        }
        if (status == GK_OK) {
            status = agent_link_prove(e->config, e->openssl, AGENT_PAIR_CURRENT, secret.text, &why);
        }
    }
    return status == GK_OK ? FINE : status == GK_REVOKED ? UNFIT : NOT_KNOWN;
}

static enum verdict judge(struct enrolment *e)
{
    enum verdict verdict = judge_pair(e);
    struct gk_error why = { 0 };
    bool listed = false;

    if (verdict == UNFIT ||
        (agent_crl_lists_own(e->config, e->openssl, &listed, &why) == GK_OK && listed)) {
        return UNFIT;
    }
    return hub_is_configured(e->config) ? judge_by_list(e) : judge_by_connection(e);
}

static enum gk_status ask(struct enrolment *e, bool yes, struct gk_error *err)
{
    char question[256];

    switch (judge(e)) {
    case UNFIT:
        return GK_OK;
    case FINE:
        snprintf(question, sizeof(question),
                 "Certificate %s is fine. This destroys its key; nothing can bring it back.",
                 e->state.certificate_sn);
        break;
    case NOT_KNOWN:
        snprintf(question, sizeof(question),
                 "Nothing says that certificate %s is revoked. This destroys its key; nothing can "
                 "bring it back.",
                 e->state.certificate_sn);
        break;
    }
    if (!yes) {
        say_note(e->run, "%s", question);
    }
    return ask_to_go_on(yes, question, err);
}

/* What the hub cannot be told by us, somebody must tell it. */
static void say_what_to_revoke(const struct enrolment *e)
{
    const struct agent_state *s = &e->state;

    if (!hub_is_configured(e->config)) {
        say_note(e->run,
                 "have certificate %s%s%s%s%s revoked at the hub, unless that is done already",
                 s->certificate_sn, s->next_sn[0] != '\0' ? " and " : "", s->next_sn,
                 s->old_sn[0] != '\0' ? " and " : "", s->old_sn);
    }
}

enum gk_status enrolment_finish_rekeying(struct enrolment *e, struct gk_error *err)
{
    bool evicted = false, more = false;
    enum gk_status status;

    if (e->state.rekeying == 0) {
        return GK_OK;
    }
    status = renewal_discard(e->run, &more, err);
    if (status == GK_OK) {
        status = devicekey_destroy(e->run, &evicted, err);
    }
    if (status != GK_OK) {
        return status;
    }
    say_step(e->run, evicted || more ? "old device key destroyed, and the TPM's handle is empty"
                                     : "the TPM did not hold the old device key any more");
    e->state.renewal = AGENT_RENEWAL_NONE;
    e->state.next_sn[0] = '\0';
    e->state.old_sn[0] = '\0';
    e->state.adopted = 0;
    e->state.rekeying = 0;
    return enrolment_write(e, AGENT_STAGE_APPLYING, err);
}

enum gk_status enrolment_rekey(struct enrolment *e, bool yes, struct gk_error *err)
{
    enum gk_status status;

    if (!devicekey_is_ours_to_make(e->config)) {
        gk_fail(err, GK_NOT_OFFERED, "[identity] key = %.100s", e->config->key);
        gk_advise(err, "this key is made and destroyed by the program that keeps it");
        return GK_NOT_OFFERED;
    }
    if (e->state.certificate_sn[0] == '\0') {
        gk_fail(err, GK_REFUSED, "no certificate stands on the device key");
        gk_advise(err, "run gatekey enroll; gatekey key delete gives the key up");
        return GK_REFUSED;
    }
    status = ask(e, yes, err);
    if (status != GK_OK) {
        return status;
    }
    say_what_to_revoke(e);
    e->state.rekeying = time(NULL);
    status = enrolment_write(e, AGENT_STAGE_APPLYING, err);
    return status == GK_OK ? enrolment_finish_rekeying(e, err) : status;
}
