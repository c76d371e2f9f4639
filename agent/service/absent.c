/* SPDX-License-Identifier: Apache-2.0 */
/* Stands for the parts that are not there yet: each of these gives way to the real one. */
#include "agent/service/service.h"

#define WEAK __attribute__((weak))

WEAK void uplink_pause(struct uplink *uplink, unsigned pause_ms)
{
    (void)uplink, (void)pause_ms;
}

WEAK enum gk_status intake_take(struct intake *intake, const struct intake_message *message,
                                intake_done *done, void *context, struct gk_error *err)
{
    (void)intake;
    (void)message;
    (void)done;
    (void)context;
    return gk_fail(err, GK_NOT_ENROLLED, NULL);
}

WEAK enum gk_status intake_commit(struct intake *intake, struct gk_error *err)
{
    (void)intake;
    (void)err;
    return GK_OK;
}

WEAK void intake_forget(struct intake *intake, const void *context)
{
    (void)intake;
    (void)context;
}
