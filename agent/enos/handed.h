/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a local program hands over for the hub: checked, and taken apart as text, so that numbers
 * reach the hub as they were written. Pure functions.
 *
 * A program gives the bare params, or a whole envelope: a JSON object that has "params". Of an
 * envelope id and method are looked at, version is ours to say, and whatever else it holds
 * ("skipInvalidMeasurepoints") goes with the message. Raw data (thing/model/up_raw) is not looked
 * at.
 */
#ifndef GATEKEY_AGENT_ENOS_HANDED_H
#define GATEKEY_AGENT_ENOS_HANDED_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENOS_RAW_UP "thing/model/up_raw"

/* Clear it with enos_handed_clear(). */
struct enos_handed {
    bool raw;
    const char *body; /* params as JSON text, or the raw bytes; borrowed from payload, or own */
    size_t size;
    char *own;     /* NULL where the payload is used as it is */
    char *members; /* further members of the envelope, a JSON object's text; NULL: none */
    char *asked;   /* the envelope's id, JSON text; NULL: none */
};
void enos_handed_clear(struct enos_handed *handed);

/*
 * rest is the topic behind /sys/PK/DK/. is_params: certainly the bare params, whatever they look
 * like. Telemetry and events without "time" get now_ms (UNIX time), each entry of a batch as well.
 * Fails with GK_USAGE (the topic is none, no JSON, no object or array, method or id cannot be, or
 * the message would be larger than EnOS takes), GK_NO_MEMORY.
 */
enum gk_status enos_handed_parse(const char *rest, const void *payload, size_t size, bool is_params,
                                 int64_t now_ms, struct enos_handed *handed,
                                 struct gk_error *err) GK_MUST_CHECK;

/*
 * Where the value of a member stands in the text of a JSON object that jansson has read without
 * complaint. False where it is not there, or its name is written with escapes.
 */
bool enos_member_find(const char *text, size_t size, const char *name, const char **value,
                      size_t *value_size);

#endif
