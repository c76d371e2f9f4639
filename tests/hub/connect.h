/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an MQTT CONNECT says, taken apart as leniently as EnOS's various clients need it:
 *
 *     client id  CID|securemode=M,signmethod=S,timestamp=T|
 *     user name  DEVICEKEY&PRODUCTKEY
 *
 * The tail's parts come in any order, with blanks, with parts we do not know; CID is anything
 * before it.
 */
#ifndef GATEKEY_HUB_CONNECT_H
#define GATEKEY_HUB_CONNECT_H

#include "cleanup.h"

#include <stdbool.h>

struct hub_connect {
    char *memory; /* what the others point into */
    const char *cid;
    const char *secure_mode;
    const char *sign_method;
    const char *timestamp; /* opaque: EnOS's clients send all kinds */
    const char *device_key;
    const char *product_key;
};

/* False when either has another form; connect is then untouched. The caller clears it. */
bool hub_connect_parse(const char *client_id, const char *user_name, struct hub_connect *connect);
void hub_connect_clear(struct hub_connect *connect);

#endif
