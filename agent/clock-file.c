/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and replaces clock.json, in a directory that root and the service share. */
#include "agent/clock-file.h"

#include "agent/file.h"
#include "cleanup.h"

#include <config.h> /* not agent/config.h */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define BESIDE AGENT_CLOCK_FILE ".new"
#define TEXT_MAX 4096

static enum gk_status fail(struct gk_error *err, int error_number, const char *directory)
{
    enum gk_status status = gk_fail_file(err, error_number, directory);

    return gk_fail(err, status, "%s/" AGENT_CLOCK_FILE, directory);
}

static struct agent_clock_record new_gateways(void)
{
    return (struct agent_clock_record){ .floor = GK_BUILD_DATE, .source = AGENT_CLOCK_BUILD };
}

static enum gk_status read_at(int place, const char *directory, struct agent_clock_record *record,
                              struct gk_error *err)
{
    CLEANUP(gk_closep)
    int fd = openat(place, AGENT_CLOCK_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct agent_clock_record read_record = new_gateways();
    char text[TEXT_MAX + 1];
    struct stat info;
    ssize_t size;

    *record = new_gateways();
    if (fd < 0) {
        return errno == ENOENT ? GK_OK : fail(err, errno, directory);
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        return gk_fail(err, GK_BAD_FILE, "%s/" AGENT_CLOCK_FILE " is not a plain file", directory);
    }
    size = read(fd, text, sizeof(text));
    if (size < 0) {
        return fail(err, errno, directory);
    }
    if (size > TEXT_MAX || !agent_clock_parse(text, (size_t)size, &read_record)) {
        gk_fail(err, GK_BAD_FILE, "%s/" AGENT_CLOCK_FILE, directory);
        gk_advise(err, "nothing is to be done: it begins anew at the date of the build");
        return GK_BAD_FILE;
    }
    *record = read_record;
    if (record->floor < GK_BUILD_DATE) {
        record->floor = GK_BUILD_DATE; /* a newer program, an older file */
        record->source = AGENT_CLOCK_BUILD;
    }
    return GK_OK;
}

enum gk_status agent_clock_read(const char *directory, struct agent_clock_record *record,
                                struct gk_error *err)
{
    CLEANUP(gk_closep) int place = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (place < 0) {
        *record = new_gateways();
        return errno == ENOENT ? GK_OK : fail(err, errno, directory);
    }
    return read_at(place, directory, record, err);
}

bool agent_clock_is_there(const char *directory)
{
    CLEANUP(gk_closep) int place = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return place >= 0 && faccessat(place, AGENT_CLOCK_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The directory, locked until it is closed: the file itself is replaced and cannot carry the lock.
 */
static enum gk_status open_locked(const char *directory, int *opened, struct gk_error *err)
{
    CLEANUP(gk_closep) int place = -1;
    enum gk_status status;

    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        return gk_fail_file(err, errno, directory);
    }
    place = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place < 0) {
        return gk_fail_file(err, errno, directory);
    }
    status = agent_file_lock(place, directory, err);
    if (status != GK_OK) {
        return status;
    }
    *opened = place;
    place = -1;
    return GK_OK;
}

/* What root makes in the service's directory must not lock the service out. */
static bool hand_to_directorys_owner(int place, int fd)
{
    struct stat info;

    return geteuid() != 0 ||
           (fstat(place, &info) == 0 && fchown(fd, info.st_uid, info.st_gid) == 0);
}

static enum gk_status replace(int place, const char *directory, const char *text,
                              struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    ssize_t size = (ssize_t)strlen(text);

    unlinkat(place, BESIDE, 0); /* left by a writer that was killed */
    fd = openat(place, BESIDE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail(err, errno, directory);
    }
    errno = ENOSPC; /* of a write that came out short */
    if (write(fd, text, (size_t)size) != size || !hand_to_directorys_owner(place, fd) ||
        fsync(fd) != 0 || renameat(place, BESIDE, place, AGENT_CLOCK_FILE) != 0 ||
        fsync(place) != 0) {
        enum gk_status status = fail(err, errno, directory);

        unlinkat(place, BESIDE, 0);
        return status;
    }
    return GK_OK;
}

enum gk_status agent_clock_change(const char *directory, agent_clock_changer *change, void *context,
                                  struct gk_error *err)
{
    CLEANUP(gk_closep) int place = -1;
    CLEANUP(gk_freep) char *text = NULL;
    struct agent_clock_record record;
    enum gk_status status = open_locked(directory, &place, err);

    if (status == GK_OK) {
        status = read_at(place, directory, &record, err);
    }
    if (status != GK_OK && status != GK_BAD_FILE) {
        return status;
    }
    if (!change(&record, context)) {
        return GK_OK;
    }
    text = agent_clock_format(&record);
    if (text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, "%s/" AGENT_CLOCK_FILE, directory);
    }
    return replace(place, directory, text, err);
}

enum gk_status agent_clock_remove(const char *directory, struct gk_error *err)
{
    CLEANUP(gk_closep) int place = -1;
    enum gk_status status = GK_OK;

    if (access(directory, F_OK) == 0) {
        status = open_locked(directory, &place, err);
    }
    if (status != GK_OK || place < 0) {
        return status;
    }
    unlinkat(place, BESIDE, 0);
    if ((unlinkat(place, AGENT_CLOCK_FILE, 0) != 0 && errno != ENOENT) || fsync(place) != 0) {
        return fail(err, errno, directory);
    }
    return GK_OK;
}
