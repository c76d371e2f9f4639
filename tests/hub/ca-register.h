/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CA itself: its roots, and the register of what they issued, revoked and listed. It lives in
 * a process of its own and in a folder of its own: root.pem, root.key, root-2.pem ..., ca.db.
 *
 * Serials are one sequence, whichever root signs. One thread.
 */
#ifndef GATEKEY_HUB_CA_REGISTER_H
#define GATEKEY_HUB_CA_REGISTER_H

#include "tests/hub/store.h"
#include "tests/hub/terms.h"

struct ca_register;

/* Open the folder; on first use its root is made, to live for so many days. */
GK_MUST_CHECK enum gk_status ca_register_open(const char *directory, int root_days,
                                              struct ca_register **ca, struct gk_error *err);
void ca_register_close(struct ca_register *ca);
GK_DEFINE_CLEANUP(struct ca_register, ca_register_close)

struct ca_order {
    const char *csr;
    struct hub_terms terms;
    int root;         /* which one signs; 0 is the newest */
    int64_t stranger; /* not 0: another CA of the same name signs, with this serial, and nothing is
                         registered: for tests */
};

/* Read the request, issue by it and register that. Fails as hub_request_read where the request is
 * no good, with GK_USAGE where there is no such root. */
GK_MUST_CHECK enum gk_status ca_register_issue(struct ca_register *ca, const struct ca_order *order,
                                               struct hub_issued *issued, struct gk_error *err);

/* Revoke and have new lists signed at once. What is revoked already stays as it is, so that it can
 * be asked again. GK_USAGE: there is no such certificate. */
GK_MUST_CHECK enum gk_status ca_register_revoke(struct ca_register *ca, int64_t serial, int reason,
                                                int64_t *revoked_ms, struct gk_error *err);

/* How long lists live from now on, in seconds; new ones are signed at once. */
GK_MUST_CHECK enum gk_status ca_register_set_list_life(struct ca_register *ca, int64_t life_s,
                                                       struct gk_error *err);

/*
 * The lists, as JSON the caller releases: {"published","all","number","dueMs"}.
 *
 * published is signed by the newest root and names every revoked serial, as EnOS's one address for
 * the list demands; all has one list of each root after the other, for whoever checks chains. Past
 * half of their life (dueMs) new ones are signed. how: "" as they are; "old" the ones that named
 * fewer; "expired" or "other-ca" ones that nobody should believe.
 */
GK_MUST_CHECK enum gk_status ca_register_lists(struct ca_register *ca, const char *how,
                                               json_t **lists, struct gk_error *err);

/* Make another root, which signs from then on; with_link: the old one signs a link certificate. */
GK_MUST_CHECK enum gk_status ca_register_new_root(struct ca_register *ca, bool with_link,
                                                  struct gk_error *err);

/* All there are, newest first, as JSON: [{"number","certificate","link","daysLeft"}], link null
 * where there is none. */
GK_MUST_CHECK enum gk_status ca_register_roots(struct ca_register *ca, json_t **roots,
                                               struct gk_error *err);

/* The certificate of the CA that signs for strangers. The caller frees it. */
GK_MUST_CHECK enum gk_status ca_register_stranger(struct ca_register *ca, char **root,
                                                  struct gk_error *err);

/* {"roots","certificates","revoked","list"}: how many, and the number of the last list. */
json_t *ca_register_status(struct ca_register *ca);

#endif
