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

const struct verb hubctl_ca_verbs[] = {
    { "setting", "[NAME VALUE]", 0, 2, "list what can be set while the hub runs, or set it",
      setting, NULL, NULL, 0 },
    { 0 },
};
