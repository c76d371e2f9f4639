/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTPS request at a time, on libcurl: https only, TLS 1.2 or later, chain and host name always
 * checked, no redirect followed, no proxy, replies and time bounded.
 *
 * Proxy variables of the environment are not looked at: MQTT could not follow them, and what a
 * root's shell happens to hold must not decide where credentials go. One thread. Errors: see
 * error.h.
 */
#ifndef GATEKEY_COMMAND_HTTP_H
#define GATEKEY_COMMAND_HTTP_H

#include "cleanup.h"
#include "error.h"

#include <stddef.h>

struct http;

struct http_request {
    const char *url;
    const char *body; /* NULL: GET, else POST of JSON */
    const char *const
        *headers; /* "Name: value", ends with NULL; NULL: none. They may hold secrets */
};

struct http_reply {
    long status;
    char *body; /* NUL-terminated; wiped and freed by http_reply_clear() */
    size_t size, capacity;
};
void http_reply_clear(struct http_reply *reply);

/* ca_file: the roots, NULL for the system's. Fails with GK_NO_MEMORY, GK_INTERNAL (libcurl). */
enum gk_status http_new(const char *ca_file, struct http **http,
                        struct gk_error *err) GK_MUST_CHECK;
void http_free(struct http *http); /* NULL is fine */
GK_DEFINE_CLEANUP(struct http, http_free)

/*
 * Send and wait, 30 s at most. Any HTTP status is a reply; the connection is kept for the next
 * request. Fails with GK_UNREACHABLE, GK_UNTRUSTED, GK_HUB_GARBLED (too large, or not HTTPS),
 * GK_BAD_CONFIG (the roots cannot be read), GK_NO_MEMORY, GK_INTERNAL.
 */
enum gk_status http_call(struct http *http, const struct http_request *request,
                         struct http_reply *reply, struct gk_error *err) GK_MUST_CHECK;

#endif
