/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that listen, for the doors of hub and CA. */
#include "tests/hub/listen.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define WAITING 16

int hub_listen_unix(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    CLEANUP(gk_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mode_t mask;
    int bound;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    mask = umask(0177);
    bound = fd >= 0 ? bind(fd, (struct sockaddr *)&address, sizeof(address)) : -1;
    umask(mask);
    if (bound != 0 || listen(fd, WAITING) != 0) {
        return -1;
    }
    return dup(fd);
}

int hub_listen_loopback(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    CLEANUP(gk_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int reuse = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, WAITING) != 0) {
        return -1;
    }
    return dup(fd);
}
