/* SPDX-License-Identifier: Apache-2.0 */
/* A gatekey.conf that somebody typed. */
#include "tests/fuzz/target.h"

#include "agent/config.h"
#include "identity/identity.h"

#include <fcntl.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(agent_config_freep) struct agent_config *config = NULL;
    CLEANUP(gk_closep) int fd = memfd_create("gatekey.conf", MFD_CLOEXEC);
    CLEANUP(gk_place_clear) struct gk_place place = { 0 };
    struct gk_error err = { 0 };
    char path[64];

    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        return 0;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    /* Both readers of the one file: the agent's, and the two keys that the modules look for. */
    (void)!agent_config_read(path, NULL, &config, &err);
    (void)!gk_place_find(NULL, NULL, NULL, path, &place, &err);
    return 0;
}
