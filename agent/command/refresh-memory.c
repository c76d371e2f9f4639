/* SPDX-License-Identifier: Apache-2.0 */
/* refresh.json: what was fetched when, when to ask again, and which roots were removed. */
#include "agent/command/refresh.h"

#include "agent/file.h"

#define VERSION 1

#define FIRST_RETRY_S 60
#define RETRY_DOUBLINGS 8 /* then four hours and a quarter */

/* A list that is over is asked for this often, however short its time is. */
#define OVERDUE_S 900

/* How far a time may be ahead of now before it is a clock that went back. */
#define SKEW_S 300

static const struct {
    const char *name, *words, *file;
} kinds[REFRESH_KINDS] = {
    [REFRESH_ROOTS] = { "roots", "roots", GK_FILE_SERVER_CA },
    [REFRESH_CRL] = { "crl", "crl", GK_FILE_CRL },
    [REFRESH_SERVER_CRL] = { "serverCrl", "hub's crl", GK_FILE_SERVER_CRL },
};

const char *refresh_kind_name(enum refresh_kind kind)
{
    return kinds[kind].name;
}

const char *refresh_kind_words(enum refresh_kind kind)
{
    return kinds[kind].words;
}

const char *refresh_kind_file(enum refresh_kind kind)
{
    return kinds[kind].file;
}

static void take_text(const json_t *object, const char *name, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, name));

    /* What does not fit was not written by us, and is as good as not there. */
    if (value != NULL && strlen(value) < size) {
        snprintf(text, size, "%s", value);
    }
}

static void take_item(const json_t *object, struct refresh_item *item)
{
    take_text(object, "url", item->url, sizeof(item->url));
    take_text(object, "etag", item->etag, sizeof(item->etag));
    take_text(object, "lastModified", item->modified, sizeof(item->modified));
    take_text(object, "error", item->error, sizeof(item->error));
    item->checked = json_integer_value(json_object_get(object, "checked"));
    item->tried = json_integer_value(json_object_get(object, "tried"));
    item->next = json_integer_value(json_object_get(object, "next"));
    item->failures = json_integer_value(json_object_get(object, "failures"));
    /* More of them change nothing, and they are counted on from here. */
    if (item->failures < 0 || item->failures > RETRY_DOUBLINGS) {
        item->failures = RETRY_DOUBLINGS;
    }
}

static void take_removed(const json_t *list, struct refresh_memory *memory)
{
    size_t count = json_array_size(list);

    for (size_t i = 0; i < count && memory->removed_count < REFRESH_REMOVED_MAX; i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (text != NULL && agent_fingerprint_read(text, memory->removed[memory->removed_count])) {
            memory->removed_count++;
        }
    }
}

enum gk_status refresh_memory_read(const struct agent_config *config, struct refresh_memory *memory,
                                   struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(json_freep) json_t *root = NULL;
    enum gk_status status = gk_identity_read(config->directory, GK_FILE_REFRESH, &content, err);

    *memory = (struct refresh_memory){ 0 };
    if (status != GK_OK) {
        return status == GK_NO_FILE ? GK_OK : status;
    }
    root = json_loadb(content.data, content.size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root) || json_integer_value(json_object_get(root, "version")) != VERSION) {
        /* Not as good as none: it says which roots were removed. */
        gk_fail(err, GK_BAD_FILE, "%s/" GK_FILE_REFRESH, config->directory);
        gk_advise(err, "look which roots gatekey ca list shows, then remove that file");
        return GK_BAD_FILE;
    }
    for (int kind = 0; kind < REFRESH_KINDS; kind++) {
        take_item(json_object_get(root, kinds[kind].name), &memory->items[kind]);
    }
    take_removed(json_object_get(root, "removed"), memory);
    return GK_OK;
}

static json_t *give_item(const struct refresh_item *item)
{
    return json_pack("{ss ss ss ss sI sI sI sI}", "url", item->url, "etag", item->etag,
                     "lastModified", item->modified, "error", item->error, "checked",
                     (json_int_t)item->checked, "tried", (json_int_t)item->tried, "next",
                     (json_int_t)item->next, "failures", (json_int_t)item->failures);
}

enum gk_status refresh_memory_write(const struct agent_config *config,
                                    const struct refresh_memory *memory, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *root = json_pack("{si}", "version", VERSION);
    CLEANUP(json_freep) json_t *removed = json_array();
    CLEANUP(gk_freep) char *text = NULL;
    bool fine = root != NULL && removed != NULL;

    for (int kind = 0; fine && kind < REFRESH_KINDS; kind++) {
        fine = json_object_set_new(root, kinds[kind].name, give_item(&memory->items[kind])) == 0;
    }
    for (size_t i = 0; fine && i < memory->removed_count; i++) {
        fine = json_array_append_new(removed, json_string(memory->removed[i])) == 0;
    }
    fine = fine && json_object_set(root, "removed", removed) == 0;
    text = fine ? json_dumps(root, JSON_INDENT(2)) : NULL;
    if (text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, GK_FILE_REFRESH);
    }
    return agent_file_replace(config->directory, GK_FILE_REFRESH, text, strlen(text), AGENT_FOR_ALL,
                              err);
}

static size_t index_of(const struct refresh_memory *memory, const X509 *root)
{
    char fingerprint[AGENT_FINGERPRINT_SIZE];
    size_t i = 0;

    agent_fingerprint(root, fingerprint);
    while (i < memory->removed_count && strcmp(memory->removed[i], fingerprint) != 0) {
        i++;
    }
    return i;
}

bool refresh_was_removed(const struct refresh_memory *memory, const X509 *root)
{
    return index_of(memory, root) < memory->removed_count;
}

void refresh_forget_removed(struct refresh_memory *memory, const X509 *root)
{
    size_t i = index_of(memory, root);

    if (i < memory->removed_count) {
        memory->removed_count--;
        memmove(memory->removed[i], memory->removed[i + 1],
                (memory->removed_count - i) * sizeof(memory->removed[0]));
    }
}

void refresh_note_removed(struct refresh_memory *memory, const X509 *root)
{
    refresh_forget_removed(memory, root);
    if (memory->removed_count == REFRESH_REMOVED_MAX) {
        memory->removed_count--;
        memmove(memory->removed[0], memory->removed[1],
                memory->removed_count * sizeof(memory->removed[0]));
    }
    agent_fingerprint(root, memory->removed[memory->removed_count++]);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void refresh_note_success(const struct agent_config *config, struct refresh_item *item, int64_t now,
                          const struct agent_crl *crl)
{
    item->checked = now;
    item->tried = now;
    item->failures = 0;
    item->error[0] = '\0';
    item->next = now + config->refresh_s;
    if (crl != NULL) {
        int64_t end = agent_crl_next_update(crl);
        int64_t near = end - (end - agent_crl_this_update(crl)) / 10;
        int64_t soonest = now + least(config->refresh_s, end < now ? OVERDUE_S : FIRST_RETRY_S);

        item->next = least(item->next, near > soonest ? near : soonest);
    }
}

void refresh_note_failure(const struct agent_config *config, struct refresh_item *item, int64_t now,
                          const char *sentence)
{
    int64_t wait = (int64_t)FIRST_RETRY_S << least(item->failures, RETRY_DOUBLINGS);

    item->tried = now;
    item->failures++;
    item->next = now + least(wait, config->refresh_s);
    snprintf(item->error, sizeof(item->error), "%s", sentence);
    agent_text_tame(item->error);
}

bool refresh_is_due(const struct refresh_item *item, const char *url, int64_t now)
{
    return item->next <= now || item->tried > now + SKEW_S || strcmp(item->url, url) != 0;
}
