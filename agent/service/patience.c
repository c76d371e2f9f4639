/* SPDX-License-Identifier: Apache-2.0 */
/* The connect budget as the service uses it. */
#include "agent/service/service.h"

#include "agent/budget.h"
#include "agent/service/log.h"

#include <sys/random.h>

enum gk_status patience_take(const struct service *service, bool patient, int64_t *wait_ms,
                             struct gk_error *err)
{
    struct agent_moment now;
    enum gk_status status = agent_moment_now(&now, err);

    return status == GK_OK
               ? agent_budget_take(service->config->state_directory, &now, patient, wait_ms, err)
               : status;
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

void patience_give_back(const struct service *service)
{
    struct agent_moment now;
    struct gk_error err = { 0 };

    if (agent_moment_now(&now, &err) != GK_OK ||
        agent_budget_give_back(service->config->state_directory, &now, &err) != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "keep the connect budget", &err);
    }
}

int64_t patience_failed(const struct service *service, bool sent, bool lost)
{
    int64_t spread_ms = lost ? (int64_t)service->config->spread_s * 1000 : 0;
    const char *directory = service->config->state_directory;
    int64_t wait_ms = AGENT_BACKOFF_LAST_MS;
    uint32_t jitter = UINT32_MAX / 2;
    struct agent_moment now;
    struct gk_error err = { 0 };
    enum gk_status status = agent_moment_now(&now, &err);

    if (getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK) != sizeof(jitter)) {
        jitter = UINT32_MAX / 2;
    }
    if (status == GK_OK && !sent) {
        status = agent_budget_give_back(directory, &now, &err);
    }
    if (status == GK_OK) {
        status = agent_budget_failed(directory, &now, jitter, spread_ms, &wait_ms, &err);
    }
    if (status != GK_OK) {
        log_failure(LOG_LEVEL_WARNING, "keep the connect budget", &err);
    }
    return wait_ms;
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
