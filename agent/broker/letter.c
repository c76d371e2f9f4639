/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and passwords as lines of JSON. */
#include "agent/broker/letter.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What is no text, holds a NUL, or is long when it is escaped, goes as base64. */
static json_t *encode_bytes(const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    CLEANUP(gk_freep) char *text = malloc((size + 2) / 3 * 4 + 1);
    char *next = text;

    for (size_t i = 0; text != NULL && i < size; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 |
                         (i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < size ? bytes[i + 2] : 0);

        *next++ = digits[three >> 18];
        *next++ = digits[three >> 12 & 63];
        *next++ = i + 1 < size ? digits[three >> 6 & 63] : '=';
        *next++ = i + 2 < size ? digits[three & 63] : '=';
    }
    return text != NULL ? json_stringn(text, (size_t)(next - text)) : NULL;
}

/* As JSON's text, with its escapes, it is no longer than it would be as base64. */
static bool is_short_text(const char *bytes, size_t size)
{
    size_t escapes = 0;

    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)bytes[i];

        if (byte == '\0') {
            return false;
        }
        escapes += byte < ' ' ? 5 : byte == '"' || byte == '\\' ? 1 : 0;
    }
    return escapes <= size / 3;
}

/* Takes request. */
static char *as_line(json_t *request, size_t *size)
{
    char *text = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;

    json_decref(request);
    if (text != NULL) {
        *size = strlen(text) + 1;
        text[*size - 1] = '\n'; /* in place of the NUL */
    }
    return text;
}

char *letter_message(const char *topic, const void *payload, size_t payload_size, size_t *size)
{
    bool is_text = is_short_text(payload, payload_size);
    json_t *value = is_text ? json_stringn(payload, payload_size) : NULL;
    bool base64 = value == NULL;

    if (base64) {
        value = encode_bytes(payload, payload_size);
    }
    return as_line(json_pack("{s:s, s:s, s:o, s:b}", "op", "relay", "topic", topic, "payload",
                             value, "base64", base64),
                   size);
}

char *letter_password(const char *password, size_t *size)
{
    return as_line(json_pack("{s:s, s:s}", "op", "relay", "password", password), size);
}
