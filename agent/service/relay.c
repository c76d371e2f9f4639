/* SPDX-License-Identifier: Apache-2.0 */
/* The local broker, where applications are: what the rest of the service asks of the relay. */
#include "agent/service/relay-internal.h"

#include "agent/service/log.h"

#include <errno.h>
#include <libgen.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/random.h>

#define RESTART_MS 10000 /* a broker that is restarted is back by then */

bool relay_is_up(const struct relay *relay)
{
    return relay->connected && !relay->closed;
}

static enum gk_status publish(struct relay *relay, const struct outgoing *outgoing,
                              struct gk_error *err)
{
    bool may_wait = outgoing->retain || (relay->down_since_ms != 0 &&
                                         service_now_ms() - relay->down_since_ms < RESTART_MS);

    if (relay->path == NULL) {
        return gk_fail(err, GK_UNREACHABLE, "[local] broker is empty: there is no local broker");
    }
    if (!relay_is_up(relay) && !may_wait) {
        gk_fail(err, GK_UNREACHABLE, "no local broker answers on %s", relay->path);
        gk_advise(err, "start it with systemctl start gatekey-broker");
        return GK_UNREACHABLE;
    }
    return relay_queue_put(relay, outgoing, err);
}

enum gk_status relay_publish(struct relay *relay, const char *topic, const void *payload,
                             size_t size, bool retain, struct gk_error *err)
{
    return publish(relay, &(const struct outgoing){ topic, payload, size, retain, 0 }, err);
}

enum gk_status relay_command(struct relay *relay, const char *topic, const void *payload,
                             size_t size, uint64_t end_ms, struct gk_error *err)
{
    return publish(relay, &(const struct outgoing){ topic, payload, size, false, end_ms }, err);
}

void relay_describe(const struct relay *relay, json_t *status)
{
    json_t *described = json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connected", relay_is_up(relay), "since",
        (json_int_t)relay->changed_s, "taken", (json_int_t)relay->taken, "answers",
        (json_int_t)relay->answers, "refused", (json_int_t)relay->refused, "deferred",
        (json_int_t)relay->deferred, "published", (json_int_t)relay->published, "waiting",
        (json_int_t)relay->count, "lost", (json_int_t)relay->lost);

    if (relay->path != NULL) {
        json_object_set_new(described, "socket", json_string(relay->path));
        if (relay_is_up(relay)) {
            json_object_set_new(described, "mqtt", json_string(relay->old ? "3.1.1" : "5"));
        }
        if (!relay_is_up(relay) && relay->said[0] != '\0') {
            json_object_set_new(described, "error", json_string(relay->said));
        }
        json_object_set_new(status, "broker", described);
    } else {
        json_decref(described);
    }
}

/* In the same time, however much of it is right. */
bool relay_is_password(const struct relay *relay, const char *password)
{
    return strlen(password) == RELAY_PASSWORD_SIZE - 1 &&
           CRYPTO_memcmp(password, relay->password, RELAY_PASSWORD_SIZE - 1) == 0;
}

/* What the broker's plugin tells us from an application by; new with each start. */
static enum gk_status make_password(struct relay *relay, struct gk_error *err)
{
    uint8_t bytes[(RELAY_PASSWORD_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        return gk_fail(err, GK_INTERNAL, "getrandom: %s", strerror(errno));
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(relay->password + 2 * i, 3, "%02x", bytes[i]);
    }
    return GK_OK;
}

static enum gk_status find_folders(struct relay *relay, struct gk_error *err)
{
    CLEANUP(gk_freep) char *path = strdup(relay->path);
    CLEANUP(gk_freep) char *folder = NULL;

    if (path != NULL) {
        relay->folder = strdup(dirname(path));
        folder = relay->folder != NULL ? strdup(relay->folder) : NULL;
    }
    if (folder != NULL) {
        relay->parent = strdup(dirname(folder));
    }
    return relay->parent != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

enum gk_status relay_new(struct service *service, struct relay **relay, struct gk_error *err)
{
    struct relay *made = calloc(1, sizeof(*made));
    enum gk_status status;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->path = service->config->broker[0] != '\0' ? service->config->broker : NULL;
    status = make_password(made, err);
    if (status == GK_OK && made->path != NULL) {
        status = find_folders(made, err);
    }
    if (status == GK_OK && made->path != NULL) {
        status = relay_link_start(made, err);
    }
    if (status != GK_OK) {
        relay_free(made);
        return status;
    }
    *relay = made;
    return GK_OK;
}

void relay_free(struct relay *relay)
{
    if (relay == NULL) {
        return;
    }
    if (relay->retry_source != NULL) {
        relay_link_stop(relay);
    }
    relay_queue_free(relay);
    explicit_bzero(relay->password, sizeof(relay->password));
    free(relay->folder);
    free(relay->parent);
    free(relay);
}
