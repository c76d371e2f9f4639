/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind tpm/admin.h share. */
#ifndef GATEKEY_TPM_ADMIN_INTERNAL_H
#define GATEKEY_TPM_ADMIN_INTERNAL_H

#include "tpm/admin.h"
#include "tpm/internal.h"

#include <tss2/tss2_esys.h>

/* Root key, device key and three sessions: more is never held at a time. */
#define HELD_MAX 8

struct gk_admin {
    struct tcti_name name;
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
    struct gk_auth owner;
    TPM2_HANDLE
    left[HELD_MAX]; /* what could not be flushed, for a connection of its own at the end */
    size_t left_count;
};

/* An ESYS object that is flushed, or only forgotten where it is persistent, when it goes out of
 * scope. */
struct object {
    struct gk_admin *admin;
    ESYS_TR handle;         /* ESYS_TR_NONE: nothing held */
    TPM2_HANDLE tpm_handle; /* what the TPM calls it, to flush it when ESYS no longer can */
    bool is_persistent;
};

/* Hold what ESYS just made or found. */
struct object object_hold(struct gk_admin *admin, ESYS_TR handle, bool is_persistent);
void object_release(struct object *object);

/* The storage root key, and a session salted with it that encrypts in both directions. */
struct storage {
    struct object root;
    struct object session;
    TPM2_HANDLE where; /* GK_STORAGE_PERSISTENT, or TPM2_RH_OWNER for one made on the spot */
};
void storage_release(struct storage *storage);

/* TCG TPM v2.0 Provisioning Guidance, 7.8: where a persistent storage root key lies. */
#define GK_STORAGE_PERSISTENT 0x81000001U

/*
 * Load the storage root key: the persistent one where the TPM has one that fits, else
 * TPM2_CreatePrimary with the TCG's template for P-256 (TCG EK Credential Profile, "Template H-2").
 * where: 0 leaves the choice here, else it is what an earlier storage_open() chose.
 */
enum gk_status storage_open(struct gk_admin *admin, TPM2_HANDLE where, struct storage *storage,
                            struct gk_error *err);

/* Note an ESYS failure; 0x%08x of a handle makes a good object. */
enum gk_status admin_fail(struct gk_error *err, TSS2_RC code, const char *object);

/* The same for a command that the owner authorises: a wrong password is the owner's then. */
enum gk_status admin_fail_owner(struct gk_error *err, TSS2_RC code, const char *object);

/* The same for a command under the storage root key, whose password is not ours to give. */
enum gk_status admin_fail_under(struct gk_error *err, TSS2_RC code, const struct storage *storage,
                                const char *object);

/*
 * At the end of an operation, when nothing of ours is loaded any more: where the TPM had no slot
 * left, say who has them. Returns status.
 */
enum gk_status admin_explain(struct gk_admin *admin, enum gk_status status, struct gk_error *err);

/* Look at a persistent handle. GK_NO_KEY when it is empty; object is then untouched. */
enum gk_status admin_find(struct gk_admin *admin, uint32_t handle, struct object *object,
                          struct gk_error *err);

/* An unsalted HMAC session for the owner's authorisation, so that its password is not sent in
 * clear. */
enum gk_status admin_owner_session(struct gk_admin *admin, struct object *session,
                                   struct gk_error *err);

/* An unsalted policy session; trial: it only computes. */
enum gk_status admin_policy_session(struct gk_admin *admin, bool trial, struct object *session,
                                    struct gk_error *err);

TPM2B_AUTH auth_of(const struct gk_auth *auth);

/* --- pcr.c ----------------------------------------------------------------------------------- */

#define PCRS_MAX 24

/* PCRs of one bank, and what they held when they were read. */
struct pcrs {
    TPML_PCR_SELECTION selection;
    unsigned count;
    unsigned numbers[PCRS_MAX];
    TPM2B_DIGEST values[PCRS_MAX];
};

/*
 * The session of the storage below goes with every command, so that nobody on the way to the TPM
 * can put in another policy than the one that was asked for.
 */

/* "sha256:0,2,7". Fails with GK_USAGE. */
enum gk_status pcrs_parse(const char *text, struct pcrs *pcrs, struct gk_error *err);
bool pcrs_are_the_same(const struct pcrs *one, const struct pcrs *other); /* not: hold the same */
/* Fails with GK_NOT_OFFERED where the TPM has no such PCR. */
enum gk_status pcrs_read(const struct storage *storage, struct pcrs *pcrs, struct gk_error *err);
/* A session that holds as long as they stay as they are now ("TPM2_PolicyPCR"). */
enum gk_status pcrs_hold(const struct storage *storage, const struct pcrs *pcrs, bool trial,
                         struct object *session, struct gk_error *err);
enum gk_status pcrs_policy(const struct storage *storage, const struct pcrs *pcrs,
                           TPM2B_DIGEST *policy, struct gk_error *err);
/* GK_PCRS_CHANGED, and which: code is what the TPM refused with. */
enum gk_status pcrs_explain(const struct storage *storage, const struct pcrs *pcrs, TSS2_RC code,
                            struct gk_error *err);
bool pcrs_marshal(const struct pcrs *pcrs, uint8_t *binary, size_t capacity, size_t *offset);
bool pcrs_unmarshal(struct pcrs *pcrs, const uint8_t *binary, size_t size, size_t *offset);

#endif
