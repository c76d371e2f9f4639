/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the CA by its socket. */
#include "tests/hub/ca-client.h"

#include "tests/hub/file.h"
#include "tests/hub/store.h"
#include "tests/hub/text.h"

#include <curl/curl.h>

#define TIMEOUT_S 20

struct hub_ca {
    char *socket;
    char *authorisation; /* the header */
};

struct reply {
    char *bytes;
    size_t size;
};

static void curl_freep(CURL **curl)
{
    curl_easy_cleanup(*curl);
}

static void headers_freep(struct curl_slist **headers)
{
    curl_slist_free_all(*headers);
}

static void reply_free(struct reply *reply)
{
    free(reply->bytes);
}

static size_t take(char *bytes, size_t one, size_t count, void *user)
{
    struct reply *reply = user;
    char *larger = realloc(reply->bytes, reply->size + count);

    (void)one;
    if (larger == NULL) {
        return 0;
    }
    memcpy(larger + reply->size, bytes, count);
    reply->bytes = larger;
    reply->size += count;
    return count;
}

enum gk_status hub_ca_open(const char *socket, const char *token_file, struct hub_ca **ca,
                           struct gk_error *err)
{
    CLEANUP(hub_ca_closep) struct hub_ca *c = calloc(1, sizeof(*c));
    CLEANUP(gk_freep) char *token = NULL;
    enum gk_status status = hub_file_read(token_file, &token, err);

    if (status != GK_OK) {
        return status;
    }
    if (c == NULL || (c->socket = strdup(socket)) == NULL ||
        (c->authorisation = hub_print("Authorization: Bearer %s", token)) == NULL ||
        curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *ca = TAKE(c);
    return GK_OK;
}

void hub_ca_close(struct hub_ca *ca)
{
    if (ca != NULL) {
        free(ca->socket);
        free(ca->authorisation);
        free(ca);
    }
}

static void set_up(CURL *curl, const struct hub_ca *ca, const char *url,
                   const struct curl_slist *headers, const char *body, struct reply *reply)
{
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, ca->socket);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    /* We are inside the broker: its signals are its own. */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
}

/* POST body (GET where it is NULL); the answer's object, the caller's to release. */
static enum gk_status call(struct hub_ca *ca, const char *path, const json_t *body, json_t **answer,
                           struct gk_error *err)
{
    CLEANUP(curl_freep) CURL *curl = curl_easy_init();
    CLEANUP(headers_freep)
    struct curl_slist *headers = curl_slist_append(NULL, ca->authorisation);
    CLEANUP(gk_freep) char *url = hub_print("http://ca%s", path);
    CLEANUP(gk_freep) char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    CLEANUP(reply_free) struct reply reply = { 0 };
    CLEANUP(json_decrefp) json_t *object = NULL;
    long http = 0;
    CURLcode code;

    if (curl == NULL || headers == NULL || url == NULL || (body != NULL && text == NULL)) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    set_up(curl, ca, url, headers, text, &reply);
    code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        gk_fail(err, GK_UNREACHABLE, "the CA: %s", curl_easy_strerror(code));
        gk_advise(err, "see whether the hub's CA still runs");
        return GK_UNREACHABLE;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    object = json_loadb(reply.bytes != NULL ? reply.bytes : "", reply.size, 0, NULL);
    if (http != 200 || !json_is_object(object)) {
        gk_fail(err, GK_REFUSED, "the CA: %ld %.200s", http, hub_text(object, "error"));
        gk_advise(err, "see what was asked of it");
        return GK_REFUSED;
    }
    *answer = TAKE(object);
    return GK_OK;
}

static char *copy(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? strdup(text) : NULL;
}

static enum gk_status issue(struct hub_ca *ca, const char *csr, const struct hub_terms *terms,
                            int root, int64_t stranger, struct hub_issued *issued,
                            struct gk_error *err)
{
    CLEANUP(json_decrefp)
    json_t *body =
        json_pack("{s:s,s:s,s:I,s:I,s:s,s:i,s:I}", "csr", csr, "profile",
                  hub_profile_name(terms->profile), "from", (json_int_t)terms->from_s, "life",
                  (json_int_t)terms->life_s, "crlUrl", terms->crl_url != NULL ? terms->crl_url : "",
                  "root", root, "stranger", (json_int_t)stranger);
    CLEANUP(json_decrefp) json_t *answer = NULL;
    enum gk_status status = call(ca, "/issue", body, &answer, err);

    if (status == GK_OK) {
        *issued = (struct hub_issued){
            .serial = hub_number(answer, "serial"),
            .pem = copy(answer, "certificate"),
            .root = copy(answer, "root"),
            .link = copy(answer, "link"),
            .subject = copy(answer, "subject"),
            .issuer = copy(answer, "issuer"),
            .sign_ms = hub_number(answer, "signMs"),
            .expire_ms = hub_number(answer, "expireMs"),
        };
    }
    return status;
}

enum gk_status hub_ca_issue(struct hub_ca *ca, const char *csr, const struct hub_terms *terms,
                            struct hub_issued *issued, struct gk_error *err)
{
    return issue(ca, csr, terms, 0, 0, issued, err);
}

enum gk_status hub_ca_issue_by(struct hub_ca *ca, int root, const char *csr,
                               const struct hub_terms *terms, struct hub_issued *issued,
                               struct gk_error *err)
{
    return issue(ca, csr, terms, root, 0, issued, err);
}

enum gk_status hub_ca_issue_by_stranger(struct hub_ca *ca, int64_t serial, const char *csr,
                                        const struct hub_terms *terms, struct hub_issued *issued,
                                        struct gk_error *err)
{
    return issue(ca, csr, terms, 0, serial, issued, err);
}

enum gk_status hub_ca_revoke(struct hub_ca *ca, int64_t serial, int reason, int64_t *revoked_ms,
                             struct gk_error *err)
{
    CLEANUP(json_decrefp)
    json_t *body = json_pack("{s:I,s:i}", "serial", (json_int_t)serial, "reason", reason);
    CLEANUP(json_decrefp) json_t *answer = NULL;
    enum gk_status status = call(ca, "/revoke", body, &answer, err);

    if (status == GK_OK) {
        *revoked_ms = hub_number(answer, "revokedMs");
    }
    return status;
}

enum gk_status hub_ca_lists(struct hub_ca *ca, const char *how, struct hub_ca_lists *lists,
                            struct gk_error *err)
{
    CLEANUP(json_decrefp) json_t *body = json_pack("{s:s}", "how", how);
    CLEANUP(json_decrefp) json_t *answer = NULL;
    enum gk_status status = call(ca, "/lists", body, &answer, err);

    if (status == GK_OK) {
        *lists = (struct hub_ca_lists){
            .published = copy(answer, "published"),
            .all = copy(answer, "all"),
            .due_ms = hub_number(answer, "dueMs"),
        };
    }
    return status;
}

void hub_ca_lists_clear(struct hub_ca_lists *lists)
{
    free(lists->published);
    free(lists->all);
    *lists = (struct hub_ca_lists){ 0 };
}

enum gk_status hub_ca_set_list_life(struct hub_ca *ca, int64_t seconds, struct gk_error *err)
{
    CLEANUP(json_decrefp) json_t *body = json_pack("{s:I}", "seconds", (json_int_t)seconds);
    CLEANUP(json_decrefp) json_t *answer = NULL;

    return call(ca, "/list-life", body, &answer, err);
}

/* text grows by what follows. False when there is no memory left. */
static bool append(char **text, const char *more)
{
    CLEANUP(gk_freep) char *before = *text;

    *text = hub_print("%s%s", before != NULL ? before : "", more);
    return *text != NULL;
}

enum gk_status hub_ca_roots(struct hub_ca *ca, struct hub_ca_roots *roots, struct gk_error *err)
{
    CLEANUP(hub_ca_roots_clear) struct hub_ca_roots r = { 0 };
    CLEANUP(json_decrefp) json_t *answer = NULL;
    enum gk_status status = call(ca, "/roots", NULL, &answer, err);
    const json_t *list = json_object_get(answer, "roots");
    const json_t *newest = json_array_get(list, 0);
    size_t index;
    json_t *root;

    if (status != GK_OK) {
        return status;
    }
    r.newest = (int)hub_number(newest, "number");
    r.days_left = (int)hub_number(newest, "daysLeft");
    json_array_foreach(list, index, root)
    {
        if (!append(&r.trusted, hub_text(root, "certificate")) ||
            !append(&r.published, hub_text(root, "certificate")) ||
            !append(&r.published, hub_text(root, "link"))) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
    }
    *roots = r;
    r = (struct hub_ca_roots){ 0 };
    return GK_OK;
}

void hub_ca_roots_clear(struct hub_ca_roots *roots)
{
    free(roots->trusted);
    free(roots->published);
    *roots = (struct hub_ca_roots){ 0 };
}

enum gk_status hub_ca_new_root(struct hub_ca *ca, bool with_link, struct gk_error *err)
{
    CLEANUP(json_decrefp) json_t *body = json_pack("{s:b}", "link", with_link);
    CLEANUP(json_decrefp) json_t *answer = NULL;

    return call(ca, "/new-root", body, &answer, err);
}

enum gk_status hub_ca_stranger(struct hub_ca *ca, char **root, struct gk_error *err)
{
    CLEANUP(json_decrefp) json_t *answer = NULL;
    enum gk_status status = call(ca, "/stranger", NULL, &answer, err);

    if (status == GK_OK && (*root = copy(answer, "certificate")) == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return status;
}
