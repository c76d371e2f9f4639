/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON envelopes EnOS wraps around everything sent over MQTT. Pure functions, jansson as data.
 *
 *     request  {"id":"7","version":"1.0","method":"thing.measurepoint.post","params":...}
 *     reply    {"id":"7","code":200,"data":...,"message":"..."}
 *
 * Parsing is strict and bounded: one JSON object, no member twice, at most ENOS_MESSAGE_MAX bytes.
 * Nothing here keeps state or prints. Errors: see error.h; outputs are written on success only.
 */
#ifndef GATEKEY_AGENT_ENOS_MESSAGE_H
#define GATEKEY_AGENT_ENOS_MESSAGE_H

#include "cleanup.h"
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define ENOS_MESSAGE_MAX ((size_t)512 * 1024 - 1) /* EnOS refuses 512 KiB and more */
#define ENOS_ID_MAX 64                            /* characters of an id */
#define ENOS_CODE_OK 200
#define ENOS_CODE_OWN 2000 /* the first code that is a device's to define */

static inline void json_freep(json_t **json)
{
    json_decref(*json);
}

/* JSON as text, so that numbers stay as they were written. Borrowed; at is NULL for none. */
struct enos_text {
    const char *at;
    size_t size;
};

/* The same without the space between its parts, so in one line; the caller's to free(3). NULL: no
 * memory. */
char *enos_text_compact(const struct enos_text *text);

/* A request or command as it came; clear it with enos_request_clear(). */
struct enos_request {
    json_t *id;         /* as it came, string or integer, to be sent back unchanged; may be NULL */
    const char *method; /* "" when there was none; lives as long as the request */
    json_t *params;     /* NULL when there were none */
    struct enos_text params_text; /* the same, within the payload */
    json_t *whole;
};
void enos_request_clear(struct enos_request *request);

/* A reply as it came; clear it with enos_reply_clear(). */
struct enos_reply {
    char id[ENOS_ID_MAX + 1]; /* a number is given as its decimal text */
    json_int_t code;
    json_t *data;        /* NULL when there was none */
    const char *message; /* "" when there was none; lives as long as the reply */
    json_t *whole;
};
void enos_reply_clear(struct enos_reply *reply);

/*
 * Write a request. rest is the topic behind /sys/PK/DK/ and gives the method ("/" becomes ".");
 * params is borrowed. text is allocated, NUL-terminated, the caller's to free(3); *size is its
 * length. Fails with GK_USAGE (larger than ENOS_MESSAGE_MAX), GK_NO_MEMORY.
 */
enum gk_status enos_request_format(const char *id, const char *rest, json_t *params, char **text,
                                   size_t *size, struct gk_error *err) GK_MUST_CHECK;

/*
 * Write a reply to a command: id as it came (NULL: left out), code 200 or at least 2000, data (as
 * it is; NULL: an empty object, since EnOS's own clients demand the member), message (NULL: none).
 * Fails with GK_USAGE (larger than ENOS_MESSAGE_MAX, or a code that is not ours), GK_NO_MEMORY.
 */
enum gk_status enos_reply_format(json_t *id, int code, const struct enos_text *data,
                                 const char *message, char **text, size_t *size,
                                 struct gk_error *err) GK_MUST_CHECK;

/* Parse what came on a _reply topic. Fails with GK_HUB_GARBLED (what is wrong with it in the
 * error). */
enum gk_status enos_reply_parse(const void *payload, size_t size, struct enos_reply *reply,
                                struct gk_error *err) GK_MUST_CHECK;

/* Parse what came on a command's topic, or thing/activate/info. Fails with GK_HUB_GARBLED. */
enum gk_status enos_request_parse(const void *payload, size_t size, struct enos_request *request,
                                  struct gk_error *err) GK_MUST_CHECK;

/* A number, or a text of 1 to ENOS_ID_MAX bytes. */
bool enos_id_is_valid(const json_t *id);

/* What a device may answer: 200, or 2000 and more. */
bool enos_code_is_ours(int code);

#endif
