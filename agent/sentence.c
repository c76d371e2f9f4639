/* SPDX-License-Identifier: Apache-2.0 */
/* Takes "cannot DO: CAUSE (OBJECT); NEXT STEP" apart. */
#include "agent/sentence.h"

#include <stddef.h>
#include <string.h>

enum gk_status agent_status_of(const char *name)
{
    for (int i = GK_OK; name != NULL && i < GK_STATUS_COUNT; i++) {
        if (strcmp(name, gk_status_name((enum gk_status)i)) == 0) {
            return (enum gk_status)i;
        }
    }
    return GK_INTERNAL;
}

enum gk_status agent_sentence_read(const char *sentence, enum gk_status status,
                                   struct gk_error *err)
{
    const char *cause = gk_status_cause(status);
    const char *at = strstr(sentence, cause), *end;

    if (at == NULL) {
        return gk_fail(err, status, "%s", sentence);
    }
    at += strlen(cause);
    end = strstr(at, "); ");
    if (end == NULL && at[0] != '\0' && at[strlen(at) - 1] == ')') {
        end = at + strlen(at) - 1;
    }
    if (strncmp(at, " (", 2) == 0 && end != NULL) {
        gk_fail(err, status, "%.*s", (int)(end - at - 2), at + 2);
        at = end + 1;
    } else {
        gk_fail(err, status, NULL);
    }
    if (strncmp(at, "; ", 2) == 0 && strcmp(at + 2, gk_status_advice(status)) != 0) {
        gk_advise(err, "%s", at + 2);
    }
    return status;
}
