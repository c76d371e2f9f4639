/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected: one live session per device. Only the broker's thread may call these. */
#ifndef GATEKEY_HUB_SESSION_H
#define GATEKEY_HUB_SESSION_H

#include "tests/hub/admission.h"

struct mosquitto;

struct hub_session {
    struct hub_session *next;
    const struct mosquitto *client;
    char *client_id;
    json_t *device; /* its row, which the three below point into */
    const char *asset_id;
    const char *product_key;
    const char *device_key;
    bool activates; /* knows only the product's secret, and may do nothing but learn its own */
    int64_t serial;
};

struct hub_sessions;

struct hub_sessions *hub_sessions_new(void);
void hub_sessions_free(struct hub_sessions *sessions);

/* Note a new session; takes verdict->device. NULL when there is no memory. */
const struct hub_session *hub_session_open(struct hub_sessions *sessions,
                                           const struct mosquitto *client, const char *client_id,
                                           struct hub_verdict *verdict);

/* Forget one; the client may be unknown. True when it was its device's only session. */
bool hub_session_close(struct hub *hub, const struct mosquitto *client);

const struct hub_session *hub_session_of_client(const struct hub_sessions *sessions,
                                                const struct mosquitto *client);
const struct hub_session *hub_session_of_device(const struct hub_sessions *sessions,
                                                const char *asset_id);
const struct hub_session *hub_session_of_serial(const struct hub_sessions *sessions,
                                                int64_t serial);

#endif
