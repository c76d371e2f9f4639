/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the floor below which no clock is believed. */
#include "agent/clock.h"

#include <time.h>

int64_t agent_clock_floor(const struct agent_config *config)
{
    (void)config;
    return 0;
}

int64_t agent_clock_now(const struct agent_config *config)
{
    int64_t now = (int64_t)time(NULL), floor = agent_clock_floor(config);

    return now > floor ? now : floor;
}

enum gk_status agent_clock_raise(const struct agent_config *config, int64_t passed,
                                 struct gk_error *err)
{
    (void)config;
    (void)passed;
    (void)err;
    return GK_OK;
}
