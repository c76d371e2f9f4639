/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps state.json: a flat JSON object, described by one table. */
#include "agent/state.h"

#include "agent/file.h"
#include "identity/identity.h"

#include <jansson.h>

/* Raised when an older gatekey could misread what a newer one wrote. */
#define SCHEMA_VERSION 1

static const char *const stage_names[] = {
    [AGENT_STAGE_NONE] = "none",         [AGENT_STAGE_BEGUN] = "begun",
    [AGENT_STAGE_APPLYING] = "applying", [AGENT_STAGE_CERTIFIED] = "certified",
    [AGENT_STAGE_ENROLLED] = "enrolled", [AGENT_STAGE_RESETTING] = "resetting",
};

static const char *const renewal_names[] = {
    [AGENT_RENEWAL_NONE] = "none",       [AGENT_RENEWAL_ASKING] = "asking",
    [AGENT_RENEWAL_READY] = "ready",     [AGENT_RENEWAL_PROMOTING] = "promoting",
    [AGENT_RENEWAL_OVERLAP] = "overlap",
};

struct member {
    const char *name;
    size_t offset;
    size_t size; /* of a text; 0 for a time */
};

#define TEXT(name, field)                                                                   \
    {                                                                                       \
        name, offsetof(struct agent_state, field), sizeof(((struct agent_state *)0)->field) \
    }
#define TIME(name, field)                            \
    {                                                \
        name, offsetof(struct agent_state, field), 0 \
    }

/* clang-format off */
static const struct member members[] = {
    TEXT("productKey", product_key),
    TEXT("deviceKey", device_key),
    TEXT("assetId", asset_id),
    TEXT("commonName", common_name),
    TEXT("certSN", certificate_sn),
    TEXT("otherCertSNs", others),
    TEXT("unrevokedCertSNs", unrevoked),
    TIME("settled", settled),
    TEXT("replaced", replaced),
    TIME("rekeying", rekeying),
    TIME("adopted", adopted),
    TIME("begun", begun),
    TIME("certified", certified),
    TIME("enrolled", enrolled),
    TEXT("nextCertSN", next_sn),
    TEXT("oldCertSN", old_sn),
    TIME("next", next_at),
    TIME("asked", asked_at),
    TIME("oldUntil", old_until),
    TIME("tried", tried_at),
    TIME("failures", failures),
    TIME("revoked", revoked),
    TIME("forced", forced),
};
/* clang-format on */

#define MEMBER_COUNT (sizeof(members) / sizeof(members[0]))

static void freep_json(json_t **json)
{
    json_decref(*json);
}

const char *agent_stage_name(enum agent_stage stage)
{
    return stage_names[stage];
}

const char *agent_renewal_name(enum agent_renewal renewal)
{
    return renewal_names[renewal];
}

static bool list_has(const char *list, const char *serial)
{
    size_t size = strlen(serial);

    for (const char *at = strstr(list, serial); at != NULL; at = strstr(at + 1, serial)) {
        if ((at == list || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

bool agent_state_is_unrevoked(const struct agent_state *state, const char *serial)
{
    return serial[0] != '\0' && list_has(state->unrevoked, serial);
}

bool agent_state_knows_other(const struct agent_state *state, const char *serial)
{
    const char *const ours[] = { state->certificate_sn, state->next_sn, state->old_sn };
    bool named = agent_state_is_unrevoked(state, serial);

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        named = named || strcmp(ours[i], serial) == 0;
    }
    return (state->settled != 0 && !named) || list_has(state->others, serial);
}

/* Where a name stands among count, -1 where it does not. */
static int name_read(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; name != NULL && i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static bool stage_read(const json_t *value, enum agent_stage *stage)
{
    int found = name_read(json_string_value(value), stage_names,
                          sizeof(stage_names) / sizeof(stage_names[0]));

    *stage = (enum agent_stage)(found > 0 ? found : 0);
    return found >= 0;
}

/* A file from before there were renewals has none. */
static bool renewal_read(const json_t *value, enum agent_renewal *renewal)
{
    int found = value == NULL ? 0
                              : name_read(json_string_value(value), renewal_names,
                                          sizeof(renewal_names) / sizeof(renewal_names[0]));

    *renewal = (enum agent_renewal)(found > 0 ? found : 0);
    return found >= 0;
}

static bool member_read(const struct member *member, const json_t *value, struct agent_state *state)
{
    void *field = (char *)state + member->offset;

    if (value == NULL) {
        return true;
    }
    if (member->size == 0) {
        *(int64_t *)field = json_integer_value(value);
        return json_is_integer(value);
    }
    if (!json_is_string(value) || json_string_length(value) >= member->size) {
        return false;
    }
    memcpy(field, json_string_value(value), json_string_length(value) + 1);
    return true;
}

enum gk_status agent_state_read(const char *directory, struct agent_state *state,
                                struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(freep_json) json_t *json = NULL;
    struct agent_state s = { 0 };
    enum gk_status status = gk_identity_read(directory, GK_FILE_STATE, &content, err);

    if (status == GK_NO_FILE) {
        *state = s;
        return GK_OK;
    }
    if (status != GK_OK) {
        return status;
    }
    json = json_loadb(content.data, content.size, JSON_REJECT_DUPLICATES, NULL);
    if (json_integer_value(json_object_get(json, "version")) != SCHEMA_VERSION ||
        !stage_read(json_object_get(json, "stage"), &s.stage) ||
        !renewal_read(json_object_get(json, "renewal"), &s.renewal)) {
        return gk_fail(err, GK_BAD_FILE, "%s/%s", directory, GK_FILE_STATE);
    }
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (!member_read(&members[i], json_object_get(json, members[i].name), &s)) {
            return gk_fail(err, GK_BAD_FILE, "%s/%s: %s", directory, GK_FILE_STATE,
                           members[i].name);
        }
    }
    *state = s;
    return GK_OK;
}

static json_t *member_format(const struct member *member, const struct agent_state *state)
{
    const void *field = (const char *)state + member->offset;

    return member->size > 0 ? json_string(field) : json_integer(*(const int64_t *)field);
}

enum gk_status agent_state_write(const char *directory, const struct agent_state *state,
                                 struct gk_error *err)
{
    CLEANUP(freep_json)
    json_t *json = json_pack("{si ss ss}", "version", SCHEMA_VERSION, "stage",
                             stage_names[state->stage], "renewal", renewal_names[state->renewal]);
    CLEANUP(gk_freep) char *text = NULL;
    bool fine = json != NULL;

    for (size_t i = 0; fine && i < MEMBER_COUNT; i++) {
        fine = json_object_set_new(json, members[i].name, member_format(&members[i], state)) == 0;
    }
    if (fine) {
        text = json_dumps(json, JSON_INDENT(1));
    }
    if (text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, "%s", GK_FILE_STATE);
    }
    return agent_file_replace(directory, GK_FILE_STATE, text, strlen(text), AGENT_FOR_GROUP, err);
}
