/* SPDX-License-Identifier: Apache-2.0 */
/* Small pieces of text the local hub needs everywhere: hex, random names, times, one line on
 * stderr. */
#ifndef GATEKEY_HUB_TEXT_H
#define GATEKEY_HUB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HUB_HEX_SIZE(bytes) (2 * (bytes) + 1)

/* Lower-case hex of count bytes; text has room for HUB_HEX_SIZE(count). */
void hub_hex(const uint8_t *bytes, size_t count, char *text);

/* length random characters of [A-Za-z0-9] and the closing NUL. */
void hub_random_name(char *text, size_t length);

/* Whether it may be the key of a product, a device or an application: a key becomes part of topics
 * and user names, so nothing that means something there. */
bool hub_is_key(const char *text);

/* Milliseconds since 1970, as EnOS writes times. */
int64_t hub_now_ms(void);

/* Foreign bytes for people: whatever is not printable ASCII becomes '?'. */
void hub_plain(char *text);

/* One line on stderr, whole even when several threads speak. */
void hub_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What that line begins with, "hub" otherwise. Before there are threads; name is not copied. */
void hub_speak_as(const char *name);

/* A printf into memory the caller frees; NULL when there is none left. */
char *hub_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
