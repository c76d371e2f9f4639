/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hub asks of its CA, over the CA's API (ca-service.h). Every call waits for the answer;
 * safe from several threads.
 *
 * All fail with GK_UNREACHABLE where no CA answers, and with GK_REFUSED and the CA's own words
 * where it refuses.
 */
#ifndef GATEKEY_HUB_CA_CLIENT_H
#define GATEKEY_HUB_CA_CLIENT_H

#include "tests/hub/request.h"
#include "tests/hub/terms.h"

#include <stdbool.h>

struct hub_ca;

GK_MUST_CHECK enum gk_status hub_ca_open(const char *socket, const char *token_file,
                                         struct hub_ca **ca, struct gk_error *err);
void hub_ca_close(struct hub_ca *ca);
GK_DEFINE_CLEANUP(struct hub_ca, hub_ca_close)

/* Have a certificate issued for a request, by the newest root. */
GK_MUST_CHECK enum gk_status hub_ca_issue(struct hub_ca *ca, const char *csr,
                                          const struct hub_terms *terms, struct hub_issued *issued,
                                          struct gk_error *err);

/* The same by the root of that number; and by a CA that nobody knows, with the serial given. */
GK_MUST_CHECK enum gk_status hub_ca_issue_by(struct hub_ca *ca, int root, const char *csr,
                                             const struct hub_terms *terms,
                                             struct hub_issued *issued, struct gk_error *err);
GK_MUST_CHECK enum gk_status hub_ca_issue_by_stranger(struct hub_ca *ca, int64_t serial,
                                                      const char *csr,
                                                      const struct hub_terms *terms,
                                                      struct hub_issued *issued,
                                                      struct gk_error *err);

/* Have one revoked; when it returns the CA's lists name it. */
GK_MUST_CHECK enum gk_status hub_ca_revoke(struct hub_ca *ca, int64_t serial, int reason,
                                           int64_t *revoked_ms, struct gk_error *err);

/* The revocation lists, PEM: the one to publish, and one of each root. */
struct hub_ca_lists {
    char *published;
    char *all;
    int64_t due_ms; /* when there will be newer ones */
};

/* how: "" as they are; "old", "expired", "other-ca" as nobody should believe them. */
GK_MUST_CHECK enum gk_status hub_ca_lists(struct hub_ca *ca, const char *how,
                                          struct hub_ca_lists *lists, struct gk_error *err);
void hub_ca_lists_clear(struct hub_ca_lists *lists);

/* How long the lists live from now on. */
GK_MUST_CHECK enum gk_status hub_ca_set_list_life(struct hub_ca *ca, int64_t seconds,
                                                  struct gk_error *err);

/* The roots, PEM, newest first: all of them, and the same with each one's link certificate after
 * it. */
struct hub_ca_roots {
    char *trusted;
    char *published;
    int newest;
    int days_left; /* of the newest */
};

GK_MUST_CHECK enum gk_status hub_ca_roots(struct hub_ca *ca, struct hub_ca_roots *roots,
                                          struct gk_error *err);
void hub_ca_roots_clear(struct hub_ca_roots *roots);

/* Have another root made, and linked to the last one, which signs from then on. */
GK_MUST_CHECK enum gk_status hub_ca_new_root(struct hub_ca *ca, bool with_link,
                                             struct gk_error *err);

/* The certificate of the CA that nobody knows. The caller frees it. */
GK_MUST_CHECK enum gk_status hub_ca_stranger(struct hub_ca *ca, char **root, struct gk_error *err);

#endif
