/* SPDX-License-Identifier: Apache-2.0 */
/* Joins messages into one request. */
#include "agent/enos/envelope.h"

#include "agent/enos/message.h"

#include <stdio.h>
#include <string.h>

/* Before the params: an id, and a method as long as a topic can be. */
#define HEAD_ROOM ((size_t)320)

void enos_envelope_clear(struct enos_envelope *envelope)
{
    free(envelope->bytes);
    *envelope = (struct enos_envelope){ 0 };
}

static enum gk_status make_room(struct enos_envelope *envelope, size_t more, struct gk_error *err)
{
    size_t room = envelope->room == 0 ? HEAD_ROOM + more : envelope->room;
    char *bytes;

    if (envelope->size == 0) {
        envelope->size = HEAD_ROOM;
    }
    while (room < envelope->size + more) {
        room *= 2;
    }
    if (room == envelope->room) {
        return GK_OK;
    }
    bytes = realloc(envelope->bytes, room);
    if (bytes == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    envelope->bytes = bytes;
    envelope->room = room;
    return GK_OK;
}

static void append(struct enos_envelope *envelope, const void *bytes, size_t size)
{
    memcpy(envelope->bytes + envelope->size, bytes, size);
    envelope->size += size;
}

enum gk_status enos_envelope_add(struct enos_envelope *envelope, const void *params, size_t size,
                                 struct gk_error *err)
{
    enum gk_status status = make_room(envelope, size + 1, err);

    if (status != GK_OK) {
        return status;
    }
    if (envelope->count > 0) {
        append(envelope, ",", 1);
    }
    append(envelope, params, size);
    envelope->count++;
    return GK_OK;
}

static size_t write_head(char head[static HEAD_ROOM], const char *id, const char *rest, bool batch)
{
    size_t used = (size_t)snprintf(head, HEAD_ROOM,
                                   "{\"id\":\"%.64s\",\"version\":\"1.0\",\"method\":\"", id);

    for (; *rest != '\0' && used < HEAD_ROOM - 16; rest++) {
        head[used++] = *rest == '/' ? '.' : *rest;
    }
    return used +
           (size_t)snprintf(head + used, HEAD_ROOM - used, "\",\"params\":%s", batch ? "[" : "");
}

enum gk_status enos_envelope_close(struct enos_envelope *envelope, const char *id, const char *rest,
                                   bool batch, const char *members, const char **text, size_t *size,
                                   struct gk_error *err)
{
    char head[HEAD_ROOM];
    size_t before = write_head(head, id, rest, batch);
    size_t length = members != NULL ? strlen(members) : 0;
    enum gk_status status = make_room(envelope, length + 4, err);

    if (status != GK_OK) {
        return status;
    }
    if (batch) {
        append(envelope, "]", 1);
    }
    if (length > 2) {
        append(envelope, ",", 1);
        append(envelope, members + 1, length - 2);
    }
    append(envelope, "}", 1);
    *text = envelope->bytes + HEAD_ROOM - before;
    *size = envelope->size - HEAD_ROOM + before;
    memcpy(envelope->bytes + HEAD_ROOM - before, head, before);
    return GK_OK;
}

const char *enos_envelope_content(const struct enos_envelope *envelope, size_t *size)
{
    *size = envelope->size - HEAD_ROOM;
    return envelope->bytes + HEAD_ROOM;
}

size_t enos_envelope_overhead(const char *rest, const char *members)
{
    /* An id of 19 digits; "resume" is two longer than "post". */
    static const char around[] =
        "{\"id\":\"1234567890123456789\",\"version\":\"1.0\",\"method\":\"\","
        "\"params\":[],}";

    return sizeof(around) + 2 + strlen(rest) + (members != NULL ? strlen(members) : 0);
}
