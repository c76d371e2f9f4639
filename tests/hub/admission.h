/* SPDX-License-Identifier: Apache-2.0 */
/* Decides who may connect: secret, certificate, activation, EnOS's connect limits. */
#ifndef GATEKEY_HUB_ADMISSION_H
#define GATEKEY_HUB_ADMISSION_H

#include "tests/hub/hub.h"

/* CONNACK return codes of MQTT 3.1.1. EnOS publishes no mapping; this is ours. */
enum hub_connack {
    HUB_CONNACK_ACCEPTED = 0,
    HUB_CONNACK_BAD_ID = 2,          /* the client identifier cannot be parsed */
    HUB_CONNACK_BAD_CREDENTIALS = 4, /* wrong signature or secret, no such device */
    HUB_CONNACK_NOT_ALLOWED = 5,     /* everything else */
};

struct hub_verdict {
    enum hub_connack connack;
    int code;         /* EnOS's, 0 where it has none */
    char reason[200]; /* for the log and for tests */
    json_t *device;   /* the device's row when it is accepted; the caller's */
    bool activates;   /* by secure mode 3: it has only the product's secret */
    int64_t serial;   /* of its certificate, 0 without one */
};

void hub_verdict_clear(struct hub_verdict *verdict);

/*
 * Judge a CONNECT and remember it (table connect). certificate is the client's, NULL where it
 * showed none: then it came by the listener for activation. Marks a device that logs in by its own
 * secret as activated.
 */
void hub_admit(struct hub *hub, const char *client_id, const char *user_name, const char *password,
               X509 *certificate, struct hub_verdict *verdict);

#endif
