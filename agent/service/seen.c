/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of the topics and ids that came lately. */
#include "agent/service/seen.h"

#include "cleanup.h"

/* A text and a number are different ids: 7 is not "7". */
static char *make_key(const char *rest, const json_t *id)
{
    CLEANUP(gk_freep) char *text = id != NULL ? json_dumps(id, JSON_ENCODE_ANY) : strdup("");
    char *key = NULL;

    return text != NULL && asprintf(&key, "%s %s", rest, text) >= 0 ? key : NULL;
}

/* SEEN_MAX where it is not known. */
static size_t find(const struct seen *seen, const char *key, uint64_t now_ms)
{
    size_t i = 0;

    while (i < SEEN_MAX &&
           (key == NULL || seen->table[i].key == NULL || now_ms >= seen->table[i].end_ms ||
            strcmp(seen->table[i].key, key) != 0)) {
        i++;
    }
    return i;
}

bool seen_before(struct seen *seen, const char *rest, const json_t *id, uint64_t now_ms)
{
    CLEANUP(gk_freep) char *key = make_key(rest, id);

    if (find(seen, key, now_ms) < SEEN_MAX) {
        return true;
    }
    free(seen->table[seen->next].key);
    seen->table[seen->next].key = TAKE(key);
    seen->table[seen->next].end_ms = now_ms + SEEN_MS;
    seen->next = (seen->next + 1) % SEEN_MAX;
    return false;
}

void seen_release(struct seen *seen, const char *rest, const json_t *id, uint64_t now_ms)
{
    CLEANUP(gk_freep) char *key = make_key(rest, id);
    size_t i = find(seen, key, now_ms);

    if (i < SEEN_MAX && seen->table[i].end_ms > now_ms + SEEN_COPY_MS) {
        seen->table[i].end_ms = now_ms + SEEN_COPY_MS;
    }
}

void seen_clear(struct seen *seen)
{
    for (size_t i = 0; i < SEEN_MAX; i++) {
        free(seen->table[i].key);
        seen->table[i].key = NULL;
    }
}
