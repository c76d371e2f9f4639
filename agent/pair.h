/* SPDX-License-Identifier: Apache-2.0 */
/* The two pairs of certificate and key that a gateway may have: the one in use, and the one that a
 * renewal tries. */
#ifndef GATEKEY_AGENT_PAIR_H
#define GATEKEY_AGENT_PAIR_H

#include "agent/config.h"

/* With which certificate and key to go to the hub. */
enum agent_pair {
    AGENT_PAIR_NONE,    /* none: only the hub is authenticated */
    AGENT_PAIR_CURRENT, /* cert.pem and [identity] key */
    AGENT_PAIR_NEXT,    /* next/cert.pem, and next/device.pem where the key is rotated too */
};

/* The folder of a pair's certificate, and the URI of its key: allocated, NULL when out of memory.
 */
char *agent_pair_folder(const struct agent_config *config, enum agent_pair pair);
char *agent_pair_key(const struct agent_config *config, enum agent_pair pair);

#endif
