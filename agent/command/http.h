/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTPS request at a time, on libcurl: TLS 1.2 or later, chain and host name always checked, no
 * redirect followed, no proxy, replies and time bounded. Plain HTTP for revocation lists alone,
 * which prove themselves.
 *
 * Proxy variables of the environment are not looked at: MQTT could not follow them, and what a
 * root's shell happens to hold must not decide where credentials go. Certificates are judged by
 * agent_clock_now(), and the Date of a reply that came over HTTPS moves the floor (agent/clock.h).
 * One thread. Errors: see error.h.
 */
#ifndef GATEKEY_COMMAND_HTTP_H
#define GATEKEY_COMMAND_HTTP_H

#include "agent/config.h"
#include "agent/roots.h"
#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>

struct http;

struct http_request {
    const char *url;
    const char *body; /* NULL: GET, else POST of JSON */
    const char *const
        *headers; /* "Name: value", ends with NULL; NULL: none. They may hold secrets */
    /* For a public file: the largest that is taken, bytes; its time is bounded by how slowly it
     * comes, 2 minutes in all. 0: a reply of the API. */
    size_t file_max;
    bool plain; /* http:// will do as well */
};

/* As long as the fields of a reply that are kept; longer ones are not. */
#define HTTP_FIELD_SIZE 200

struct http_reply {
    long status;
    char *body; /* NUL-terminated; wiped and freed by http_reply_clear() */
    size_t size, capacity;
    size_t max; /* the request's */
    /* Empty where the reply has none: what a later request may ask If-None-Match with. */
    char etag[HTTP_FIELD_SIZE], last_modified[HTTP_FIELD_SIZE], date[HTTP_FIELD_SIZE];
};
void http_reply_clear(struct http_reply *reply);

/* Keep one line of a reply's header, if it is one of those fields and holds what a field may. */
void http_field_note(struct http_reply *reply, const char *line, size_t size);

/*
 * trust: whose roots to believe; they are read now. config must outlive the object, which the
 * caller frees. Fails with GK_NO_MEMORY, GK_INTERNAL (libcurl), and as agent_roots_pem().
 */
enum gk_status http_new(const struct agent_config *config, enum agent_trust trust,
                        struct http **http, struct gk_error *err) GK_MUST_CHECK;
void http_free(struct http *http); /* NULL is fine */
GK_DEFINE_CLEANUP(struct http, http_free)

/*
 * Send and wait, 30 s at most for the API. Any HTTP status is a reply; a redirect is one too, and
 * is not followed. Fails with GK_UNREACHABLE, GK_UNTRUSTED, GK_HUB_GARBLED (too large, or not
 * HTTPS), GK_BAD_FILE (the roots make no sense), GK_NO_MEMORY, GK_INTERNAL.
 */
enum gk_status http_call(struct http *http, const struct http_request *request,
                         struct http_reply *reply, struct gk_error *err) GK_MUST_CHECK;

#endif
