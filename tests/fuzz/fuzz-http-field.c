/* SPDX-License-Identifier: Apache-2.0 */
/* The header of an HTTP reply, line by line as libcurl hands it over, and the date in it. */
#include "tests/fuzz/target.h"

#include "agent/command/http.h"
#include "cleanup.h"

#include <curl/curl.h>

static void check(const char value[static HTTP_FIELD_SIZE])
{
    if (memchr(value, '\0', HTTP_FIELD_SIZE) == NULL || strpbrk(value, "\r\n") != NULL) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_reply reply = { 0 };
    size_t begin = 0;

    while (begin < size) {
        const uint8_t *end = memchr(data + begin, '\n', size - begin);
        size_t length = end != NULL ? (size_t)(end - data) + 1 - begin : size - begin;
        /* A copy of just that size, so that reading on is noticed. */
        CLEANUP(gk_freep) char *line = malloc(length);

        memcpy(line, data + begin, length);
        http_field_note(&reply, line, length);
        begin += length;
    }
    check(reply.etag);
    check(reply.last_modified);
    check(reply.date);
    (void)curl_getdate(reply.date, NULL);
    http_reply_clear(&reply);
    return 0;
}
