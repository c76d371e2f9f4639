/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CA's door: HTTP with JSON bodies on a unix socket, for one caller alone.
 *
 * The caller must be the process the CA was started by (or, where none is named, of its user), as
 * the kernel says, and must show the token as "Authorization: Bearer". Whoever does not gets 403 or
 * 401, and nothing is done. Calls are handled one after the other, on a thread of the door's own.
 */
#ifndef GATEKEY_HUB_CA_DOOR_H
#define GATEKEY_HUB_CA_DOOR_H

#include "tests/hub/store.h"

#include <sys/types.h>

struct ca_door;

struct ca_door_options {
    const char *socket;
    const char *token;
    pid_t hub; /* 0: any process of our user */
};

/* Does a call: method, path and the body's object (NULL without one); the answer's object, or NULL
 * with the HTTP status set and the reason in err. */
typedef json_t *(*ca_door_handler)(void *user, const char *method, const char *path,
                                   const json_t *body, unsigned int *http, struct gk_error *err);

GK_MUST_CHECK enum gk_status ca_door_open(const struct ca_door_options *options,
                                          ca_door_handler handler, void *user,
                                          struct ca_door **door, struct gk_error *err);
void ca_door_close(struct ca_door *door);
GK_DEFINE_CLEANUP(struct ca_door, ca_door_close)

#endif
