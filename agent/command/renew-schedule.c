/* SPDX-License-Identifier: Apache-2.0 */
/* Says when a renewal is due, and when one that failed is tried again. */
#include "agent/command/renew-schedule.h"

#define HOUR_S 3600
#define DAY_S (24 * HOUR_S)

/* The shortest wait, for lives of a day and more; of shorter ones a hundredth of the life. */
#define SHORTEST_S 300

/* Of what is left that part is waited for at most: there are always some tries left. */
#define TRIES_LEFT 16

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t renewal_due_at(const struct renewal_life *life)
{
    return life->begin + (life->end - life->begin) / 3 * 2;
}

int64_t renewal_wait(const struct renewal_life *life, int64_t failures, int64_t now)
{
    int64_t left = life->end - now;
    int64_t shortest = most(1, least(SHORTEST_S, (life->end - life->begin) / 100));
    /* After the end nothing gets worse any more. */
    int64_t longest = left > 0 ? least(left / TRIES_LEFT, DAY_S) : HOUR_S;
    int64_t wait = shortest;

    if (failures <= 0) {
        return 0;
    }
    for (int64_t i = 1; i < failures && wait < longest; i++) {
        wait *= 2;
    }
    return most(shortest, least(wait, longest));
}

bool renewal_may_retry(const struct renewal_life *life, int64_t tried_at, int64_t failures,
                       int64_t now)
{
    return tried_at > now || now - tried_at >= renewal_wait(life, failures, now);
}
