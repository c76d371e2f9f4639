/* SPDX-License-Identifier: Apache-2.0 */
/* Which lane a topic belongs to, and which numbers belong to a lane. */
#include "agent/spool/internal.h"

#include <string.h>

enum spool_lane spool_lane_of(const char *topic)
{
    static const char *const telemetry[] = {
        "thing/measurepoint/", /* batches, and what is filled in later */
        "thing/log/post",           "thing/model/up_raw", "integration/measurepoint/",
        "integration/model/up_raw",
    };

    if (strcmp(topic, SPOOL_POINTS_TOPIC) == 0) {
        return SPOOL_POINTS;
    }
    for (size_t i = 0; i < sizeof(telemetry) / sizeof(telemetry[0]); i++) {
        if (strncmp(topic, telemetry[i], strlen(telemetry[i])) == 0) {
            return SPOOL_TELEMETRY;
        }
    }
    return SPOOL_KEPT;
}

const char *spool_lane_table(enum spool_lane lane)
{
    static const char *const tables[SPOOL_LANES] = { "points", "telemetry", "kept" };

    return tables[lane];
}

int64_t spool_first_id(int64_t began, unsigned lane)
{
    return began * SPOOL_EPOCH + (int64_t)lane * SPOOL_SHARE + 1;
}

unsigned spool_share_of(int64_t id)
{
    return id > 0 ? (unsigned)(id % SPOOL_EPOCH / SPOOL_SHARE) : SPOOL_OWN;
}

uint64_t spool_cost(const char *topic, size_t size)
{
    return strlen(topic) + size + 64;
}
