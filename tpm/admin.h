/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the agent does with a TPM: make and destroy the device key, seal and unseal a secret.
 *
 * Stands on the TSS enhanced system API (TCG TSS 2.0 ESAPI) with salted sessions that encrypt
 * secrets on the way to the TPM, so it pulls in libcrypto and belongs into processes of our own
 * only. Needs no resource manager: at most three transient objects at a time, all flushed on every
 * path, after a broken line by a connection of its own. Only an object whose answer got lost on
 * that line is not known here, and stays until somebody flushes it (tpm2_flushcontext -t).
 *
 * Threads: a struct gk_admin is for one thread at a time. It holds its TPM connection from open to
 * close, so keep it short. Every function blocks while the TPM works; creating an RSA key takes a
 * discrete chip up to a minute.
 * Errors: see error.h. Besides its own each function may fail with GK_NO_TPM, GK_TPM_DENIED,
 * GK_TPM_BUSY, GK_TPM_MEMORY, GK_LOCKED, GK_TPM_FAILED, GK_TPM_GARBLED and GK_NO_MEMORY.
 */
#ifndef GATEKEY_ADMIN_H
#define GATEKEY_ADMIN_H

#include "tpm/devkey.h"

struct gk_admin;

/*
 * Connect to the TPM named by tcti (see gk_tpm_new()). owner is the owner authorisation, NULL or
 * empty where none is set; it is copied and wiped at close. The caller closes it with
 * gk_admin_close(). Fails with GK_BAD_TCTI.
 */
enum gk_status gk_admin_open(const char *tcti, const struct gk_auth *owner, struct gk_admin **admin,
                             struct gk_error *err) GK_MUST_CHECK;
void gk_admin_close(struct gk_admin *admin); /* NULL is fine */
GK_DEFINE_CLEANUP(struct gk_admin, gk_admin_close)

/*
 * Called with the new key's reference after it was made and before it becomes persistent: write it
 * to disk and sync. Anything but GK_OK abandons the key, which then leaves no trace in the TPM.
 */
typedef enum gk_status gk_remember(void *context, const struct gk_key *key, struct gk_error *err);

/*
 * Make the device key (TPM 2.0 Library Part 3, "TPM2_Create" under a storage root key of the owner
 * hierarchy, and "TPM2_EvictControl"): RSA-2048, sign, fixedTPM, fixedParent, sensitiveDataOrigin,
 * userWithAuth, noDA, unrestricted, scheme null. One PSS signature is tried first; where this TPM
 * does not make a salt as long as the hash the key is made anew with decrypt beside sign.
 *
 * handle    GK_HANDLE_FIRST to GK_HANDLE_LAST, and empty.
 * auth      the key's password, NULL or empty for none.
 * remember  see above. The caller owns *key and frees it with gk_key_free().
 * Fails with GK_HANDLE_TAKEN (something lies there; nothing was made), GK_BAD_OWNER_AUTH,
 * GK_BAD_SIGNATURE, GK_CRYPTO_FAILED, GK_BAD_REFERENCE (handle out of range), and what remember
 * returns.
 */
enum gk_status gk_admin_key_create(struct gk_admin *admin, uint32_t handle,
                                   const struct gk_auth *auth, const struct gk_crypto *crypto,
                                   gk_remember *remember, void *context, struct gk_key **key,
                                   struct gk_error *err) GK_MUST_CHECK;

/*
 * Say what RSA-2048 key lies at a handle ("TPM2_ReadPublic"), as gk_key_read() does.
 * Fails with GK_NO_KEY (the handle is empty), GK_NOT_RSA2048 or GK_WRONG_KIND (something else is
 * there).
 */
enum gk_status gk_admin_key_describe(struct gk_admin *admin, uint32_t handle, struct gk_key **key,
                                     struct gk_error *err) GK_MUST_CHECK;

/*
 * Destroy the device key: evict it from its handle, and make sure that the handle is empty
 * afterwards. Its private part exists nowhere else. key says which: another object at that handle
 * is left alone. Fails with GK_NO_KEY (empty already), GK_HANDLE_TAKEN (not this key),
 * GK_BAD_OWNER_AUTH.
 */
enum gk_status gk_admin_key_evict(struct gk_admin *admin, const struct gk_key *key,
                                  struct gk_error *err) GK_MUST_CHECK;

/*
 * What the TPM knows of time (TPM 2.0 Library Part 2, "TPMS_TIME_INFO" and "TPMS_CLOCK_INFO"; Part
 * 1, "Timing Components"). It knows no date. It may run fast or slow by GK_CLOCK_ERROR_PERCENT.
 *
 * ms        Clock: how long it was powered in its life. Stands still while it has no power; goes
 *           back by GK_CLOCK_LOST_MS at most where that was lost without TPM2_Shutdown. The owner
 *           can set it forward (TPM2_ClockSet).
 * up_ms     Time: since it was powered. Nobody can set it.
 * resets    power-ups that forgot everything (TPM Reset), since the last TPM2_Clear.
 * restarts  those that did not (TPM Restart, TPM Resume: a machine that slept), since the last
 *           reset.
 * safe      false: ms may have been seen before, because power was lost without TPM2_Shutdown.
 * Stays so until ms is next saved, for GK_CLOCK_LOST_MS at most.
 *
 * TPM2_Clear sets ms, resets and restarts to 0 and safe to true, and leaves up_ms alone.
 */
struct gk_clock {
    uint64_t ms, up_ms;
    uint32_t resets, restarts;
    bool safe;
};

#define GK_CLOCK_ERROR_PERCENT 15
#define GK_CLOCK_LOST_MS ((uint64_t)1 << 22) /* the longest a TPM may wait to save it: 70 min */

/* Read the TPM's clock ("TPM2_ReadClock"); needs no authorisation. */
enum gk_status gk_admin_clock(struct gk_admin *admin, struct gk_clock *clock,
                              struct gk_error *err) GK_MUST_CHECK;

#define GK_SECRET_MAX_SIZE 128

/*
 * Seal a secret of 1 to GK_SECRET_MAX_SIZE bytes to this TPM ("TPM2_Create" of a keyed-hash object
 * under the storage root key) and give it as text for a file: PEM "GATEKEY SEALED SECRET", after a
 * line that says what it was sealed to. text is allocated and the caller's to free(3); it holds
 * nothing that another TPM could open.
 *
 * pcrs  NULL, or a bank and its PCRs ("sha256:0,2,7"): it can then be opened only while these hold
 *       what they hold now ("TPM2_PolicyPCR"), and by no password. What they hold is in the text,
 *       for telling later which of them changed.
 * Fails with GK_BAD_OWNER_AUTH, GK_USAGE (size, pcrs), GK_NOT_OFFERED (this TPM has no such PCR).
 */
enum gk_status gk_admin_seal(struct gk_admin *admin, const uint8_t *secret, size_t size,
                             const char *pcrs, char **text, struct gk_error *err) GK_MUST_CHECK;

/*
 * Open what gk_admin_seal() made ("TPM2_Load", "TPM2_Unseal"). secret receives *size bytes; the
 * caller wipes it (explicit_bzero(3)) after use. Fails with GK_BAD_FILE (garbled), GK_SEAL_BROKEN
 * (not this TPM's), GK_PCRS_CHANGED, GK_BAD_OWNER_AUTH.
 */
enum gk_status gk_admin_unseal(struct gk_admin *admin, const char *text, size_t text_size,
                               uint8_t secret[GK_SECRET_MAX_SIZE], size_t *size,
                               struct gk_error *err) GK_MUST_CHECK;

/* Was this text sealed to those PCRs, or to none where pcrs is NULL? Asks no TPM. */
bool gk_sealed_to(const char *text, size_t text_size, const char *pcrs);

#endif
