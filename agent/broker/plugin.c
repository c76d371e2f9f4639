/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a PUBACK of the local broker mean "on disk": a plugin for mosquitto 2.0 and later.
 *
 * mosquitto acknowledges what it has in memory. So before it does, the message is handed to
 * gatekeyd, and the acknowledgement is held until gatekeyd has it in its spool (gate.h), or the
 * plugin waits for that by itself; for anything else the client is cut off, which makes it send
 * again. What was handed over goes on as gatekey/ok/..., so that nobody who subscribed to
 * gatekey/up/#, gatekeyd above all, takes it twice.
 *
 * It says besides who may do what: an application writes gatekey/up/# and gatekey/reply/# and reads
 * the rest of gatekey/#; gatekeyd does the reverse. gatekeyd is whoever has its client id, and that
 * is only given to who knows the password that gatekeyd's own socket says is right.
 *
 * Threads: one, the broker's; the gate has its own. Options: plugin_opt_socket, gatekeyd's socket;
 * plugin_opt_gate, the applications', and plugin_opt_inner, what mosquitto listens on behind it.
 */
#include "agent/broker/door.h"
#include "agent/broker/gate.h"
#include "agent/broker/letter.h"
#include "agent/local.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdint.h>

/* GK_CFLAGS hides everything else. */
#define EXPORTED __attribute__((visibility("default")))

#define SERVICE_ID "gatekeyd"
#define DEFAULT_SOCKET "/run/gatekey/gatekeyd.sock"

static const char up[] = "gatekey/up/";
static const char reply[] = "gatekey/reply/";
static const char ok[] = "gatekey/ok/"; /* no longer than the others: see on_message() */

struct plugin {
    mosquitto_plugin_id_t *id;
    struct door *door;
    struct gate *gate;
    char *inner;    /* what mosquitto listens on behind the gate; NULL: there is no gate */
    char said[256]; /* why messages are not taken, as it was logged */
};

static bool begins(const char *topic, const char *prefix)
{
    return strncmp(topic, prefix, strlen(prefix)) == 0;
}

static bool is_service(const struct mosquitto *client)
{
    const char *id = mosquitto_client_id(client);

    return id != NULL && strcmp(id, SERVICE_ID) == 0;
}

/* Once per change: applications try again and again. */
static void say(struct plugin *plugin, const char *why)
{
    if (strcmp(plugin->said, why) != 0) {
        snprintf(plugin->said, sizeof(plugin->said), "%s", why);
        mosquitto_log_printf(why[0] != '\0' ? MOSQ_LOG_WARNING : MOSQ_LOG_NOTICE, "gatekey: %s",
                             why[0] != '\0' ? why : "messages are taken again");
    }
}

/* What gatekeyd is not asked about is refused here; rest is what follows gatekey/error/. */
static void complain(const char *rest, const char *why)
{
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(gk_freep) char *topic = NULL;

    if (asprintf(&text, "{\"error\":\"cannot take this message: %s\"}", why) < 0) {
        text = NULL;
    }
    /* A topic has 65535 bytes at most. */
    if (asprintf(&topic, "gatekey/error/%s", rest) < 0) {
        topic = NULL;
    }
    if (text != NULL && topic != NULL && strlen(topic) <= UINT16_MAX) {
        mosquitto_broker_publish_copy(NULL, topic, (int)strlen(text), text, 1, false, NULL);
    }
}

/* --- who may do what ------------------------------------------------------------------------- */

static int on_basic_auth(int event, void *data, void *user)
{
    const struct mosquitto_evt_basic_auth *asked = data;
    struct plugin *plugin = user;
    CLEANUP(gk_freep) char *line = NULL;
    char why[DOOR_WHY];
    size_t size = 0;
    bool right;

    (void)event;
    if (!is_service(asked->client)) {
        return MOSQ_ERR_SUCCESS; /* whoever may open the socket is an application */
    }
    line = letter_password(asked->password != NULL ? asked->password : "", &size);
    right = line != NULL && size <= AGENT_LOCAL_LINE_MAX &&
            door_hand_over(plugin->door, line, size, true, why) == DOOR_TAKEN;
    if (!right) {
        mosquitto_log_printf(MOSQ_LOG_WARNING, "gatekey: somebody called himself " SERVICE_ID
                                               " and could not prove it");
    }
    return right ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
}

/*
 * A last will passes on_message() by: mosquitto would keep a retained one for good, for as many
 * topics as somebody can think of. It comes here first, and is kept when we return; what is
 * published here goes out after that. A message, which cannot be told from it, is not kept anyway.
 */
static void forget_will(const char *topic)
{
    mosquitto_broker_publish_copy(NULL, topic, 0, NULL, 0, true, NULL);
}

static int on_acl_check(int event, void *data, void *user)
{
    const struct mosquitto_evt_acl_check *asked = data;
    bool from_applications = begins(asked->topic, up) || begins(asked->topic, reply);
    bool ours = begins(asked->topic, "gatekey/");
    bool service = is_service(asked->client);
    bool allowed = false;

    (void)event;
    (void)user;
    switch (asked->access) {
    case MOSQ_ACL_SUBSCRIBE:
    case MOSQ_ACL_UNSUBSCRIBE:
        /* A filter may cover much: what is delivered is looked at message by message. */
        allowed = true;
        break;
    case MOSQ_ACL_READ:
        /* Nothing is what forget_will() publishes. */
        allowed = ours && from_applications == service && !(service && asked->payloadlen == 0);
        break;
    case MOSQ_ACL_WRITE:
        allowed = ours && from_applications != service && !(service && begins(asked->topic, ok));
        if (allowed && !service && asked->retain) {
            forget_will(asked->topic);
        }
        break;
    default:
        break;
    }
    if (!allowed && asked->access == MOSQ_ACL_WRITE && !service) {
        /* In MQTT 3.1.1 it is acknowledged all the same, a slip of the pen as well. */
        complain(asked->topic + (ours ? sizeof("gatekey/") - 1 : 0),
                 "applications publish on gatekey/up/# and gatekey/reply/#");
    }
    return allowed ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

/* --- messages -------------------------------------------------------------------------------- */

/*
 * What leaves by another way than the gate is held by nobody. MQTT 5 has a word in the PUBACK for
 * what is refused. At QoS 2 mosquitto keeps what it took with the session, and may say PUBREC for
 * it when there is room (db__message_release_incoming() in src/database.c), by which time its
 * sender may have been cut off.
 */
static bool must_wait(const struct plugin *plugin, const struct mosquitto_evt_message *message)
{
    const char *address = mosquitto_client_address(message->client);

    return plugin->inner == NULL || address == NULL || strcmp(address, plugin->inner) != 0 ||
           message->qos == 2 || mosquitto_client_protocol_version(message->client) == 5;
}

static enum door_outcome hand_over(struct plugin *plugin,
                                   const struct mosquitto_evt_message *message)
{
    const char *payload = message->payloadlen > 0 ? message->payload : "";
    CLEANUP(gk_freep) char *line = NULL;
    enum door_outcome outcome;
    char why[DOOR_WHY];
    size_t size = 0;

    line = letter_message(message->topic, payload, message->payloadlen, &size);
    if (line == NULL) {
        say(plugin, "out of memory");
        return DOOR_AGAIN;
    }
    if (size > AGENT_LOCAL_LINE_MAX) {
        complain(message->topic + (begins(message->topic, up) ? sizeof(up) : sizeof(reply)) - 1,
                 "it is too large; the hub takes 512 KiB at most");
        return DOOR_REFUSED;
    }
    outcome = door_hand_over(plugin->door, line, size, must_wait(plugin, message), why);
    if (outcome != DOOR_REFUSED || why[0] != '\0') {
        say(plugin, why);
    }
    return outcome;
}

/* In place, since mosquitto 2.0.11 forgets the topic it had when it is given another, and later
 * ones free it. */
static void rename_topic(char *topic)
{
    size_t prefix = (begins(topic, up) ? sizeof(up) : sizeof(reply)) - 1;
    size_t size = sizeof(ok) - 1;

    memmove(topic + size, topic + prefix, strlen(topic + prefix) + 1);
    memcpy(topic, ok, size);
}

/*
 * What each return value does in mosquitto 2.0.11 to 2.0.22 (src/handle_publish.c): success sends
 * the PUBACK; MOSQ_ERR_ACL_DENIED drops the message and sends a PUBACK all the same, which says
 * "not authorized" in MQTT 5 and nothing in 3.1.1; any other cuts the client off, after a
 * DISCONNECT in MQTT 5 if it is MOSQ_ERR_UNKNOWN.
 *
 * At QoS 2 all this happens before the PUBREC, by which the sender forgets the message. One that
 * is sent twice is taken twice: at least once is what is promised.
 */
static int on_message(int event, void *data, void *user)
{
    struct mosquitto_evt_message *message = data;
    struct plugin *plugin = user;

    (void)event;
    if (!begins(message->topic, up) && !begins(message->topic, reply)) {
        return MOSQ_ERR_SUCCESS;
    }
    message->retain = false; /* kept for nobody: the hub has it, or nobody does */
    switch (hand_over(plugin, message)) {
    case DOOR_TAKEN:
        rename_topic(message->topic);
        return MOSQ_ERR_SUCCESS;
    case DOOR_REFUSED:
        return MOSQ_ERR_ACL_DENIED;
    case DOOR_AGAIN:
        break;
    }
    if (message->qos == 0) {
        return MOSQ_ERR_ACL_DENIED; /* it was promised nothing */
    }
    return mosquitto_client_protocol_version(message->client) == 5 ? MOSQ_ERR_UNKNOWN
                                                                   : MOSQ_ERR_ADMINISTRATIVE_ACTION;
}

/* --- the plugin ------------------------------------------------------------------------------ */

static const struct {
    int event;
    MOSQ_FUNC_generic_callback callback;
} callbacks[] = {
    { MOSQ_EVT_BASIC_AUTH, on_basic_auth },
    { MOSQ_EVT_ACL_CHECK, on_acl_check },
    { MOSQ_EVT_MESSAGE, on_message },
};

EXPORTED int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
    for (int i = 0; i < supported_version_count; i++) {
        if (supported_versions[i] == 5) {
            return 5;
        }
    }
    return -1;
}

EXPORTED int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options,
                                      int option_count)
{
    struct plugin *plugin = userdata;

    (void)options;
    (void)option_count;
    for (size_t i = 0; plugin != NULL && i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
        mosquitto_callback_unregister(plugin->id, callbacks[i].event, callbacks[i].callback, NULL);
    }
    if (plugin != NULL) {
        gate_free(plugin->gate);
        door_free(plugin->door);
        free(plugin->inner);
    }
    free(plugin);
    return MOSQ_ERR_SUCCESS;
}

/* A status that was kept over a crash of both is nobody's any more. gatekeyd says its own again as
 * soon as it is connected. */
static int disown_status(void)
{
    return mosquitto_broker_publish_copy(NULL, "gatekey/status", sizeof(AGENT_LOCAL_ENDED) - 1,
                                         AGENT_LOCAL_ENDED, 1, true, NULL);
}

static const char *option(const struct mosquitto_opt *options, int count, const char *key)
{
    const char *value = NULL;

    for (int i = 0; i < count; i++) {
        if (strcmp(options[i].key, key) == 0) {
            value = options[i].value;
        }
    }
    return value;
}

static bool open_ways(struct plugin *plugin, const struct mosquitto_opt *options, int count)
{
    const char *path = option(options, count, "socket");
    const char *inner = option(options, count, "inner");
    char why[512] = "out of memory";

    path = path != NULL ? path : DEFAULT_SOCKET;
    plugin->inner = inner != NULL ? strdup(inner) : NULL;
    plugin->door = door_new(path);
    if (plugin->door == NULL) {
        snprintf(why, sizeof(why), "it cannot use socket %.200s", path);
    } else if (inner == NULL || plugin->inner != NULL) {
        plugin->gate =
            gate_new(plugin->door, option(options, count, "gate"), plugin->inner, why, sizeof(why));
    }
    if (plugin->gate == NULL) {
        mosquitto_log_printf(MOSQ_LOG_ERR, "gatekey: the plugin cannot start: %s", why);
    }
    return plugin->gate != NULL;
}

/* A broker that could not ask would acknowledge what nobody has: it must not start. */
EXPORTED int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
                                   struct mosquitto_opt *options, int option_count)
{
    struct plugin *plugin = calloc(1, sizeof(*plugin));
    int code = MOSQ_ERR_NOMEM;

    if (plugin != NULL) {
        plugin->id = identifier;
        code = open_ways(plugin, options, option_count) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_INVAL;
    }
    for (size_t i = 0; code == MOSQ_ERR_SUCCESS && i < sizeof(callbacks) / sizeof(callbacks[0]);
         i++) {
        code = mosquitto_callback_register(identifier, callbacks[i].event, callbacks[i].callback,
                                           NULL, plugin);
    }
    if (code == MOSQ_ERR_SUCCESS) {
        code = disown_status();
    }
    if (code != MOSQ_ERR_SUCCESS) {
        mosquitto_plugin_cleanup(plugin, NULL, 0);
        return code;
    }
    *userdata = plugin;
    return MOSQ_ERR_SUCCESS;
}
