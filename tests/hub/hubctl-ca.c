/* SPDX-License-Identifier: Apache-2.0 */
/* hubctl's commands for the hub's CA and for what can be set while the hub runs. */
#include "tests/hub/hubctl.h"

#include "cleanup.h"
#include "tests/hub/store.h"
#include "tests/hub/table.h"

static int setting(struct run *run)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;

    if (run->count == 1) {
        return hubctl_fail("give a value for %s as well", run->words[0]);
    }
    if (run->count == 2) {
        body = json_pack("{s:s,s:s}", "name", run->words[0], "value", run->words[1]);
    }
    answer = hubctl_ask(body != NULL ? "/setting" : "/settings", body);
    if (answer != NULL && body == NULL && !run->json) {
        hub_table_print(json_object_get(answer, "data"));
        return 0;
    }
    return hubctl_conclude(run, answer, NULL);
}

static int order(struct run *run, const char *path, json_t *body)
{
    CLEANUP(json_decrefp) json_t *answer = hubctl_ask(path, body);

    json_decref(body);
    return hubctl_conclude(run, answer, NULL);
}

static int new_root(struct run *run)
{
    return order(run, "/new-root",
                 json_pack("{s:b,s:b}", "link", hubctl_option(run, "--without-link") == NULL,
                           "switchServer", hubctl_option(run, "--switch-server") != NULL));
}

static int switch_server(struct run *run)
{
    return order(run, "/switch-server", json_object());
}

static int renew_server(struct run *run)
{
    return order(run, "/renew-server", json_object());
}

static int revoke_server(struct run *run)
{
    return order(
        run, "/revoke-server",
        json_pack("{s:i}", "reason", run->count > 0 ? (int)strtol(run->words[0], NULL, 10) : 0));
}

const struct verb hubctl_ca_verbs[] = {
    { "setting", "[NAME VALUE]", 0, 2, "list what can be set while the hub runs, or set it",
      setting, NULL, NULL, 0 },
    { "new-root", "[--without-link] [--switch-server]", 0, 0,
      "have another root sign from now on, linked to the old one; also the hub's certificate",
      new_root, NULL, "--without-link --switch-server", 0 },
    { "switch-server", "", 0, 0, "have the newest root sign the hub's own certificate",
      switch_server, NULL, NULL, 0 },
    { "renew-server", "", 0, 0, "have the hub's own certificate renewed at once", renew_server,
      NULL, NULL, 0 },
    { "revoke-server", "[REASON]", 0, 1,
      "revoke the hub's own certificate, which it goes on showing", revoke_server, NULL, NULL, 0 },
    { 0 },
};
