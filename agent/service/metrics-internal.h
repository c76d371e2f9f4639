/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the metrics share; nobody else includes it. */
#ifndef GATEKEY_AGENT_SERVICE_METRICS_INTERNAL_H
#define GATEKEY_AGENT_SERVICE_METRICS_INTERNAL_H

#include "agent/service/service.h"

/* --- figures.c ------------------------------------------------------------------------------- */

/* All there is to tell, as "status" answers it; gatekeyd(8) has the members. started_ms: since
 * boot. NULL: no memory. */
json_t *figures_gather(const struct service *service, uint64_t started_ms);

/* What of it applications on the local broker are told; without the time, so that two can be
 * compared. */
json_t *figures_for_applications(const json_t *figures);

/* One line for systemctl status. It names no duration, which would not grow while nothing changes.
 */
void figures_sentence(const json_t *figures, char *sentence, size_t size);

/* --- prometheus.c ---------------------------------------------------------------------------- */

/* The figures in the text format of Prometheus, version 0.0.4; the caller's to free(3). NULL: no
 * memory. What is not among them is left out. */
char *prometheus_format(const json_t *figures, size_t *size);

/*
 * Replace the file at path, whole, mode 0644, by way of a temporary one in the same folder. Not
 * synced: after a crash of the machine it is old news anyway. Fails with GK_FILE_DENIED,
 * GK_FILE_FAILED, GK_DISK_FULL, GK_NO_FILE (no such folder), GK_NO_MEMORY.
 */
enum gk_status prometheus_write(const char *path, const char *text, size_t size,
                                struct gk_error *err) GK_MUST_CHECK;

#endif
