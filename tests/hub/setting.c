/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what can be set while the hub runs, kept in the store. */
#include "tests/hub/setting.h"

static const struct {
    const char *name;
    const char *takes;
    const char *preset;
    const char *help;
} known[] = {
#define ROW(setting, name_text, takes_text, preset_text, help_text) \
    [setting] = { name_text, takes_text, preset_text, help_text },
    HUB_SETTING_TABLE(ROW)
#undef ROW
};

/* The caller frees it. */
static char *value_of(struct hub_store *store, enum hub_setting setting)
{
    char *value = hub_store_setting(store, known[setting].name);

    return value != NULL ? value : strdup(known[setting].preset);
}

int64_t hub_setting_number(struct hub_store *store, enum hub_setting setting)
{
    CLEANUP(gk_freep) char *value = value_of(store, setting);

    return value != NULL ? strtoll(value, NULL, 10) : 0;
}

bool hub_setting_is(struct hub_store *store, enum hub_setting setting, const char *word)
{
    CLEANUP(gk_freep) char *value = value_of(store, setting);

    return value != NULL && strcmp(value, word) == 0;
}

/* Whether it is one of "word|word". */
static bool is_among(const char *words, const char *value)
{
    size_t length = strlen(value);

    for (; *words != '\0'; words += strcspn(words, "|"), words += *words == '|') {
        if (strcspn(words, "|") == length && strncmp(words, value, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool takes(size_t setting, const char *value)
{
    if (strchr(known[setting].takes, '|') != NULL) {
        return is_among(known[setting].takes, value);
    }
    /* Nine digits: thirty years of seconds. */
    return *value != '\0' && strlen(value) <= 9 && strspn(value, "0123456789") == strlen(value) &&
           (strtol(value, NULL, 10) > 0 || strstr(known[setting].takes, "or 0") != NULL);
}

bool hub_setting_change(struct hub_store *store, const char *name, const char *value)
{
    for (size_t i = 0; i < HUB_SETTING_COUNT; i++) {
        if (strcmp(known[i].name, name) == 0) {
            return takes(i, value) && hub_store_set(store, name, value);
        }
    }
    return false;
}

json_t *hub_settings_list(struct hub_store *store)
{
    json_t *list = json_array();

    for (size_t i = 0; i < HUB_SETTING_COUNT; i++) {
        CLEANUP(gk_freep) char *value = value_of(store, (enum hub_setting)i);

        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s,s:s}", "setting", known[i].name, "value",
                                        value, "takes", known[i].takes, "does", known[i].help));
    }
    return list;
}
