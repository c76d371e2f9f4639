/* SPDX-License-Identifier: Apache-2.0 */
/* Until intake.c and the commander's queue are there; weak, so that theirs are taken. */
#include "agent/service/service.h"

#define WEAK __attribute__((weak))

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

WEAK enum gk_status commander_answer(struct commander *commander, const char *rest,
                                     const void *payload, size_t size, struct gk_error *err)
{
    (void)commander;
    (void)rest;
    (void)payload;
    (void)size;
    return gk_fail(err, GK_NO_MESSAGE, NULL);
}
