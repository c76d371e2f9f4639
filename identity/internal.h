/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of identity/ share. */
#ifndef GATEKEY_IDENTITY_INTERNAL_H
#define GATEKEY_IDENTITY_INTERNAL_H

#include "identity/identity.h"

/*
 * Read a regular file whole, at most GK_FILE_MAX bytes. flags are added to open(2)'s, so that a
 * caller decides about symbolic links. Errors as gk_identity_read().
 */
enum gk_status identity_file_read(const char *path, int flags, struct gk_content *content,
                                  struct gk_error *err) GK_MUST_CHECK;

#endif
