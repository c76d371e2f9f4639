/* SPDX-License-Identifier: Apache-2.0 */
/* Spoils the answers of the REST API as tests want them spoilt. */
#include "tests/hub/spoil.h"

#include "tests/hub/text.h"

#include <microhttpd.h>
#include <time.h>

#define MIB UINT64_C(1048576)
#define HUGE_MIB 64

/* A body that is made while it is sent. */
struct stream {
    struct hub *hub;
    uint64_t size; /* 0: it has no end */
};

static ssize_t stream_read(void *user, uint64_t position, char *buffer, size_t room)
{
    static const char head[] = "{\"code\":0,\"msg\":\"OK\",\"data\":\"";
    static const char tail[] = "\"}";
    const struct stream *stream = user;

    if (stream->size == 0 && !hub_queue_pause(stream->hub->queue, 10)) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    for (size_t i = 0; i < room; i++, position++) {
        if (position < sizeof(head) - 1) {
            buffer[i] = head[position];
        } else if (stream->size != 0 && position >= stream->size - (sizeof(tail) - 1)) {
            buffer[i] = tail[position - (stream->size - (sizeof(tail) - 1))];
        } else {
            buffer[i] = 'x';
        }
    }
    return (ssize_t)room;
}

static struct MHD_Response *stream_response(struct hub *hub, uint64_t size)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    struct MHD_Response *response;

    if (stream == NULL) {
        return NULL;
    }
    *stream = (struct stream){ .hub = hub, .size = size };
    response = MHD_create_response_from_callback(size != 0 ? size : MHD_SIZE_UNKNOWN, 65536,
                                                 stream_read, stream, free);
    if (response == NULL) {
        free(stream);
    }
    return response;
}

struct MHD_Response *hub_spoil_response(struct hub *hub, const char *name, const char *text,
                                        size_t size, unsigned int *http)
{
    static char garbage[] = "\x01\xfe<html>{\"code\":0,,}\xff";
    struct hub_faults *faults = hub->faults;
    char value[HUB_FAULT_VALUE_SIZE];
    struct MHD_Response *response = NULL;

    if (hub_fault_take_for(faults, HUB_FAULT_GARBAGE, name, value)) {
        return MHD_create_response_from_buffer(sizeof(garbage) - 1, garbage,
                                               MHD_RESPMEM_PERSISTENT);
    }
    if (hub_fault_take_for(faults, HUB_FAULT_TRUNCATED, name, value)) {
        return MHD_create_response_from_buffer(size / 2, (void *)(uintptr_t)text,
                                               MHD_RESPMEM_MUST_COPY);
    }
    if (hub_fault_take_for(faults, HUB_FAULT_HUGE, name, value)) {
        return stream_response(hub, MIB * (*value != '\0' ? strtoull(value, NULL, 10) : HUGE_MIB));
    }
    if (hub_fault_take_for(faults, HUB_FAULT_ENDLESS, name, value)) {
        return stream_response(hub, 0);
    }
    if (hub_fault_take_for(faults, HUB_FAULT_HTTP, name, value)) {
        *http = (unsigned int)strtoul(value, NULL, 10);
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    if (hub_fault_take_for(faults, HUB_FAULT_REDIRECT, name, value)) {
        *http = MHD_HTTP_FOUND;
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
        MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, value);
    }
    return response;
}

void hub_spoil_headers(struct hub *hub, const char *name, struct MHD_Response *response)
{
    char value[HUB_FAULT_VALUE_SIZE];
    char text[40];
    struct tm parts;
    time_t when;

    if (!hub_fault_take_for(hub->faults, HUB_FAULT_DATE, name, value)) {
        return;
    }
    when = (time_t)(hub_now_ms() / 1000) + strtol(value, NULL, 10);
    if (gmtime_r(&when, &parts) != NULL &&
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0) {
        /* Given one, libmicrohttpd adds none of its own. */
        MHD_add_response_header(response, MHD_HTTP_HEADER_DATE, text);
    }
}

/* "CODE" or "CODE:WORDS". */
static void refuse_in_words(struct hub_answer *answer, const char *value)
{
    char *words = NULL;
    int code = (int)strtol(value, &words, 10);

    hub_answer_refuse(answer, code, "%s", *words == ':' ? words + 1 : "a test wants it so");
}

bool hub_spoil_call(struct hub_call *call, const struct hub_route *route, struct hub_answer *answer)
{
    char value[HUB_FAULT_VALUE_SIZE];

    if (call->trusted) {
        return false;
    }
    if (hub_fault_take_for(call->hub->faults, HUB_FAULT_SLOW, route->name, value)) {
        hub_queue_pause(call->hub->queue, (int)(strtod(value, NULL) * 1000));
    }
    if (hub_fault_take_for(call->hub->faults, HUB_FAULT_REFUSE, route->name, value)) {
        refuse_in_words(answer, value);
        return true;
    }
    return false;
}
