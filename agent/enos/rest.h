/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What EnOS's REST API is asked and what it answers, without the network: signatures, queries,
 * replies.
 *
 *     token      POST .../token/get   encryption = hex(SHA-256(APPKEY T SECRET))
 *     any call   apim-signature = hex(SHA-256(TOKEN PARAMETERS BODY T SECRET))
 *
 * PARAMETERS are the query's names, in ASCII order, each joined to its decoded value; T is UNIX
 * time in milliseconds, decimal; hex is lower case. Plain hashes, never an HMAC.
 *
 * Pure functions; from several threads at once. Replies are foreign bytes: every type is checked,
 * every text of the hub that goes into an error is cut short and stripped of control characters.
 * Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_ENOS_REST_H
#define GATEKEY_AGENT_ENOS_REST_H

#include "error.h"

#include <jansson.h>
#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

/* The largest reply that is read, bytes. */
#define ENOS_REPLY_MAX ((size_t)1024 * 1024)

#define ENOS_HEX_SIZE 65      /* a SHA-256 in hex, NUL included */
#define ENOS_PARAMETER_MAX 16 /* parameters of one query */

/* Reasons of a revocation, as in RFC 5280, 5.3.1. */
enum enos_reason {
    ENOS_UNSPECIFIED = 0,
    ENOS_KEY_COMPROMISE = 1,
    ENOS_AFFILIATION_CHANGED = 3,
    ENOS_SUPERSEDED = 4,
    ENOS_CESSATION = 5,
    ENOS_PRIVILEGE_WITHDRAWN = 9,
};

/* One parameter of a query: decoded, borrowed. */
struct enos_parameter {
    const char *name, *value;
};

/* The "encryption" of a token request. Fails with GK_CRYPTO_FAILED. */
enum gk_status enos_token_encrypt(OSSL_LIB_CTX *libctx, const char *app_key, const char *timestamp,
                                  const char *app_secret, char hex[static ENOS_HEX_SIZE],
                                  struct gk_error *err) GK_MUST_CHECK;

/*
 * The "apim-signature" of a call. Parameters may come in any order, at most ENOS_PARAMETER_MAX;
 * body is NULL or the exact bytes that are sent. Fails with GK_CRYPTO_FAILED, GK_INTERNAL (too many
 * parameters).
 */
enum gk_status enos_request_sign(OSSL_LIB_CTX *libctx, const char *token,
                                 const struct enos_parameter *parameters, size_t count,
                                 const char *body, const char *timestamp, const char *app_secret,
                                 char hex[static ENOS_HEX_SIZE],
                                 struct gk_error *err) GK_MUST_CHECK;

/* The query as it goes into the URL, percent-encoded (RFC 3986, 2.1), in the order given; the
 * caller frees it. NULL when out of memory. */
char *enos_query_format(const struct enos_parameter *parameters, size_t count);

/*
 * Take a reply apart: the HTTP status, the body's code and message, its data. *data is a new
 * reference for the caller to json_decref(), json null where the reply has none.
 *
 * *expired (may be NULL) is set on failure too: true when the token is no longer good and a new one
 * is worth asking for. Fails with GK_HUB_GARBLED (no JSON, no code, wrong types),
 * GK_HUB_CREDENTIALS, GK_DUPLICATE_SUBJECT, GK_BOUND_ELSEWHERE, GK_REVOKED and GK_EXPIRED (what
 * should be renewed is), GK_UNREACHABLE (a gateway says 502 to 504), GK_THROTTLED, GK_HUB_REFUSED.
 */
enum gk_status enos_rest_reply_parse(long http_status, const char *body, size_t size, json_t **data,
                                     bool *expired, struct gk_error *err) GK_MUST_CHECK;

/* The token in a token reply's data. Fails with GK_HUB_GARBLED. */
enum gk_status enos_token_parse(const json_t *data, char *token, size_t size,
                                struct gk_error *err) GK_MUST_CHECK;

/* A device as create and get show it; device_secret is secret: wipe it. Empty where the hub says
 * nothing. */
struct enos_device {
    char asset_id[65], product_key[65], device_key[65], device_secret[129], status[33];
};
enum gk_status enos_device_parse(const json_t *data, struct enos_device *device,
                                 struct gk_error *err) GK_MUST_CHECK;

/*
 * A certificate as apply and renew hand it over: PEM texts borrowed from data, the serial in
 * decimal. chain_url is where the root is published, NULL where the reply does not say.
 */
struct enos_certificate {
    const char *certificate, *issuer, *chain_url;
    char serial[49];
};
enum gk_status enos_certificate_parse(const json_t *data, struct enos_certificate *certificate,
                                      struct gk_error *err) GK_MUST_CHECK;

/* One entry of a device's list of certificates. */
struct enos_record {
    char serial[49];
    bool valid; /* neither revoked nor expired */
    bool revoked;
};

/* Reads at most max entries into records; *count says how many. Fails with GK_HUB_GARBLED (also:
 * more). */
enum gk_status enos_list_parse(const json_t *data, struct enos_record *records, size_t max,
                               size_t *count, struct gk_error *err) GK_MUST_CHECK;

/* Nothing in a text would move a terminal's cursor, or worse: no control character is in it. */
bool enos_text_is_clean(const char *text);

/* Copy a text of the hub for people: cut to size at a character, control characters left out. */
void enos_text_clean(const char *text, char *clean, size_t size);

#endif
