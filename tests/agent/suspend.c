/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: a machine that was suspended, for as many ms as the file SUSPEND says so far.
 * CLOCK_BOOTTIME and its timers have gone on, CLOCK_MONOTONIC stood still. Whoever writes the file
 * sends SIGUSR1 then.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define TIMERS_MAX 64
#define SECOND_NS 1000000000

typedef int clock_function(clockid_t clock, struct timespec *time);
typedef int create_function(int clock, int flags);
typedef int set_function(int fd, int flags, const struct itimerspec *time, struct itimerspec *old);

static clock_function *real_clock;
static create_function *real_create;
static set_function *real_set;
static volatile int64_t slept_ns;
/* By descriptor: of CLOCK_BOOTTIME, and when it is due by the clock that we show. */
static volatile int is_ours[TIMERS_MAX];
static struct itimerspec due[TIMERS_MAX];

static void find(const char *name, void *real)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    memcpy(real, &symbol, sizeof(symbol));
}

static void shift(struct timespec *time, int64_t by_ns)
{
    int64_t ns = (int64_t)time->tv_sec * SECOND_NS + time->tv_nsec + by_ns;

    ns = ns > 0 ? ns : 1; /* 0 would stop a timer */
    time->tv_sec = ns / SECOND_NS;
    time->tv_nsec = ns % SECOND_NS;
}

static int arm(int fd, struct itimerspec *old)
{
    struct itimerspec time = due[fd];

    if (time.it_value.tv_sec != 0 || time.it_value.tv_nsec != 0) {
        shift(&time.it_value, -slept_ns);
    }
    return real_set(fd, TFD_TIMER_ABSTIME, &time, old);
}

static void on_resume(int number)
{
    int before = errno;
    char text[24] = "";
    int fd = open(getenv("SUSPEND"), O_RDONLY | O_CLOEXEC);

    (void)number;
    if (fd >= 0) {
        (void)!read(fd, text, sizeof(text) - 1);
        close(fd);
        slept_ns = strtoll(text, NULL, 10) * 1000000;
        for (int i = 0; i < TIMERS_MAX; i++) {
            if (is_ours[i]) {
                (void)arm(i, NULL);
            }
        }
    }
    errno = before;
}

__attribute__((constructor)) static void begin(void)
{
    const struct sigaction action = { .sa_handler = on_resume, .sa_flags = SA_RESTART };

    find("clock_gettime", &real_clock);
    find("timerfd_create", &real_create);
    find("timerfd_settime", &real_set);
    sigaction(SIGUSR1, &action, NULL);
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *time)
{
    int code;

    if (real_clock == NULL) {
        find("clock_gettime", &real_clock);
    }
    code = real_clock(clock, time);
    if (code == 0 && clock == CLOCK_BOOTTIME) {
        shift(time, slept_ns);
    }
    return code;
}

EXPORTED int timerfd_create(int clock, int flags)
{
    int fd = real_create(clock, flags);

    if (fd >= 0 && fd < TIMERS_MAX) {
        is_ours[fd] = clock == CLOCK_BOOTTIME;
    }
    return fd;
}

EXPORTED int timerfd_settime(int fd, int flags, const struct itimerspec *time,
                             struct itimerspec *old)
{
    if (fd < 0 || fd >= TIMERS_MAX || !is_ours[fd] || (flags & TFD_TIMER_ABSTIME) == 0) {
        return real_set(fd, flags, time, old);
    }
    due[fd] = *time;
    return arm(fd, old);
}
