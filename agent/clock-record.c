/* SPDX-License-Identifier: Apache-2.0 */
/* What clock.json says, as JSON and back. */
#include "agent/clock-file.h"

#include "agent/enos/message.h"
#include "cleanup.h"

#include <jansson.h>

#define SCHEMA_VERSION 1
#define LATEST_S ((int64_t)253402300799) /* 9999-12-31: what RFC 5280 can say */
#define LATEST_MS (LATEST_S * 1000)

static const char *const source_names[] = {
    [AGENT_CLOCK_BUILD] = "build", [AGENT_CLOCK_CERTIFICATE] = "certificate",
    [AGENT_CLOCK_CRL] = "crl",     [AGENT_CLOCK_HUB] = "hub",
    [AGENT_CLOCK_HTTPS] = "https",
};

const char *agent_clock_source_name(enum agent_clock_source source)
{
    return source_names[source];
}

/* --- reading: a missing member leaves its place alone ---------------------------------------- */

static bool read_number(const json_t *json, const char *name, int64_t least, int64_t most,
                        int64_t *number)
{
    const json_t *value = json_object_get(json, name);

    if (value == NULL) {
        return true;
    }
    *number = json_integer_value(value);
    return json_is_integer(value) && *number >= least && *number <= most;
}

static bool read_flag(const json_t *json, const char *name, bool *flag)
{
    const json_t *value = json_object_get(json, name);

    *flag = json_is_true(value);
    return value == NULL || json_is_boolean(value);
}

static bool read_text(const json_t *json, const char *name, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(json, name));

    if (value == NULL || strlen(value) >= size) {
        return false;
    }
    memcpy(text, value, strlen(value) + 1);
    return true;
}

static bool read_source(const json_t *json, const char *name, enum agent_clock_source *source)
{
    const json_t *value = json_object_get(json, name);

    for (size_t i = 0; i < sizeof(source_names) / sizeof(source_names[0]); i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), source_names[i]) == 0) {
            *source = (enum agent_clock_source)i;
            return true;
        }
    }
    return value == NULL;
}

static bool read_kind(const json_t *json, enum agent_clock_verdict *kind)
{
    const char *name = json_string_value(json_object_get(json, "kind"));

    for (*kind = AGENT_CLOCK_NEW; *kind <= AGENT_CLOCK_BEFORE_FLOOR; (*kind)++) {
        if (name != NULL && agent_clock_is_tampered(*kind) &&
            strcmp(name, agent_clock_verdict_name(*kind)) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_tpm(const json_t *json, struct agent_clock_mark *mark)
{
    int64_t ms = -1, up_ms = -1, resets = -1, restarts = -1;

    mark->has_tpm = json != NULL;
    if (!mark->has_tpm) {
        return true;
    }
    if (!read_number(json, "clock", 0, INT64_MAX / 2, &ms) ||
        !read_number(json, "time", 0, INT64_MAX / 2, &up_ms) ||
        !read_number(json, "resets", 0, UINT32_MAX, &resets) ||
        !read_number(json, "restarts", 0, UINT32_MAX, &restarts) ||
        !read_flag(json, "safe", &mark->tpm.safe)) {
        return false;
    }
    mark->tpm.ms = (uint64_t)ms;
    mark->tpm.up_ms = (uint64_t)up_ms;
    mark->tpm.resets = (uint32_t)resets;
    mark->tpm.restarts = (uint32_t)restarts;
    return ms >= 0 && up_ms >= 0 && resets >= 0 && restarts >= 0;
}

static bool read_mark(const json_t *json, struct agent_clock_mark *mark)
{
    mark->known = json != NULL;
    return !mark->known ||
           (read_number(json, "wall", 0, LATEST_MS, &mark->wall_ms) &&
            read_number(json, "sinceBoot", 0, LATEST_MS, &mark->moment.since_boot_ms) &&
            read_text(json, "boot", mark->moment.boot, sizeof(mark->moment.boot)) &&
            read_flag(json, "settled", &mark->settled) &&
            read_number(json, "last", 0, LATEST_MS, &mark->last_ms) &&
            read_number(json, "settledLast", 0, LATEST_MS, &mark->settled_ms) &&
            read_tpm(json_object_get(json, "tpm"), mark));
}

static bool read_report(const json_t *json, struct agent_clock_report *report)
{
    return json == NULL ||
           (read_kind(json, &report->kind) &&
            read_number(json, "seconds", -LATEST_S, LATEST_S, &report->seconds) &&
            read_number(json, "at", 0, LATEST_S, &report->at) &&
            read_flag(json, "stands", &report->stands) && read_flag(json, "held", &report->held) &&
            read_flag(json, "told", &report->told) &&
            read_text(json, "detail", report->detail, sizeof(report->detail)));
}

bool agent_clock_parse(const char *text, size_t size, struct agent_clock_record *record)
{
    CLEANUP(json_freep) json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);

    return json_integer_value(json_object_get(json, "version")) == SCHEMA_VERSION &&
           read_number(json, "floor", 0, LATEST_S, &record->floor) &&
           read_source(json, "source", &record->source) &&
           read_number(json, "refused", 0, INT64_MAX, &record->refused) &&
           read_source(json, "refusedSource", &record->refused_source) &&
           read_mark(json_object_get(json, "seen"), &record->mark) &&
           read_report(json_object_get(json, "tampering"), &record->report);
}

/* --- writing --------------------------------------------------------------------------------- */

static json_t *mark_format(const struct agent_clock_mark *mark)
{
    json_t *json = json_pack("{sI ss sI sb sI sI}", "wall", (json_int_t)mark->wall_ms, "boot",
                             mark->moment.boot, "sinceBoot", (json_int_t)mark->moment.since_boot_ms,
                             "settled", mark->settled, "last", (json_int_t)mark->last_ms,
                             "settledLast", (json_int_t)mark->settled_ms);

    if (mark->has_tpm) {
        json_object_set_new(json, "tpm",
                            json_pack("{sI sI sI sI sb}", "clock", (json_int_t)mark->tpm.ms, "time",
                                      (json_int_t)mark->tpm.up_ms, "resets",
                                      (json_int_t)mark->tpm.resets, "restarts",
                                      (json_int_t)mark->tpm.restarts, "safe", mark->tpm.safe));
    }
    return json;
}

static json_t *report_format(const struct agent_clock_report *report)
{
    return json_pack("{ss sI sI sb sb sb ss}", "kind", agent_clock_verdict_name(report->kind),
                     "seconds", (json_int_t)report->seconds, "at", (json_int_t)report->at, "stands",
                     report->stands, "held", report->held, "told", report->told, "detail",
                     report->detail);
}

char *agent_clock_format(const struct agent_clock_record *record)
{
    CLEANUP(json_freep)
    json_t *json = json_pack("{si sI ss}", "version", SCHEMA_VERSION, "floor",
                             (json_int_t)record->floor, "source", source_names[record->source]);
    bool fine = json != NULL;

    if (fine && record->refused != 0) {
        fine = json_object_set_new(json, "refused", json_integer(record->refused)) == 0 &&
               json_object_set_new(json, "refusedSource",
                                   json_string(source_names[record->refused_source])) == 0;
    }
    if (fine && record->mark.known) {
        fine = json_object_set_new(json, "seen", mark_format(&record->mark)) == 0;
    }
    if (fine && record->report.kind != AGENT_CLOCK_NEW) {
        fine = json_object_set_new(json, "tampering", report_format(&record->report)) == 0;
    }
    return fine ? json_dumps(json, JSON_INDENT(1)) : NULL;
}
