/* SPDX-License-Identifier: Apache-2.0 */
/* Says where the two pairs of certificate and key lie. */
#include "agent/pair.h"

#include "identity/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *agent_pair_folder(const struct agent_config *config, enum agent_pair pair)
{
    char *folder;

    if (pair != AGENT_PAIR_NEXT) {
        return strdup(config->directory);
    }
    return asprintf(&folder, "%s/" GK_FILE_NEXT, config->directory) < 0 ? NULL : folder;
}

char *agent_pair_key(const struct agent_config *config, enum agent_pair pair)
{
    char *key;

    if (asprintf(&key, "%s/" GK_FILE_NEXT "/" GK_FILE_DEVICE, config->directory) < 0) {
        return NULL;
    }
    if (pair != AGENT_PAIR_NEXT || access(key, F_OK) != 0) {
        free(key);
        return strdup(config->key);
    }
    return key;
}
