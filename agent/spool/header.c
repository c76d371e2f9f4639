/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lends a damaged spool the first page of a new one. All spools are made the same way, so that
 * their tables begin on the same pages: with a page that says so, the rest can be read.
 */
#include "agent/spool/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Offsets in the header of a database, all of four bytes with the highest first (sqlite.org,
 * "Database File Format", 1.3). */
#define CHANGES 24
#define PAGES 28
#define FREE_FIRST 32
#define FREE_COUNT 36
#define PAGES_VALID_FOR 92

static void put(unsigned char *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)(value >> (24 - 8 * i));
    }
}

static bool read_page(const char *path, unsigned char *page)
{
    CLEANUP(gk_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && pread(fd, page, SPOOL_PAGE, 0) == SPOOL_PAGE;
}

enum gk_status spool_header_lend(const char *path, const char *fresh, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    unsigned char page[SPOOL_PAGE];
    struct stat found;

    if (fd < 0 || fstat(fd, &found) != 0) {
        return gk_fail_file(err, errno, path);
    }
    if (found.st_size <= SPOOL_PAGE || !read_page(fresh, page)) {
        return GK_OK;
    }
    put(page + PAGES, (uint32_t)(found.st_size / SPOOL_PAGE));
    memcpy(page + PAGES_VALID_FOR, page + CHANGES, 4);
    put(page + FREE_FIRST, 0);
    put(page + FREE_COUNT, 0);
    return pwrite(fd, page, sizeof(page), 0) == (ssize_t)sizeof(page)
               ? GK_OK
               : gk_fail_file(err, errno, path);
}
