/* SPDX-License-Identifier: Apache-2.0 */
/* What devices publish: telemetry, attributes, tags, events, and their answers to commands. */
#ifndef GATEKEY_HUB_POST_H
#define GATEKEY_HUB_POST_H

#include "tests/hub/session.h"
#include "tests/hub/topic.h"

/* EnOS discards a publish of this many bytes or more. */
#define HUB_POST_LIMIT (512 * 1024)

/*
 * Take in what a device published on a topic of its own (tree and rest as hub_topic_tree gives
 * them). Returns the text of the reply, which the caller frees and publishes on the topic with
 * "_reply", or NULL where nothing is replied. *drop asks for the connection to be ended. The
 * broker's thread.
 */
char *hub_post_take(struct hub *hub, const struct hub_session *session, enum hub_tree tree,
                    const char *rest, const void *payload, size_t size, bool *drop);

/* Note what a device did wrong, for the log and for tests. */
void hub_post_blame(struct hub *hub, const struct hub_session *session, int code,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
