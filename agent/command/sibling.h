/* SPDX-License-Identifier: Apache-2.0 */
/* Other identities on this machine, so that no key serves two of them. One thread. */
#ifndef GATEKEY_COMMAND_SIBLING_H
#define GATEKEY_COMMAND_SIBLING_H

#include "agent/config.h"
#include "error.h"
#include "tpm/devkey.h"

/*
 * Refuse a key that another identity directory names: one beside ours, or one that a *.conf beside
 * our configuration file leads to. What cannot be read there is passed over. Fails with GK_REFUSED
 * (by which directory, in the error), GK_NO_MEMORY.
 */
enum gk_status sibling_refuse_shared(const struct agent_config *config, const struct gk_key *key,
                                     struct gk_error *err) GK_MUST_CHECK;

#endif
