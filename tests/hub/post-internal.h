/* SPDX-License-Identifier: Apache-2.0 */
/* One request of a device while it is taken in: post.c finds out what it asks, the others do it. */
#ifndef GATEKEY_HUB_POST_INTERNAL_H
#define GATEKEY_HUB_POST_INTERNAL_H

#include "tests/hub/post.h"

/* EnOS's codes for what a device publishes. */
enum hub_post_code {
    HUB_POST_OK = 200,
    HUB_POST_TOO_LARGE = 1008,
    HUB_POST_NOT_ALLOWED = 1009,
    HUB_POST_MODEL = 1204,
    HUB_POST_POINT_FORMAT = 1206,
    HUB_POST_ATTRIBUTE_UPDATE = 1207,
    HUB_POST_ATTRIBUTE_QUERY = 1208,
    HUB_POST_ATTRIBUTE_DELETE = 1209,
    HUB_POST_SUB_DEVICE = 1212,
    HUB_POST_NOT_JSON = 1220,
    HUB_POST_EMPTY = 1251,
    HUB_POST_METHOD = 1260,
};

/* One request and what it is answered. */
struct hub_post {
    struct hub *hub;
    const struct hub_session *session;
    const char *rest;
    json_t *envelope;
    json_t *params;
    json_t *data; /* of the reply; NULL is {} */
    char message[120];
};

/* Note why a request fails; returns the code. */
int hub_post_fail(struct hub_post *post, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* End the transaction a request began: kept when the code says success. Returns the code the
 * request ends with. */
int hub_post_whole(struct hub_post *post, int code);

/* telemetry.c: kind is "post", "resume" or "event" */
int hub_post_points(struct hub_post *post, const char *kind);
int hub_post_batch(struct hub_post *post, const char *kind);
int hub_post_event(struct hub_post *post, const char *kind);
int hub_post_raw(struct hub_post *post, const void *payload, size_t size); /* kept as hex */

/* attribute.c: kind is "attribute" or "tag" */
int hub_post_update(struct hub_post *post, const char *kind);
int hub_post_update_tags(struct hub_post *post, const char *kind);
int hub_post_query(struct hub_post *post, const char *kind);
int hub_post_delete(struct hub_post *post, const char *kind);

#endif
