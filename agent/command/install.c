/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey install: a certificate that was asked for by csr is carried in by somebody, or one that
 * a renewal asked for by event came over MQTT and waits in the inbox.
 */
#include "agent/command/enroll.h"
#include "agent/command/inbox.h"
#include "agent/command/next.h"
#include "agent/command/renew.h"
#include "agent/enos/rest.h"
#include "agent/file.h"
#include "agent/link.h"

/* The most that a file with a certificate and its chain may hold, bytes. */
#define FILE_MAX ((size_t)64 * 1024)

/* What came, from wherever: PEM texts, borrowed. */
struct delivery {
    const char *pem, *issuers; /* issuers: NULL where pem holds all */
    const char *serial;        /* what whoever sent it says; NULL: nothing */
    const char *fingerprint;   /* --ca-fingerprint, or NULL */
};

static enum gk_status refuse_unasked(const struct enrolment *e, struct gk_error *err)
{
    if (e->state.common_name[0] != '\0') {
        return GK_OK;
    }
    gk_fail(err, GK_NOT_ENROLLED, "no certificate was asked for here");
    gk_advise(err, "run gatekey csr, have that signed, and install what comes back");
    return GK_NOT_ENROLLED;
}

/* An enrolled gateway may have asked with the key that a renewal made. */
static enum gk_status load_key(struct enrolment *e, struct gk_error *err)
{
    if (e->key != NULL) {
        return GK_OK;
    }
    return e->state.stage == AGENT_STAGE_ENROLLED ? next_key(e->run, &e->key, err)
                                                  : enrolment_key(e, err);
}

/* What came must be the answer to what was asked. */
static enum gk_status accept(struct enrolment *e, const struct delivery *delivery,
                             struct certificate **certificate, struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *c = NULL;
    enum gk_status status = refuse_unasked(e, err);

    if (status == GK_OK) {
        status = load_key(e, err);
    }
    if (status == GK_OK) {
        status = certificate_accept(
            e->config, e->openssl,
            &(struct certificate_wanted){ e->key, e->state.common_name, delivery->fingerprint },
            delivery->pem, delivery->issuers, &c, err);
    }
    if (status == GK_OK && delivery->serial != NULL &&
        strcmp(certificate_serial(c), delivery->serial) != 0) {
        status = gk_fail(err, GK_BAD_CERTIFICATE, "its serial is %s, but it was sent as %s",
                         certificate_serial(c), delivery->serial);
    }
    if (status == GK_OK) {
        *certificate = TAKE(c);
    }
    return status;
}

/* --- one file that somebody carried in ----------------------------------------------------------
 */

/* An enrolment goes on from here as gatekey enroll would. */
static enum gk_status enrol(struct enrolment *e, const struct certificate *certificate,
                            struct gk_error *err)
{
    enum gk_status status = enrolment_install(e, certificate, err);

    if (status == GK_OK) {
        say_step(e->run, "certificate %s installed for %s", certificate_serial(certificate),
                 e->state.common_name);
        status = agent_link_init(err);
    }
    if (status == GK_OK) {
        status = enrolment_secret(e, err);
    }
    if (status == GK_OK) {
        status = enrolment_proof(e, err);
    }
    if (status == GK_OK) {
        status = enrolment_revoke_others(e, err);
    }
    if (status == GK_OK) {
        enrolment_say_done(e);
    }
    return status;
}

/* On an enrolled gateway it is a renewal, and this has nothing to do with the secret. */
static enum gk_status renew(struct enrolment *e, const struct certificate *certificate,
                            struct gk_error *err)
{
    if (e->secret_file != NULL) {
        gk_fail(err, GK_USAGE, "this gateway is enrolled");
        gk_advise(err, "give it another device secret with gatekey enroll --secret-file");
        return GK_USAGE;
    }
    say_text(e->run, "certSN", certificate_serial(certificate));
    return renewal_take(e->run, certificate, false, err);
}

/* The last step of an enrolment may have been interrupted just after it was done. */
static bool is_renewal(const struct enrolment *e, const struct certificate *certificate)
{
    return e->state.stage == AGENT_STAGE_ENROLLED &&
           (e->secret_file == NULL ||
            strcmp(certificate_serial(certificate), e->state.certificate_sn) != 0);
}

static enum gk_status install_file(struct enrolment *e, const char *path, const char *fingerprint,
                                   struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    enum gk_status status = agent_file_read(path, FILE_MAX, &content, err);

    if (status == GK_OK && strstr((const char *)content.data, "-----BEGIN ") == NULL) {
        gk_fail(err, GK_BAD_CERTIFICATE, "%s holds none in PEM", path);
        gk_advise(err, "name the file that the hub's operator sent; of DER, openssl x509 -inform "
                       "DER makes PEM");
        return GK_BAD_CERTIFICATE;
    }
    if (status == GK_OK) {
        status = accept(e, &(struct delivery){ content.data, NULL, NULL, fingerprint },
                        &certificate, err);
    }
    if (status != GK_OK) {
        return status;
    }
    return is_renewal(e, certificate) ? renew(e, certificate, err) : enrol(e, certificate, err);
}

/* --- what waits in the inbox --------------------------------------------------------------------
 */

/* Is a certificate where it is found again, so that its letter is no longer needed? */
static bool is_kept(struct enrolment *e, const char *serial)
{
    struct gk_error err = { 0 };

    return agent_state_read(e->config->directory, &e->state, &err) == GK_OK &&
           (strcmp(e->state.next_sn, serial) == 0 || strcmp(e->state.certificate_sn, serial) == 0);
}

/* Reasons that lie in the letter, or in what stands here: it will be no better another time. */
static bool is_hopeless(enum gk_status status)
{
    switch ((int)status) {
    case GK_BAD_FILE:
    case GK_HUB_GARBLED:
    case GK_BAD_CERTIFICATE:
    case GK_EXPIRED:
    case GK_NOT_ENROLLED:
    case GK_HUB_REFUSED: /* it was tried: the next one comes when it was asked for */
    case GK_BUSY:        /* the overlap of the last renewal is not over: nothing was asked for */
        return true;
    default:
        return false;
    }
}

/* *done: the letter is not needed any more, whatever became of it. */
static enum gk_status take_letter(struct enrolment *e, const struct inbox *inbox, size_t index,
                                  bool *done, struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(json_freep) json_t *letter = NULL;
    struct enos_certificate sent = { 0 };
    enum gk_status status = inbox_read(inbox, index, &content, err);

    if (status == GK_NO_FILE) {
        *done = true; /* a reset emptied the inbox meanwhile */
        return GK_OK;
    }
    if (status == GK_OK) {
        letter = json_loadb(content.data, content.size, JSON_REJECT_DUPLICATES, NULL);
        status = enos_certificate_parse(letter, &sent, err);
    }
    if (status == GK_OK) {
        status = accept(e, &(struct delivery){ sent.certificate, sent.issuer, sent.serial, NULL },
                        &certificate, err);
    }
    if (status == GK_OK) {
        status = renewal_take(e->run, certificate, true, err);
        *done = is_kept(e, sent.serial);
    }
    *done = *done || status == GK_OK || is_hopeless(status);
    return status;
}

/* One sentence for each that fails; the last one's is the command's own. */
static void say_failure(const struct run *run, const struct gk_error *err)
{
    char sentence[1024];

    if (err->status != GK_OK) {
        gk_error_sentence(err, run->command->operation, sentence, sizeof(sentence));
        say_note(run, "gatekey: %s", sentence);
    }
}

static enum gk_status install_inbox(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(inbox_closep) struct inbox *inbox = NULL;
    struct gk_error last = { 0 };
    enum gk_status status = inbox_open(e->config, &inbox, err);

    if (status != GK_OK) {
        return status;
    }
    say_member(e->run, "letters", json_integer((json_int_t)inbox_count(inbox)));
    for (size_t i = 0; i < inbox_count(inbox); i++) {
        struct gk_error why = { 0 };
        bool done = false;

        why.status = take_letter(e, inbox, i, &done, &why);
        /* A renewal may have moved the key. */
        EVP_PKEY_free(TAKE(e->key));
        if (why.status != GK_OK) {
            say_failure(e->run, &last);
            last = why;
        }
        if (done && inbox_remove(inbox, i, &why) != GK_OK) {
            say_failure(e->run, &last);
            last = why;
        }
    }
    *err = last;
    return last.status;
}

/* --- the command --------------------------------------------------------------------------------
 */

static enum gk_status check_words(const struct enrolment *e, bool from_inbox,
                                  const char *fingerprint, char *const *rest, struct gk_error *err)
{
    if (from_inbox == (rest[0] != NULL) ||
        (from_inbox && (fingerprint != NULL || e->secret_file != NULL))) {
        gk_fail(err, GK_USAGE, "install takes either a file or --inbox");
        gk_advise(err, "usage: gatekey install %s", e->run->command->arguments);
        return GK_USAGE;
    }
    return GK_OK;
}

enum gk_status command_install(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(enrolment_close) struct enrolment e = { .run = run, .connects = true };
    const char *fingerprint = NULL;
    bool from_inbox = false;
    const struct word words[] = {
        { "secret-file", &e.secret_file, NULL },
        { "ca-fingerprint", &fingerprint, NULL },
        { "inbox", NULL, &from_inbox },
        { 0 },
    };
    char **rest = NULL;
    enum gk_status status = words_read(run, argc, argv, words, 0, 1, &rest, err);

    if (status == GK_OK) {
        status = check_words(&e, from_inbox, fingerprint, rest, err);
    }
    if (status == GK_OK) {
        status = enrolment_open(run, &lock, &e, err);
    }
    if (status != GK_OK) {
        return status;
    }
    return from_inbox ? install_inbox(&e, err) : install_file(&e, rest[0], fingerprint, err);
}
