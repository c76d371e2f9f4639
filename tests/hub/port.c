/* SPDX-License-Identifier: Apache-2.0 */
/* Finds free ports and keeps them. */
#include "tests/hub/port.h"

#include "tests/hub/keeping.h"

#include <arpa/inet.h>
#include <openssl/rand.h>
#include <sys/socket.h>

static bool is_free(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    CLEANUP(gk_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int reuse = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
    return fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/* Below the ports the kernel hands to connections, so that none of those takes it before the broker
 * does. */
static int pick_port(void)
{
    uint16_t random;

    for (int tries = 0; tries < 1000; tries++) {
        if (RAND_bytes((uint8_t *)&random, sizeof(random)) == 1 &&
            is_free(16384 + random % 16384)) {
            return 16384 + random % 16384;
        }
    }
    return 0;
}

/* The port given, the one used before, or a free one. */
static enum gk_status keep_port(struct hub_store *store, const char *name, int *port,
                                struct gk_error *err)
{
    CLEANUP(gk_freep) char *had = hub_store_setting(store, name);
    char text[16];

    if (*port == 0) {
        *port = had != NULL ? (int)strtol(had, NULL, 10) : pick_port();
    }
    snprintf(text, sizeof(text), "%d", *port);
    if (*port < 1 || *port > 65535) {
        return gk_fail(err, GK_USAGE, "port %s", text);
    }
    return hub_store_set(store, name, text) ? GK_OK
                                            : gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
}

enum gk_status hub_keep_ports(struct hub *hub, struct gk_error *err)
{
    const struct {
        const char *name;
        int *port;
    } ports[] = {
        { "mqttsPort", &hub->options.mqtts_port },
        { "activationPort", &hub->options.activation_port },
        { "apiPort", &hub->options.api_port },
        { "httpPort", &hub->options.http_port },
    };
    enum gk_status status = GK_OK;

    for (size_t i = 0; status == GK_OK && i < sizeof(ports) / sizeof(ports[0]); i++) {
        status = keep_port(hub->store, ports[i].name, ports[i].port, err);
    }
    return status;
}
