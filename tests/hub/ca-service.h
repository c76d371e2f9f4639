/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CA's API, JSON both ways; a refusal is {"error": "..."} with HTTP 400, 404 or 500.
 *
 *     POST /issue {"csr","profile":"enos|modern|server","from","life","crlUrl","root","stranger"}
 *                      -> {"serial","certificate","root","link","subject","issuer","signMs",
 *                      "expireMs"}; seconds from now, and of life. A renewal is an issue as well.
 *     POST /revoke     {"serial","reason"} -> {"revokedMs"}; new lists are signed before the answer
 *     POST /lists      {"how":""|"old"|"expired"|"other-ca"} ->
 * {"published","all","number","dueMs"} POST /list-life  {"seconds"} -> {} GET  /roots      ->
 * {"roots":[{"number","certificate","link","daysLeft"}]}, newest first POST /new-root
 * {"link":true|false} -> {} GET  /stranger   -> {"certificate"} GET  /status     ->
 * {"roots","certificates","revoked","list"}
 */
#ifndef GATEKEY_HUB_CA_SERVICE_H
#define GATEKEY_HUB_CA_SERVICE_H

#include "tests/hub/ca-register.h"

/* A ca_door_handler; user is a struct ca_register. */
json_t *ca_service_handle(void *user, const char *method, const char *path, const json_t *body,
                          unsigned int *http, struct gk_error *err);

#endif
