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
#include "agent/file.h"
#include "identity/identity.h"

#include <inttypes.h>
#include <time.h>

/* Valid certificates from before our time: noted, and left alone. */
static enum gk_status note_others(struct enrolment *e, const struct enos_record *records,
                                  size_t count, struct gk_error *err)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        if (!records[i].valid) {
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
    if (used > 0) {
        say_note(e->run,
                 "this device has valid certificates that this gateway does not hold "
                 "(serial %s); revoke them at the hub if nobody uses them",
                 e->state.others);
    }
    return GK_OK;
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
            agent_state_knows_other(&e->state, records[i].serial)) {
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

static enum gk_status prepare(struct enrolment *e, struct hub *hub, struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = calloc(HUB_RECORDS_MAX, sizeof(*records));
    size_t count = 0;
    enum gk_status status;

    if (records == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = hub_certificate_list(hub, records, &count, err);
    if (status != GK_OK) {
        return status;
    }
    return e->state.stage < AGENT_STAGE_APPLYING
               ? note_others(e, records, count, err)
               : revoke_orphans(e, hub, records, count, e->state.certificate_sn, err);
}

/* Another is installed, so that the one before, which the state still names, can go. */
static enum gk_status revoke_replaced(struct enrolment *e, const char *serial, struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = calloc(HUB_RECORDS_MAX, sizeof(*records));
    struct hub *hub;
    size_t count = 0;
    enum gk_status status;

    if (records == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = enrolment_hub(e, &hub, err);
    if (status == GK_OK) {
        status = hub_certificate_list(hub, records, &count, err);
    }
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

/* Key reference and certificate in one file, for programs that take one. */
static enum gk_status write_identity(struct enrolment *e, const char *chain, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content key = { 0 };
    CLEANUP(gk_content_clear) struct gk_content there = { 0 };
    CLEANUP(gk_freep) char *both = NULL;
    enum gk_status status = gk_identity_read(e->config->directory, GK_FILE_DEVICE, &key, err);

    if (status == GK_NO_FILE) {
        return GK_OK; /* the key is another program's, which has no file of ours */
    }
    if (status != GK_OK) {
        return status;
    }
    if (asprintf(&both, "%s%s", key.data, chain) < 0) {
        both = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = gk_identity_read(e->config->directory, GK_FILE_IDENTITY, &there, err);
    if (status == GK_OK && strcmp(there.data, both) == 0) {
        return GK_OK;
    }
    return agent_file_replace(e->config->directory, GK_FILE_IDENTITY, both, strlen(both),
                              AGENT_FOR_ALL, err);
}

/* Whoever finds cert.pem also finds what it is checked by; the state follows when all is there. */
static enum gk_status install(struct enrolment *e, const struct certificate *certificate,
                              struct gk_error *err)
{
    const char *directory = e->config->directory;
    CLEANUP(gk_freep) char *chain = certificate_format_chain(certificate);
    CLEANUP(gk_freep) char *issuers = certificate_format_issuers(certificate);
    enum gk_status status;

    if (chain == NULL || issuers == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = agent_file_replace(directory, GK_FILE_ISSUER_CA, issuers, strlen(issuers),
                                AGENT_FOR_ALL, err);
    if (status == GK_OK) {
        status = agent_file_replace(directory, GK_FILE_CERTIFICATE, chain, strlen(chain),
                                    AGENT_FOR_ALL, err);
    }
    return status;
}

/* The rest of installing, which a run that comes back does again. */
static enum gk_status settle(struct enrolment *e, const struct certificate *certificate,
                             struct gk_error *err)
{
    CLEANUP(gk_freep) char *chain = certificate_format_chain(certificate);
    const char *serial = certificate_serial(certificate);
    enum gk_status status;

    if (chain == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = write_identity(e, chain, err);
    if (status != GK_OK ||
        (e->state.stage >= AGENT_STAGE_CERTIFIED && strcmp(e->state.certificate_sn, serial) == 0)) {
        return status;
    }
    if (e->state.stage == AGENT_STAGE_APPLYING && e->state.certificate_sn[0] != '\0' &&
        strcmp(e->state.certificate_sn, serial) != 0) {
        status = revoke_replaced(e, serial, err);
    }
    if (status != GK_OK) {
        return status;
    }
    snprintf(e->state.certificate_sn, sizeof(e->state.certificate_sn), "%s", serial);
    e->state.certified = time(NULL);
    return enrolment_write(e, AGENT_STAGE_CERTIFIED, err);
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
    if (status == GK_OK) {
        status = install(e, certificate, err);
    }
    if (status != GK_OK) {
        return status;
    }
    say_step(e->run, "certificate %s issued by the hub for %s", certificate_serial(certificate),
             e->state.common_name);
    return settle(e, certificate, err);
}

/* Unlike any other name that was ever asked for, whichever gateway asks. */
static void make_suffix(char suffix[static 16])
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(suffix, 16, "-%" PRIx64,
             ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) & 0xfffffffffff);
}

static enum gk_status apply_with_any_name(struct enrolment *e, struct gk_error *err)
{
    struct hub *hub;
    enum gk_status status = enrolment_hub(e, &hub, err);
    char suffix[16];

    if (status == GK_OK) {
        status = prepare(e, hub, err);
    }
    if (status == GK_OK) {
        status = apply(e, hub, NULL, err);
    }
    if (status == GK_DUPLICATE_SUBJECT) {
        make_suffix(suffix);
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
        return settle(e, installed, err);
    }
    if (status != GK_BAD_CERTIFICATE && status != GK_EXPIRED && status != GK_NOT_ENROLLED) {
        *err = why;
        return status;
    }
    if (status != GK_NOT_ENROLLED) {
        say_note(e->run, "the installed certificate cannot be used (%s); a new one is asked for",
                 why.object);
    }
    note_installed(e, installed, status != GK_NOT_ENROLLED);
    return apply_with_any_name(e, err);
}
