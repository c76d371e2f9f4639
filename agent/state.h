/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.json: where enrolment and reset stand, so that whoever is killed can be followed by another
 * run.
 *
 * Plain data; reading and writing block on local files only. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_STATE_H
#define GATEKEY_AGENT_STATE_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

/* In the order of an identity's life; each is written before what it announces is begun. */
enum agent_stage {
    AGENT_STAGE_NONE,      /* no state.json: nothing was begun */
    AGENT_STAGE_BEGUN,     /* this directory is meant for one device; its secret may be stored */
    AGENT_STAGE_APPLYING,  /* a certificate was, or was about to be, asked for */
    AGENT_STAGE_CERTIFIED, /* the certificate is installed; the hub has not been seen to accept it
                            */
    AGENT_STAGE_ENROLLED,  /* a connection was made with it */
    AGENT_STAGE_RESETTING, /* everything here is to be destroyed */
};

/* All texts are empty where not known. */
struct agent_state {
    enum agent_stage stage;
    char product_key[65], device_key[65];
    char asset_id[65];       /* the hub's GUID of the device */
    char common_name[65];    /* of the certificate that was applied for last */
    char certificate_sn[49]; /* of the installed one, decimal */
    /* Valid certificates of the device that were there before we first applied: none of ours.
     * Decimal, parted by blanks. */
    char others[512];
    int64_t begun, certified, enrolled; /* UNIX time, seconds; 0 where not yet */
};

/* A stage's name, as state.json and status show it. */
const char *agent_stage_name(enum agent_stage stage);

/* Was this certificate there before we first applied? */
bool agent_state_knows_other(const struct agent_state *state, const char *serial);

/*
 * Read DIRECTORY/state.json; a missing file is AGENT_STAGE_NONE with nothing known.
 * Fails with GK_BAD_FILE (garbled, or written by a later version), GK_FILE_DENIED, GK_FILE_FAILED,
 * GK_NO_MEMORY.
 */
enum gk_status agent_state_read(const char *directory, struct agent_state *state,
                                struct gk_error *err) GK_MUST_CHECK;

/* Replace DIRECTORY/state.json durably. Fails as agent_file_replace() does. */
enum gk_status agent_state_write(const char *directory, const struct agent_state *state,
                                 struct gk_error *err) GK_MUST_CHECK;

#endif
