/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where certificates that the hub's application sends wait for gatekey install: the service can
 * neither check nor install them, so it keeps what came, unread, and says that it did.
 */
#include "agent/file.h"
#include "agent/service/log.h"
#include "agent/service/service.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#define INBOX "inbox"
#define SUFFIX ".json"
#define FILES_MAX 16
#define SIZE_MAX_EACH ((size_t)64 * 1024)
#define ID_SHOWN 40 /* characters of the hub's id that go into a file's name */

static void closedirp(DIR **directory)
{
    if (*directory != NULL) {
        closedir(*directory);
    }
}

static char *locate(const struct agent_config *config)
{
    char *path;

    return asprintf(&path, "%s/" INBOX, config->state_directory) < 0 ? NULL : path;
}

static bool is_letter(const char *name)
{
    size_t size = strlen(name);

    return name[0] != '.' && size > strlen(SUFFIX) &&
           strcmp(name + size - strlen(SUFFIX), SUFFIX) == 0;
}

/* The directory is there, with room for one more. */
static enum gk_status make_room(const char *path, struct gk_error *err)
{
    CLEANUP(closedirp) DIR *directory = NULL;
    const struct dirent *entry;
    unsigned count = 0;

    enum gk_status status = agent_file_make_directory(path, err);

    if (status != GK_OK) {
        return status;
    }
    directory = opendir(path);
    if (directory == NULL) {
        return gk_fail_file(err, errno, path);
    }
    while ((entry = readdir(directory)) != NULL) {
        count += is_letter(entry->d_name) ? 1 : 0;
    }
    return count < FILES_MAX
               ? GK_OK
               : gk_fail(err, GK_BUSY, "%u certificates wait in %s already", count, path);
}

/* "MS-ID.json", of the hub's id what is harmless in a file's name. */
static void name_letter(const json_t *id, char *name, size_t size)
{
    CLEANUP(gk_freep) char *text = id != NULL ? json_dumps(id, JSON_ENCODE_ANY) : NULL;
    struct timespec now = { 0 };
    char shown[ID_SHOWN + 1];
    size_t used = 0;

    for (const char *c = text != NULL ? text : ""; *c != '\0' && used < ID_SHOWN; c++) {
        if (isalnum((unsigned char)*c) && isascii((unsigned char)*c)) {
            shown[used++] = *c;
        }
    }
    shown[used] = '\0';
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, size, "%lld-%s" SUFFIX, (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000,
             shown);
}

static enum gk_status format(const json_t *params, char **text, struct gk_error *err)
{
    if (!json_is_object(params)) {
        return gk_fail(err, GK_HUB_GARBLED, "the parameters are no JSON object");
    }
    *text = json_dumps(params, JSON_COMPACT);
    if (*text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return strlen(*text) <= SIZE_MAX_EACH
               ? GK_OK
               : gk_fail(err, GK_HUB_GARBLED, "more than %zu bytes", SIZE_MAX_EACH);
}

enum gk_status inbox_put(const struct agent_config *config, const json_t *id, const json_t *params,
                         struct gk_error *err)
{
    CLEANUP(gk_freep) char *path = locate(config);
    CLEANUP(gk_freep) char *text = NULL;
    char name[ID_SHOWN + 32];
    enum gk_status status = format(params, &text, err);

    if (path == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (status == GK_OK) {
        status = make_room(path, err);
    }
    if (status == GK_OK) {
        name_letter(id, name, sizeof(name));
        status = agent_file_replace(path, name, text, strlen(text), AGENT_FOR_OWNER, err);
    }
    if (status == GK_OK) {
        log_line(LOG_LEVEL_NOTICE, "a certificate came from the hub: %s/%s", path, name);
    }
    return status;
}

/* One left half-written by a service that was killed was never answered: the hub sends it again. */
void inbox_sweep(const struct agent_config *config)
{
    CLEANUP(gk_freep) char *path = locate(config);
    struct gk_error err = { 0 };
    struct stat info;

    if (path != NULL && lstat(path, &info) == 0 && agent_file_sweep(path, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "tidy the inbox", &err);
    }
}

enum gk_status inbox_empty(const struct agent_config *config, struct gk_error *err)
{
    CLEANUP(gk_freep) char *path = locate(config);
    CLEANUP(closedirp) DIR *directory = path != NULL ? opendir(path) : NULL;
    enum gk_status status = GK_OK;
    const struct dirent *entry;

    if (path == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (directory == NULL) {
        return errno == ENOENT ? GK_OK : gk_fail_file(err, errno, path);
    }
    while (status == GK_OK && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = agent_file_remove(path, entry->d_name, err);
        }
    }
    return status;
}
