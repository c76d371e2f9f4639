/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps two runs of gatekey out of each other's way. */
#include "agent/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#define LOCK_FILE ".lock"

struct agent_lock {
    int fd;
    char path[];
};

/* fcntl(2) and not flock(2): only it can say who the holder is. */
static enum gk_status lock_file(int fd, const char *directory, struct gk_error *err)
{
    struct flock wanted = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct flock held = wanted;

    if (fcntl(fd, F_SETLK, &wanted) == 0) {
        return GK_OK;
    }
    if (errno != EACCES && errno != EAGAIN) {
        return gk_fail_file(err, errno, directory);
    }
    if (fcntl(fd, F_GETLK, &held) == 0 && held.l_type != F_UNLCK && held.l_pid > 0) {
        return gk_fail(err, GK_LOCK_HELD, "%s, process %ld", directory, (long)held.l_pid);
    }
    return gk_fail(err, GK_LOCK_HELD, "%s", directory);
}

/* A holder that empties the directory unlinks the file: then we locked one that nobody else will
 * see. */
static bool is_current(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

enum gk_status agent_lock_take(const char *directory, struct agent_lock **lock,
                               struct gk_error *err)
{
    size_t size = strlen(directory) + sizeof("/" LOCK_FILE);
    CLEANUP(agent_lock_releasep) struct agent_lock *l = malloc(sizeof(*l) + size);
    enum gk_status status;

    if (l == NULL) {
        return gk_fail(err, GK_NO_MEMORY, "%s", directory);
    }
    l->fd = -1;
    snprintf(l->path, size, "%s/%s", directory, LOCK_FILE);
    do {
        if (l->fd >= 0) {
            close(l->fd);
        }
        l->fd = open(l->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (l->fd < 0) {
            return gk_fail_file(err, errno, errno == ENOENT ? directory : l->path);
        }
        status = lock_file(l->fd, directory, err);
        if (status != GK_OK) {
            return status;
        }
    } while (!is_current(l->fd, l->path));
    *lock = TAKE(l);
    return GK_OK;
}

void agent_lock_forget(struct agent_lock *lock)
{
    unlink(lock->path);
}

void agent_lock_release(struct agent_lock *lock)
{
    if (lock == NULL) {
        return;
    }
    if (lock->fd >= 0) {
        close(lock->fd);
    }
    free(lock);
}
