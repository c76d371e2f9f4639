/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what an unprivileged process left for root, without believing anything of it. */
#include "agent/command/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

/* gatekeyd keeps 16 at most; whoever put more there waits for the next run. */
#define NAMES_MAX 64

/* As gatekeyd bounds them, with room to spare. */
#define LETTER_MAX ((size_t)80 * 1024)

struct inbox {
    int folder; /* -1: there is none */
    uid_t owner;
    char path[PATH_MAX];
    size_t count;
    char *names[NAMES_MAX];
};

void inbox_close(struct inbox *inbox)
{
    if (inbox == NULL) {
        return;
    }
    for (size_t i = 0; i < inbox->count; i++) {
        free(inbox->names[i]);
    }
    if (inbox->folder >= 0) {
        close(inbox->folder);
    }
    free(inbox);
}

static void closedirp(DIR **directory)
{
    if (*directory != NULL) {
        closedir(*directory);
    }
}

static enum gk_status fail(const struct inbox *inbox, int error_number, const char *name,
                           struct gk_error *err)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%.60s", inbox->path, name);
    return gk_fail_file(err, error_number, path);
}

/* Neither of the last two parts of the path may be a link: the service could have made both. */
static enum gk_status open_folder(const struct agent_config *config, struct inbox *inbox,
                                  struct gk_error *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    CLEANUP(gk_closep) int above = open(config->state_directory, flags);
    struct stat status;

    snprintf(inbox->path, sizeof(inbox->path), "%s/inbox", config->state_directory);
    if (above >= 0) {
        inbox->folder = openat(above, "inbox", flags);
    }
    if (inbox->folder < 0 && errno == ENOENT) {
        return GK_OK;
    }
    if (inbox->folder < 0 && (errno == ELOOP || errno == ENOTDIR)) {
        return gk_fail(err, GK_BAD_FILE, "%s: not a directory", inbox->path);
    }
    if (inbox->folder < 0 || fstat(inbox->folder, &status) != 0) {
        return gk_fail_file(err, errno, inbox->path);
    }
    inbox->owner = status.st_uid;
    return GK_OK;
}

/* Younger ones behind; the number is a time in milliseconds. */
static int compare(const void *a, const void *b)
{
    const char *left = *(char *const *)a, *right = *(char *const *)b;
    unsigned long long left_ms = strtoull(left, NULL, 10), right_ms = strtoull(right, NULL, 10);

    return left_ms != right_ms ? (left_ms < right_ms ? -1 : 1) : strcmp(left, right);
}

static enum gk_status list(struct inbox *inbox, struct gk_error *err)
{
    int copy = fcntl(inbox->folder, F_DUPFD_CLOEXEC, 0);
    CLEANUP(closedirp) DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *entry;

    if (directory == NULL) {
        return gk_fail_file(err, errno, inbox->path);
    }
    /* A name with a dot in front is still being written. */
    while (inbox->count < NAMES_MAX && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        inbox->names[inbox->count] = strdup(entry->d_name);
        if (inbox->names[inbox->count] == NULL) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
        inbox->count++;
    }
    qsort(inbox->names, inbox->count, sizeof(inbox->names[0]), compare);
    return GK_OK;
}

enum gk_status inbox_open(const struct agent_config *config, struct inbox **inbox,
                          struct gk_error *err)
{
    CLEANUP(inbox_closep) struct inbox *i = calloc(1, sizeof(*i));
    enum gk_status status;

    if (i == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    i->folder = -1;
    status = open_folder(config, i, err);
    if (status == GK_OK && i->folder >= 0) {
        status = list(i, err);
    }
    if (status == GK_OK) {
        *inbox = TAKE(i);
    }
    return status;
}

size_t inbox_count(const struct inbox *inbox)
{
    return inbox->count;
}

const char *inbox_name(const struct inbox *inbox, size_t index)
{
    return inbox->names[index];
}

/* What root may look at for that user: another's file could be a hard link to anything. */
static bool is_letter(const struct inbox *inbox, const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_uid == inbox->owner && status->st_nlink == 1 &&
           status->st_size >= 0 && (size_t)status->st_size <= LETTER_MAX;
}

enum gk_status inbox_read(const struct inbox *inbox, size_t index, struct gk_content *content,
                          struct gk_error *err)
{
    const char *name = inbox->names[index];
    /* Without O_NONBLOCK the open of a pipe would wait for its writer. */
    CLEANUP(gk_closep)
    int fd = openat(inbox->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    CLEANUP(gk_content_clear) struct gk_content c = { 0 };
    struct stat status;
    ssize_t got;

    if (fd < 0 && errno != ELOOP && errno != ENXIO) {
        return fail(inbox, errno, name, err);
    }
    if (fd >= 0 && fstat(fd, &status) != 0) {
        return fail(inbox, errno, name, err);
    }
    if (fd < 0 || !is_letter(inbox, &status)) {
        return gk_fail(err, GK_BAD_FILE, "%s/%.60s: no file that gatekeyd wrote", inbox->path,
                       name);
    }
    c.data = malloc(LETTER_MAX + 1);
    if (c.data == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    while (c.size < LETTER_MAX && (got = read(fd, c.data + c.size, LETTER_MAX - c.size)) != 0) {
        if (got < 0 && errno != EINTR) {
            return fail(inbox, errno, name, err);
        }
        c.size += got > 0 ? (size_t)got : 0;
    }
    c.data[c.size] = '\0';
    *content = c;
    c = (struct gk_content){ 0 };
    return GK_OK;
}

enum gk_status inbox_remove(const struct inbox *inbox, size_t index, struct gk_error *err)
{
    const char *name = inbox->names[index];
    bool gone = unlinkat(inbox->folder, name, 0) == 0 || errno == ENOENT ||
                unlinkat(inbox->folder, name, AT_REMOVEDIR) == 0;

    return gone && fsync(inbox->folder) == 0 ? GK_OK : fail(inbox, errno, name, err);
}
