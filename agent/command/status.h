/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of gatekey status share. Each shows its lines and members, and notes what is
 * wrong: the first thing noted decides how the command ends, the rest is shown all the same.
 */
#ifndef GATEKEY_COMMAND_STATUS_H
#define GATEKEY_COMMAND_STATUS_H

#include "agent/command/certificate.h"
#include "agent/command/command.h"
#include "agent/state.h"

void status_note(struct gk_error *first, const struct gk_error *err);

/* One line, and one member of the --json object. */
void status_show(struct run *run, const char *name, const char *member, const char *value);

/* Is our certificate revoked by the list that is here? Goes before everything else. */
void status_check_revoked(struct run *run, struct gk_error *first);

/* Lists, roots, and what waits. status-trust.c */
void status_show_trust(struct run *run, struct gk_error *first);

/* Where the renewal stands, and when the next one is due. status-renewal.c */
void status_show_renewal(struct run *run, const struct agent_state *state,
                         const struct certificate *certificate);

/* --watch, which ends when it is told to. status-watch.c */
enum gk_status status_watch(struct run *run, unsigned interval_s,
                            struct gk_error *err) GK_MUST_CHECK;

/* The clock, and the floor below which none is believed. status-clock.c; reply is gatekeyd's
 * status, NULL where it does not run. */
void status_show_clock(struct run *run, const json_t *reply, struct gk_error *first);

#endif
