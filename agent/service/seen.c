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

bool seen_before(struct seen *seen, const char *rest, const json_t *id, uint64_t now_ms)
{
    CLEANUP(gk_freep) char *key = make_key(rest, id);

    for (size_t i = 0; key != NULL && i < SEEN_MAX; i++) {
        if (seen->table[i].key != NULL && now_ms - seen->table[i].at_ms < SEEN_MS &&
            strcmp(seen->table[i].key, key) == 0) {
            return true;
        }
    }
    free(seen->table[seen->next].key);
    seen->table[seen->next].key = TAKE(key);
    seen->table[seen->next].at_ms = now_ms;
    seen->next = (seen->next + 1) % SEEN_MAX;
    return false;
}

void seen_clear(struct seen *seen)
{
    for (size_t i = 0; i < SEEN_MAX; i++) {
        free(seen->table[i].key);
        seen->table[i].key = NULL;
    }
}
