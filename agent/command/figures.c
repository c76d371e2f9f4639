/* SPDX-License-Identifier: Apache-2.0 */
/* Puts what gatekeyd says of itself into words. */
#include "agent/command/figures.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MINUTE_S 60
#define HOUR_S 3600
#define DAY_S 86400

/* The list that is being made. */
struct list {
    struct figure *figures;
    size_t count;
};

__attribute__((format(printf, 3, 4))) static void add(struct list *list, const char *name,
                                                      const char *format, ...)
{
    struct figure *figure = &list->figures[list->count];
    va_list arguments;

    if (list->count == FIGURES_MAX) {
        return;
    }
    list->count++;
    snprintf(figure->name, sizeof(figure->name), "%s", name);
    va_start(arguments, format);
    vsnprintf(figure->text, sizeof(figure->text), format, arguments);
    va_end(arguments);
}

/* More words for the line that was added last. */
__attribute__((format(printf, 2, 3))) static void append(struct list *list, const char *format, ...)
{
    struct figure *figure = &list->figures[list->count - 1];
    size_t used = strlen(figure->text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(figure->text + used, sizeof(figure->text) - used, format, arguments);
    va_end(arguments);
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

void figures_duration(int64_t seconds, char text[static 32])
{
    int64_t minutes = seconds / MINUTE_S, hours = seconds / HOUR_S, days = seconds / DAY_S;

    if (minutes == 0) {
        snprintf(text, 32, "%" PRId64 " s", seconds);
    } else if (hours == 0) {
        snprintf(text, 32, "%" PRId64 " min", minutes);
    } else if (days == 0) {
        snprintf(text, 32, "%" PRId64 " h %" PRId64 " min", hours, minutes % 60);
    } else {
        snprintf(text, 32, "%" PRId64 " d %" PRId64 " h", days, hours % 24);
    }
}

void figures_bytes(int64_t bytes, char text[static 32])
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(text, 32, "%" PRId64 " bytes", bytes);
        return;
    }
    while (value >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
        value /= 1024;
        unit++;
    }
    snprintf(text, 32, "%.1f %s", value, units[unit]);
}

/* --- the lines ------------------------------------------------------------------------------- */

static void list_connection(const json_t *reply, struct list *list)
{
    const char *state = text_of(reply, "state"), *address = text_of(reply, "address");
    const char *host = text_of(reply, "connected_to"), *handshake = text_of(reply, "handshake");
    const json_t *since = json_object_get(reply, "since"), *now = json_object_get(reply, "time");
    const json_t *wait = json_object_get(reply, "next_attempt_s");
    char text[32];

    add(list, "service", "%s", state != NULL ? state : "running");
    if (json_is_true(json_object_get(reply, "connected")) && host != NULL) {
        append(list, " to %s", host);
        if (address != NULL && strcmp(address, host) != 0) {
            append(list, " (%s)", address);
        }
        if (json_is_integer(since) && json_is_integer(now)) {
            figures_duration(json_integer_value(now) - json_integer_value(since), text);
            append(list, " for %s", text);
        }
        if (handshake != NULL) {
            append(list, ", %s", strcmp(handshake, "full") == 0 ? "full handshake" : "TLS resumed");
        }
    } else if (json_is_integer(wait)) {
        figures_duration(json_integer_value(wait), text);
        append(list, ", next attempt in %s", text);
    }
}

static void list_spool(const json_t *reply, struct list *list)
{
    const json_t *spool = json_object_get(reply, "spool");
    const json_t *oldest = json_object_get(spool, "oldest_s");
    json_int_t queued = number_of(spool, "queued"), refused = number_of(spool, "refused_kept");
    char text[32];

    if (spool == NULL) {
        return;
    }
    if (json_is_false(json_object_get(spool, "usable"))) {
        add(list, "spool", "cannot be used, see gatekeyd's log; nothing is accepted");
        return;
    }
    add(list, "spool", queued == 0 ? "empty" : "%" JSON_INTEGER_FORMAT " waiting", queued);
    if (queued > 0) {
        figures_bytes(number_of(spool, "bytes"), text);
        append(list, ", %s", text);
    }
    if (queued > 0 && json_is_integer(oldest)) {
        figures_duration(json_integer_value(oldest), text);
        append(list, ", the oldest for %s", text);
    }
    if (refused > 0) {
        append(list, "; %" JSON_INTEGER_FORMAT " refused by the hub: gatekey spool list", refused);
    }
}

/* A count, and how it grows where that is known. */
static void append_count(struct list *list, const json_t *counters, const json_t *before,
                         double passed_s, const char *name)
{
    json_int_t now = number_of(counters, name), then = number_of(before, name);

    append(list, "%s%" JSON_INTEGER_FORMAT " %s",
           list->figures[list->count - 1].text[0] != '\0' ? ", " : "", now, name);
    if (before != NULL && passed_s > 0 && now > then) {
        append(list, " (%.0f/s)", (double)(now - then) / passed_s);
    }
}

static void list_messages(const json_t *reply, const json_t *before, struct list *list)
{
    static const char *const always[] = { "accepted", "acknowledged" };
    static const char *const if_any[] = { "dropped", "rejected", "resent" };
    const json_t *counters = json_object_get(reply, "counters");
    const json_t *earlier = json_object_get(before, "counters");
    double passed_s = json_number_value(json_object_get(reply, "uptime_s")) -
                      json_number_value(json_object_get(before, "uptime_s"));

    if (counters == NULL) {
        return;
    }
    add(list, "messages", "%s", "");
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        append_count(list, counters, earlier, passed_s, always[i]);
    }
    for (size_t i = 0; i < sizeof(if_any) / sizeof(if_any[0]); i++) {
        if (number_of(counters, if_any[i]) > 0) {
            append_count(list, counters, earlier, passed_s, if_any[i]);
        }
    }
}

static void list_others(const json_t *reply, struct list *list)
{
    const json_t *broker = json_object_get(reply, "broker");
    const json_t *tpm = json_object_get(reply, "tpm");

    if (broker != NULL) {
        add(list, "broker", "%s",
            json_is_true(json_object_get(broker, "connected")) ? "connected" : "not connected");
    }
    if (tpm != NULL) {
        add(list, "signatures", "%" JSON_INTEGER_FORMAT, number_of(tpm, "signatures"));
        if (json_is_true(json_object_get(tpm, "estimated"))) {
            append(list, " at least, one for each full handshake");
        } else if (number_of(tpm, "signatures") > 0) {
            append(list, ", the last in %.0f ms",
                   json_number_value(json_object_get(tpm, "signature_ms_last")));
        }
        if (number_of(tpm, "signature_failures") > 0) {
            append(list, "; %" JSON_INTEGER_FORMAT " failed", number_of(tpm, "signature_failures"));
        }
    }
}

size_t figures_list(const json_t *reply, const json_t *before,
                    struct figure figures[static FIGURES_MAX])
{
    struct list list = { .figures = figures };

    list_connection(reply, &list);
    if (!json_is_true(json_object_get(reply, "connected")) &&
        text_of(reply, "last_error") != NULL) {
        add(&list, "", "%s", text_of(reply, "last_error"));
    }
    list_spool(reply, &list);
    list_messages(reply, before, &list);
    list_others(reply, &list);
    return list.count;
}

void figures_line(const json_t *reply, char *text, size_t size)
{
    const json_t *spool = json_object_get(reply, "spool");
    const json_t *counters = json_object_get(reply, "counters");
    const char *state = text_of(reply, "state");
    char oldest[32];
    size_t used;

    snprintf(text, size, "%s", state != NULL ? state : "running");
    used = strlen(text);
    if (spool != NULL) {
        figures_duration(number_of(spool, "oldest_s"), oldest);
        snprintf(text + used, size - used,
                 ", %" JSON_INTEGER_FORMAT " waiting, oldest %s, %" JSON_INTEGER_FORMAT
                 " accepted, %" JSON_INTEGER_FORMAT " acknowledged, %" JSON_INTEGER_FORMAT
                 " refused, %" JSON_INTEGER_FORMAT " dropped",
                 number_of(spool, "queued"), oldest, number_of(counters, "accepted"),
                 number_of(counters, "acknowledged"), number_of(counters, "refused"),
                 number_of(counters, "dropped"));
    }
}
