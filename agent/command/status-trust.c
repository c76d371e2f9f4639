/* SPDX-License-Identifier: Apache-2.0 */
/* The part of gatekey status about whom and what is believed. */
#include "agent/command/status.h"

#include "agent/command/trust.h"

void status_check_revoked(struct run *run, struct gk_error *first)
{
    struct agent_openssl *openssl;
    struct gk_error err = { 0 };
    bool listed = false;

    if (run_openssl(run, &openssl, NULL) == GK_OK &&
        agent_crl_lists_own(run->config, openssl, &listed, NULL) == GK_OK && listed) {
        gk_fail(&err, GK_REVOKED, "its serial stands in %s/" GK_FILE_CRL, run->config->directory);
        status_note(first, &err);
    }
}

/* Whether a list that is too old is a failure is the owner's to say. */
static void show_list(struct run *run, enum refresh_kind kind, const char *name,
                      struct gk_error *first)
{
    struct agent_openssl *openssl;
    struct trust_list list;
    struct gk_error err = { 0 };
    json_t *member;

    if (run_openssl(run, &openssl, NULL) != GK_OK) {
        return;
    }
    trust_look_at_list(run->config, openssl, kind, &list);
    say_line(run, "%-12s %s%s (%s)", name, trust_standing_name(list.standing),
             list.lists_own ? ", and our certificate is revoked by it" : "", list.why);
    if (list.error[0] != '\0') {
        say_line(run, "%-12s the last refresh failed: %s", "", list.error);
    }
    member = json_pack("{ss ss ss sI sb}", "standing", trust_standing_name(list.standing), "detail",
                       list.why, "refreshError", list.error, "checked", (json_int_t)list.checked,
                       "listsOwn", list.lists_own);
    say_member(run, refresh_kind_name(kind), member);
    if (run->config->stale == AGENT_STOP &&
        (list.standing == TRUST_STALE || list.standing == TRUST_MISSING)) {
        gk_fail(&err, GK_STALE_CRL, "%s: %s", refresh_kind_file(kind), list.why);
        status_note(first, &err);
    }
}

static void show_roots(struct run *run)
{
    CLEANUP(agent_roots_clear) struct agent_roots issuers = { 0 };
    CLEANUP(agent_roots_clear) struct agent_roots pending = { 0 };
    struct agent_openssl *openssl;
    char where[160];

    agent_roots_describe(run->config, AGENT_TRUST_HUB, where, sizeof(where));
    status_show(run, "roots", "roots", where);
    if (run_openssl(run, &openssl, NULL) != GK_OK ||
        agent_roots_read(run->config, openssl, GK_FILE_ISSUER_CA, &issuers, NULL) != GK_OK ||
        agent_roots_read(run->config, openssl, GK_FILE_PENDING_CA, &pending, NULL) != GK_OK) {
        return;
    }
    say_line(run, "%-12s %d", "issuers", agent_roots_count(&issuers));
    say_member(run, "issuers", json_integer(agent_roots_count(&issuers)));
    say_member(run, "waitingRoots", json_integer(agent_roots_count(&pending)));
    if (agent_roots_count(&pending) > 0) {
        say_line(run, "%-12s %d waiting; see gatekey ca list", "", agent_roots_count(&pending));
    }
}

void status_show_trust(struct run *run, struct gk_error *first)
{
    show_list(run, REFRESH_CRL, "crl", first);
    show_list(run, REFRESH_SERVER_CRL, "hub's crl", first);
    show_roots(run);
}
