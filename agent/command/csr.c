/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey csr: enrolment without any API credential on the gateway begins here. */
#include "agent/command/enroll.h"
#include "agent/command/next.h"

#include "agent/file.h"
#include "agent/tls.h"
#include "identity/identity.h"

#include <time.h>

/*
 * A hub gives a name once: whoever applies anew, with another key or after the certificate ended,
 * needs another. Asked again it is the same one.
 */
static bool needs_new_name(struct enrolment *e)
{
    CLEANUP(certificate_freep) struct certificate *installed = NULL;
    struct gk_error why = { 0 };
    enum gk_status status = certificate_read(e->config, e->openssl, &installed, &why);

    if (status != GK_OK || strcmp(certificate_subject_name(installed), e->state.common_name) != 0) {
        return false;
    }
    status = certificate_check(e->config, e->openssl, installed, e->key, &why);
    return status == GK_BAD_CERTIFICATE || status == GK_EXPIRED;
}

/* A name that a certificate of ours has, or that was asked for by a request like this, is kept. */
static enum gk_status choose_name(struct enrolment *e, bool new_name, struct gk_error *err)
{
    char name[CERTIFICATE_NAME_MAX + 1], suffix[CERTIFICATE_SUFFIX_SIZE];
    enum gk_status status = certificate_common_name(e->config, NULL, name, err);

    if (status != GK_OK) {
        return status;
    }
    if (new_name || needs_new_name(e)) {
        certificate_suffix(suffix);
        status = certificate_common_name(e->config, suffix, name, err);
    } else if (e->state.certificate_sn[0] != '\0' ||
               strncmp(e->state.common_name, name, strlen(name)) == 0) {
        return GK_OK;
    }
    if (status == GK_OK) {
        snprintf(e->state.common_name, sizeof(e->state.common_name), "%s", name);
    }
    return status;
}

/*
 * What install will look for is known before the request leaves. Nobody looked what certificates
 * the device has already, so that none but the one that comes back counts as ours.
 */
static enum gk_status note(struct enrolment *e, struct gk_error *err)
{
    if (e->state.stage < AGENT_STAGE_APPLYING && e->state.settled == 0) {
        e->state.settled = time(NULL);
    }
    return enrolment_write(e, e->state.stage, err);
}

/* A renewal under way has its request already, for the key it is about. */
static enum gk_status read_renewals(const struct enrolment *e, char **pem, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(gk_freep) char *folder = agent_pair_folder(e->config, AGENT_PAIR_NEXT);
    enum gk_status status;

    if (folder == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = gk_identity_read(folder, NEXT_FILE_REQUEST, &content, err);
    if (status == GK_OK) {
        *pem = TAKE(content.data);
    }
    return status;
}

static enum gk_status make_request(struct enrolment *e, bool new_name, char **pem,
                                   struct gk_error *err)
{
    enum gk_status status = GK_NO_FILE;

    if (e->state.renewal == AGENT_RENEWAL_ASKING) {
        status = read_renewals(e, pem, err);
    }
    if (status != GK_NO_FILE) {
        return status;
    }
    status = enrolment_key(e, err);
    if (status == GK_OK) {
        status = choose_name(e, new_name, err);
    }
    if (status == GK_OK) {
        status = certificate_request(e->config, e->openssl, e->key, e->state.common_name, pem, err);
    }
    return status == GK_OK ? note(e, err) : status;
}

static enum gk_status hand_out(struct run *run, const char *pem, const char *out,
                               struct gk_error *err)
{
    enum gk_status status;

    say_text(run, "csr", pem);
    if (out == NULL) {
        if (!run->json) {
            fputs(pem, stdout);
        }
        return GK_OK;
    }
    status = agent_file_create(out, pem, strlen(pem), AGENT_FOR_ALL, err);
    if (status == GK_OK) {
        say_step(run, "certificate signing request written to %s", out);
    }
    return status;
}

enum gk_status command_csr(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(enrolment_close) struct enrolment e = { 0 };
    CLEANUP(gk_freep) char *pem = NULL;
    const char *out = NULL;
    bool new_name = false;
    const struct word words[] = { { "out", &out, NULL }, { "new-name", NULL, &new_name }, { 0 } };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK) {
        status = enrolment_open(run, &lock, &e, err);
    }
    if (status == GK_OK) {
        status = make_request(&e, new_name, &pem, err);
    }
    return status == GK_OK ? hand_out(run, pem, out, err) : status;
}
