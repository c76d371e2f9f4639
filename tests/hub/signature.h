/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EnOS's signatures as the hub checks them: plain hashes of sorted names and values, never an HMAC.
 * The agent has its own; none of it is shared, so that one's mistake cannot hide the other's.
 *
 * Nothing here allocates or keeps state; safe from every thread.
 */
#ifndef GATEKEY_HUB_SIGNATURE_H
#define GATEKEY_HUB_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>

/* Room for the longest digest in hex (SHA-256) and the closing NUL. */
#define HUB_SIGNATURE_SIZE 65

struct hub_parameter {
    const char *name;
    const char *value;
};

/*
 * The password of an MQTT CONNECT. method is "sha256", "sha1" or "md5", with or without "hmac" in
 * front and in any case; false when it is another one. Lower-case hex.
 */
bool hub_signature_connect(const char *method, const char *cid, const char *device_key,
                           const char *product_key, const char *timestamp, const char *secret,
                           char hex[static HUB_SIGNATURE_SIZE]);

/* Whether a method's hash can be forged with today's means: sha1 and md5. */
bool hub_signature_is_weak(const char *method);

/* The "encryption" member of a token request. */
bool hub_signature_token(const char *app_key, const char *timestamp, const char *secret,
                         char hex[static HUB_SIGNATURE_SIZE]);

/* The apim-signature header. Sorts query by name in place; its values are the decoded ones. */
bool hub_signature_request(const char *token, struct hub_parameter *query, size_t query_count,
                           const void *body, size_t body_size, const char *timestamp,
                           const char *secret, char hex[static HUB_SIGNATURE_SIZE]);

/* Equal but for the case of the letters; takes as long for a near miss as for a far one. */
bool hub_signature_equal(const char *expected, const char *given);

#endif
