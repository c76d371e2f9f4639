/* SPDX-License-Identifier: Apache-2.0 */
/* Opens what our own TCTI (line.c) speaks on: a TPM device, or the socket of a swtpm. */
#include "tpm/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

TSS2_RC device_open(const char *path, TSS2_TCTI_CONTEXT **tcti)
{
    int fd = line_keep_off_stdio(open(path, O_RDWR | O_CLOEXEC));

    return fd >= 0 ? line_new(fd, false, tcti) : line_code_of_open(errno);
}

/* A swtpm serves one connection and lets a few wait; those after them wait here. */
static int connect_until(int fd, const struct sockaddr_un *address, int64_t deadline_ms)
{
    int done;

    do {
        long left_ms = clock_left_ms(deadline_ms) + 1; /* zero would be without end */
        struct timeval left = { .tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000 };

        done = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left));
        if (done == 0) {
            done = connect(fd, (const struct sockaddr *)address, sizeof(*address));
        }
    } while (done != 0 && errno == EINTR);
    return done;
}

int socket_connect(const char *path, int64_t deadline_ms)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    CLEANUP(gk_closep) int fd = -1;
    int connected;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    fd = line_keep_off_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd < 0 || connect_until(fd, &address, deadline_ms) != 0) {
        return -1;
    }
    connected = fd;
    fd = -1;
    return connected;
}

TSS2_RC socket_open(const char *path, int64_t deadline_ms, TSS2_TCTI_CONTEXT **tcti)
{
    int fd = socket_connect(path, deadline_ms);

    return fd >= 0 ? line_new(fd, true, tcti) : line_code_of_open(errno);
}
