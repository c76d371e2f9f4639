/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate: applied for once, checked before it is believed, installed so that a crash
 * leaves none that nobody holds.
 *
 * Before the first application the state notes which valid certificates of this device were there
 * already
 * ("others"), and that we are about to apply. Whoever comes back later finds by the hub's list what
 * was issued to us and never arrived, and revokes it before asking anew. An installed one that no
 * longer fits is revoked last, when another is in its place.
 */
#include "agent/command/certificate.h"
#include "agent/command/enroll.h"

static bool is_held(const struct agent_state *state, const char *serial)
{
    return strcmp(serial, state->certificate_sn) == 0 || strcmp(serial, state->next_sn) == 0 ||
           strcmp(serial, state->old_sn) == 0 || agent_state_is_unrevoked(state, serial);
}

enum gk_status enrolment_note_others(struct enrolment *e, const struct enos_record *records,
                                     size_t count, struct gk_error *err)
{
    size_t used = 0;

    e->state.others[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (!records[i].valid || is_held(&e->state, records[i].serial)) {
            continue;
        }
        used += (size_t)snprintf(e->state.others + used, sizeof(e->state.others) - used, "%s%s",
                                 used > 0 ? " " : "", records[i].serial);
        if (used >= sizeof(e->state.others)) {
            e->state.others[0] = '\0';
            gk_fail(err, GK_HUB_REFUSED, "this device has too many valid certificates");
            gk_advise(err, "revoke those at the hub that nobody uses");
            return GK_HUB_REFUSED;
        }
    }
    e->state.settled = 0;
    return GK_OK;
}

/* Left alone, but somebody should know. */
static void say_others(const struct enrolment *e)
{
    if (e->state.others[0] != '\0' && e->state.replaced[0] == '\0') {
        say_note(e->run,
                 "this device has valid certificates that this gateway does not hold "
                 "(serial %s); revoke them at the hub if nobody uses them, or with gatekey enroll "
                 "--replace if this gateway takes the place of another",
                 e->state.others);
    }
}

/*
 * Ours by the write-ahead, but not in our hands. The one that is (spare, which may be empty) stays
 * valid until another is in its place: a wrong clock is enough to find fault with it.
 */
static enum gk_status revoke_orphans(struct enrolment *e, struct hub *hub,
                                     const struct enos_record *records, size_t count,
                                     const char *spare, struct gk_error *err)
{
    for (size_t i = 0; i < count; i++) {
        enum gk_status status;

        if (!records[i].valid || strcmp(records[i].serial, spare) == 0 ||
            agent_state_knows_other(&e->state, records[i].serial) ||
            agent_state_is_unrevoked(&e->state, records[i].serial)) {
            continue;
        }
        status = hub_certificate_revoke(hub, records[i].serial, ENOS_SUPERSEDED, err);
        if (status != GK_OK) {
            return status;
        }
        say_step(e->run, "certificate %s, which this gateway cannot use, revoked at the hub",
                 records[i].serial);
    }
    return GK_OK;
}

enum gk_status enrolment_list(struct enrolment *e, struct hub **hub, struct enos_record **records,
                              size_t *count, struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *made = calloc(HUB_RECORDS_MAX, sizeof(*made));
    enum gk_status status;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = enrolment_hub(e, hub, err);
    if (status == GK_OK) {
        status = hub_certificate_list(*hub, made, count, err);
    }
    if (status == GK_OK) {
        *records = TAKE(made);
    }
    return status;
}

static enum gk_status prepare(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = NULL;
    struct hub *hub;
    size_t count;
    enum gk_status status = enrolment_list(e, &hub, &records, &count, err);

    if (status != GK_OK) {
        return status;
    }
    if (e->state.stage >= AGENT_STAGE_APPLYING && e->state.settled == 0) {
        return revoke_orphans(e, hub, records, count, e->state.certificate_sn, err);
    }
    status = enrolment_note_others(e, records, count, err);
    if (status == GK_OK) {
        say_others(e);
    }
    return status;
}

enum gk_status enrolment_revoke_replaced(struct enrolment *e, const char *serial,
                                         struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = NULL;
    struct hub *hub;
    size_t count;
    enum gk_status status = enrolment_list(e, &hub, &records, &count, err);

    return status == GK_OK ? revoke_orphans(e, hub, records, count, serial, err) : status;
}

/* What the hub sent must be what was asked for. */
static enum gk_status check_reply(struct enrolment *e, const struct certificate *certificate,
                                  const char *serial, struct gk_error *err)
{
    enum gk_status status = certificate_check(e->config, e->openssl, certificate, e->key, err);

    if (status != GK_OK) {
        return status;
    }
    if (strcmp(certificate_serial(certificate), serial) != 0) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "its serial is %s, but the hub says %s",
                       certificate_serial(certificate), serial);
    }
    if (strcmp(certificate_subject_name(certificate), e->state.common_name) != 0) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "it is for %.80s, but %s was asked for",
                       certificate_subject_name(certificate), e->state.common_name);
    }
    return GK_OK;
}

/* One application, announced in the state before it is sent. */
static enum gk_status apply(struct enrolment *e, struct hub *hub, const char *suffix,
                            struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    CLEANUP(gk_freep) char *csr = NULL;
    CLEANUP(json_freep) json_t *data = NULL;
    struct enos_certificate reply;
    enum gk_status status = certificate_common_name(e->config, suffix, e->state.common_name, err);

    if (status == GK_OK) {
        status =
            certificate_request(e->config, e->openssl, e->key, e->state.common_name, &csr, err);
    }
    if (status == GK_OK) {
        status = enrolment_write(e, AGENT_STAGE_APPLYING, err);
    }
    if (status == GK_OK) {
        status = hub_certificate_apply(hub, csr, &data, &reply, err);
    }
    if (status == GK_OK) {
        status = certificate_parse(e->openssl, reply.certificate, reply.issuer, &certificate, err);
    }
    if (status == GK_OK) {
        status = check_reply(e, certificate, reply.serial, err);
    }
    if (status != GK_OK) {
        return status;
    }
    say_step(e->run, "certificate %s issued by the hub for %s", certificate_serial(certificate),
             e->state.common_name);
    return enrolment_install(e, certificate, err);
}

static enum gk_status apply_with_any_name(struct enrolment *e, struct gk_error *err)
{
    struct hub *hub;
    enum gk_status status = enrolment_hub(e, &hub, err);
    char suffix[CERTIFICATE_SUFFIX_SIZE];

    if (status == GK_OK) {
        status = prepare(e, err);
    }
    if (status == GK_OK) {
        status = apply(e, hub, NULL, err);
    }
    if (status == GK_DUPLICATE_SUBJECT) {
        certificate_suffix(suffix);
        say_note(e->run, "the hub has issued a certificate for %s before; asking for %s%s",
                 e->state.common_name, e->state.common_name, suffix);
        status = apply(e, hub, suffix, err);
    }
    return status;
}

/* The state names what is installed, before another is asked for in its place. */
static void note_installed(struct enrolment *e, const struct certificate *installed, bool exists)
{
    if (!exists) {
        e->state.certificate_sn[0] = '\0';
    } else if (installed != NULL) {
        snprintf(e->state.certificate_sn, sizeof(e->state.certificate_sn), "%s",
                 certificate_serial(installed));
    }
}

/* Without an API a certificate comes by somebody's hands. */
static enum gk_status say_what_to_carry(struct enrolment *e, struct gk_error *err)
{
    gk_fail(err, GK_NOT_ENROLLED,
            "no certificate for device %s of product %s, and no [api] to ask for one",
            e->state.device_key, e->state.product_key);
    gk_advise(err,
              "carry what gatekey csr writes to the hub's operator, and the certificate issued "
              "for it back here, with gatekey install FILE");
    return GK_NOT_ENROLLED;
}

enum gk_status enrolment_certificate(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *installed = NULL;
    struct gk_error why = { 0 };
    enum gk_status status = certificate_read(e->config, e->openssl, &installed, &why);

    if (status == GK_OK) {
        status = certificate_check(e->config, e->openssl, installed, e->key, &why);
    }
    if (status == GK_OK) {
        say_step(e->run, "certificate %s found", certificate_serial(installed));
        return enrolment_settle(e, installed, err);
    }
    if (status != GK_BAD_CERTIFICATE && status != GK_EXPIRED && status != GK_NOT_ENROLLED) {
        *err = why;
        return status;
    }
    if (status != GK_NOT_ENROLLED) {
        say_note(e->run, "the installed certificate cannot be used (%s); a new one is needed",
                 why.object);
    }
    note_installed(e, installed, status != GK_NOT_ENROLLED);
    return hub_is_configured(e->config) ? apply_with_any_name(e, err) : say_what_to_carry(e, err);
}
