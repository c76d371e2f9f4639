/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a small file whole, or says why not. */
#include "identity/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void gk_content_clear(struct gk_content *content)
{
    if (content->data != NULL) {
        explicit_bzero(content->data, content->size);
        free(content->data);
    }
    *content = (struct gk_content){ 0 };
}

/* Read until the end or until one byte more than allowed has come. */
static enum gk_status read_all(int fd, const char *path, struct gk_content *content,
                               struct gk_error *err)
{
    size_t capacity = 8192;

    content->data = malloc(capacity);
    if (content->data == NULL) {
        return gk_fail(err, GK_NO_MEMORY, "%s", path);
    }
    for (;;) {
        ssize_t got;

        if (content->size + 1 == capacity) {
            /* Not realloc: it would leave a copy of what may be a secret behind. */
            char *larger = malloc(capacity * 2);

            if (larger == NULL) {
                return gk_fail(err, GK_NO_MEMORY, "%s", path);
            }
            memcpy(larger, content->data, content->size);
            explicit_bzero(content->data, content->size);
            free(content->data);
            content->data = larger;
            capacity *= 2;
        }
        got = read(fd, content->data + content->size, capacity - content->size - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return gk_fail_file(err, errno, path);
        }
        if (got == 0) {
            content->data[content->size] = '\0';
            return GK_OK;
        }
        content->size += (size_t)got;
        if (content->size > GK_FILE_MAX) {
            return gk_fail(err, GK_BAD_FILE, "%s is larger than %zu bytes", path, GK_FILE_MAX);
        }
    }
}

enum gk_status identity_file_open(const char *path, int flags, int *fd, struct stat *about,
                                  struct gk_error *err)
{
    /* O_NONBLOCK: a FIFO put in the file's place must not hang us before it is refused. */
    CLEANUP(gk_closep) int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);

    if (opened < 0 && errno == ELOOP) {
        return gk_fail(err, GK_BAD_FILE, "%s is a symbolic link", path);
    }
    if (opened < 0) {
        return gk_fail_file(err, errno, path);
    }
    if (fstat(opened, about) != 0) {
        return gk_fail_file(err, errno, path);
    }
    if (!S_ISREG(about->st_mode)) {
        return gk_fail(err, GK_BAD_FILE, "%s is not a regular file", path);
    }
    *fd = opened;
    opened = -1;
    return GK_OK;
}

enum gk_status identity_file_take(int fd, const char *path, struct gk_content *content,
                                  struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content read_so_far = { 0 };
    enum gk_status status = read_all(fd, path, &read_so_far, err);

    if (status != GK_OK) {
        return status;
    }
    *content = read_so_far;
    read_so_far = (struct gk_content){ 0 };
    return GK_OK;
}

enum gk_status identity_file_read(const char *path, int flags, struct gk_content *content,
                                  struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    struct stat about;
    enum gk_status status = identity_file_open(path, flags, &fd, &about, err);

    return status == GK_OK ? identity_file_take(fd, path, content, err) : status;
}

enum gk_status gk_identity_read(const char *directory, const char *name, struct gk_content *content,
                                struct gk_error *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path)) {
        return gk_fail(err, GK_NO_FILE, "the path of %s is too long", name);
    }
    return identity_file_read(path, O_NOFOLLOW, content, err);
}
