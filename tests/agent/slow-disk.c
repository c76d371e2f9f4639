/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: a disk under spool.db that waits and fails as a test tells it to, by files in
 * the folder SLOW_DISK:
 *
 *     syncs   one byte is appended before each sync: "s", or "f" for one that fails
 *     fail    while it exists, each sync fails with EIO
 *     hold    while it exists, a FIFO: each sync waits until somebody opened it to write
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

typedef int sync_function(int fd);

static int open_in_folder(const char *name, int flags)
{
    const char *folder = getenv("SLOW_DISK");
    char path[PATH_MAX];

    if (folder == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return open(path, flags | O_CLOEXEC, 0600);
}

static int is_spool(int fd)
{
    char link[64], path[PATH_MAX] = "";

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof(path) - 1) > 0 && strstr(path, "/spool.db") != NULL;
}

static int closed(int fd)
{
    return fd >= 0 && close(fd) == 0;
}

static int through(const char *name, int fd)
{
    sync_function *real = NULL;
    void *symbol = dlsym(RTLD_NEXT, name);
    int fails, notes;

    memcpy(&real, &symbol, sizeof(real));
    if (!is_spool(fd)) {
        return real(fd);
    }
    fails = closed(open_in_folder("fail", O_RDONLY));
    notes = open_in_folder("syncs", O_WRONLY | O_APPEND | O_CREAT);
    if (notes >= 0) {
        (void)!write(notes, fails ? "f" : "s", 1);
        close(notes);
    }
    closed(open_in_folder("hold", O_RDONLY)); /* a FIFO's open waits for a writer */
    if (fails) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

EXPORTED int fdatasync(int fd)
{
    return through("fdatasync", fd);
}

EXPORTED int fsync(int fd)
{
    return through("fsync", fd);
}
