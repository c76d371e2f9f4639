/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses ports of 127.0.0.1, and reserves them for a test. */
#include "tests/hub/free-port.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    FIRST_PORT = 10240, /* well-known services are below, most of them */
    BLOCK_SIZE = 128,
    BLOCKS = (65536 - FIRST_PORT) / BLOCK_SIZE,
};

/* A test's ports: which, and how often one was given. */
struct share {
    int first;
    int given;
};

static bool can_bind(int port, int reuse)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    CLEANUP(gk_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) != 0) {
        return false;
    }
    return bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

bool hub_port_is_free(int port)
{
    return can_bind(port, 1);
}

static unsigned random_below(unsigned end)
{
    unsigned number = 0;

    if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
        number = (unsigned)getpid();
    }
    return number % end;
}

/* Whether the kernel gives none of the block's ports to connections. Where it takes them all, any
 * block is as good as another. */
static bool is_outside(int first)
{
    CLEANUP(gk_fclosep) FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    int low;
    int high;

    if (file == NULL || fscanf(file, "%d %d", &low, &high) != 2) {
        low = 32768;
        high = 60999;
    }
    if (low < FIRST_PORT + BLOCK_SIZE && high > 65535 - BLOCK_SIZE) {
        return true;
    }
    return first + BLOCK_SIZE <= low || first > high;
}

/* A name in the network's own namespace, which ends with whoever holds it, however that ends. */
static int take_block(int first)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int size = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "gatekey-ports-%d", first);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 &&
        bind(fd, (struct sockaddr *)&name,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A block that nobody has: its first port, and what holds it; 0 where there is none. */
static int take_any_block(int *fd)
{
    unsigned begin = random_below(BLOCKS);

    errno = EADDRINUSE;
    for (unsigned i = 0; i < BLOCKS; i++) {
        int first = FIRST_PORT + (int)((begin + i) % BLOCKS) * BLOCK_SIZE;

        if (is_outside(first) && (*fd = take_block(first)) >= 0) {
            return first;
        }
    }
    return 0;
}

bool hub_ports_reserve(const char *path)
{
    CLEANUP(gk_closep) int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct share share = { 0 };
    int held; /* stays open as long as this process is */

    if (file < 0) {
        return false;
    }
    share.first = take_any_block(&held);
    return share.first != 0 && write(file, &share, sizeof(share)) == sizeof(share);
}

static int pick_of(struct share *share)
{
    for (int tries = 0; tries < BLOCK_SIZE; tries++) {
        int port = share->first + share->given++ % BLOCK_SIZE;

        if (can_bind(port, 0)) {
            return port;
        }
    }
    return 0;
}

static int pick_of_file(const char *path)
{
    CLEANUP(gk_closep) int file = open(path, O_RDWR | O_CLOEXEC);
    struct share share;
    int port;

    if (file < 0 || flock(file, LOCK_EX) != 0 ||
        read(file, &share, sizeof(share)) != sizeof(share)) {
        return 0;
    }
    port = pick_of(&share);
    return pwrite(file, &share, sizeof(share), 0) == sizeof(share) ? port : 0;
}

/* Of a block of this process's own, which is kept through exec: the launcher becomes the broker. */
static int pick_of_own(void)
{
    static struct share own;
    int held;

    if (own.first == 0) {
        own.first = take_any_block(&held);
        if (own.first == 0 || fcntl(held, F_SETFD, 0) != 0) {
            return 0;
        }
    }
    return pick_of(&own);
}

int hub_port_pick(void)
{
    const char *path = getenv(HUB_PORTS_VARIABLE);

    return path != NULL ? pick_of_file(path) : pick_of_own();
}
