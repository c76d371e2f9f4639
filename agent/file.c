/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces files whole: written beside, synced, renamed, and the directory synced. */
#include "agent/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define LOCK_WAIT_MS 4000 /* below SKEW_MS of agent/budget.c */

/* What is not yet renamed stands beside the file as ".NAME.tmp". */
#define BESIDE_PREFIX "."
#define BESIDE_SUFFIX ".tmp"

static void closedirp(DIR **directory)
{
    if (*directory != NULL) {
        closedir(*directory);
    }
}

/* The failure errno stands for, about directory/name. */
static enum gk_status fail(struct gk_error *err, int error_number, const char *directory,
                           const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s%s%s", directory, name[0] != '\0' ? "/" : "", name);
    return gk_fail_file(err, error_number, path);
}

static enum gk_status open_directory(const char *path, int *fd, struct gk_error *err)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd >= 0 ? GK_OK : gk_fail_file(err, errno, path);
}

enum gk_status agent_file_read(const char *path, size_t max, struct gk_content *content,
                               struct gk_error *err)
{
    /* Without O_NONBLOCK the open of a pipe would wait for its writer. */
    CLEANUP(gk_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    CLEANUP(gk_content_clear) struct gk_content c = { 0 };
    struct stat status;
    ssize_t got;

    if (fd < 0 || fstat(fd, &status) != 0) {
        return gk_fail_file(err, errno, path);
    }
    if (!S_ISREG(status.st_mode)) {
        gk_fail(err, GK_BAD_FILE, "%s: not a regular file", path);
        gk_advise(err, "name a file");
        return GK_BAD_FILE;
    }
    c.data = malloc(max + 1);
    if (c.data == NULL) {
        return gk_fail(err, GK_NO_MEMORY, "%s", path);
    }
    while ((got = read(fd, c.data + c.size, max + 1 - c.size)) != 0) {
        if (got < 0 && errno != EINTR) {
            return gk_fail_file(err, errno, path);
        }
        c.size += got > 0 ? (size_t)got : 0;
        if (c.size > max) {
            return gk_fail(err, GK_BAD_FILE, "%s: larger than %zu bytes", path, max);
        }
    }
    c.data[c.size] = '\0';
    *content = c;
    c = (struct gk_content){ 0 };
    return GK_OK;
}

static bool write_whole(int fd, const void *data, size_t size)
{
    const char *next = data;

    while (size > 0) {
        ssize_t put = write(fd, next, size);

        if (put < 0 && errno != EINTR) {
            return false;
        }
        next += put > 0 ? put : 0;
        size -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

/* Set the mode whatever the umask is; without the group the owner alone reads it. */
static bool set_audience(int fd, enum agent_audience audience)
{
    const struct group *group;

    switch (audience) {
    case AGENT_FOR_ALL:
        return fchmod(fd, 0644) == 0;
    case AGENT_FOR_GROUP:
        group = geteuid() == 0 ? getgrnam("gatekey") : NULL;
        return (group == NULL || fchown(fd, (uid_t)-1, group->gr_gid) == 0) &&
               fchmod(fd, 0640) == 0;
    case AGENT_FOR_OWNER:
        break;
    }
    return fchmod(fd, 0600) == 0;
}

enum gk_status agent_file_replace(const char *directory, const char *name, const void *data,
                                  size_t size, enum agent_audience audience, struct gk_error *err)
{
    CLEANUP(gk_closep) int folder = -1;
    CLEANUP(gk_closep) int fd = -1;
    char beside[NAME_MAX + 1];
    enum gk_status status = open_directory(directory, &folder, err);

    if (status != GK_OK) {
        return status;
    }
    snprintf(beside, sizeof(beside), BESIDE_PREFIX "%s" BESIDE_SUFFIX, name);
    unlinkat(folder, beside, 0); /* left by a writer that was killed */
    fd = openat(folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail(err, errno, directory, name);
    }
    if (!write_whole(fd, data, size) || !set_audience(fd, audience) || fsync(fd) != 0 ||
        renameat(folder, beside, folder, name) != 0 || fsync(folder) != 0) {
        status = fail(err, errno, directory, name);
        unlinkat(folder, beside, 0);
    }
    return status;
}

enum gk_status agent_file_rename(const char *directory, const char *from, const char *to,
                                 struct gk_error *err)
{
    CLEANUP(gk_closep) int folder = -1;
    enum gk_status status = open_directory(directory, &folder, err);

    if (status != GK_OK) {
        return status;
    }
    if (renameat(folder, from, folder, to) != 0 || fsync(folder) != 0) {
        return fail(err, errno, directory, from);
    }
    return GK_OK;
}

enum gk_status agent_file_remove(const char *directory, const char *name, struct gk_error *err)
{
    CLEANUP(gk_closep) int folder = -1;
    enum gk_status status = open_directory(directory, &folder, err);

    if (status != GK_OK) {
        return status;
    }
    if (unlinkat(folder, name, 0) != 0) {
        return errno == ENOENT ? GK_OK : fail(err, errno, directory, name);
    }
    return fsync(folder) == 0 ? GK_OK : fail(err, errno, directory, name);
}

/* Sync the directory a path lies in, so that the new name survives a power cut. */
static bool sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(gk_freep) char *parent = NULL;
    CLEANUP(gk_closep) int folder = -1;

    if (slash == NULL) {
        parent = strdup(".");
    } else {
        parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    }
    if (parent != NULL) {
        folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return folder >= 0 && fsync(folder) == 0;
}

enum gk_status agent_file_create(const char *path, const void *data, size_t size,
                                 enum agent_audience audience, struct gk_error *err)
{
    CLEANUP(gk_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum gk_status status;

    if (fd < 0 && errno == EEXIST) {
        status = gk_fail(err, GK_FILE_FAILED, "%s exists", path);
        gk_advise(err, "name a file that does not exist yet, or remove this one");
        return status;
    }
    if (fd < 0) {
        return gk_fail_file(err, errno, path);
    }
    if (!write_whole(fd, data, size) || !set_audience(fd, audience) || fsync(fd) != 0 ||
        !sync_parent(path)) {
        status = gk_fail_file(err, errno, path);
        unlink(path);
        return status;
    }
    return GK_OK;
}

enum gk_status agent_file_make_directory(const char *directory, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;

    if (mkdir(directory, 0755) != 0) {
        return errno == EEXIST ? GK_OK : gk_fail_file(err, errno, directory);
    }
    /* gatekeyd and the modules are other users, whatever the umask says. */
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0755) != 0 || !sync_parent(directory)) {
        return gk_fail_file(err, errno, directory);
    }
    return GK_OK;
}

static bool stands_beside(const char *name)
{
    size_t size = strlen(name);

    return name[0] == '.' && size > strlen(BESIDE_PREFIX BESIDE_SUFFIX) &&
           strcmp(name + size - strlen(BESIDE_SUFFIX), BESIDE_SUFFIX) == 0;
}

enum gk_status agent_file_sweep(const char *directory, struct gk_error *err)
{
    CLEANUP(closedirp) DIR *folder = opendir(directory);
    const struct dirent *entry;

    if (folder == NULL) {
        return gk_fail_file(err, errno, directory);
    }
    while ((entry = readdir(folder)) != NULL) {
        if (stands_beside(entry->d_name) && unlinkat(dirfd(folder), entry->d_name, 0) != 0) {
            return fail(err, errno, directory, entry->d_name);
        }
    }
    return GK_OK;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t lock_wait_ms = LOCK_WAIT_MS;

void agent_file_wait_for_locks(bool wait)
{
    lock_wait_ms = wait ? LOCK_WAIT_MS : 0;
}

enum gk_status agent_file_lock(int fd, const char *path, struct gk_error *err)
{
    const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
    int64_t deadline = now_ms() + lock_wait_ms;

    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return gk_fail_file(err, errno, path);
        }
        if (now_ms() >= deadline) {
            gk_fail(err, GK_BUSY, "%s is locked by another process", path);
            gk_advise(err, "see with fuser who holds it, such as a gatekeyd that was stopped");
            return GK_BUSY;
        }
        nanosleep(&pause, NULL);
    }
    return GK_OK;
}
