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

/*
 * Where a renewal stands; each is written before what it announces is begun. Only an enrolled
 * gateway has one.
 */
enum agent_renewal {
    AGENT_RENEWAL_NONE,
    AGENT_RENEWAL_ASKING, /* a new certificate was, or was about to be, asked for; next/ has the
                           * request, and the new key where it is rotated */
    AGENT_RENEWAL_READY,  /* next/ holds a pair that fits; the hub has not been seen to accept it */
    AGENT_RENEWAL_PROMOTING, /* the hub accepted it; it is being moved into place */
    AGENT_RENEWAL_OVERLAP,   /* it is in place; the one before is valid until old_until */
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
    /* Certificates of ours that nobody uses any more, and whose revocation was refused: to be tried
     * again. Decimal, parted by blanks. */
    char unrevoked[256];
    /* Since when nothing is asked of the hub's API: then only the certificates that are named here
     * are ours. 0: one may have been issued to us that is named nowhere; the others are. */
    int64_t settled;
    /* Why the others are to be revoked once the hub has accepted us: this gateway takes their
     * device over. Empty: they are left alone. */
    char replaced[24];
    int64_t rekeying; /* the device key is being destroyed, for another to be made; 0: it is not */
    int64_t adopted;  /* when somebody said that a key gatekey did not make is the device's */
    int64_t begun, certified, enrolled; /* UNIX time, seconds; 0 where not yet */

    enum agent_renewal renewal;
    char next_sn[49];  /* of the certificate in next/ */
    char old_sn[49];   /* of the one before, as long as it is to be revoked */
    int64_t next_at;   /* when next/ was filled: "settle" counts from here */
    int64_t asked_at;  /* when the hub's application was asked by event */
    int64_t old_until; /* the end of the overlap */
    int64_t tried_at;  /* the last renewal that failed */
    int64_t failures;  /* in a row */

    /* Of a reset: when the hub was known to have revoked all that is ours; when somebody decided
     * that it goes on where hub or TPM do not let it. */
    int64_t revoked, forced;
};

/* A renewal's name, the same. */
const char *agent_renewal_name(enum agent_renewal renewal);

/* A stage's name, as state.json and status show it. */
const char *agent_stage_name(enum agent_stage stage);

/* Is this certificate none of ours: there before we applied, or issued when we asked for none? */
bool agent_state_knows_other(const struct agent_state *state, const char *serial);

/* Does this certificate await its revocation? */
bool agent_state_is_unrevoked(const struct agent_state *state, const char *serial);

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
