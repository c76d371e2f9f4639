/* SPDX-License-Identifier: Apache-2.0 */
/* The CA's API: which call does what, and what it takes and answers. */
#include "tests/hub/ca-service.h"

#include "tests/hub/text.h"

#include <inttypes.h>

static enum gk_status issue(struct ca_register *ca, const json_t *body, json_t **answer,
                            struct gk_error *err)
{
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    const struct ca_order order = {
        .csr = hub_text(body, "csr"),
        .terms.profile = hub_profile_named(hub_text(body, "profile")),
        .terms.from_s = hub_number(body, "from"),
        .terms.life_s = hub_number(body, "life"),
        .terms.crl_url = hub_text(body, "crlUrl"),
        .root = (int)hub_number(body, "root"),
        .stranger = hub_number(body, "stranger"),
    };
    enum gk_status status;

    if (order.terms.profile == HUB_PROFILE_COUNT || order.terms.life_s <= 0) {
        return gk_fail(err, GK_USAGE, "profile or life");
    }
    status = ca_register_issue(ca, &order, &issued, err);
    if (status != GK_OK) {
        return status;
    }
    *answer = json_pack("{s:I,s:s,s:s,s:s?,s:s,s:s,s:I,s:I}", "serial", (json_int_t)issued.serial,
                        "certificate", issued.pem, "root", issued.root, "link", issued.link,
                        "subject", issued.subject, "issuer", issued.issuer, "signMs",
                        (json_int_t)issued.sign_ms, "expireMs", (json_int_t)issued.expire_ms);
    hub_say("issued %" PRId64 " to %s", issued.serial, issued.subject);
    return GK_OK;
}

static enum gk_status revoke_one(struct ca_register *ca, const json_t *body, json_t **answer,
                                 struct gk_error *err)
{
    int64_t serial = hub_number(body, "serial");
    int64_t revoked_ms = 0;
    enum gk_status status =
        ca_register_revoke(ca, serial, (int)hub_number(body, "reason"), &revoked_ms, err);

    if (status == GK_OK) {
        *answer = json_pack("{s:I}", "revokedMs", (json_int_t)revoked_ms);
        hub_say("revoked %" PRId64 ", and signed new lists", serial);
    }
    return status;
}

static enum gk_status lists(struct ca_register *ca, const json_t *body, json_t **answer,
                            struct gk_error *err)
{
    return ca_register_lists(ca, hub_text(body, "how"), answer, err);
}

static enum gk_status list_life(struct ca_register *ca, const json_t *body, json_t **answer,
                                struct gk_error *err)
{
    int64_t life_s = hub_number(body, "seconds");

    *answer = json_object();
    return life_s > 0 ? ca_register_set_list_life(ca, life_s, err)
                      : gk_fail(err, GK_USAGE, "seconds");
}

static enum gk_status roots(struct ca_register *ca, const json_t *body, json_t **answer,
                            struct gk_error *err)
{
    json_t *list = NULL;
    enum gk_status status = ca_register_roots(ca, &list, err);

    (void)body;
    if (status == GK_OK) {
        *answer = json_pack("{s:o}", "roots", list);
    }
    return status;
}

static enum gk_status new_root(struct ca_register *ca, const json_t *body, json_t **answer,
                               struct gk_error *err)
{
    *answer = json_object();
    return ca_register_new_root(ca, json_is_true(json_object_get(body, "link")), err);
}

static enum gk_status stranger(struct ca_register *ca, const json_t *body, json_t **answer,
                               struct gk_error *err)
{
    CLEANUP(gk_freep) char *root = NULL;
    enum gk_status status = ca_register_stranger(ca, &root, err);

    (void)body;
    if (status == GK_OK) {
        *answer = json_pack("{s:s}", "certificate", root);
    }
    return status;
}

static enum gk_status show_status(struct ca_register *ca, const json_t *body, json_t **answer,
                                  struct gk_error *err)
{
    (void)body;
    *answer = ca_register_status(ca);
    return *answer != NULL ? GK_OK : gk_fail(err, GK_FILE_FAILED, "the CA's register");
}

static const struct {
    const char *method;
    const char *path;
    enum gk_status (*handle)(struct ca_register *ca, const json_t *body, json_t **answer,
                             struct gk_error *err);
} calls[] = {
    { "POST", "/issue", issue },      { "POST", "/revoke", revoke_one },
    { "POST", "/lists", lists },      { "POST", "/list-life", list_life },
    { "GET", "/roots", roots },       { "POST", "/new-root", new_root },
    { "GET", "/stranger", stranger }, { "GET", "/status", show_status },
};

/* Whose fault it was. */
static unsigned int http_of(enum gk_status status)
{
    bool callers = status == GK_USAGE || status == GK_BAD_FILE || status == GK_NOT_RSA2048;

    return callers ? 400 : 500;
}

json_t *ca_service_handle(void *user, const char *method, const char *path, const json_t *body,
                          unsigned int *http, struct gk_error *err)
{
    CLEANUP(json_decrefp) json_t *answer = NULL;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].method, method) == 0 && strcmp(calls[i].path, path) == 0) {
            enum gk_status status = calls[i].handle(user, body, &answer, err);

            *http = status == GK_OK ? 200 : http_of(status);
            return status == GK_OK ? TAKE(answer) : NULL;
        }
    }
    *http = 404;
    gk_fail(err, GK_USAGE, "%s %s", method, path);
    return NULL;
}
