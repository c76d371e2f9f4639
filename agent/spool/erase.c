/* SPDX-License-Identifier: Apache-2.0 */
/* Erasing a spool that nobody has open; needs nothing of SQLite. */
#include "agent/file.h"
#include "agent/spool/spool.h"

#include <dirent.h>
#include <errno.h>

static void close_directory(DIR *directory)
{
    if (directory != NULL) {
        closedir(directory);
    }
}
GK_DEFINE_CLEANUP(DIR, close_directory)

/* spool.db, what SQLite keeps beside it, and what was set aside. */
static bool is_of_the_spool(const char *name)
{
    static const char prefix[] = "spool.db";

    return strncmp(name, prefix, sizeof(prefix) - 1) == 0;
}

enum gk_status spool_erase(const char *directory, struct gk_error *err)
{
    CLEANUP(close_directoryp) DIR *files = opendir(directory);
    enum gk_status status = GK_OK;
    const struct dirent *entry;

    if (files == NULL) {
        return errno == ENOENT ? GK_OK : gk_fail_file(err, errno, directory);
    }
    while (status == GK_OK && (entry = readdir(files)) != NULL) {
        if (is_of_the_spool(entry->d_name)) {
            status = agent_file_remove(directory, entry->d_name, err);
        }
    }
    return status;
}
