/* SPDX-License-Identifier: Apache-2.0 */
/* What the plugin writes to gatekeyd (agent/local.h), as lines that end with a newline. */
#ifndef GATEKEY_AGENT_BROKER_LETTER_H
#define GATEKEY_AGENT_BROKER_LETTER_H

#include "cleanup.h"

/* The caller's to free(); NULL when out of memory. */
char *letter_message(const char *topic, const void *payload, size_t payload_size, size_t *size);
char *letter_password(const char *password, size_t *size);

#endif
