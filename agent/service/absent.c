/* SPDX-License-Identifier: Apache-2.0 */
/* Stands for the parts that are not there yet: each of these gives way to the real one. */
#include "agent/service/service.h"

__attribute__((weak)) enum gk_status relay_publish(struct relay *relay, const char *topic,
                                                   const void *payload, size_t size, bool retain,
                                                   struct gk_error *err)
{
    (void)relay, (void)payload, (void)size, (void)retain;
    return gk_fail(err, GK_UNREACHABLE, "%s: no local broker", topic);
}

__attribute__((weak)) bool relay_is_up(const struct relay *relay)
{
    (void)relay;
    return false;
}

__attribute__((weak)) void uplink_pause(struct uplink *uplink, unsigned pause_ms)
{
    (void)uplink, (void)pause_ms;
}
