/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into the other identity directories of this machine. */
#include "agent/command/sibling.h"

#include "identity/identity.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#define CONFIG_SUFFIX ".conf"

struct search {
    const struct agent_config *config;
    const struct gk_key *key;
    struct stat own; /* our directory, by whatever path it is reached */
};

static void closedirp(DIR **directory)
{
    if (*directory != NULL) {
        closedir(*directory);
    }
}

/* The folder that path lies in. */
static void find_parent(const char *path, char parent[static PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        snprintf(parent, PATH_MAX, ".");
    } else {
        snprintf(parent, PATH_MAX, "%.*s", slash > path ? (int)(slash - path) : 1, path);
    }
}

/* Does this file of that directory hold a reference to the key? At whatever handle: it is the same
 * key. */
static bool names_key(const struct search *search, const char *directory, const char *name)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(gk_key_freep) struct gk_key *found = NULL;
    struct gk_error why = { 0 };

    return gk_identity_read(directory, name, &content, &why) == GK_OK &&
           gk_key_parse(content.data, content.size, &found, &why) == GK_OK &&
           gk_key_equal(found, search->key);
}

static enum gk_status look_into(const struct search *search, const char *directory,
                                struct gk_error *err)
{
    static const char *const names[] = { GK_FILE_DEVICE, GK_FILE_DEVICE_OLD,
                                         GK_FILE_NEXT "/" GK_FILE_DEVICE };
    struct stat status;

    if (stat(directory, &status) != 0 || !S_ISDIR(status.st_mode) ||
        (status.st_dev == search->own.st_dev && status.st_ino == search->own.st_ino)) {
        return GK_OK;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names_key(search, directory, names[i])) {
            gk_fail(err, GK_REFUSED, "the identity in %s uses the key at 0x%08x too", directory,
                    (unsigned)gk_key_handle(search->key));
            gk_advise(err, "give each identity a key of its own: another [tpm] handle, and no copy "
                           "of another's " GK_FILE_DEVICE);
            return GK_REFUSED;
        }
    }
    return GK_OK;
}

static enum gk_status look_beside(const struct search *search, struct gk_error *err)
{
    char parent[PATH_MAX], path[2 * PATH_MAX];
    CLEANUP(closedirp) DIR *folder = NULL;
    const struct dirent *entry;
    enum gk_status status = GK_OK;

    find_parent(search->config->directory, parent);
    folder = opendir(parent);
    while (status == GK_OK && folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name);
            status = look_into(search, path, err);
        }
    }
    return status;
}

static bool is_config(const char *name)
{
    size_t size = strlen(name), suffix = strlen(CONFIG_SUFFIX);

    return size > suffix && strcmp(name + size - suffix, CONFIG_SUFFIX) == 0;
}

static enum gk_status look_where_it_leads(const struct search *search, const char *config,
                                          struct gk_error *err)
{
    struct gk_place place = { 0 };
    struct gk_error why = { 0 };
    enum gk_status status = GK_OK;

    if (gk_place_find(NULL, NULL, NULL, config, &place, &why) == GK_OK) {
        status = look_into(search, place.directory, err);
        gk_place_clear(&place);
    }
    return status;
}

static enum gk_status look_at_configs(const struct search *search, struct gk_error *err)
{
    char parent[PATH_MAX], path[2 * PATH_MAX];
    CLEANUP(closedirp) DIR *folder = NULL;
    const struct dirent *entry;
    enum gk_status status = GK_OK;

    if (search->config->path == NULL) {
        return GK_OK;
    }
    find_parent(search->config->path, parent);
    folder = opendir(parent);
    while (status == GK_OK && folder != NULL && (entry = readdir(folder)) != NULL) {
        if (is_config(entry->d_name)) {
            snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name);
            status = look_where_it_leads(search, path, err);
        }
    }
    return status;
}

enum gk_status sibling_refuse_shared(const struct agent_config *config, const struct gk_key *key,
                                     struct gk_error *err)
{
    struct search search = { .config = config, .key = key };
    enum gk_status status;

    if (stat(config->directory, &search.own) != 0) {
        return GK_OK; /* nothing is there yet that could be shared */
    }
    status = look_beside(&search, err);
    return status == GK_OK ? look_at_configs(&search, err) : status;
}
