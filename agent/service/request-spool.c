/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked of the spool on the local socket: what waits, what was refused. Who may hand
 * messages over sees which there are; what is in them, and to change them, is for root.
 */
#include "agent/service/service.h"
#include "agent/spool/spool.h"

#include <errno.h>
#include <openssl/evp.h>

#define LIMIT_MAX 100

/* An answer is one line of AGENT_LOCAL_LINE_MAX bytes; a byte takes up to six in it. */
#define BODY_MAX ((size_t)160 * 1024)

/* As spool_lane counts them. */
static const char *const lanes[SPOOL_LANES] = { "points", "telemetry", "kept" };

/* --- reading the request ---------------------------------------------------------------------- */

/* An id is a text everywhere: no JSON number holds it in each language. */
static bool read_id(const json_t *value, int64_t *id)
{
    const char *text = json_string_value(value);
    char *end = NULL;

    if (json_is_integer(value)) {
        *id = json_integer_value(value);
        return *id >= 0;
    }
    if (text == NULL || *text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    *id = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

/* --- saying what a message is ----------------------------------------------------------------- */

static json_t *describe(const struct spool_message *message, const char *lane)
{
    char id[24];

    snprintf(id, sizeof(id), "%lld", (long long)message->id);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "id", id, "lane", lane, "topic",
                     message->topic, "accepted", (json_int_t)message->accepted_ms, "size",
                     (json_int_t)message->size, "raw", message->raw);
}

static json_t *describe_refusal(const struct spool_refusal *refusal)
{
    json_t *item = describe(&refusal->message, "refused");

    json_object_set_new(item, "refused", json_integer(refusal->refused_ms));
    json_object_set_new(item, "code", json_integer(refusal->code));
    json_object_set_new(item, "reason",
                        json_string(refusal->reason != NULL ? refusal->reason : ""));
    return item;
}

static void add_base64(json_t *item, const void *body, size_t size)
{
    CLEANUP(gk_freep) char *text = malloc(size / 3 * 4 + 5);

    if (text != NULL) {
        EVP_EncodeBlock((unsigned char *)text, body, (int)size);
        json_object_set_new(item, "base64", json_string(text));
    }
}

static void add_body(json_t *item, const struct spool_message *message)
{
    size_t size = message->size < BODY_MAX ? message->size : BODY_MAX;
    json_t *text = message->raw ? NULL : json_stringn(message->body, size);

    /* It may have been cut in the middle of a character. */
    for (unsigned i = 0; text == NULL && !message->raw && i < 3 && size > 0; i++) {
        text = json_stringn(message->body, --size);
    }
    if (text != NULL) {
        json_object_set_new(item, "body", text);
    } else {
        add_base64(item, message->body, size);
    }
    if (size < message->size) {
        json_object_set_new(item, "cut", json_true());
    }
    if (message->members != NULL) {
        json_object_set_new(item, "members", json_string(message->members));
    }
    if (message->asked != NULL) {
        json_object_set_new(item, "asked", json_string(message->asked));
    }
}

/* --- list ------------------------------------------------------------------------------------- */

struct listing {
    json_t *items;
    const char *lane;
    size_t limit;
    bool more;
};

static bool has_room(struct listing *listing)
{
    listing->more = json_array_size(listing->items) >= listing->limit;
    return !listing->more;
}

static bool list_message(void *context, const struct spool_message *message)
{
    struct listing *listing = context;

    if (has_room(listing)) {
        json_array_append_new(listing->items, describe(message, listing->lane));
    }
    return !listing->more;
}

static bool list_refusal(void *context, const struct spool_refusal *refusal)
{
    struct listing *listing = context;

    if (has_room(listing)) {
        json_array_append_new(listing->items, describe_refusal(refusal));
    }
    return !listing->more;
}

static enum gk_status list(struct service *service, const json_t *request, json_t *answer,
                           struct gk_error *err)
{
    const json_t *limit = json_object_get(request, "limit"),
                 *start = json_object_get(request, "after");
    const char *lane = json_string_value(json_object_get(request, "lane"));
    struct listing listing = { .items = json_array(), .limit = LIMIT_MAX, .lane = lane };
    enum gk_status status = GK_USAGE;
    int64_t after = 0;

    json_object_set_new(answer, "messages", listing.items);
    if (json_is_integer(limit) && json_integer_value(limit) > 0 &&
        json_integer_value(limit) < LIMIT_MAX) {
        listing.limit = (size_t)json_integer_value(limit);
    }
    if (lane == NULL || (start != NULL && !read_id(start, &after))) {
        return gk_fail(err, GK_USAGE, "lane and after say what to list");
    }
    if (strcmp(lane, "refused") == 0) {
        status = spool_refused(service->spool, after, list_refusal, &listing, err);
    }
    for (unsigned i = 0; i < SPOOL_LANES; i++) {
        if (strcmp(lane, lanes[i]) == 0) {
            status =
                spool_next(service->spool, (enum spool_lane)i, after, list_message, &listing, err);
        }
    }
    if (status == GK_USAGE) {
        return gk_fail(err, GK_USAGE, "no such lane: %.40s", lane);
    }
    json_object_set_new(answer, "more", json_boolean(listing.more));
    return status;
}

/* --- show ------------------------------------------------------------------------------------- */

struct search {
    int64_t id;
    const char *lane;
    json_t *item;
};

static bool show_message(void *context, const struct spool_message *message)
{
    struct search *search = context;

    if (message->id == search->id) {
        search->item = describe(message, search->lane);
        add_body(search->item, message);
    }
    return false;
}

static bool show_refusal(void *context, const struct spool_refusal *refusal)
{
    struct search *search = context;

    if (refusal->message.id == search->id) {
        search->item = describe_refusal(refusal);
        add_body(search->item, &refusal->message);
    }
    return false;
}

static enum gk_status show(struct service *service, const json_t *request, json_t *answer,
                           struct gk_error *err)
{
    struct search search = { 0 };
    enum gk_status status;

    if (!read_id(json_object_get(request, "id"), &search.id) || search.id == 0) {
        return gk_fail(err, GK_USAGE, "id says which message");
    }
    status = spool_refused(service->spool, search.id - 1, show_refusal, &search, err);
    for (unsigned i = 0; i < SPOOL_LANES && status == GK_OK && search.item == NULL; i++) {
        search.lane = lanes[i];
        status = spool_next(service->spool, (enum spool_lane)i, search.id - 1, show_message,
                            &search, err);
    }
    if (status == GK_OK && search.item == NULL) {
        return gk_fail(err, GK_NO_MESSAGE, "%lld", (long long)search.id);
    }
    if (search.item != NULL) {
        json_object_set_new(answer, "message", search.item);
    }
    return status;
}

/* --- retry and drop --------------------------------------------------------------------------- */

/* What others handed over in the same moment is committed with it, and they are told. */
static enum gk_status change(struct service *service, const json_t *request,
                             enum gk_status (*work)(struct spool *, int64_t, uint64_t *,
                                                    struct gk_error *),
                             json_t *answer, struct gk_error *err)
{
    bool all = json_is_true(json_object_get(request, "all"));
    struct gk_error why = { 0 };
    uint64_t count = 0;
    int64_t id = 0;
    enum gk_status status, committed;

    if (!all && (!read_id(json_object_get(request, "id"), &id) || id == 0)) {
        return gk_fail(err, GK_USAGE, "id says which message, or \"all\":true");
    }
    status = work(service->spool, id, &count, err);
    committed = intake_commit(service->intake, &why);
    if (status == GK_OK && committed != GK_OK) {
        *err = why;
        status = committed;
    }
    json_object_set_new(answer, "count", json_integer((json_int_t)count));
    return status;
}

static enum gk_status retry(struct service *service, const json_t *request, json_t *answer,
                            struct gk_error *err)
{
    enum gk_status status = change(service, request, spool_retry, answer, err);

    if (status == GK_OK) {
        uplink_stored(service->uplink);
    }
    return status;
}

static enum gk_status drop(struct service *service, const json_t *request, json_t *answer,
                           struct gk_error *err)
{
    enum gk_status status = change(service, request, spool_drop, answer, err);

    if (status == GK_OK) {
        metrics_changed(service->metrics);
    }
    return status;
}

/* --- all of them ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    bool privileged;
    enum gk_status (*work)(struct service *service, const json_t *request, json_t *answer,
                           struct gk_error *err);
    const char *operation;
} deeds[] = {
    { "list", false, list, "list the spool" },
    { "show", true, show, "show that message" },
    { "retry", true, retry, "send it again" },
    { "drop", true, drop, "drop it" },
};

void request_spool(struct service *service, struct client *client, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "do"));
    CLEANUP(json_freep) json_t *answer = json_pack("{s:b}", "ok", 1);
    struct gk_error err = { 0 };

    for (size_t i = 0; name != NULL && i < sizeof(deeds) / sizeof(deeds[0]); i++) {
        enum gk_status status;

        if (strcmp(name, deeds[i].name) != 0) {
            continue;
        }
        status = deeds[i].privileged && !client_is_privileged(client)
                     ? gk_fail(&err, GK_REFUSED, "only root and gatekeyd's own user may")
                     : deeds[i].work(service, request, answer, &err);
        if (status == GK_OK) {
            client_reply(client, answer);
        } else {
            client_fail(client, deeds[i].operation, &err, 0);
        }
        return;
    }
    gk_fail(&err, GK_USAGE, "do is list, show, retry or drop");
    client_fail(client, "use the spool", &err, 0);
}
