/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub inside stock mosquitto: a plugin that admits devices, keeps each to its own topics,
 * answers what they post, and runs the HTTPS API beside the broker.
 */
#include "tests/hub/api.h"
#include "tests/hub/broker.h"
#include "tests/hub/ca-process.h"
#include "tests/hub/command.h"
#include "tests/hub/file.h"
#include "tests/hub/journal.h"
#include "tests/hub/keeping.h"
#include "tests/hub/post.h"
#include "tests/hub/steward.h"
#include "tests/hub/text.h"
#include "tests/hub/topic.h"

#include <inttypes.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <openssl/x509.h>
#include <signal.h>

/* GK_CFLAGS hides everything else. */
#define EXPORTED __attribute__((visibility("default")))

/*
 * The plugin interface refuses with CONNACK code 5 only. mosquitto's own function for the other
 * codes is not part of that interface but exported by Debian's build; without it a device sees 5
 * there too.
 */
extern int send__connack(struct mosquitto *client, uint8_t session_present, uint8_t code,
                         const mosquitto_property *properties) __attribute__((weak));

GK_DEFINE_CLEANUP(X509, X509_free)

struct plugin {
    struct hub hub;
    mosquitto_plugin_id_t *id;
    bool reloading; /* the broker asks about clients it has, not about new ones */
    bool ready;
};

static void complain(const char *operation, const struct gk_error *err)
{
    char sentence[800];

    gk_error_sentence(err, operation, sentence, sizeof(sentence));
    hub_say("%s", sentence);
}

static int refuse(struct mosquitto *client, const struct hub_verdict *verdict)
{
    if (verdict->connack != HUB_CONNACK_NOT_ALLOWED && send__connack != NULL) {
        send__connack(client, 0, (uint8_t)verdict->connack, NULL);
        return MOSQ_ERR_UNKNOWN;
    }
    return MOSQ_ERR_AUTH;
}

/* Tell a device its own secret. The broker sends it right after the CONNACK, subscribed or not. */
static void send_secret(struct hub *hub, const struct hub_session *session)
{
    char value[HUB_FAULT_VALUE_SIZE];
    CLEANUP(gk_freep)
    char *topic = hub_print("/ext/session/%s/%s/thing/activate/info", session->product_key,
                            session->device_key);
    CLEANUP(gk_freep)
    char *id = hub_print("%" PRId64, hub_store_next(hub->store, "command", 1));
    CLEANUP(json_decrefp)
    json_t *info =
        json_pack("{s:s,s:s,s:s,s:{s:s,s:s,s:s,s:s}}", "id", id, "version", "1.0", "method",
                  "thing.activate.info", "params", "assetId", session->asset_id, "productKey",
                  session->product_key, "deviceKey", session->device_key, "deviceSecret",
                  hub_text(session->device, "deviceSecret"));
    CLEANUP(gk_freep) char *text = json_dumps(info, JSON_COMPACT);

    if (text != NULL && topic != NULL &&
        !hub_fault_take(hub->faults, HUB_FAULT_NO_ACTIVATION, value)) {
        hub_broker_deliver(session, &(struct hub_message){ topic, text, strlen(text), 1 });
    }
}

static int on_basic_auth(int event, void *data, void *user)
{
    struct mosquitto_evt_basic_auth *asked = data;
    struct plugin *plugin = user;
    struct hub *hub = &plugin->hub;
    CLEANUP(X509_freep) X509 *certificate = NULL;
    CLEANUP(hub_verdict_clear) struct hub_verdict verdict = { 0 };
    const struct hub_session *old;
    const struct hub_session *session;
    const char *client_id = mosquitto_client_id(asked->client);

    (void)event;
    if (plugin->reloading) {
        /* Whom to cut is decided elsewhere, by what changed. */
        return MOSQ_ERR_SUCCESS;
    }
    certificate = mosquitto_client_certificate(asked->client);
    hub_admit(hub, client_id, asked->username, asked->password, certificate, &verdict);
    if (verdict.connack != HUB_CONNACK_ACCEPTED) {
        return refuse(asked->client, &verdict);
    }
    /* One live connection per device; client ids differ from CONNECT to CONNECT, so the broker
     * cannot tell. */
    old = hub_session_of_device(hub->sessions, hub_text(verdict.device, "assetId"));
    if (old != NULL && strcmp(old->client_id, client_id) != 0) {
        hub_broker_end(old);
    }
    session = hub_session_open(hub->sessions, asked->client, client_id, &verdict);
    if (session == NULL) {
        return MOSQ_ERR_NOMEM;
    }
    if (session->activates) {
        send_secret(hub, session);
    } else {
        hub_store_run(hub->store, "UPDATE device SET online = 1 WHERE assetId = ?", "s",
                      session->asset_id);
    }
    return MOSQ_ERR_SUCCESS;
}

static int on_disconnect(int event, void *data, void *user)
{
    struct mosquitto_evt_disconnect *gone = data;
    struct plugin *plugin = user;
    struct hub *hub = &plugin->hub;
    const struct hub_session *session = hub_session_of_client(hub->sessions, gone->client);
    CLEANUP(gk_freep) char *asset_id = session != NULL ? strdup(session->asset_id) : NULL;

    (void)event;
    if (asset_id != NULL && hub_session_close(hub, gone->client)) {
        hub_store_run(hub->store, "UPDATE device SET online = 0 WHERE assetId = ?", "s", asset_id);
    }
    return MOSQ_ERR_SUCCESS;
}

static int on_acl_check(int event, void *data, void *user)
{
    struct mosquitto_evt_acl_check *asked = data;
    struct plugin *plugin = user;
    const struct hub_session *session = hub_session_of_client(plugin->hub.sessions, asked->client);
    const char *rest;

    (void)event;
    if (session == NULL) {
        return MOSQ_ERR_ACL_DENIED;
    }
    if (hub_topic_tree(asked->topic, session->product_key, session->device_key, &rest) !=
        HUB_TREE_NONE) {
        return MOSQ_ERR_SUCCESS;
    }
    if (asked->access == MOSQ_ACL_WRITE || asked->access == MOSQ_ACL_SUBSCRIBE) {
        hub_post_blame(&plugin->hub, session, 1009, "%s a topic that is not its own: %.100s",
                       asked->access == MOSQ_ACL_WRITE ? "publishes to" : "subscribes to",
                       asked->topic);
    }
    return MOSQ_ERR_ACL_DENIED;
}

static int on_message(int event, void *data, void *user)
{
    struct mosquitto_evt_message *message = data;
    struct plugin *plugin = user;
    const struct hub_session *session =
        hub_session_of_client(plugin->hub.sessions, message->client);
    CLEANUP(gk_freep) char *reply = NULL;
    CLEANUP(gk_freep) char *topic = NULL;
    const char *rest;
    enum hub_tree tree;
    bool drop = false;

    (void)event;
    message->retain = false;
    if (session == NULL || (tree = hub_topic_tree(message->topic, session->product_key,
                                                  session->device_key, &rest)) == HUB_TREE_NONE) {
        return MOSQ_ERR_ACL_DENIED;
    }
    reply = hub_post_take(&plugin->hub, session, tree, rest, message->payload, message->payloadlen,
                          &drop);
    topic = reply != NULL ? hub_print("%s_reply", message->topic) : NULL;
    if (topic != NULL) {
        hub_broker_publish(topic, reply, message->qos);
    }
    return drop ? MOSQ_ERR_CONN_LOST : MOSQ_ERR_SUCCESS;
}

static int on_reload(int event, void *data, void *user)
{
    struct plugin *plugin = user;

    (void)event;
    (void)data;
    plugin->reloading = true;
    plugin->hub.reloads++;
    return MOSQ_ERR_SUCCESS;
}

/* Tell the world where everything is: whoever finds this file can begin. */
static enum gk_status write_environment(struct hub *hub, struct gk_error *err)
{
    CLEANUP(gk_freep) char *directory = realpath(".", NULL);
    CLEANUP(gk_freep) char *org = hub_store_setting(hub->store, "orgId");
    CLEANUP(gk_freep) char *app = hub_store_setting(hub->store, "appKey");
    CLEANUP(gk_freep) char *product = hub_store_setting(hub->store, "productKey");
    CLEANUP(gk_freep) char *text = NULL;

    text = hub_print("HUB_MQTTS_PORT=%d\nHUB_ACTIVATION_PORT=%d\n"
                     "HUB_API_URL=https://127.0.0.1:%d\nHUB_HTTP_URL=http://127.0.0.1:%d\n"
                     "HUB_CA_FILE='%s/" HUB_FIRST_ROOT_FILE "'\n"
                     "HUB_ORG_ID=%s\nHUB_APP_KEY=%s\nHUB_APP_SECRET_FILE='%s/app-secret'\n"
                     "HUB_PRODUCT_KEY=%s\nHUB_PRODUCT_SECRET_FILE='%s/product-secret'\n"
                     "HUB_PID=%d\nHUB_CA_PID=%d\n",
                     hub->options.mqtts_port, hub->options.activation_port, hub->options.api_port,
                     hub->options.http_port, directory, org, app, directory, product, directory,
                     (int)getpid(), (int)hub->options.ca_pid);
    if (directory == NULL || text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return hub_file_write(HUB_ENVIRONMENT_FILE, text, 0600, err);
}

/* On the first tick the broker listens; only then does the world learn of us. */
static void announce(struct plugin *plugin)
{
    const struct hub_options *options = &plugin->hub.options;
    struct gk_error err = { 0 };

    plugin->ready = true;
    if (write_environment(&plugin->hub, &err) != GK_OK) {
        complain("say where the hub is", &err);
    }
    hub_say("ready: MQTT on 127.0.0.1:%d, activation on %d, API on %d", options->mqtts_port,
            options->activation_port, options->api_port);
}

static int on_tick(int event, void *data, void *user)
{
    struct plugin *plugin = user;

    (void)event;
    (void)data;
    plugin->reloading = false;
    if (!plugin->ready) {
        announce(plugin);
    }
    hub_queue_drain(plugin->hub.queue);
    return MOSQ_ERR_SUCCESS;
}

static void read_option(struct hub *hub, const char *name, const char *value)
{
    struct hub_options *options = &hub->options;
    const struct {
        const char *name;
        int *number;
    } numbers[] = {
        { "mqtts_port", &options->mqtts_port }, { "activation_port", &options->activation_port },
        { "api_port", &options->api_port },     { "http_port", &options->http_port },
        { "ca_pid", &options->ca_pid },
    };

    options->weak_digests |= strcmp(name, "weak_digests") == 0;
    options->journal |= strcmp(name, "journal") == 0;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].number = (int)strtol(value, NULL, 10);
        }
    }
    if (strcmp(name, "server_names") == 0) {
        snprintf(options->server_names, sizeof(options->server_names), "%s", value);
    }
    /* Several faults may be given, so their options are numbered: fault0, fault1. */
    if (strncmp(name, "fault", 5) == 0 && !hub_fault_set(hub->faults, value, 0)) {
        hub_say("there is no fault \"%s\"", value);
    }
}

static enum gk_status open_hub(struct hub *hub, struct gk_error *err)
{
    enum gk_status status = hub_store_open(HUB_DATABASE_FILE, &hub->store, err);

    if (status == GK_OK) {
        status = hub_ca_open(HUB_CA_SOCKET, HUB_CA_TOKEN_FILE, &hub->ca, err);
    }
    if (status == GK_OK && hub->options.journal) {
        status = hub_journal_open(HUB_JOURNAL_FILE, &hub->journal, err);
    }
    if (status != GK_OK) {
        return status;
    }
    hub->queue = hub_queue_new();
    hub->commands = hub_commands_new();
    hub->sessions = hub_sessions_new();
    hub->steward = hub_steward_new(hub);
    hub_store_run(hub->store, "UPDATE device SET online = 0", "");
    return hub->queue != NULL && hub->commands != NULL && hub->sessions != NULL &&
                   hub->steward != NULL
               ? GK_OK
               : gk_fail(err, GK_NO_MEMORY, NULL);
}

static void close_hub(struct hub *hub)
{
    if (hub->queue != NULL) {
        hub_queue_close(hub->queue);
    }
    if (hub->commands != NULL) {
        hub_commands_close(hub->commands);
    }
    hub_steward_stop(hub->steward);
    hub_api_stop(hub->api);
    unlink(HUB_ENVIRONMENT_FILE);
    hub_steward_free(hub->steward);
    hub_commands_free(hub->commands);
    hub_queue_free(hub->queue);
    hub_sessions_free(hub->sessions);
    hub_faults_free(hub->faults);
    hub_journal_close(hub->journal);
    hub_ca_close(hub->ca);
    hub_ca_process_end(hub->options.ca_pid);
    hub_store_close(hub->store);
}

static const struct {
    int event;
    MOSQ_FUNC_generic_callback callback;
} callbacks[] = {
    { MOSQ_EVT_BASIC_AUTH, on_basic_auth }, { MOSQ_EVT_ACL_CHECK, on_acl_check },
    { MOSQ_EVT_MESSAGE, on_message },       { MOSQ_EVT_DISCONNECT, on_disconnect },
    { MOSQ_EVT_RELOAD, on_reload },         { MOSQ_EVT_TICK, on_tick },
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

EXPORTED int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
                                   struct mosquitto_opt *options, int option_count)
{
    struct plugin *plugin = calloc(1, sizeof(*plugin));
    struct gk_error err = { 0 };

    if (plugin == NULL || (plugin->hub.faults = hub_faults_new()) == NULL) {
        free(plugin);
        return MOSQ_ERR_NOMEM;
    }
    plugin->id = identifier;
    for (int i = 0; i < option_count; i++) {
        read_option(&plugin->hub, options[i].key, options[i].value);
    }
    if (open_hub(&plugin->hub, &err) != GK_OK ||
        hub_api_start(&plugin->hub, &plugin->hub.api, &err) != GK_OK ||
        hub_steward_start(plugin->hub.steward, &err) != GK_OK) {
        complain("start the hub", &err);
        close_hub(&plugin->hub);
        free(plugin);
        return MOSQ_ERR_UNKNOWN;
    }
    for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
        mosquitto_callback_register(identifier, callbacks[i].event, callbacks[i].callback, NULL,
                                    plugin);
    }
    *userdata = plugin;
    return MOSQ_ERR_SUCCESS;
}

EXPORTED int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options,
                                      int option_count)
{
    struct plugin *plugin = userdata;

    (void)options;
    (void)option_count;
    if (plugin == NULL) {
        return MOSQ_ERR_SUCCESS;
    }
    for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
        mosquitto_callback_unregister(plugin->id, callbacks[i].event, callbacks[i].callback, NULL);
    }
    close_hub(&plugin->hub);
    free(plugin);
    return MOSQ_ERR_SUCCESS;
}
