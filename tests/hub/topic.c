/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a topic is. */
#include "tests/hub/topic.h"

#include <stddef.h>
#include <string.h>

/* What follows prefix in text, or NULL. */
static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return text != NULL && strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static const char *after_key(const char *text, const char *key)
{
    return after(after(text, key), "/");
}

enum hub_tree hub_topic_tree(const char *topic, const char *product_key, const char *device_key,
                             const char **rest)
{
    static const struct {
        enum hub_tree tree;
        const char *prefix;
    } trees[] = {
        { HUB_TREE_SYS, "/sys/" },
        { HUB_TREE_EXT, "/ext/session/" },
    };

    for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
        const char *found =
            after_key(after_key(after(topic, trees[i].prefix), product_key), device_key);

        if (found != NULL && *found != '\0') {
            *rest = found;
            return trees[i].tree;
        }
    }
    return HUB_TREE_NONE;
}
