/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected. */
#include "tests/hub/session.h"

struct hub_sessions {
    struct hub_session *first; /* the newest comes first */
};

static void session_free(struct hub_session *session)
{
    if (session != NULL) {
        free(session->client_id);
        json_decref(session->device);
        free(session);
    }
}

GK_DEFINE_CLEANUP(struct hub_session, session_free)

struct hub_sessions *hub_sessions_new(void)
{
    return calloc(1, sizeof(struct hub_sessions));
}

void hub_sessions_free(struct hub_sessions *sessions)
{
    while (sessions != NULL && sessions->first != NULL) {
        struct hub_session *session = sessions->first;

        sessions->first = session->next;
        session_free(session);
    }
    free(sessions);
}

const struct hub_session *hub_session_open(struct hub_sessions *sessions,
                                           const struct mosquitto *client, const char *client_id,
                                           struct hub_verdict *verdict)
{
    CLEANUP(session_freep) struct hub_session *session = calloc(1, sizeof(*session));

    if (session == NULL || (session->client_id = strdup(client_id)) == NULL) {
        return NULL;
    }
    session->client = client;
    session->device = TAKE(verdict->device);
    session->asset_id = hub_text(session->device, "assetId");
    session->product_key = hub_text(session->device, "productKey");
    session->device_key = hub_text(session->device, "deviceKey");
    session->activates = verdict->activates;
    session->serial = verdict->serial;
    session->next = sessions->first;
    sessions->first = session;
    return TAKE(session);
}

bool hub_session_close(struct hub *hub, const struct mosquitto *client)
{
    for (struct hub_session **at = &hub->sessions->first; *at != NULL; at = &(*at)->next) {
        CLEANUP(session_freep) struct hub_session *session = NULL;

        if ((*at)->client != client) {
            continue;
        }
        session = *at;
        *at = session->next;
        return hub_session_of_device(hub->sessions, session->asset_id) == NULL;
    }
    return false;
}

const struct hub_session *hub_session_of_client(const struct hub_sessions *sessions,
                                                const struct mosquitto *client)
{
    for (const struct hub_session *s = sessions->first; s != NULL; s = s->next) {
        if (s->client == client) {
            return s;
        }
    }
    return NULL;
}

const struct hub_session *hub_session_of_device(const struct hub_sessions *sessions,
                                                const char *asset_id)
{
    for (const struct hub_session *s = sessions->first; s != NULL; s = s->next) {
        if (strcmp(s->asset_id, asset_id) == 0) {
            return s;
        }
    }
    return NULL;
}

const struct hub_session *hub_session_of_serial(const struct hub_sessions *sessions, int64_t serial)
{
    for (const struct hub_session *s = sessions->first; s != NULL; s = s->next) {
        if (s->serial == serial) {
            return s;
        }
    }
    return NULL;
}
