/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of identity/ share. */
#ifndef GATEKEY_IDENTITY_INTERNAL_H
#define GATEKEY_IDENTITY_INTERNAL_H

#include "identity/identity.h"

#include <sys/stat.h>

/*
 * Open a regular file for reading and say what it is. flags are added to open(2)'s, so that a
 * caller decides about symbolic links. The caller closes *fd. Errors as gk_identity_read().
 */
enum gk_status identity_file_open(const char *path, int flags, int *fd, struct stat *about,
                                  struct gk_error *err) GK_MUST_CHECK;

/* Read it whole, at most GK_FILE_MAX bytes; path is for errors only. */
enum gk_status identity_file_take(int fd, const char *path, struct gk_content *content,
                                  struct gk_error *err) GK_MUST_CHECK;

/* Both. */
enum gk_status identity_file_read(const char *path, int flags, struct gk_content *content,
                                  struct gk_error *err) GK_MUST_CHECK;

#endif
