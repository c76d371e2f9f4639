/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the scene once, and clears it away at the end; what fails ends the process. */
#include "tests/fuzz/scene.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static struct fuzz_scene scene;

static void check(bool fine)
{
    if (!fine) {
        perror("fuzz: cannot make the scene");
        _exit(99);
    }
}

static void clear_away(void)
{
    DIR *folder = opendir(scene.directory);
    const struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder != NULL) {
        closedir(folder);
    }
    rmdir(scene.directory);
    agent_openssl_free(scene.openssl);
}

struct fuzz_scene *fuzz_scene(void)
{
    if (scene.openssl != NULL) {
        return &scene;
    }
    /* In memory, since each run writes. */
    strcpy(scene.directory, access("/dev/shm", W_OK) == 0 ? "/dev/shm/fuzz.XXXXXX" : "fuzz.XXXXXX");
    check(mkdtemp(scene.directory) != NULL);
    scene.config = (struct agent_config){ .tcti = (char *)"device:/nonexistent",
                                          .directory = scene.directory,
                                          .state_directory = scene.directory,
                                          .provider = (char *)"default",
                                          .refresh_s = 86400,
                                          .grace_s = 3600 };
    check(agent_openssl_new(&scene.config, &scene.openssl, NULL) == GK_OK);
    atexit(clear_away);
    return &scene;
}

void fuzz_write(const char *name, const void *data, size_t size)
{
    char path[128];
    CLEANUP(gk_closep) int fd = -1;

    snprintf(path, sizeof(path), "%s/%s", fuzz_scene()->directory, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
}
