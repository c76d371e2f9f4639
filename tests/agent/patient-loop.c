/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: writes down, in the file PATIENT_LOOP, "x" for each lock that is held by others,
 * and "." for each time that the event loop waits.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

typedef int lock_function(int fd, int operation);
typedef int wait_function(int fd, struct epoll_event *events, int max, int timeout);

static void find(const char *name, void *real)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    memcpy(real, &symbol, sizeof(symbol));
}

static void note(const char *what)
{
    const char *path = getenv("PATIENT_LOOP");
    int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd >= 0) {
        (void)!write(fd, what, 1);
        close(fd);
    }
}

EXPORTED int flock(int fd, int operation)
{
    lock_function *real = NULL;
    int code;

    find("flock", &real);
    code = real(fd, operation);
    if (code != 0 && errno == EWOULDBLOCK) {
        note("x");
        errno = EWOULDBLOCK;
    }
    return code;
}

EXPORTED int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    wait_function *real = NULL;

    find("epoll_wait", &real);
    note(".");
    return real(fd, events, max, timeout);
}
