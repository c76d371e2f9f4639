/* SPDX-License-Identifier: Apache-2.0 */
/* Moves next/ into place, step by step, and ends the overlap with what was there before. */
#include "agent/command/promotion.h"

#include "agent/clock.h"
#include "agent/command/devicekey.h"
#include "agent/command/next.h"
#include "agent/command/unrevoked.h"
#include "agent/file.h"
#include "agent/tls.h"
#include "identity/identity.h"

#include <inttypes.h>

#define NEXT_DEVICE GK_FILE_NEXT "/" GK_FILE_DEVICE

/* What all steps look at. */
struct promotion {
    struct renewal *renewal;
    const char *directory;   /* of the identity */
    char *folder;            /* next/ in it */
    struct gk_content chain; /* the new cert.pem */
    bool rotates;            /* next/ still has the new key */
};

static void promotion_clear(struct promotion *p)
{
    free(p->folder);
    gk_content_clear(&p->chain);
}

static enum gk_status look(struct promotion *p, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content key = { 0 };
    enum gk_status status;

    p->folder = agent_pair_folder(p->renewal->config, AGENT_PAIR_NEXT);
    if (p->folder == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = gk_identity_read(p->folder, GK_FILE_CERTIFICATE, &p->chain, err);
    if (status == GK_OK) {
        status = gk_identity_read(p->folder, GK_FILE_DEVICE, &key, err);
        p->rotates = status == GK_OK;
        status = status == GK_NO_FILE ? GK_OK : status;
    }
    return status;
}

/* The pair in one file, first of all: whoever opens it from now on is right at every moment. */
static enum gk_status move_identity(struct promotion *p, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content key = { 0 };
    CLEANUP(gk_freep) char *both = NULL;
    enum gk_status status =
        gk_identity_read(p->rotates ? p->folder : p->directory, GK_FILE_DEVICE, &key, err);

    if (status == GK_NO_FILE) {
        return GK_OK; /* the key is another program's, which has no file of ours */
    }
    if (status != GK_OK) {
        return status;
    }
    if (asprintf(&both, "%s%s", key.data, p->chain.data) < 0) {
        both = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return agent_file_replace(p->directory, GK_FILE_IDENTITY, both, strlen(both), AGENT_FOR_ALL,
                              err);
}

/*
 * Old and new: the certificate before this one is still looked at. And the new one has begun, since
 * the hub took it: so much time has certainly passed. A floor that cannot be moved stops nobody.
 */
static enum gk_status unite_issuers(struct promotion *p, struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *next = NULL;
    CLEANUP(gk_freep) char *all = NULL;
    enum gk_status status = next_read(p->renewal->run, &next, err);

    if (status == GK_OK) {
        (void)!agent_clock_raise(p->renewal->config, AGENT_CLOCK_CERTIFICATE,
                                 certificate_begin(next), NULL);
        status =
            certificate_unite_issuers(p->renewal->config, p->renewal->openssl, next, &all, err);
    }
    return status == GK_OK ? agent_file_replace(p->directory, GK_FILE_ISSUER_CA, all, strlen(all),
                                                AGENT_FOR_ALL, err)
                           : status;
}

/* Where next/ has no key any more, it was not rotated, or moved before. */
static enum gk_status move_key(struct promotion *p, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content old = { 0 };
    enum gk_status status;

    if (!p->rotates) {
        return GK_OK;
    }
    status = gk_identity_read(p->directory, GK_FILE_DEVICE, &old, err);
    if (status == GK_OK) {
        status = agent_file_replace(p->directory, GK_FILE_DEVICE_OLD, old.data, old.size,
                                    AGENT_FOR_ALL, err);
    }
    return status == GK_OK ? agent_file_rename(p->directory, NEXT_DEVICE, GK_FILE_DEVICE, err)
                           : status;
}

static enum gk_status move_certificate(struct promotion *p, struct gk_error *err)
{
    return agent_file_replace(p->directory, GK_FILE_CERTIFICATE, p->chain.data, p->chain.size,
                              AGENT_FOR_ALL, err);
}

/* Also by a run that was killed after the key had moved. */
static bool was_rotated(const struct promotion *p)
{
    CLEANUP(gk_content_clear) struct gk_content old = { 0 };

    return gk_identity_read(p->directory, GK_FILE_DEVICE_OLD, &old, NULL) == GK_OK;
}

static enum gk_status note(struct promotion *p, struct gk_error *err)
{
    struct agent_state *s = &p->renewal->state;
    int64_t now = agent_clock_now(p->renewal->config);

    memcpy(s->old_sn, s->certificate_sn, sizeof(s->old_sn));
    memcpy(s->certificate_sn, s->next_sn, sizeof(s->certificate_sn));
    s->next_sn[0] = '\0';
    s->certified = s->enrolled = now;
    s->old_until = now + p->renewal->config->overlap_s;
    s->next_at = s->asked_at = s->tried_at = s->failures = 0;
    if (was_rotated(p)) {
        s->adopted = 0; /* the key in use is one that was made here */
    }
    return renewal_write(p->renewal, AGENT_RENEWAL_OVERLAP, err);
}

enum gk_status promotion_run(struct renewal *renewal, struct gk_error *err)
{
    static enum gk_status (*const steps[])(struct promotion *, struct gk_error *) = {
        look, move_identity, unite_issuers, move_key, move_certificate, note,
    };
    CLEANUP(promotion_clear)
    struct promotion p = { .renewal = renewal, .directory = renewal->config->directory };
    enum gk_status status = GK_OK;

    if (renewal->state.renewal != AGENT_RENEWAL_PROMOTING) {
        status = renewal_write(renewal, AGENT_RENEWAL_PROMOTING, err);
    }
    for (size_t i = 0; status == GK_OK && i < sizeof(steps) / sizeof(steps[0]); i++) {
        status = steps[i](&p, err);
    }
    if (status == GK_OK) {
        status = next_remove(renewal->config, err);
    }
    if (status == GK_OK) {
        say_step(renewal->run, "certificate %s is in place", renewal->state.certificate_sn);
    }
    return status;
}

bool promotion_is_settled(const struct renewal *renewal)
{
    int64_t now = agent_clock_now(renewal->config), until = renewal->state.old_until;

    /* A clock that went back must not make the overlap longer than it is. */
    return renewal->state.renewal == AGENT_RENEWAL_OVERLAP &&
           (now >= until || until - now > (int64_t)renewal->config->overlap_s);
}

/* next/ may be left over from a run that was killed between the last two steps. */
static enum gk_status clear_away(struct renewal *renewal, struct gk_error *err)
{
    bool evicted = false;
    enum gk_status status = next_discard(renewal->run, NULL, err);

    if (status == GK_OK && devicekey_is_ours_to_make(renewal->config)) {
        status = devicekey_destroy_old(renewal->run, &evicted, err);
    }
    if (status == GK_OK && evicted) {
        say_step(renewal->run, "the device key before this one destroyed, and its handle is empty");
    }
    return status;
}

enum gk_status promotion_end_overlap(struct renewal *renewal, struct gk_error *err)
{
    struct agent_state *s = &renewal->state;
    enum gk_status status = GK_OK;

    if (s->old_sn[0] != '\0') {
        status = renewal_supersede(renewal, s->old_sn, err);
    }
    if (status == GK_OK) {
        unrevoked_retry(renewal);
        status = clear_away(renewal, err);
    }
    if (status != GK_OK) {
        return status;
    }
    s->old_sn[0] = '\0';
    s->old_until = s->tried_at = s->failures = 0;
    return renewal_write(renewal, AGENT_RENEWAL_NONE, err);
}
