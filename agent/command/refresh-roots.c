/* SPDX-License-Identifier: Apache-2.0 */
/* Takes new roots that came: over a link certificate by themselves, otherwise they wait. */
#include "agent/command/refresh.h"

#include "agent/file.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* A root, the one before it, and what links them, some times over. */
#define BUNDLE_MAX (2 * AGENT_ROOTS_MAX)

/* What is trusted, what is in our own files, and what came. */
struct scene {
    struct refresh *refresh;
    struct agent_roots bundle;
    struct agent_roots hub, issuer;               /* trusted, the owner's files included */
    struct agent_roots server_ca, links, pending; /* our own files; issuer is one too */
    bool system;                                  /* the hub is trusted by the system's roots */
    bool new_server, new_issuer, new_links, new_pending;
};

static void scene_clear(struct scene *scene)
{
    agent_roots_clear(&scene->bundle);
    agent_roots_clear(&scene->hub);
    agent_roots_clear(&scene->issuer);
    agent_roots_clear(&scene->server_ca);
    agent_roots_clear(&scene->links);
    agent_roots_clear(&scene->pending);
}

static enum gk_status scene_read(struct scene *scene, const struct http_reply *reply,
                                 struct gk_error *err)
{
    const struct agent_config *config = scene->refresh->config;
    struct agent_openssl *openssl = scene->refresh->openssl;
    enum gk_status status = agent_roots_parse(openssl, reply->body != NULL ? reply->body : "",
                                              BUNDLE_MAX, "what came", &scene->bundle, err);

    if (status == GK_BAD_FILE) {
        gk_fail(err, GK_HUB_GARBLED, "%s holds no roots in PEM, or too many", config->root_url);
        gk_advise(err, "check [trust] root_url");
        return GK_HUB_GARBLED;
    }
    if (status == GK_OK) {
        status =
            agent_roots_trusted(config, openssl, AGENT_TRUST_HUB, &scene->hub, &scene->system, err);
    }
    if (status == GK_OK) {
        status =
            agent_roots_trusted(config, openssl, AGENT_TRUST_ISSUER, &scene->issuer, NULL, err);
    }
    if (status == GK_OK) {
        status = agent_roots_read(config, openssl, GK_FILE_SERVER_CA, &scene->server_ca, err);
    }
    if (status == GK_OK) {
        status = agent_roots_read(config, openssl, GK_FILE_LINK_CA, &scene->links, err);
    }
    if (status == GK_OK) {
        status = agent_roots_read(config, openssl, GK_FILE_PENDING_CA, &scene->pending, err);
    }
    return status;
}

static bool holds(const struct agent_roots *roots, const X509 *x509)
{
    char fingerprint[AGENT_FINGERPRINT_SIZE];

    agent_fingerprint(x509, fingerprint);
    return agent_roots_find(roots, fingerprint) != NULL;
}

static bool is_known(const struct scene *scene, const X509 *root)
{
    return holds(&scene->hub, root) || holds(&scene->issuer, root);
}

/* Worth being considered: no end that came along, nothing we have, nothing somebody threw out. */
static bool is_new_root(const struct scene *scene, X509 *root)
{
    return agent_root_is_self_signed(root) && !is_known(scene, root) &&
           !refresh_was_removed(&scene->refresh->memory, root);
}

static void say_accepted(const struct scene *scene, const X509 *root, const char *purpose)
{
    char subject[160], fingerprint[AGENT_FINGERPRINT_SHOWN_SIZE];

    X509_NAME_oneline(X509_get_subject_name(root), subject, sizeof(subject));
    agent_fingerprint_show(root, fingerprint);
    say_step(scene->refresh->run,
             "new root for %s, vouched for by one that is trusted: %s, SHA-256 %s", purpose,
             subject, fingerprint);
}

/* In ten years roots come and go: what is over makes room. */
static void drop_expired(struct agent_roots *roots, int64_t now)
{
    for (int i = agent_roots_count(roots) - 1; i >= 0; i--) {
        char fingerprint[AGENT_FINGERPRINT_SIZE];
        int64_t begin, end;

        if (agent_certificate_dates(agent_roots_at(roots, i), &begin, &end) && end < now) {
            agent_fingerprint(agent_roots_at(roots, i), fingerprint);
            agent_roots_remove(roots, fingerprint);
        }
    }
}

/* Own certificates, and from each of them upwards who signed it: what must not make room. */
static enum gk_status find_needed(const struct scene *scene, struct agent_roots *needed,
                                  struct gk_error *err)
{
    static const char *const files[] = { GK_FILE_CERTIFICATE,
                                         GK_FILE_NEXT "/" GK_FILE_CERTIFICATE };
    enum gk_status status = GK_OK;

    for (size_t i = 0; status == GK_OK && i < sizeof(files) / sizeof(files[0]); i++) {
        CLEANUP(agent_roots_clear) struct agent_roots own = { 0 };

        status =
            agent_roots_read(scene->refresh->config, scene->refresh->openssl, files[i], &own, err);
        for (int j = 0; status == GK_OK && j < agent_roots_count(&own); j++) {
            status = agent_roots_add(needed, agent_roots_at(&own, j), err);
        }
    }
    /* It grows while it is walked: an issuer's own issuer is needed too. */
    for (int i = 0; status == GK_OK && i < agent_roots_count(needed); i++) {
        X509 *one = agent_roots_at(needed, i);

        for (int j = 0; status == GK_OK && j < agent_roots_count(&scene->issuer); j++) {
            X509 *issuer = agent_roots_at(&scene->issuer, j);

            if (X509_check_issued(issuer, one) == X509_V_OK &&
                X509_verify(one, X509_get0_pubkey(issuer)) == 1) {
                status = agent_roots_add(needed, issuer, err);
            }
        }
    }
    ERR_clear_error();
    return status;
}

/* A link is needed where it follows the issuer of one of them: agent_crl_counts_for(). */
static bool is_needed(const struct agent_roots *needed, X509 *x509, bool is_link)
{
    if (!is_link) {
        return holds(needed, x509);
    }
    for (int i = 0; i < agent_roots_count(needed); i++) {
        if (X509_NAME_cmp(X509_get_issuer_name(agent_roots_at(needed, i)),
                          X509_get_issuer_name(x509)) == 0) {
            return true;
        }
    }
    return false;
}

/* Renewals and rollovers fill the file without anybody acting: the oldest that is not needed goes.
 */
static enum gk_status drop_oldest(const struct scene *scene, struct agent_roots *roots,
                                  struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots needed = { 0 };
    enum gk_status status = find_needed(scene, &needed, err);
    int64_t oldest_begin = INT64_MAX;
    char fingerprint[AGENT_FINGERPRINT_SIZE] = "", subject[160];
    X509 *oldest = NULL;

    for (int i = 0; status == GK_OK && i < agent_roots_count(roots); i++) {
        X509 *one = agent_roots_at(roots, i);
        int64_t begin, end;

        if (!is_needed(&needed, one, roots == &scene->links) &&
            agent_certificate_dates(one, &begin, &end) && begin < oldest_begin) {
            oldest = one;
            oldest_begin = begin;
        }
    }
    if (oldest != NULL) {
        X509_NAME_oneline(X509_get_subject_name(oldest), subject, sizeof(subject));
        agent_fingerprint(oldest, fingerprint);
        say_note(scene->refresh->run, "%s, which signed no certificate of ours, makes room",
                 subject);
        agent_roots_remove(roots, fingerprint);
    }
    return status;
}

static enum gk_status add(const struct scene *scene, struct agent_roots *roots, X509 *x509,
                          const char *name, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    if (agent_roots_count(roots) >= AGENT_ROOTS_MAX) {
        drop_expired(roots, scene->refresh->now);
    }
    /* The hub's roots are the owner's to remove. */
    if (agent_roots_count(roots) >= AGENT_ROOTS_MAX && roots != &scene->server_ca) {
        status = drop_oldest(scene, roots, err);
    }
    return status == GK_OK ? agent_roots_append(roots, x509, name, err) : status;
}

/* The link stays: it says whose lists the new issuer continues. */
static enum gk_status accept_issuer(struct scene *scene, X509 *root, X509 *link,
                                    struct gk_error *err)
{
    enum gk_status status = add(scene, &scene->issuer, root, GK_FILE_ISSUER_CA, err);

    if (status == GK_OK) {
        status = add(scene, &scene->links, link, GK_FILE_LINK_CA, err);
    }
    if (status == GK_OK) {
        scene->new_issuer = scene->new_links = true;
        say_accepted(scene, root, "our own certificate");
    }
    return status;
}

static enum gk_status accept_server(struct scene *scene, X509 *root, struct gk_error *err)
{
    enum gk_status status = add(scene, &scene->server_ca, root, GK_FILE_SERVER_CA, err);

    if (status == GK_OK) {
        status = agent_roots_add(&scene->hub, root, err);
    }
    if (status == GK_OK) {
        scene->new_server = true;
        say_accepted(scene, root, "the hub");
    }
    return status;
}

/* *accepted is set when something was; then what it vouches for comes within reach. */
static enum gk_status consider(struct scene *scene, X509 *root, bool *accepted,
                               struct gk_error *err)
{
    const struct refresh *refresh = scene->refresh;
    X509 *by_issuer, *by_hub = NULL;
    enum gk_status status = GK_OK;

    if (!is_new_root(scene, root) || agent_root_check(root, refresh->now, NULL) != GK_OK) {
        return GK_OK;
    }
    by_issuer =
        agent_root_link(refresh->openssl, root, &scene->bundle, &scene->issuer, refresh->now);
    /* Among all that a distribution trusts somebody would vouch for anything. */
    if (!scene->system) {
        by_hub = agent_root_link(refresh->openssl, root, &scene->bundle, &scene->hub, refresh->now);
    }
    /* The hub's first: without it nothing else would ever come. */
    if (by_hub != NULL) {
        status = accept_server(scene, root, err);
    }
    if (status == GK_OK && by_issuer != NULL) {
        status = accept_issuer(scene, root, by_issuer, err);
    }
    *accepted = *accepted || by_issuer != NULL || by_hub != NULL;
    return status;
}

static enum gk_status accept_all(struct scene *scene, struct gk_error *err)
{
    bool accepted = true;

    while (accepted) {
        accepted = false;
        for (int i = 0; i < agent_roots_count(&scene->bundle); i++) {
            enum gk_status status =
                consider(scene, agent_roots_at(&scene->bundle, i), &accepted, err);

            if (status != GK_OK) {
                return status;
            }
        }
    }
    return GK_OK;
}

/* What nobody vouched for waits, unless nothing could make it good. */
static enum gk_status let_wait(struct scene *scene, X509 *root, struct gk_error *err)
{
    struct gk_error why = { 0 };
    char fingerprint[AGENT_FINGERPRINT_SHOWN_SIZE];

    if (!is_new_root(scene, root) || holds(&scene->pending, root)) {
        return GK_OK;
    }
    agent_fingerprint_show(root, fingerprint);
    if (agent_root_check(root, scene->refresh->now, &why) != GK_OK) {
        say_note(scene->refresh->run, "a root that is served is not taken: %s, SHA-256 %s",
                 why.object, fingerprint);
        return GK_OK;
    }
    if (agent_roots_count(&scene->pending) >= AGENT_ROOTS_MAX) {
        return GK_OK; /* those that wait are shown; more would be noise */
    }
    say_note(scene->refresh->run,
             "a new root waits, which no trusted one vouches for; if you know its SHA-256 from "
             "elsewhere, run gatekey ca add --ca-fingerprint %s",
             fingerprint);
    scene->new_pending = true;
    return agent_roots_add(&scene->pending, root, err);
}

/* What became trusted or was removed since waits no longer. */
static void tidy_pending(struct scene *scene)
{
    for (int i = agent_roots_count(&scene->pending) - 1; i >= 0; i--) {
        X509 *root = agent_roots_at(&scene->pending, i);
        char fingerprint[AGENT_FINGERPRINT_SIZE];

        if (!is_new_root(scene, root)) {
            agent_fingerprint(root, fingerprint);
            scene->new_pending = agent_roots_remove(&scene->pending, fingerprint);
        }
    }
}

static enum gk_status scene_write(const struct scene *scene, struct gk_error *err)
{
    const struct {
        bool is_new;
        const char *file;
        const struct agent_roots *roots;
    } files[] = {
        { scene->new_server, GK_FILE_SERVER_CA, &scene->server_ca },
        { scene->new_links, GK_FILE_LINK_CA, &scene->links },
        { scene->new_issuer, GK_FILE_ISSUER_CA, &scene->issuer },
        { scene->new_pending, GK_FILE_PENDING_CA, &scene->pending },
    };

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        enum gk_status status =
            files[i].is_new
                ? agent_roots_write(scene->refresh->config, files[i].file, files[i].roots, err)
                : GK_OK;

        if (status != GK_OK) {
            return status;
        }
    }
    return GK_OK;
}

enum gk_status refresh_take_roots(struct refresh *refresh, const struct http_reply *reply,
                                  struct refresh_outcome *outcome, struct gk_error *err)
{
    CLEANUP(scene_clear) struct scene scene = { .refresh = refresh };
    enum gk_status status = scene_read(&scene, reply, err);

    struct gk_error unwritten = { 0 };
    enum gk_status written;

    if (status != GK_OK) {
        return status;
    }
    status = accept_all(&scene, err);
    for (int i = 0; status == GK_OK && i < agent_roots_count(&scene.bundle); i++) {
        status = let_wait(&scene, agent_roots_at(&scene.bundle, i), err);
    }
    if (status == GK_OK) {
        tidy_pending(&scene);
    }
    /* What was accepted before a failure counts. */
    written = scene_write(&scene, &unwritten);
    if (status == GK_OK && written != GK_OK) {
        *err = unwritten;
        status = written;
    }
    outcome->changed = written == GK_OK && (scene.new_issuer || scene.new_server);
    return status;
}
