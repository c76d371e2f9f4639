/* SPDX-License-Identifier: Apache-2.0 */
/* The connect budget as the service uses it. */
#include "agent/service/service.h"

#include "agent/budget.h"
#include "agent/service/log.h"

#include <sys/random.h>

enum gk_status patience_take(const struct service *service, bool patient, int64_t *wait_ms,
                             int64_t *taken_ms, struct gk_error *err)
{
    struct agent_moment now;
    enum gk_status status = agent_moment_now(&now, err);

    if (status == GK_OK) {
        status = agent_budget_take(service->config->state_directory, &now, patient, wait_ms, err);
    }
    if (status == GK_OK && *wait_ms == 0) {
        *taken_ms = now.since_boot_ms;
    }
    return status;
}

enum gk_status patience_room(const struct service *service, unsigned connects, int64_t *wait_ms,
                             struct gk_error *err)
{
    struct agent_moment now;
    enum gk_status status = agent_moment_now(&now, err);

    return status == GK_OK
               ? agent_budget_room(service->config->state_directory, &now, connects, wait_ms, err)
               : status;
}

void patience_give_back(const struct service *service, int64_t taken_ms)
{
    struct agent_moment now;
    struct gk_error err = { 0 };

    if (agent_moment_now(&now, &err) != GK_OK ||
        agent_budget_give_back(service->config->state_directory, &now, taken_ms, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "keep the connect budget", &err);
    }
}

int64_t patience_sent(const struct service *service, int64_t taken_ms)
{
    struct agent_moment now;
    struct gk_error err = { 0 };

    if (agent_moment_now(&now, &err) != GK_OK ||
        agent_budget_sent(service->config->state_directory, &now, taken_ms, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "keep the connect budget", &err);
        return taken_ms;
    }
    return now.since_boot_ms;
}

static uint32_t throw_dice(void)
{
    uint32_t jitter;

    return getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK) == sizeof(jitter) ? jitter
                                                                               : UINT32_MAX / 2;
}

int64_t patience_failed(const struct service *service, bool lost)
{
    int64_t spread_ms = lost ? (int64_t)service->config->spread_s * 1000 : 0;
    int64_t wait_ms = AGENT_BACKOFF_LAST_MS;
    struct agent_moment now;
    struct gk_error err = { 0 };

    if (agent_moment_now(&now, &err) != GK_OK ||
        agent_budget_failed(service->config->state_directory, &now, throw_dice(), spread_ms,
                            &wait_ms, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "keep the connect budget", &err);
    }
    return wait_ms;
}

int64_t patience_missed(const struct service *service, int64_t taken_ms, unsigned misses, bool lost)
{
    patience_give_back(service, taken_ms);
    return agent_budget_miss_ms(misses, throw_dice(),
                                lost ? (int64_t)service->config->spread_s * 1000 : 0);
}

void patience_lasted(const struct service *service)
{
    struct agent_moment now;
    struct gk_error err = { 0 };

    if (agent_moment_now(&now, &err) != GK_OK ||
        agent_budget_lasted(service->config->state_directory, &now, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "keep the connect budget", &err);
    }
}
