/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a revocation list that came: checked whole before the one that is there is replaced. */
#include "agent/command/refresh.h"

#include "agent/clock.h"
#include "agent/file.h"

#include <time.h>

GK_DEFINE_CLEANUP(X509_STORE, X509_STORE_free)

static enum agent_trust trust_of(enum refresh_kind kind)
{
    return kind == REFRESH_CRL ? AGENT_TRUST_ISSUER : AGENT_TRUST_HUB;
}

struct agent_crl *refresh_installed_list(const struct refresh *refresh, enum refresh_kind kind)
{
    struct agent_crl *crl = NULL;

    return agent_crl_read(refresh->config, refresh->openssl, refresh_kind_file(kind), refresh->now,
                          &crl, NULL) == GK_OK
               ? crl
               : NULL;
}

/* One whose grace is over would only be complained of; one in its grace period revokes more than
 * the one before, and somebody is told. */
static enum gk_status check_age(const struct refresh *refresh, enum refresh_kind kind,
                                const struct agent_crl *crl, struct gk_error *err)
{
    enum agent_crl_age age = agent_crl_age(refresh->config, crl, refresh->now);
    time_t end = (time_t)agent_crl_next_update(crl);
    char text[32];
    struct tm tm;

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&end, &tm));
    if (age == AGENT_CRL_GRACE) {
        say_note(refresh->run,
                 "%s: the next list was to come by %s; this one is used until its grace period is "
                 "over",
                 refresh_kind_words(kind), text);
    }
    if (age != AGENT_CRL_STALE) {
        return GK_OK;
    }
    gk_fail(err, GK_STALE_CRL, "the one served ended on %s", text);
    gk_advise(err, "check this gateway's clock, then ask the hub's operator");
    return GK_STALE_CRL;
}

static enum gk_status read_list(struct refresh *refresh, enum refresh_kind kind,
                                const struct http_reply *reply, struct agent_crl **crl,
                                struct gk_error *err)
{
    CLEANUP(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
    char where[160];
    enum gk_status status;

    if (store == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    agent_roots_describe(refresh->config, trust_of(kind), where, sizeof(where));
    status = agent_roots_fill(refresh->config, refresh->openssl, trust_of(kind), store, err);
    if (status == GK_OK) {
        status = agent_crl_parse(refresh->openssl, reply->body != NULL ? reply->body : "",
                                 reply->size, crl, err);
    }
    if (status == GK_OK) {
        status = agent_crl_verify(refresh->openssl, *crl, store, where, refresh->now, err);
    }
    return status == GK_OK ? check_age(refresh, kind, *crl, err) : status;
}

static enum gk_status install(const struct refresh *refresh, enum refresh_kind kind,
                              const struct agent_crl *crl, struct gk_error *err)
{
    CLEANUP(gk_freep) char *pem = agent_crl_format(crl);

    if (pem == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    /* It is no reason to fail that the time it proves cannot be noted. */
    (void)!agent_clock_raise(refresh->config, AGENT_CLOCK_CRL, agent_crl_this_update(crl), NULL);
    return agent_file_replace(refresh->config->directory, refresh_kind_file(kind), pem, strlen(pem),
                              AGENT_FOR_ALL, err);
}

enum gk_status refresh_take_list(struct refresh *refresh, enum refresh_kind kind,
                                 const struct http_reply *reply, struct refresh_outcome *outcome,
                                 struct gk_error *err)
{
    CLEANUP(agent_crl_freep) struct agent_crl *before = refresh_installed_list(refresh, kind);
    CLEANUP(agent_crl_freep) struct agent_crl *crl = NULL;
    enum gk_status status;

    outcome->changed = false;
    if (reply->status == 304 && before == NULL) {
        /* It went between the question and the answer. */
        return gk_fail(err, GK_BUSY, "%s was removed meanwhile", refresh_kind_file(kind));
    }
    if (reply->status == 304) {
        status = check_age(refresh, kind, before, err);
        outcome->crl = status == GK_OK ? TAKE(before) : NULL;
        return status;
    }
    status = read_list(refresh, kind, reply, &crl, err);
    if (status == GK_OK && before != NULL) {
        status = agent_crl_follow(crl, before, err);
    }
    if (status == GK_OK && (before == NULL || !agent_crl_identical(crl, before))) {
        status = install(refresh, kind, crl, err);
        outcome->changed = true;
    }
    if (status == GK_OK) {
        outcome->crl = TAKE(crl);
    }
    return status;
}
