/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are in an MQTT CONNECT to EnOS, and the topics that belong to a device. Pure functions.
 *
 * EnOS signs a CONNECT with a plain hash, never an HMAC:
 *
 *     client id   CID|securemode=M,signmethod=METHOD,timestamp=T|
 *     user name   DK&PK
 *     password    HEX(HASH("clientId" CID "deviceKey" DK "productKey" PK "timestamp" T SECRET))
 *
 * Nothing here keeps state, prints, or knows a file. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_ENOS_CONNECT_H
#define GATEKEY_AGENT_ENOS_CONNECT_H

#include "error.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENOS_NAME_MAX 64   /* characters of a product key or device key */
#define ENOS_CID_MAX 128   /* characters of the part of the client id before the first bar */
#define ENOS_TOPIC_MAX 384 /* bytes of a whole topic, NUL included */

enum enos_mode {
    ENOS_STATIC =
        2, /* signed with the device secret; the only mode beside a client certificate too */
    ENOS_DYNAMIC =
        3, /* dynamic activation: signed with the product secret, once in a device's life */
};

/* What is signed. All strings are borrowed; secret is the only one that is secret. */
struct enos_connect_input {
    enum enos_mode mode;
    const char
        *method; /* "sha256"; "sha1" and "md5" exist on the wire, this agent never sends them */
    const char *cid;
    const char *device_key;
    const char *product_key;
    const char *timestamp; /* decimal UNIX time in milliseconds */
    const char *secret;
};

/* What goes into the CONNECT packet. password stays valid for whoever reads it: wipe after use. */
struct enos_connect {
    char client_id[256];
    char user_name[2 * ENOS_NAME_MAX + 2];
    char password[129];
};

/*
 * Sign a CONNECT; hashes with the given OpenSSL context (NULL: the default one).
 * Fails with GK_BAD_CONFIG (a name is empty, too long, or holds a character that a topic or a
 * client id cannot carry), GK_CRYPTO_FAILED (that method is not to be had).
 */
enum gk_status enos_connect_sign(OSSL_LIB_CTX *libctx, const char *propquery,
                                 const struct enos_connect_input *input,
                                 struct enos_connect *connect, struct gk_error *err) GK_MUST_CHECK;
void enos_connect_clear(struct enos_connect *connect);

/* True for 1 to ENOS_NAME_MAX printable characters without blank, / + # | & and quotes. */
bool enos_name_is_valid(const char *name);

/* /sys/PK/DK/REST and /ext/session/PK/DK/REST; false when it does not fit or a name is not valid.
 */
bool enos_topic(const char *product_key, const char *device_key, const char *rest,
                char topic[static ENOS_TOPIC_MAX]);
bool enos_session_topic(const char *product_key, const char *device_key, const char *rest,
                        char topic[static ENOS_TOPIC_MAX]);

/* What follows /sys/PK/DK/ in topic, or NULL when it is not a topic of this device. */
const char *enos_topic_rest(const char *product_key, const char *device_key, const char *topic);

/*
 * True when rest can be published by an application: levels of letters, digits, "_", "-" and ".",
 * no wildcard, at most 128 characters, and not a reply.
 */
bool enos_rest_is_publishable(const char *rest);

/*
 * The service a command is for: "reboot" for thing/service/reboot, "measurepoint/set" for that.
 * NULL when rest is no command, and for our own replies, which a broker may send back to us.
 */
const char *enos_service_of(const char *rest);

#endif
