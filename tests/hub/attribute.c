/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps, finds and forgets the attributes and tags of devices. */
#include "tests/hub/post-internal.h"

#define MOST_ATTRIBUTES 200

static bool keep_attribute(struct hub_post *post, const char *kind, const char *name, json_t *value)
{
    CLEANUP(gk_freep) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    return text != NULL &&
           hub_store_run(post->hub->store,
                         "INSERT OR REPLACE INTO attribute (assetId, kind, name, value)"
                         " VALUES (?, ?, ?, ?)",
                         "ssss", post->session->asset_id, kind, name, text) == 1;
}

int hub_post_update(struct hub_post *post, const char *kind)
{
    json_t *attributes = json_object_get(post->params, "attributes");
    int code = HUB_POST_OK;
    const char *name;
    json_t *value;

    if (!json_is_object(attributes) || json_object_size(attributes) > MOST_ATTRIBUTES) {
        return hub_post_fail(post, HUB_POST_ATTRIBUTE_UPDATE,
                             "params must hold up to 200 attributes");
    }
    hub_store_begin(post->hub->store);
    json_object_foreach(attributes, name, value)
    {
        if (!keep_attribute(post, kind, name, value)) {
            code = hub_post_fail(post, HUB_POST_ATTRIBUTE_UPDATE, "could not be stored");
        }
    }
    return hub_post_whole(post, code);
}

int hub_post_update_tags(struct hub_post *post, const char *kind)
{
    int code = HUB_POST_OK;
    size_t index;
    json_t *tag;

    if (!json_is_array(post->params) || json_array_size(post->params) > MOST_ATTRIBUTES) {
        return hub_post_fail(post, HUB_POST_MODEL, "params must be an array of up to 200 tags");
    }
    hub_store_begin(post->hub->store);
    json_array_foreach(post->params, index, tag)
    {
        json_t *value = json_object_get(tag, "tagValue");

        if (*hub_text(tag, "tagKey") == '\0' || !json_is_string(value) ||
            !keep_attribute(post, kind, hub_text(tag, "tagKey"), value)) {
            code = hub_post_fail(post, HUB_POST_MODEL, "tag %zu", index);
        }
    }
    return hub_post_whole(post, code);
}

/* The names a query or a deletion is about: an array of strings, or nothing. */
static json_t *names_of(struct hub_post *post, const char *kind)
{
    json_t *names = json_object_get(post->params, strcmp(kind, "tag") == 0 ? "tags" : "attributes");
    size_t index;
    json_t *name;

    if (names != NULL && (!json_is_array(names) || json_array_size(names) > MOST_ATTRIBUTES)) {
        return NULL;
    }
    json_array_foreach(names, index, name)
    {
        if (!json_is_string(name)) {
            return NULL;
        }
    }
    return names != NULL ? json_incref(names) : json_array();
}

static bool is_named(const json_t *names, const char *name)
{
    size_t index;
    json_t *one;

    json_array_foreach(names, index, one)
    {
        if (strcmp(json_string_value(one), name) == 0) {
            return true;
        }
    }
    return json_array_size(names) == 0;
}

int hub_post_query(struct hub_post *post, const char *kind)
{
    CLEANUP(json_decrefp) json_t *names = names_of(post, kind);
    CLEANUP(json_decrefp)
    json_t *rows = hub_store_rows(post->hub->store,
                                  "SELECT name, value FROM attribute"
                                  " WHERE assetId = ? AND kind = ? ORDER BY name",
                                  "ss", post->session->asset_id, kind);
    size_t index;
    json_t *row;

    if (names == NULL) {
        return hub_post_fail(post, HUB_POST_ATTRIBUTE_QUERY, "params must name up to 200");
    }
    post->data = json_object();
    json_array_foreach(rows, index, row)
    {
        if (is_named(names, hub_text(row, "name"))) {
            json_object_set_new(post->data, hub_text(row, "name"),
                                json_loads(hub_text(row, "value"), JSON_DECODE_ANY, NULL));
        }
    }
    return HUB_POST_OK;
}

/* Naming none deletes none. */
int hub_post_delete(struct hub_post *post, const char *kind)
{
    CLEANUP(json_decrefp) json_t *names = names_of(post, kind);
    size_t index;
    json_t *name;

    if (names == NULL) {
        return hub_post_fail(post, HUB_POST_ATTRIBUTE_DELETE, "params must name up to 200");
    }
    json_array_foreach(names, index, name)
    {
        hub_store_run(post->hub->store,
                      "DELETE FROM attribute WHERE assetId = ? AND kind = ? AND name = ?", "sss",
                      post->session->asset_id, kind, json_string_value(name));
    }
    return HUB_POST_OK;
}
