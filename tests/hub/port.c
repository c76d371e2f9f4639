/* SPDX-License-Identifier: Apache-2.0 */
/* Settles the hub's ports and keeps them. */
#include "tests/hub/port.h"

#include "tests/hub/free-port.h"
#include "tests/hub/keeping.h"

struct port {
    const char *name; /* of the setting that keeps it */
    const char *option;
    int *number;
};

/* The port given, the one used before, or a free one. */
static enum gk_status keep_port(struct hub_store *store, const struct port *port,
                                struct gk_error *err)
{
    CLEANUP(gk_freep) char *had = hub_store_setting(store, port->name);
    char text[16];

    if (*port->number == 0) {
        *port->number = had != NULL ? (int)strtol(had, NULL, 10) : hub_port_pick();
    }
    snprintf(text, sizeof(text), "%d", *port->number);
    if (*port->number < 1 || *port->number > 65535) {
        return gk_fail(err, GK_USAGE, "port %s", text);
    }
    if (!hub_port_is_free(*port->number)) {
        gk_fail(err, GK_REFUSED, "somebody else has 127.0.0.1:%s", text);
        gk_advise(err, "see what holds that port, or choose another with --%s", port->option);
        return GK_REFUSED;
    }
    return hub_store_set(store, port->name, text) ? GK_OK
                                                  : gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
}

enum gk_status hub_keep_ports(struct hub *hub, struct gk_error *err)
{
    const struct port ports[] = {
        { "mqttsPort", "port-mqtts", &hub->options.mqtts_port },
        { "activationPort", "port-activation", &hub->options.activation_port },
        { "apiPort", "port-api", &hub->options.api_port },
        { "httpPort", "port-http", &hub->options.http_port },
    };
    enum gk_status status = GK_OK;

    for (size_t i = 0; status == GK_OK && i < sizeof(ports) / sizeof(ports[0]); i++) {
        status = keep_port(hub->store, &ports[i], err);
    }
    return status;
}
