/* SPDX-License-Identifier: Apache-2.0 */
/* In place of agent/budget.c in a gatekeyd of the tests: every connect is granted, and waits are
 * short, so that a hundred of them are a matter of seconds. */
#include "agent/budget.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WAIT_MS 20

enum gk_status agent_moment_now(struct agent_moment *now, struct gk_error *err)
{
    struct timespec time = { 0 };

    (void)err;
    clock_gettime(CLOCK_BOOTTIME, &time);
    memset(now, 0, sizeof(*now));
    snprintf(now->boot, sizeof(now->boot), "this one");
    now->since_boot_ms = (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
    return GK_OK;
}

enum gk_status agent_budget_take(const char *directory, const struct agent_moment *now,
                                 bool patient, int64_t *wait_ms, struct gk_error *err)
{
    (void)directory;
    (void)now;
    (void)patient;
    (void)err;
    *wait_ms = 0;
    return GK_OK;
}

enum gk_status agent_budget_room(const char *directory, const struct agent_moment *now,
                                 unsigned connects, int64_t *wait_ms, struct gk_error *err)
{
    (void)connects;
    return agent_budget_take(directory, now, false, wait_ms, err);
}

enum gk_status agent_budget_give_back(const char *directory, const struct agent_moment *now,
                                      int64_t taken_ms, struct gk_error *err)
{
    (void)directory;
    (void)now;
    (void)taken_ms;
    (void)err;
    return GK_OK;
}

enum gk_status agent_budget_sent(const char *directory, const struct agent_moment *now,
                                 int64_t taken_ms, int64_t sent_ms, struct gk_error *err)
{
    (void)sent_ms;
    return agent_budget_give_back(directory, now, taken_ms, err);
}

int64_t agent_budget_miss_ms(unsigned misses, uint32_t jitter, int64_t spread_ms)
{
    (void)spread_ms;
    (void)misses;
    (void)jitter;
    return WAIT_MS;
}

enum gk_status agent_budget_failed(const char *directory, const struct agent_moment *now,
                                   int64_t failed_ms, uint32_t jitter, int64_t spread_ms,
                                   int64_t *wait_ms, struct gk_error *err)
{
    (void)directory;
    (void)now;
    (void)failed_ms;
    (void)jitter;
    (void)spread_ms;
    (void)err;
    *wait_ms = WAIT_MS;
    return GK_OK;
}

enum gk_status agent_budget_lasted(const char *directory, const struct agent_moment *now,
                                   struct gk_error *err)
{
    return agent_budget_give_back(directory, now, 0, err);
}
