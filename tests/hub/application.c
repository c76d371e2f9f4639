/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps applications and says what each may do. */
#include "tests/hub/application.h"

#include "tests/hub/text.h"

const char *const hub_permissions[] = {
    "device-create",      "device-read",
    "device-update",      "certificate-apply",
    "certificate-read",   "certificate-renew",
    "certificate-revoke", "command-invoke",
    "event-read",         NULL,
};

/* Whether a word stands in a list of words parted by commas, or all are meant. */
static bool lists(const char *list, const char *word)
{
    size_t length = strlen(word);

    if (strcmp(list, HUB_APPLICATION_ALL) == 0) {
        return true;
    }
    for (; *list != '\0'; list += strcspn(list, ","), list += *list == ',') {
        if (strcspn(list, ",") == length && strncmp(list, word, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_permission(struct hub_store *store, const char *word)
{
    (void)store;
    for (size_t i = 0; hub_permissions[i] != NULL; i++) {
        if (strcmp(hub_permissions[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_product(struct hub_store *store, const char *word)
{
    CLEANUP(json_decrefp)
    json_t *row =
        hub_store_row(store, "SELECT productKey FROM product WHERE productKey = ?", "s", word);

    return row != NULL;
}

/* Each word of a list must be known. */
static bool check_words(struct hub_store *store, const char *list, const char *kind,
                        bool (*is_known)(struct hub_store *, const char *), char *why, size_t room)
{
    CLEANUP(gk_freep) char *words = strdup(list);
    char *rest = words;
    char *word;

    if (words == NULL || *list == '\0' || strcmp(list, HUB_APPLICATION_ALL) == 0) {
        return words != NULL;
    }
    while ((word = strsep(&rest, ",")) != NULL) {
        if (!is_known(store, word)) {
            snprintf(why, room, "there is no %s \"%.64s\"", kind, word);
            return false;
        }
    }
    return true;
}

bool hub_application_add(struct hub_store *store, const char *name, const char *app_key,
                         const char *secret, const char *permissions, const char *products,
                         char *why, size_t room)
{
    int result;

    if (!hub_is_key(name)) {
        snprintf(why, room, "a name has letters, digits and -_.:@%% only");
        return false;
    }
    if (!check_words(store, permissions, "permission", is_permission, why, room) ||
        !check_words(store, products, "product", is_product, why, room)) {
        return false;
    }
    result = hub_store_run(store,
                           "INSERT INTO application (name, appKey, appSecret, permissions,"
                           " products) VALUES (?, ?, ?, ?, ?)",
                           "sssss", name, app_key, secret, permissions, products);
    if (result != 1) {
        snprintf(why, room, "%s",
                 result == HUB_STORE_TAKEN ? "there is an application of that name or key already"
                                           : "the database refused");
    }
    return result == 1;
}

bool hub_application_remove(struct hub_store *store, const char *name)
{
    bool known;

    hub_store_begin(store);
    hub_store_run(store,
                  "DELETE FROM token WHERE appKey ="
                  " (SELECT appKey FROM application WHERE name = ?)",
                  "s", name);
    known = hub_store_run(store, "DELETE FROM application WHERE name = ?", "s", name) == 1;
    return hub_store_end(store, known);
}

json_t *hub_application_find(struct hub_store *store, const char *app_key)
{
    return hub_store_row(store, "SELECT * FROM application WHERE appKey = ?", "s", app_key);
}

bool hub_application_may(const json_t *application, const char *permission)
{
    return lists(hub_text(application, "permissions"), permission);
}

bool hub_application_covers(const json_t *application, const char *product_key)
{
    return lists(hub_text(application, "products"), product_key);
}
