/* SPDX-License-Identifier: Apache-2.0 */
/* Time to wait, however many signals come meanwhile. */
#include "tpm/internal.h"

#include <errno.h>
#include <time.h>

int64_t clock_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

long clock_left_ms(int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - clock_now_ms();

    return left_ms > 0 ? (long)left_ms : 0;
}

void clock_pause_ms(long pause_ms)
{
    struct timespec left = { .tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000L };

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
