/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey install: a certificate that was asked for by csr is carried in. */
#include "agent/command/enroll.h"

#include "agent/file.h"
#include "agent/link.h"

/* The most that a file with a certificate and its chain may hold, bytes. */
#define FILE_MAX ((size_t)64 * 1024)

static enum gk_status refuse_unasked(const struct enrolment *e, struct gk_error *err)
{
    if (e->state.common_name[0] != '\0') {
        return GK_OK;
    }
    gk_fail(err, GK_NOT_ENROLLED, "no certificate was asked for here");
    gk_advise(err, "run gatekey csr, have that signed, and install what comes back");
    return GK_NOT_ENROLLED;
}

/* What came must be the answer to what was asked. */
static enum gk_status accept(struct enrolment *e, const char *path, const char *fingerprint,
                             struct certificate **certificate, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    enum gk_status status = agent_file_read(path, FILE_MAX, &content, err);

    if (status == GK_OK) {
        status = enrolment_key(e, err);
    }
    return status == GK_OK ? certificate_accept(e->config, e->openssl,
                                                &(struct certificate_wanted){
                                                    e->key, e->state.common_name, fingerprint },
                                                content.data, NULL, certificate, err)
                           : status;
}

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
        enrolment_say_done(e);
    }
    return status;
}

enum gk_status command_install(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(enrolment_close) struct enrolment e = { .connects = true };
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    const char *fingerprint = NULL;
    const struct word words[] = {
        { "secret-file", &e.secret_file, NULL },
        { "ca-fingerprint", &fingerprint, NULL },
        { 0 },
    };
    char **rest = NULL;
    enum gk_status status = words_read(run, argc, argv, words, 1, 1, &rest, err);

    if (status == GK_OK) {
        status = enrolment_open(run, &lock, &e, err);
    }
    if (status == GK_OK) {
        status = refuse_unasked(&e, err);
    }
    if (status == GK_OK) {
        status = accept(&e, rest[0], fingerprint, &certificate, err);
    }
    return status == GK_OK ? enrol(&e, certificate, err) : status;
}
