/* SPDX-License-Identifier: Apache-2.0 */
/* PEM armour (RFC 7468) for the two kinds of file that hold what a TPM marshals. */
#include "tpm/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_CHARACTERS 64

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Where "-----<word> <label>-----" stands at the beginning of a line, or NULL. */
static const char *find_boundary(const char *word, const char *label, const char *data, size_t size)
{
    char boundary[64];
    int length = snprintf(boundary, sizeof(boundary), "-----%s %s-----", word, label);
    const char *at = data;
    const char *end = data + size;

    while (at != NULL && at < end) {
        at = memmem(at, (size_t)(end - at), boundary, (size_t)length);
        if (at != NULL && (at == data || at[-1] == '\n')) {
            return at;
        }
        at = at != NULL ? at + 1 : NULL;
    }
    return NULL;
}

bool armour_is_present(const char *label, const void *data, size_t size)
{
    return find_boundary("BEGIN", label, data, size) != NULL;
}

/* Decode base64 (RFC 4648, 4), line breaks allowed, everything else that does not belong refused.
 */
static bool base64_decode(const char *text, size_t size, uint8_t *binary, size_t capacity,
                          size_t *binary_size)
{
    uint32_t bits = 0;
    size_t characters = 0, padding = 0, written = 0;

    for (size_t i = 0; i < size; i++) {
        const char *digit;

        if (text[i] == '\n' || text[i] == '\r') {
            continue;
        }
        digit = text[i] != '\0' ? strchr(alphabet, text[i]) : NULL;
        if (text[i] == '=') {
            padding++;
        } else if (digit == NULL || padding > 0) {
            return false;
        }
        bits = bits << 6 | (digit != NULL ? (uint32_t)(digit - alphabet) : 0);
        if (++characters % 4 != 0) {
            continue;
        }
        if (padding > 2 || written + 3 - padding > capacity) {
            return false;
        }
        for (size_t byte = 0; byte < 3 - padding; byte++) {
            binary[written++] = (uint8_t)(bits >> (16 - 8 * byte));
        }
        bits = 0;
    }
    *binary_size = written;
    return characters % 4 == 0;
}

bool armour_decode(const char *label, const void *data, size_t size, uint8_t *binary,
                   size_t capacity, size_t *binary_size)
{
    const char *end_of_data = (const char *)data + size;
    const char *begin = find_boundary("BEGIN", label, data, size);
    const char *end;

    if (begin == NULL) {
        return false;
    }
    begin = memchr(begin, '\n', (size_t)(end_of_data - begin));
    if (begin == NULL) {
        return false;
    }
    begin++;
    end = find_boundary("END", label, begin, (size_t)(end_of_data - begin));
    return end != NULL &&
           base64_decode(begin, (size_t)(end - begin), binary, capacity, binary_size);
}

static void base64_encode(FILE *out, const uint8_t *binary, size_t size)
{
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)binary[i] << 16 | (left > 1 ? (uint32_t)binary[i + 1] << 8 : 0) |
                        (left > 2 ? (uint32_t)binary[i + 2] : 0);

        fputc(alphabet[bits >> 18], out);
        fputc(alphabet[bits >> 12 & 0x3f], out);
        fputc(left > 1 ? alphabet[bits >> 6 & 0x3f] : '=', out);
        fputc(left > 2 ? alphabet[bits & 0x3f] : '=', out);
        if ((i / 3 + 1) % (LINE_CHARACTERS / 4) == 0 || left <= 3) {
            fputc('\n', out);
        }
    }
}

char *armour_encode(const char *preamble, const char *label, const uint8_t *binary, size_t size)
{
    char *text = NULL;
    size_t text_size;
    FILE *out = open_memstream(&text, &text_size);

    if (out == NULL) {
        return NULL;
    }
    fputs(preamble, out);
    fprintf(out, "-----BEGIN %s-----\n", label);
    base64_encode(out, binary, size);
    fprintf(out, "-----END %s-----\n", label);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
