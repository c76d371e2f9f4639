/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekeyd, as far as it serves the identity that this run is about.
 *
 * Two configurations may name one socket. Whoever listens there for another identity is no service
 * of ours: it must neither speak for this one nor be stopped on its behalf. One thread. Errors: see
 * error.h.
 */
#ifndef GATEKEY_COMMAND_SERVICE_H
#define GATEKEY_COMMAND_SERVICE_H

#include "agent/config.h"
#include "error.h"

#include <jansson.h>
#include <stdbool.h>

/*
 * Ask for an operation without parameters (agent/local.h): "status", "reconnect", "stop". *reply is
 * the caller's to json_decref(). Blocks for timeout_s at most.
 * Fails with GK_NO_SERVICE (none runs, or it serves another identity), with what gatekeyd itself
 * answers, and as agent_local_call().
 */
enum gk_status service_call(const struct agent_config *config, const char *operation, int timeout_s,
                            json_t **reply, struct gk_error *err) GK_MUST_CHECK;

/*
 * Have it disconnect and stay so; with forget, erase what it keeps for this identity as well.
 * Blocks and fails as service_call() does.
 */
enum gk_status service_stop(const struct agent_config *config, bool forget, int timeout_s,
                            struct gk_error *err) GK_MUST_CHECK;

/* What an answer says of success, GK_OK, or of failure. */
enum gk_status service_verdict(const json_t *reply, struct gk_error *err) GK_MUST_CHECK;

/* What keeps gatekeyd from being connected, by its answer to "status"; GK_OK when nothing does. */
enum gk_status service_trouble(const json_t *reply, struct gk_error *err) GK_MUST_CHECK;

#endif
