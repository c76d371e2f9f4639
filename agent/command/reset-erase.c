/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erases what the identity left on the disk: here, and in gatekeyd's state directory.
 *
 * The latter belongs to another user, so nothing there is followed anywhere. What stays is
 * "connects": the hub's limit counts per device, and an identity that is made anew must not run
 * into it.
 */
#include "agent/command/reset.h"

#include "agent/clock.h"
#include "agent/command/service.h"
#include "agent/file.h"
#include "agent/spool/spool.h"
#include "identity/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define INBOX "inbox"
#define DEPTH_MAX 16 /* nobody who means well makes any folder in there */

/* What is emptied, in this order; state.json goes last and apart. */
static const char *const files[] = {
    GK_FILE_IDENTITY,   GK_FILE_CERTIFICATE, GK_FILE_SECRET,     GK_FILE_ISSUER_CA, GK_FILE_CRL,
    GK_FILE_SERVER_CRL, GK_FILE_SERVER_CA,   GK_FILE_PENDING_CA, GK_FILE_LINK_CA,   GK_FILE_REFRESH,
    GK_FILE_DEVICE_OLD, GK_FILE_DEVICE_NEW,  GK_FILE_DEVICE,
};

static void closedirp(DIR **folder)
{
    if (*folder != NULL) {
        closedir(*folder);
    }
}

static enum gk_status fail(struct gk_error *err, const char *folder, const char *name)
{
    enum gk_status status = gk_fail_file(err, errno, folder);

    return gk_fail(err, status, "%s/%s", folder, name);
}

/*
 * Remove a folder of ours with all that is in it; one that does not exist is as good as removed,
 * and a link is removed itself. Whoever owns it may have made folders in it: depth more are gone
 * into, and *left is set when something deeper, or what was made meanwhile, stays.
 */
static enum gk_status remove_folder(int parent, const char *parent_path, const char *name,
                                    unsigned depth, bool *left, struct gk_error *err)
{
    CLEANUP(closedirp) DIR *folder = NULL;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(gk_freep) char *path = NULL;
    const struct dirent *entry;

    if (fd < 0) {
        bool is_other = errno == ENOTDIR || errno == ELOOP;

        return errno == ENOENT || (is_other && unlinkat(parent, name, 0) == 0)
                   ? GK_OK
                   : fail(err, parent_path, name);
    }
    folder = fdopendir(fd);
    if (folder == NULL) {
        close(fd);
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (asprintf(&path, "%s/%s", parent_path, name) < 0) {
        path = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT) {
            continue;
        }
        /* Linux says EISDIR of a folder, POSIX EPERM. */
        if (errno != EISDIR && errno != EPERM) {
            return fail(err, path, entry->d_name);
        }
        if (depth > 0) {
            enum gk_status status = remove_folder(fd, path, entry->d_name, depth - 1, left, err);

            if (status != GK_OK) {
                return status;
            }
        }
    }
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        if (errno != ENOTEMPTY && errno != EEXIST) {
            return fail(err, parent_path, name);
        }
        *left = true;
    }
    return fsync(parent) == 0 ? GK_OK : fail(err, parent_path, name);
}

/* --- gatekeyd's -------------------------------------------------------------------------------
 */

static enum gk_status erase_service(const struct reset *reset, struct gk_error *err)
{
    const struct agent_config *config = reset->run->config;
    bool left = false;
    CLEANUP(gk_closep)
    int folder = open(config->state_directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    enum gk_status status;

    if (folder < 0) {
        return errno == ENOENT ? GK_OK : gk_fail_file(err, errno, config->state_directory);
    }
    status = remove_folder(folder, config->state_directory, INBOX, DEPTH_MAX, &left, err);
    if (status == GK_OK && left) {
        /* Not worth a reset that never ends: nothing of ours lies deeper than a file. */
        say_note(reset->run,
                 "%s/" INBOX " holds folders that could not be removed; remove it yourself",
                 config->state_directory);
    }
    return status == GK_OK && fsync(folder) != 0 ? gk_fail_file(err, errno, config->state_directory)
                                                 : status;
}

enum gk_status reset_forget_service(struct reset *reset, struct gk_error *err)
{
    enum gk_status status = service_stop(reset->run->config, true, RESET_SERVICE_S, err);

    /* What a service that runs has open it erases itself. */
    if (status == GK_NO_SERVICE) {
        status = spool_erase(reset->run->config->state_directory, err);
    }
    if (status != GK_OK) {
        return status;
    }
    status = erase_service(reset, err);
    return status == GK_OK ? agent_clock_forget(reset->run->config, err) : status;
}

/* --- the identity directory -------------------------------------------------------------------
 */

static enum gk_status erase_next(const char *directory, struct gk_error *err)
{
    CLEANUP(gk_closep) int folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    bool left = false;
    enum gk_status status;

    if (folder < 0) {
        return gk_fail_file(err, errno, directory);
    }
    status = remove_folder(folder, directory, GK_FILE_NEXT, DEPTH_MAX, &left, err);
    return status == GK_OK && left
               ? gk_fail(err, GK_FILE_FAILED, "%s/" GK_FILE_NEXT " is not empty", directory)
               : status;
}

enum gk_status reset_erase(struct reset *reset, struct gk_error *err)
{
    const char *directory = reset->run->config->directory;
    enum gk_status status = erase_next(directory, err);

    for (size_t i = 0; status == GK_OK && i < sizeof(files) / sizeof(files[0]); i++) {
        status = agent_file_remove(directory, files[i], err);
    }
    if (status == GK_OK) {
        status = agent_file_remove(directory, GK_FILE_STATE, err);
    }
    if (status == GK_OK) {
        say_step(reset->run, "identity directory %s emptied", directory);
    }
    return status;
}
