/* SPDX-License-Identifier: Apache-2.0 */
/* Reads whole text files and replaces them whole. */
#include "tests/hub/file.h"

#include "cleanup.h"
#include "tests/hub/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define LONGEST (1 << 20)

enum gk_status hub_file_read(const char *path, char **text, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP(gk_freep) char *buffer = NULL;
    struct stat facts;
    ssize_t size;

    if (fd < 0 || fstat(fd, &facts) != 0) {
        return gk_fail_file(err, errno, path);
    }
    if (facts.st_size > LONGEST || (buffer = malloc((size_t)facts.st_size + 1)) == NULL) {
        return gk_fail(err, GK_BAD_FILE, "%s is too large", path);
    }
    size = read(fd, buffer, (size_t)facts.st_size);
    if (size < 0) {
        return gk_fail_file(err, errno, path);
    }
    buffer[size] = '\0';
    *text = TAKE(buffer);
    return GK_OK;
}

enum gk_status hub_file_write(const char *path, const char *text, mode_t mode, struct gk_error *err)
{
    CLEANUP(gk_freep) char *beside = hub_print("%s.new", path);
    CLEANUP(gk_closep) int fd = -1;
    size_t length = strlen(text);

    if (beside == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    unlink(beside);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, text, length) != (ssize_t)length || fsync(fd) != 0 ||
        rename(beside, path) != 0) {
        return gk_fail_file(err, errno, path);
    }
    return GK_OK;
}
