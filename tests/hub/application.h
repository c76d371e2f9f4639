/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications: programs with a key and a secret that may make some calls of the API, about the
 * devices of some products.
 *
 * An application is a row of the store: name, appKey, appSecret, permissions, products. The last
 * two are words parted by commas, "*" for all. The one a hub begins with, HUB_APPLICATION_FIRST,
 * may do everything. Safe from several threads and processes.
 */
#ifndef GATEKEY_HUB_APPLICATION_H
#define GATEKEY_HUB_APPLICATION_H

#include "tests/hub/store.h"

#define HUB_APPLICATION_FIRST "gatekey-provisioner"
#define HUB_APPLICATION_ALL "*"

#define HUB_APPLICATION_SECRET_LENGTH 32

/* What an application may be allowed; NULL ends it. */
extern const char *const hub_permissions[];

/* Keep an application. False with a sentence in why (room bytes): a permission or a product that
 * does not exist, a name that is taken or is none. */
bool hub_application_add(struct hub_store *store, const char *name, const char *app_key,
                         const char *secret, const char *permissions, const char *products,
                         char *why, size_t room);

/* Forget one and its tokens. False when there is none of that name. */
bool hub_application_remove(struct hub_store *store, const char *name);

/* The row of the application with that key, the caller's to release; NULL when there is none. */
json_t *hub_application_find(struct hub_store *store, const char *app_key);

/* Whether it may make calls that need that permission, and whether it may touch that product. */
bool hub_application_may(const json_t *application, const char *permission);
bool hub_application_covers(const json_t *application, const char *product_key);

#endif
