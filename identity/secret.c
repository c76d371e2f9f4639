/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a secret from a file that others must not be able to read. */
#include "identity/internal.h"

#include <string.h>

static enum gk_status check_modes(const char *path, mode_t mode, struct gk_error *err)
{
    if ((mode & (S_IRWXO | S_IWGRP)) == 0) {
        return GK_OK;
    }
    gk_fail(err, GK_REFUSED, "%s holds a secret and has mode %04o", path, (unsigned)mode & 07777);
    gk_advise(err, "chmod 600 %.200s", path);
    return GK_REFUSED;
}

static size_t without_line_end(const char *text, size_t size)
{
    if (size > 0 && text[size - 1] == '\n') {
        size -= size > 1 && text[size - 2] == '\r' ? 2 : 1;
    }
    return size;
}

enum gk_status gk_secret_read(const char *path, size_t max, struct gk_content *content,
                              struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    CLEANUP(gk_content_clear) struct gk_content found = { 0 };
    struct stat about;
    enum gk_status status = identity_file_open(path, 0, &fd, &about, err);
    size_t size;

    if (status == GK_OK) {
        status = check_modes(path, about.st_mode, err);
    }
    if (status == GK_OK) {
        status = identity_file_take(fd, path, &found, err);
    }
    if (status != GK_OK) {
        return status;
    }
    size = without_line_end(found.data, found.size);
    if (size == 0 || size > max || memchr(found.data, '\0', size) != NULL) {
        gk_fail(err, GK_BAD_FILE, "%s: not a secret of 1 to %zu characters", path, max);
        gk_advise(err, "put the secret into it, one line and nothing else");
        return GK_BAD_FILE;
    }
    explicit_bzero(found.data + size, found.size - size);
    found.size = size;
    *content = found;
    found = (struct gk_content){ 0 };
    return GK_OK;
}
