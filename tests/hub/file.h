/* SPDX-License-Identifier: Apache-2.0 */
/* Reads whole text files and replaces them whole. */
#ifndef GATEKEY_HUB_FILE_H
#define GATEKEY_HUB_FILE_H

#include "error.h"

#include <sys/types.h>

/* The file's text, which the caller frees; refuses more than 1 MiB. */
GK_MUST_CHECK enum gk_status hub_file_read(const char *path, char **text, struct gk_error *err);

/* Replace the file: a reader sees the old text or the new one, never half. */
GK_MUST_CHECK enum gk_status hub_file_write(const char *path, const char *text, mode_t mode,
                                            struct gk_error *err);

#endif
