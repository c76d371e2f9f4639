/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How what is trusted stands, for status and doctor: both say the same, because both look here.
 * Nothing is fetched or changed. One thread.
 */
#ifndef GATEKEY_COMMAND_TRUST_H
#define GATEKEY_COMMAND_TRUST_H

#include "agent/command/refresh.h"

enum trust_standing {
    TRUST_NOT_CHECKED, /* nobody said where such a list is, or it says nothing of us */
    TRUST_MISSING,     /* it is known where, but none has come */
    TRUST_UNUSABLE,    /* what is there is not to be believed */
    TRUST_FRESH,
    TRUST_GRACE, /* past its nextUpdate */
    TRUST_STALE, /* past the grace period too */
};

/* As --json shows it. */
const char *trust_standing_name(enum trust_standing standing);

/* One list. */
struct trust_list {
    enum trust_standing standing;
    bool lists_own;  /* our certificate is revoked by it */
    int64_t end;     /* its nextUpdate, UNIX time; 0 without a list */
    int64_t checked; /* when it was last known to be the newest; 0 never */
    char why[512];   /* for people: what stands above, or why it is so */
    char error[512]; /* why the last refresh failed; empty: it did not */
};
void trust_look_at_list(const struct agent_config *config, struct agent_openssl *openssl,
                        enum refresh_kind kind, struct trust_list *list);

/* A UNIX time as people and --json read it. */
#define TRUST_TIME_SIZE 32
void trust_format_time(int64_t time, char text[static TRUST_TIME_SIZE]);

#endif
