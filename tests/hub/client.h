/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An application's way to the hub: signed calls of the REST API over HTTPS, with the hub's
 * certificate checked. One thread.
 */
#ifndef GATEKEY_HUB_CLIENT_H
#define GATEKEY_HUB_CLIENT_H

#include "cleanup.h"
#include "tests/hub/signature.h"

#include <jansson.h>

/* No answer came, or none that is one. */
#define HUB_CLIENT_UNREACHABLE (-1)

#define HUB_CLIENT_PARAMETERS 8

/* Where the hub is, and who calls. */
struct hub_client_options {
    const char *url;
    const char *ca_file;
    const char *org_id;
    const char *app_key;
    const char *app_secret;
};

struct hub_client;

/* The options must outlive the client. NULL when out of memory. */
struct hub_client *hub_client_new(const struct hub_client_options *options);
void hub_client_free(struct hub_client *client);
GK_DEFINE_CLEANUP(struct hub_client, hub_client_free)

/* One call. At most HUB_CLIENT_PARAMETERS, the organisation is added; body NULL is a GET. */
struct hub_client_call {
    const char *path;
    struct hub_parameter query[HUB_CLIENT_PARAMETERS];
    size_t query_count;
    const json_t *body;
};

/*
 * Make a call; a token is fetched when there is none, or no longer a good one. EnOS's code, 0 is
 * success, or HUB_CLIENT_UNREACHABLE. *answer is the whole answer, the caller's to release, NULL
 * where there is none.
 */
int hub_client_call(struct hub_client *client, const struct hub_client_call *call, json_t **answer);

/* What an answer's body grows in, for CURLOPT_WRITEFUNCTION: NUL-terminated, the caller's to free.
 */
struct hub_body {
    char *bytes; /* NULL: nothing came */
    size_t size;
};
size_t hub_body_take(char *bytes, size_t one, size_t count, void *body);

#endif
