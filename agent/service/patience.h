/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often the service may connect: keeps the connect budget (agent/budget.h) and never waits for
 * its file. What cannot be written while somebody else holds that is written later, and before
 * anything else is taken.
 */
#ifndef GATEKEY_AGENT_SERVICE_PATIENCE_H
#define GATEKEY_AGENT_SERVICE_PATIENCE_H

#include "agent/service/service.h"

/* The caller frees it after the session. */
enum gk_status patience_new(const struct service *service, struct patience **patience,
                            struct gk_error *err) GK_MUST_CHECK;
void patience_free(struct patience *patience); /* NULL is fine */

#define PATIENCE_NONE INT64_MIN /* names none that was taken */

/* As agent_budget_take(), for this service and now; *taken_ms is what names the one that was taken.
 * Fails with GK_BUSY only where the file is held for long; before, there is a little to wait. */
enum gk_status patience_take(struct patience *patience, bool patient, int64_t *wait_ms,
                             int64_t *taken_ms, struct gk_error *err) GK_MUST_CHECK;
/* How long, in ms, until so many could be taken one after the other; takes none. Fails as above. */
enum gk_status patience_room(struct patience *patience, unsigned connects, int64_t *wait_ms,
                             struct gk_error *err) GK_MUST_CHECK;
/* What was taken then was not used. A disk that cannot be written is logged, here and below, and no
 * reason to hurry. */
void patience_give_back(struct patience *patience, int64_t taken_ms);
/* It is used now: returns what names it from here on. */
int64_t patience_sent(struct patience *patience, int64_t taken_ms);
/* An attempt that had sent its CONNECT failed, or a connection ended; lost: others may have lost
 * the hub with us. Says how long to wait, in ms. */
int64_t patience_failed(struct patience *patience, bool lost);
/* An attempt failed before, the last of so many in a row. */
int64_t patience_missed(struct patience *patience, int64_t taken_ms, unsigned misses, bool lost);
/* A connection has stood long enough to begin the backoff anew. */
void patience_lasted(struct patience *patience);

#endif
