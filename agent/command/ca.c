/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey ca list, ca add, ca remove: the CAs that are believed, and by whose word. */
#include "agent/command/refresh.h"

#include "agent/clock.h"
#include "agent/file.h"

#include <time.h>

/* A file that somebody hands over holds a root and perhaps its chain. */
#define FILE_MAX_COUNT 16

static void format_date(int64_t time, char text[static 32])
{
    time_t seconds = (time_t)time;
    struct tm tm;

    strftime(text, 32, "%Y-%m-%d", gmtime_r(&seconds, &tm));
}

/* What people compare: who it says it is, its fingerprint, from when to when. */
struct portrait {
    char subject[160], fingerprint[AGENT_FINGERPRINT_SHOWN_SIZE], begin[32], end[32];
};

static void draw(const X509 *x509, struct portrait *portrait)
{
    int64_t begin = 0, end = 0;

    X509_NAME_oneline(X509_get_subject_name(x509), portrait->subject, sizeof(portrait->subject));
    agent_fingerprint_show(x509, portrait->fingerprint);
    agent_certificate_dates(x509, &begin, &end);
    format_date(begin, portrait->begin);
    format_date(end, portrait->end);
}

/* --- ca list --------------------------------------------------------------------------------- */

static void list_one(struct run *run, json_t *list, const X509 *x509, const char *use,
                     const char *where)
{
    struct portrait p;

    draw(x509, &p);
    say_line(run, "%s  %s", use, p.subject);
    say_line(run, "    SHA-256 %s", p.fingerprint);
    say_line(run, "    %s to %s, in %s", p.begin, p.end, where);
    json_array_append_new(list, json_pack("{ss ss ss ss ss ss}", "use", use, "subject", p.subject,
                                          "fingerprint", p.fingerprint, "notBefore", p.begin,
                                          "notAfter", p.end, "file", where));
}

static void list_all(struct run *run, json_t *list, const struct agent_roots *roots,
                     const char *use, const char *where)
{
    for (int i = 0; i < agent_roots_count(roots); i++) {
        list_one(run, list, agent_roots_at(roots, i), use, where);
    }
}

static enum gk_status list_owners(struct run *run, struct agent_openssl *openssl, json_t *list,
                                  const char *file, const char *use, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    enum gk_status status;

    if (file == NULL) {
        return GK_OK;
    }
    status = agent_file_read(file, GK_FILE_MAX, &content, err);
    if (status == GK_OK) {
        status = agent_roots_parse(openssl, content.data, 0, file, &roots, err);
    }
    if (status == GK_OK) {
        list_all(run, list, &roots, use, file);
    }
    return status;
}

static enum gk_status list_ours(struct run *run, struct agent_openssl *openssl, json_t *list,
                                const char *name, const char *use, struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    enum gk_status status = agent_roots_read(run->config, openssl, name, &roots, err);

    if (status == GK_OK) {
        list_all(run, list, &roots, use, name);
    }
    return status;
}

static void list_system(struct run *run, enum agent_trust trust, const char *use)
{
    char where[160];

    agent_roots_describe(run->config, trust, where, sizeof(where));
    if (agent_roots_file(run->config, trust) == NULL && strcmp(where, GK_FILE_SERVER_CA) != 0) {
        say_line(run, "%s  all of %s", use, where);
    }
}

enum gk_status command_ca_list(struct run *run, int argc, char **argv, struct gk_error *err)
{
    const struct agent_config *config = run->config;
    bool same = config->hub_ca_file != NULL && config->api_ca_file != NULL &&
                strcmp(config->hub_ca_file, config->api_ca_file) == 0;
    struct agent_openssl *openssl;
    json_t *list = json_array();
    enum gk_status status = words_read(run, argc, argv, NULL, 0, 0, NULL, err);

    say_member(run, "roots", list);
    if (status == GK_OK) {
        status = run_openssl(run, &openssl, err);
    }
    if (status != GK_OK) {
        return status;
    }
    list_system(run, AGENT_TRUST_HUB, "hub");
    list_system(run, AGENT_TRUST_API, "api");
    status =
        list_owners(run, openssl, list, config->hub_ca_file, same ? "hub and api" : "hub", err);
    if (status == GK_OK && !same) {
        status = list_owners(run, openssl, list, config->api_ca_file, "api", err);
    }
    if (status == GK_OK) {
        status = list_ours(run, openssl, list, GK_FILE_SERVER_CA, "hub and api", err);
    }
    if (status == GK_OK) {
        status = list_ours(run, openssl, list, GK_FILE_ISSUER_CA, "issuer", err);
    }
    if (status == GK_OK) {
        status = list_ours(run, openssl, list, GK_FILE_PENDING_CA, "waits", err);
    }
    return status;
}

/* --- ca add ---------------------------------------------------------------------------------- */

/* What was asked for on the command line. */
struct addition {
    const char *file;        /* NULL: one of those that wait */
    const char *fingerprint; /* NULL: not given */
    bool yes, for_issuer;
};

static enum gk_status read_addition(struct run *run, int argc, char **argv,
                                    struct addition *addition, struct gk_error *err)
{
    const char *purpose = "hub";
    const struct word words[] = { { "for", &purpose, NULL },
                                  { "ca-fingerprint", &addition->fingerprint, NULL },
                                  { "yes", NULL, &addition->yes },
                                  { 0 } };
    char **rest;
    enum gk_status status = words_read(run, argc, argv, words, 0, 1, &rest, err);

    if (status != GK_OK) {
        return status;
    }
    addition->file = rest[0];
    addition->for_issuer = strcmp(purpose, "issuer") == 0;
    if (!addition->for_issuer && strcmp(purpose, "hub") != 0) {
        return gk_fail(err, GK_USAGE, "--for must be hub or issuer");
    }
    if (addition->file == NULL && addition->fingerprint == NULL) {
        return gk_fail(err, GK_USAGE, "neither a file nor the fingerprint of one that waits");
    }
    return GK_OK;
}

/* Of several only one that was named is meant. */
static enum gk_status choose(const struct agent_roots *offered, const struct addition *addition,
                             X509 **chosen, struct gk_error *err)
{
    const char *where = addition->file != NULL ? addition->file : GK_FILE_PENDING_CA;
    char clean[AGENT_FINGERPRINT_SIZE];

    if (addition->fingerprint == NULL && agent_roots_count(offered) != 1) {
        gk_fail(err, GK_BAD_CERTIFICATE, "%s holds several", where);
        gk_advise(err, "say which one with --ca-fingerprint SHA256");
        return GK_BAD_CERTIFICATE;
    }
    if (addition->fingerprint == NULL) {
        *chosen = agent_roots_at(offered, 0);
        return GK_OK;
    }
    if (!agent_fingerprint_read(addition->fingerprint, clean)) {
        return gk_fail(err, GK_USAGE, "--ca-fingerprint must be 64 hexadecimal digits");
    }
    *chosen = agent_roots_find(offered, clean);
    if (*chosen == NULL) {
        gk_fail(err, GK_BAD_CERTIFICATE, "%s holds none with that fingerprint", where);
        gk_advise(err,
                  "compare it with openssl x509 -noout -fingerprint -sha256; do not add another");
        return GK_BAD_CERTIFICATE;
    }
    return GK_OK;
}

static enum gk_status read_offered(const struct run *run, struct agent_openssl *openssl,
                                   const struct addition *addition, struct agent_roots *offered,
                                   struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    enum gk_status status;

    if (addition->file == NULL) {
        return agent_roots_read(run->config, openssl, GK_FILE_PENDING_CA, offered, err);
    }
    status = agent_file_read(addition->file, GK_FILE_MAX, &content, err);
    if (status == GK_OK) {
        status =
            agent_roots_parse(openssl, content.data, FILE_MAX_COUNT, addition->file, offered, err);
    }
    if (status == GK_BAD_FILE) {
        gk_advise(err, "name a file that holds the root certificate, in PEM");
    }
    return status;
}

/* An issuer may itself be issued; what the hub must chain to is a root. */
static enum gk_status check(const struct run *run, X509 *x509, bool for_issuer,
                            struct gk_error *err)
{
    enum gk_status status = agent_root_check(x509, agent_clock_now(run->config), err);
    struct portrait p;

    if (status != GK_OK || for_issuer || agent_root_is_self_signed(x509)) {
        return status;
    }
    draw(x509, &p);
    gk_fail(err, GK_BAD_CERTIFICATE, "%s is no root: another CA signed it", p.subject);
    gk_advise(err, "add the root that it chains to");
    return GK_BAD_CERTIFICATE;
}

static enum gk_status ask(const struct run *run, const X509 *x509, const struct addition *addition,
                          struct gk_error *err)
{
    struct portrait p;

    draw(x509, &p);
    say_note(run, "%s", p.subject);
    say_note(run, "SHA-256 %s", p.fingerprint);
    say_note(run, "%s to %s", p.begin, p.end);
    return ask_to_go_on(addition->yes || addition->fingerprint != NULL,
                        "Believe it? Compare the fingerprint with one that did not come the same "
                        "way.",
                        err);
}

/* Whose word counts is in the file first; that it waited or was removed is forgotten next. */
static enum gk_status add(struct run *run, struct agent_openssl *openssl, X509 *x509,
                          bool for_issuer, struct gk_error *err)
{
    const char *name = for_issuer ? GK_FILE_ISSUER_CA : GK_FILE_SERVER_CA;
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    CLEANUP(agent_roots_clear) struct agent_roots pending = { 0 };
    struct refresh_memory memory;
    char fingerprint[AGENT_FINGERPRINT_SIZE];
    enum gk_status status = run_lock(run, &lock, err);

    agent_fingerprint(x509, fingerprint);
    if (status == GK_OK) {
        status = refresh_memory_read(run->config, &memory, err);
    }
    if (status == GK_OK) {
        status = agent_roots_read(run->config, openssl, name, &roots, err);
    }
    if (status == GK_OK) {
        status = agent_roots_read(run->config, openssl, GK_FILE_PENDING_CA, &pending, err);
    }
    if (status == GK_OK) {
        status = agent_roots_append(&roots, x509, name, err);
    }
    if (status == GK_OK) {
        status = agent_roots_write(run->config, name, &roots, err);
    }
    if (status == GK_OK && agent_roots_remove(&pending, fingerprint)) {
        status = agent_roots_write(run->config, GK_FILE_PENDING_CA, &pending, err);
    }
    if (status == GK_OK && refresh_was_removed(&memory, x509)) {
        refresh_forget_removed(&memory, x509);
        status = refresh_memory_write(run->config, &memory, err);
    }
    if (status == GK_OK) {
        say_step(run, "believed from the next connection on, for %s; in %s",
                 for_issuer ? "our own certificate" : "the hub and its API", name);
    }
    return status;
}

enum gk_status command_ca_add(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots offered = { 0 };
    struct addition addition = { 0 };
    struct agent_openssl *openssl;
    X509 *x509 = NULL;
    enum gk_status status = read_addition(run, argc, argv, &addition, err);

    if (status == GK_OK) {
        status = run_openssl(run, &openssl, err);
    }
    if (status == GK_OK) {
        status = read_offered(run, openssl, &addition, &offered, err);
    }
    if (status == GK_OK) {
        status = choose(&offered, &addition, &x509, err);
    }
    if (status == GK_OK) {
        status = check(run, x509, addition.for_issuer, err);
    }
    if (status == GK_OK) {
        status = ask(run, x509, &addition, err);
    }
    return status == GK_OK ? add(run, openssl, x509, addition.for_issuer, err) : status;
}

/* --- ca remove ------------------------------------------------------------------------------- */

/* What the owner named is the owner's: we do not write there. */
static enum gk_status refuse_owners(struct agent_openssl *openssl, const char *file,
                                    const char *fingerprint, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };

    if (file == NULL || agent_file_read(file, GK_FILE_MAX, &content, NULL) != GK_OK ||
        agent_roots_parse(openssl, content.data, 0, file, &roots, NULL) != GK_OK ||
        agent_roots_find(&roots, fingerprint) == NULL) {
        return GK_OK;
    }
    gk_fail(err, GK_REFUSED, "it stands in %s", file);
    gk_advise(err, "take it out of that file, which is yours");
    return GK_REFUSED;
}

static enum gk_status remove_from(const struct run *run, struct agent_openssl *openssl,
                                  const char *name, const char *fingerprint, struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    enum gk_status status = agent_roots_read(run->config, openssl, name, &roots, err);

    if (status != GK_OK || !agent_roots_remove(&roots, fingerprint)) {
        return status;
    }
    status = agent_roots_write(run->config, name, &roots, err);
    if (status == GK_OK) {
        say_step(run, "no longer in %s", name);
    }
    if (status == GK_OK && strcmp(name, GK_FILE_SERVER_CA) == 0 && agent_roots_count(&roots) == 0 &&
        run->config->hub_ca_file == NULL) {
        say_note(run,
                 "no root of the hub is named any more, so the system's roots count; set [hub] "
                 "ca_file if that is not what you want");
    }
    return status;
}

/* What is asked to be removed, and from where. */
struct removal {
    char fingerprint[AGENT_FINGERPRINT_SIZE];
    const char *files[4]; /* ends with NULL */
};

/* The certificate itself, for what is remembered of it. */
static enum gk_status find_ours(const struct run *run, struct agent_openssl *openssl,
                                const struct removal *removal, struct agent_roots *found,
                                struct gk_error *err)
{
    for (size_t i = 0; removal->files[i] != NULL; i++) {
        CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
        enum gk_status status =
            agent_roots_read(run->config, openssl, removal->files[i], &roots, err);
        X509 *x509 = status == GK_OK ? agent_roots_find(&roots, removal->fingerprint) : NULL;

        if (status == GK_OK && x509 != NULL) {
            status = agent_roots_add(found, x509, err);
        }
        if (status != GK_OK) {
            return status;
        }
    }
    if (agent_roots_count(found) == 0) {
        gk_fail(err, GK_NO_FILE, "no root or issuer with that fingerprint");
        gk_advise(err, "see gatekey ca list");
        return GK_NO_FILE;
    }
    return GK_OK;
}

/* Remembered first: a removal that is cut short is begun again, and nothing else comes back. */
static enum gk_status remove_ours(struct run *run, struct agent_openssl *openssl,
                                  const struct removal *removal, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(agent_roots_clear) struct agent_roots found = { 0 };
    struct refresh_memory memory;
    enum gk_status status = run_lock(run, &lock, err);

    if (status == GK_OK) {
        status = find_ours(run, openssl, removal, &found, err);
    }
    if (status == GK_OK) {
        status = refresh_memory_read(run->config, &memory, err);
    }
    if (status == GK_OK) {
        refresh_note_removed(&memory, agent_roots_at(&found, 0));
        status = refresh_memory_write(run->config, &memory, err);
    }
    for (size_t i = 0; status == GK_OK && removal->files[i] != NULL; i++) {
        status = remove_from(run, openssl, removal->files[i], removal->fingerprint, err);
    }
    return status;
}

static enum gk_status read_removal(struct run *run, int argc, char **argv, struct removal *removal,
                                   struct gk_error *err)
{
    const char *purpose = NULL;
    const struct word words[] = { { "for", &purpose, NULL }, { 0 } };
    size_t count = 0;
    char **rest;
    enum gk_status status = words_read(run, argc, argv, words, 1, 1, &rest, err);

    if (status != GK_OK) {
        return status;
    }
    if (purpose != NULL && strcmp(purpose, "hub") != 0 && strcmp(purpose, "issuer") != 0) {
        return gk_fail(err, GK_USAGE, "--for must be hub or issuer");
    }
    if (!agent_fingerprint_read(rest[0], removal->fingerprint)) {
        return gk_fail(err, GK_USAGE, "%.100s is no SHA-256 fingerprint", rest[0]);
    }
    if (purpose == NULL || strcmp(purpose, "hub") == 0) {
        removal->files[count++] = GK_FILE_SERVER_CA;
    }
    if (purpose == NULL || strcmp(purpose, "issuer") == 0) {
        removal->files[count++] = GK_FILE_ISSUER_CA;
    }
    removal->files[count] = GK_FILE_PENDING_CA;
    return GK_OK;
}

enum gk_status command_ca_remove(struct run *run, int argc, char **argv, struct gk_error *err)
{
    const struct agent_config *config = run->config;
    struct removal removal = { 0 };
    struct agent_openssl *openssl;
    enum gk_status status = read_removal(run, argc, argv, &removal, err);
    bool for_hub = removal.files[0] != NULL && strcmp(removal.files[0], GK_FILE_SERVER_CA) == 0;

    if (status == GK_OK) {
        status = run_openssl(run, &openssl, err);
    }
    if (status == GK_OK && for_hub) {
        status = refuse_owners(openssl, config->hub_ca_file, removal.fingerprint, err);
    }
    if (status == GK_OK && for_hub) {
        status = refuse_owners(openssl, config->api_ca_file, removal.fingerprint, err);
    }
    return status == GK_OK ? remove_ours(run, openssl, &removal, err) : status;
}
