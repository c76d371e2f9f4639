/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub makes the broker do, and how other threads ask for it. */
#include "tests/hub/broker.h"

#include "tests/hub/text.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <signal.h>

struct errand {
    struct hub *hub;
    const char *asset_id;
    const struct hub_message *message;
    int64_t serial;
    int reloads;
    bool done;
};

void hub_broker_publish(const char *topic, const char *text, int qos)
{
    if (mosquitto_broker_publish_copy(NULL, topic, (int)strlen(text), text, qos, false, NULL) !=
        MOSQ_ERR_SUCCESS) {
        hub_say("could not publish on %s", topic);
    }
}

bool hub_broker_deliver(const struct hub_session *session, const struct hub_message *message)
{
    return mosquitto_broker_publish_copy(session->client_id, message->topic, (int)message->size,
                                         message->payload, message->qos, false,
                                         NULL) == MOSQ_ERR_SUCCESS;
}

void hub_broker_end(const struct hub_session *session)
{
    /* A copy, because the disconnect event that follows frees the session. */
    CLEANUP(gk_freep) char *client_id = strdup(session->client_id);

    mosquitto_kick_client_by_clientid(client_id, false);
}

static void deliver(void *argument)
{
    struct errand *errand = argument;
    const struct hub_session *session =
        hub_session_of_device(errand->hub->sessions, errand->asset_id);

    errand->done =
        session != NULL && !session->activates && hub_broker_deliver(session, errand->message);
}

bool hub_broker_send(struct hub *hub, const char *asset_id, const struct hub_message *message)
{
    struct errand errand = { .hub = hub, .asset_id = asset_id, .message = message };

    return hub_queue_run(hub->queue, deliver, &errand) && errand.done;
}

static void ask_to_reload(void *argument)
{
    struct errand *errand = argument;

    errand->reloads = errand->hub->reloads;
    /* mosquitto takes its files up again in its main loop, before the next tick. */
    errand->done = raise(SIGHUP) == 0;
}

static void see_whether_reloaded(void *argument)
{
    struct errand *errand = argument;

    errand->done = errand->hub->reloads != errand->reloads;
}

bool hub_broker_reload(struct hub *hub)
{
    struct errand errand = { .hub = hub };
    bool running = hub_queue_run(hub->queue, ask_to_reload, &errand) && errand.done;

    errand.done = false;
    while (running && !errand.done) {
        running = hub_queue_run(hub->queue, see_whether_reloaded, &errand);
    }
    return errand.done;
}

static void cut(void *argument)
{
    struct errand *errand = argument;
    const struct hub_session *session;

    while ((session = errand->asset_id != NULL
                          ? hub_session_of_device(errand->hub->sessions, errand->asset_id)
                          : hub_session_of_serial(errand->hub->sessions, errand->serial)) != NULL) {
        const struct mosquitto *client = session->client;

        hub_broker_end(session);
        hub_session_close(errand->hub, client);
    }
}

void hub_broker_cut(struct hub *hub, int64_t serial)
{
    struct errand errand = { .hub = hub, .serial = serial };

    hub_queue_run(hub->queue, cut, &errand);
}

void hub_broker_cut_device(struct hub *hub, const char *asset_id)
{
    struct errand errand = { .hub = hub, .asset_id = asset_id };

    hub_queue_run(hub->queue, cut, &errand);
}
