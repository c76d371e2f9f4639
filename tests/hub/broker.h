/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub makes the broker do. The first three are for the broker's own thread, the others for
 * any other. */
#ifndef GATEKEY_HUB_BROKER_H
#define GATEKEY_HUB_BROKER_H

#include "tests/hub/session.h"

/* Publish to whoever subscribed: a reply. */
void hub_broker_publish(const char *topic, const char *text, int qos);

/* What goes to one device; all borrowed. */
struct hub_message {
    const char *topic;
    const void *payload;
    size_t size;
    int qos;
};

/* Hand a message to one connected device whether it subscribed or not, once. False when it could
 * not be. */
bool hub_broker_deliver(const struct hub_session *session, const struct hub_message *message);

/* End a session. */
void hub_broker_end(const struct hub_session *session);

/* The same as hub_broker_deliver for a device, from another thread; false too when it is not
 * connected. */
bool hub_broker_send(struct hub *hub, const char *asset_id, const struct hub_message *message);

/* From another thread: have the broker read its certificates and its CRL again, and wait until it
 * has. */
bool hub_broker_reload(struct hub *hub);

/* From another thread: end the session that was opened with this certificate, or by this device. */
void hub_broker_cut(struct hub *hub, int64_t serial);
void hub_broker_cut_device(struct hub *hub, const char *asset_id);

#endif
