/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey spool: what gatekeyd holds for the hub, and what the hub refused. */
#include "agent/command/command.h"
#include "agent/command/service.h"
#include "agent/local.h"

#include <time.h>

#define TIMEOUT_S 30
#define AT_ONCE 100
#define LIMIT 100
#define BODY_SHOWN 4096

/* Refused ones first: those wait for somebody. */
static const char *const lanes[] = { "refused", "kept", "telemetry", "points" };
#define LANES (sizeof(lanes) / sizeof(lanes[0]))

/* request becomes ours. */
static enum gk_status ask(const struct run *run, json_t *request, json_t **reply,
                          struct gk_error *err)
{
    CLEANUP(json_freep) json_t *question = request;
    CLEANUP(json_freep) json_t *answer = NULL;
    enum gk_status status;

    if (question == NULL) {
        return gk_fail(err, GK_USAGE, "that is not valid UTF-8");
    }
    status = agent_local_call(run->config, question, TIMEOUT_S, &answer, err);
    if (status == GK_OK) {
        status = service_verdict(answer, err);
    }
    if (status == GK_OK) {
        *reply = TAKE(answer);
    }
    return status;
}

static const char *text_of(const json_t *item, const char *name)
{
    const char *text = json_string_value(json_object_get(item, name));

    return text != NULL ? text : "";
}

static long long number_of(const json_t *item, const char *name)
{
    return (long long)json_integer_value(json_object_get(item, name));
}

/* What the hub said; most reasons begin with topic and code, which are told already. */
static const char *reason_of(const json_t *item)
{
    const char *reason = text_of(item, "reason");
    char told[600];
    size_t size;

    snprintf(told, sizeof(told), "%.500s: code %lld, ", text_of(item, "topic"),
             number_of(item, "code"));
    size = strlen(told);
    return strncmp(reason, told, size) == 0 ? reason + size : reason;
}

/* How long ago, in the largest unit that says it; by a clock that was set meanwhile it may lie
 * ahead. */
static const char *age_of(const json_t *item, const char *name, char *text, size_t size)
{
    static const struct {
        long long s;
        const char *unit;
    } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
    long long age_s = (long long)time(NULL) - number_of(item, name) / 1000;
    size_t i = 0;

    if (age_s < 0) {
        return "ahead";
    }
    while (i < 3 && age_s < 2 * units[i].s) {
        i++;
    }
    snprintf(text, size, "%lld%s", age_s / units[i].s, units[i].unit);
    return text;
}

/* --- list ------------------------------------------------------------------------------------- */

static void show_row(const struct run *run, const json_t *item)
{
    const char *reason = reason_of(item);
    bool refused = json_object_get(item, "refused") != NULL;
    char code[24] = "", age[32];

    if (refused) {
        snprintf(code, sizeof(code), ": %lld", number_of(item, "code"));
    }
    say_line(run, "%-19s %-9s %6s %7lld %s%s%s%s", text_of(item, "id"), text_of(item, "lane"),
             age_of(item, "accepted", age, sizeof(age)), number_of(item, "size"),
             text_of(item, "topic"), code, reason[0] != '\0' ? " " : "", reason);
}

/* Of one lane as many as there is room for. */
static enum gk_status list_lane(const struct run *run, const char *lane, size_t limit,
                                json_t *items, bool *more, struct gk_error *err)
{
    const char *after = "0";

    do {
        CLEANUP(json_freep) json_t *reply = NULL;
        size_t room = limit - json_array_size(items);
        json_t *found;
        enum gk_status status =
            ask(run,
                json_pack("{ss ss ss ss sI}", "op", "spool", "do", "list", "lane", lane, "after",
                          after, "limit", (json_int_t)(room < AT_ONCE ? room : AT_ONCE)),
                &reply, err);

        if (status != GK_OK) {
            return status;
        }
        found = json_object_get(reply, "messages");
        if (!json_is_array(found) || json_array_extend(items, found) != 0) {
            return gk_fail(err, GK_BAD_FILE, "gatekeyd's answer has no messages");
        }
        *more = json_is_true(json_object_get(reply, "more")) && json_array_size(found) > 0;
        after = text_of(json_array_get(items, json_array_size(items) - 1), "id");
    } while (*more && json_array_size(items) < limit);
    return GK_OK;
}

static enum gk_status read_limit(const char *text, size_t *limit, struct gk_error *err)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || number < 1 || number > 1000000) {
        gk_fail(err, GK_USAGE, "--limit %.40s", text);
        gk_advise(err, "give a number from 1 to 1000000");
        return GK_USAGE;
    }
    *limit = (size_t)number;
    return GK_OK;
}

static enum gk_status check_lane(const char *lane, struct gk_error *err)
{
    for (size_t i = 0; i < LANES; i++) {
        if (strcmp(lane, lanes[i]) == 0) {
            return GK_OK;
        }
    }
    return gk_fail(err, GK_USAGE, "%.40s is no lane", lane);
}

enum gk_status command_spool_list(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *items = json_array();
    const char *lane = NULL, *limit_text = NULL;
    const struct word words[] = { { "lane", &lane, NULL }, { "limit", &limit_text, NULL }, { 0 } };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);
    bool more = false, any_more = false;
    size_t limit = LIMIT;

    if (status == GK_OK && limit_text != NULL) {
        status = read_limit(limit_text, &limit, err);
    }
    if (status == GK_OK && lane != NULL) {
        status = check_lane(lane, err);
    }
    for (size_t i = 0; i < LANES && status == GK_OK; i++) {
        if (lane == NULL && json_array_size(items) < limit) {
            status = list_lane(run, lanes[i], limit, items, &more, err);
            any_more = any_more || more;
        }
    }
    if (status == GK_OK && lane != NULL) {
        status = list_lane(run, lane, limit, items, &any_more, err);
    }
    if (status != GK_OK) {
        return status;
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        show_row(run, json_array_get(items, i));
    }
    if (json_array_size(items) == 0) {
        say_note(run, "nothing is there");
    } else if (any_more || json_array_size(items) == limit) {
        say_note(run,
                 "those are the first %zu; --limit shows more, gatekey status says how many "
                 "there are",
                 json_array_size(items));
    }
    say_member(run, "messages", json_incref(items));
    return GK_OK;
}

/* All of them, before anything is asked for one. */
static enum gk_status check_id(const char *text, struct gk_error *err)
{
    if (*text == '\0' || text[strspn(text, "0123456789")] != '\0') {
        gk_fail(err, GK_USAGE, "%.40s is no message's id", text);
        gk_advise(err, "gatekey spool list shows them");
        return GK_USAGE;
    }
    return GK_OK;
}

/* --- show ------------------------------------------------------------------------------------- */

static void show_body(struct run *run, const json_t *message)
{
    const char *body = json_string_value(json_object_get(message, "body"));
    const char *text = body != NULL ? body : text_of(message, "base64");
    size_t size = strlen(text);

    if (body == NULL && size > 0) {
        say_line(run, "%-12s %s", "encoding", "base64");
    }
    say_line(run, "%.*s", (int)(size < BODY_SHOWN ? size : BODY_SHOWN), text);
    if (size > BODY_SHOWN) {
        say_note(run, "cut after %d of %zu bytes; --json shows more", BODY_SHOWN, size);
    }
}

enum gk_status command_spool_show(struct run *run, int argc, char **argv, struct gk_error *err)
{
    static const char *const shown[] = { "id", "lane", "topic", "members", "asked" };
    CLEANUP(json_freep) json_t *reply = NULL;
    char **rest, age[32];
    enum gk_status status = words_read(run, argc, argv, NULL, 1, 1, &rest, err);
    json_t *message;

    if (status == GK_OK) {
        status = check_id(rest[0], err);
    }
    if (status == GK_OK) {
        status = ask(run, json_pack("{ss ss ss}", "op", "spool", "do", "show", "id", rest[0]),
                     &reply, err);
    }
    if (status != GK_OK) {
        return status;
    }
    message = json_object_get(reply, "message");
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        if (text_of(message, shown[i])[0] != '\0') {
            say_line(run, "%-12s %s", shown[i], text_of(message, shown[i]));
        }
    }
    say_line(run, "%-12s %s ago", "accepted", age_of(message, "accepted", age, sizeof(age)));
    if (json_object_get(message, "refused") != NULL) {
        say_line(run, "%-12s %s ago", "refused", age_of(message, "refused", age, sizeof(age)));
        say_line(run, "%-12s %lld %s", "code", number_of(message, "code"), reason_of(message));
    }
    say_line(run, "%-12s %lld bytes", "size", number_of(message, "size"));
    show_body(run, message);
    say_member(run, "message", json_incref(message));
    return GK_OK;
}

/* --- retry and drop --------------------------------------------------------------------------- */

static enum gk_status change(struct run *run, int argc, char **argv, const char *deed,
                             long long *count, struct gk_error *err)
{
    bool all = false;
    const struct word words[] = { { "all", NULL, &all }, { 0 } };
    char **rest;
    enum gk_status status = words_read(run, argc, argv, words, 0, 10000, &rest, err);

    if (status == GK_OK && all == (rest[0] != NULL)) {
        return gk_fail(err, GK_USAGE, "give either ID or --all");
    }
    for (size_t i = 0; status == GK_OK && rest[i] != NULL; i++) {
        status = check_id(rest[i], err);
    }
    for (size_t i = 0; status == GK_OK && (all || rest[i] != NULL); i++) {
        CLEANUP(json_freep) json_t *reply = NULL;

        status = ask(run,
                     all ? json_pack("{ss ss sb}", "op", "spool", "do", deed, "all", 1)
                         : json_pack("{ss ss ss}", "op", "spool", "do", deed, "id", rest[i]),
                     &reply, err);
        *count += number_of(reply, "count");
        if (all) {
            break;
        }
    }
    return status;
}

/* Of several some may be done when one fails, so that is said in any case. */
static void say_count(struct run *run, enum gk_status status, long long count, const char *what)
{
    if (count > 0) {
        say_step(run, "%lld %s %s", count, count == 1 ? "message" : "messages", what);
    } else if (status == GK_OK && !run->json) {
        say_note(run, "no message was changed");
    }
    say_member(run, "count", json_integer(count));
}

enum gk_status command_spool_retry(struct run *run, int argc, char **argv, struct gk_error *err)
{
    long long count = 0;
    enum gk_status status = change(run, argc, argv, "retry", &count, err);

    say_count(run, status, count, "put back, to be sent again");
    return status;
}

enum gk_status command_spool_drop(struct run *run, int argc, char **argv, struct gk_error *err)
{
    long long count = 0;
    enum gk_status status = change(run, argc, argv, "drop", &count, err);

    say_count(run, status, count, "dropped");
    return status;
}
