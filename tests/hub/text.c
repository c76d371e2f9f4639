/* SPDX-License-Identifier: Apache-2.0 */
/* Hex, random names, times, and one line on stderr. */
#include "tests/hub/text.h"

#include "cleanup.h"

#include <ctype.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void hub_hex(const uint8_t *bytes, size_t count, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * count] = '\0';
}

void hub_random_name(char *text, size_t length)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t byte;

    for (size_t i = 0; i < length;) {
        if (RAND_bytes(&byte, 1) != 1) {
            abort();
        }
        /* The bytes above the last whole run of letters would favour the first of them. */
        if (byte < 256 - 256 % (sizeof(letters) - 1)) {
            text[i++] = letters[byte % (sizeof(letters) - 1)];
        }
    }
    text[length] = '\0';
}

#define LONGEST_KEY 64

bool hub_is_key(const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i]) && strchr("-_.:@%", text[i]) == NULL) {
            return false;
        }
    }
    return length > 0 && length <= LONGEST_KEY;
}

int64_t hub_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void hub_plain(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            *text = '?';
        }
    }
}

static const char *speaker = "hub";

void hub_speak_as(const char *name)
{
    speaker = name;
}

void hub_say(const char *format, ...)
{
    char line[1024];
    size_t length = (size_t)snprintf(line, sizeof(line), "%.16s: ", speaker);
    va_list arguments;
    int written;

    va_start(arguments, format);
    written = vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
    va_end(arguments);
    if (written > 0) {
        length += (size_t)written;
    }
    if (length > sizeof(line) - 2) {
        length = sizeof(line) - 2;
    }
    line[length] = '\0';
    hub_plain(line);
    line[length++] = '\n';
    /* Whoever closed our stderr does not want to read this. */
    if (write(STDERR_FILENO, line, length) < 0) {
        return;
    }
}

char *hub_print(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) {
        text = NULL;
    }
    va_end(arguments);
    return text;
}
