/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a PUBACK of the local broker mean "on disk": a plugin for mosquitto 2.0 and later.
 *
 * mosquitto acknowledges what it has in memory. So before it does, the message is handed to
 * gatekeyd, and only what gatekeyd has in its spool is acknowledged; for anything else the client
 * is cut off, which makes it send again. What was taken goes on as gatekey/ok/..., so that nobody
 * who subscribed to gatekey/up/#, gatekeyd above all, takes it twice.
 *
 * It says besides who may do what: an application writes gatekey/up/# and gatekey/reply/# and reads
 * the rest of gatekey/#; gatekeyd does the reverse. gatekeyd is whoever has its client id, and that
 * is only given to who knows the password that gatekeyd's own socket says is right.
 *
 * Threads: one, the broker's. Options: plugin_opt_socket, gatekeyd's socket.
 */
#include "agent/broker/door.h"

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
    json_t *request;
    json_t *answer;
    bool too_long;
    bool right;

    (void)event;
    if (!is_service(asked->client)) {
        return MOSQ_ERR_SUCCESS; /* whoever may open the socket is an application */
    }
    request = json_pack("{s:s, s:s}", "op", "relay", "password",
                        asked->password != NULL ? asked->password : "");
    answer = request != NULL ? door_ask(plugin->door, request, &too_long) : NULL;
    right = json_is_true(json_object_get(answer, "ok"));
    json_decref(request);
    json_decref(answer);
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

enum verdict {
    TAKEN,   /* it is on disk */
    REFUSED, /* for good, and its sender was told on gatekey/error/... */
    AGAIN,   /* not taken: it has to come again */
};

/* What is no text, holds a NUL, or is long when it is escaped, goes as base64. */
static json_t *encode_bytes(const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    CLEANUP(gk_freep) char *text = malloc((size + 2) / 3 * 4 + 1);
    char *next = text;

    for (size_t i = 0; text != NULL && i < size; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 |
                         (i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < size ? bytes[i + 2] : 0);

        *next++ = digits[three >> 18];
        *next++ = digits[three >> 12 & 63];
        *next++ = i + 1 < size ? digits[three >> 6 & 63] : '=';
        *next++ = i + 2 < size ? digits[three & 63] : '=';
    }
    return text != NULL ? json_stringn(text, (size_t)(next - text)) : NULL;
}

/* As JSON's text, with its escapes, it is no longer than it would be as base64. */
static bool is_short_text(const char *bytes, size_t size)
{
    size_t escapes = 0;

    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)bytes[i];

        if (byte == '\0') {
            return false;
        }
        escapes += byte < ' ' ? 5 : byte == '"' || byte == '\\' ? 1 : 0;
    }
    return escapes <= size / 3;
}

static json_t *encode(const struct mosquitto_evt_message *message)
{
    const char *bytes = message->payloadlen > 0 ? message->payload : "";
    bool is_text = is_short_text(bytes, message->payloadlen);
    json_t *payload = is_text ? json_stringn(bytes, message->payloadlen) : NULL;
    bool base64 = payload == NULL;

    if (base64) {
        payload = encode_bytes(message->payload, message->payloadlen);
    }
    return json_pack("{s:s, s:s, s:o, s:b}", "op", "relay", "topic", message->topic, "payload",
                     payload, "base64", base64);
}

static enum verdict read_answer(struct plugin *plugin, const json_t *answer)
{
    const char *error = json_string_value(json_object_get(answer, "error"));

    if (json_is_true(json_object_get(answer, "ok"))) {
        say(plugin, "");
        return TAKEN;
    }
    if (json_is_true(json_object_get(answer, "final"))) {
        return REFUSED;
    }
    say(plugin, error != NULL ? error : "gatekeyd does not answer: messages are not taken");
    return AGAIN;
}

static enum verdict hand_over(struct plugin *plugin, const struct mosquitto_evt_message *message)
{
    json_t *request = encode(message);
    json_t *answer;
    enum verdict verdict;
    bool too_long;

    if (request == NULL) {
        say(plugin, "out of memory");
        return AGAIN;
    }
    answer = door_ask(plugin->door, request, &too_long);
    json_decref(request);
    if (too_long) {
        complain(message->topic + (begins(message->topic, up) ? sizeof(up) : sizeof(reply)) - 1,
                 "it is too large; the hub takes 512 KiB at most");
        return REFUSED;
    }
    verdict = read_answer(plugin, answer);
    json_decref(answer);
    return verdict;
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
    case TAKEN:
        rename_topic(message->topic);
        return MOSQ_ERR_SUCCESS;
    case REFUSED:
        return MOSQ_ERR_ACL_DENIED;
    case AGAIN:
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
        door_free(plugin->door);
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

/* A broker that could not ask would acknowledge what nobody has: it must not start. */
EXPORTED int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
                                   struct mosquitto_opt *options, int option_count)
{
    struct plugin *plugin = calloc(1, sizeof(*plugin));
    const char *path = DEFAULT_SOCKET;
    int code = MOSQ_ERR_NOMEM;

    for (int i = 0; i < option_count; i++) {
        if (strcmp(options[i].key, "socket") == 0) {
            path = options[i].value;
        }
    }
    if (plugin != NULL) {
        plugin->id = identifier;
        plugin->door = door_new(path);
        code = plugin->door != NULL ? MOSQ_ERR_SUCCESS : MOSQ_ERR_INVAL;
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
        mosquitto_log_printf(MOSQ_LOG_ERR, "gatekey: the plugin cannot start with socket %s", path);
        mosquitto_plugin_cleanup(plugin, NULL, 0);
        return code;
    }
    *userdata = plugin;
    return MOSQ_ERR_SUCCESS;
}
