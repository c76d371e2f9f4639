/* SPDX-License-Identifier: Apache-2.0 */
/* Erasing a spool that nobody has open; needs nothing of SQLite. */
#include "agent/spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define SPOOL_FILE "spool.db"

static void close_directory(DIR *directory)
{
    if (directory != NULL) {
        closedir(directory);
    }
}
GK_DEFINE_CLEANUP(DIR, close_directory)

static enum gk_status fail(const char *directory, const char *name, struct gk_error *err)
{
    int number = errno;
    char path[512];

    snprintf(path, sizeof(path), "%.400s/%.100s", directory, name);
    return gk_fail_file(err, number, path);
}

/* SQLite locks bytes of the database as long as it has it open. Whoever owns the directory may have
 * put anything there. */
static enum gk_status check_unused(int folder, const char *directory, struct gk_error *err)
{
    CLEANUP(gk_closep)
    int fd = openat(folder, SPOOL_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct stat found;

    if (fd < 0 || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) ||
        fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) {
        return GK_OK;
    }
    gk_fail(err, GK_LOCK_HELD, "process %ld has %.200s/" SPOOL_FILE " open", (long)lock.l_pid,
            directory);
    gk_advise(err, "end it, with systemctl stop gatekeyd where it is that, and run it again");
    return GK_LOCK_HELD;
}

/* spool.db, what SQLite keeps beside it, and what was set aside; no folder is ours. */
static enum gk_status erase_all(DIR *files, const char *directory, struct gk_error *err)
{
    const struct dirent *entry;

    while ((entry = readdir(files)) != NULL) {
        if (strncmp(entry->d_name, SPOOL_FILE, strlen(SPOOL_FILE)) == 0 &&
            unlinkat(dirfd(files), entry->d_name, 0) != 0 && errno != ENOENT && errno != EISDIR &&
            errno != EPERM) {
            return fail(directory, entry->d_name, err);
        }
    }
    return fsync(dirfd(files)) == 0 ? GK_OK : gk_fail_file(err, errno, directory);
}

enum gk_status spool_erase(const char *directory, struct gk_error *err)
{
    int folder = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(close_directoryp) DIR *files = folder >= 0 ? fdopendir(folder) : NULL;
    enum gk_status status;

    if (files == NULL) {
        int number = errno;

        gk_closep(&folder);
        return number == ENOENT ? GK_OK : gk_fail_file(err, number, directory);
    }
    status = check_unused(folder, directory, err);
    return status == GK_OK ? erase_all(files, directory, err) : status;
}
