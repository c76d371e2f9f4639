/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device key's life: made once, found again after a crash, destroyed; never confused with
 * another's.
 *
 * device.pem.new is written before the key becomes persistent, and renamed to device.pem after it.
 * Whoever finds the handle taken compares what lies there with both: equal is ours, and the step is
 * finished; anything else is left alone. The caller holds the lock. One thread. Errors: see
 * error.h; besides its own each function fails as tpm/admin.h and agent/file.h do.
 */
#ifndef GATEKEY_COMMAND_DEVICEKEY_H
#define GATEKEY_COMMAND_DEVICEKEY_H

#include "agent/command/command.h"
#include "tpm/admin.h"

/* What the files and the TPM say. */
struct devicekey {
    struct gk_key *key;         /* device.pem; NULL: there is none */
    struct gk_key *planned;     /* device.pem.new; NULL: there is none */
    struct gk_key *held;        /* the key at the handle; NULL: none, or not one of our kind */
    uint32_t handle;            /* where they say it is, else [tpm] handle */
    enum gk_status held_status; /* GK_OK, GK_NO_KEY (empty), GK_NOT_RSA2048, GK_WRONG_KIND */
};
void devicekey_clear(struct devicekey *devicekey);

/*
 * False where [identity] key names a key that somebody else made and keeps: another provider's
 * ("pkcs11:", "file:"), or one at another handle than [tpm] handle, where ours is made.
 */
bool devicekey_is_ours_to_make(const struct agent_config *config);

/*
 * Where a key is kept: the folder of its device.pem and device.pem.new, and the handle it is made
 * at. There are two of them while a key is rotated, the identity directory and next/ in it.
 */
struct devicekey_place {
    const char *directory; /* borrowed */
    uint32_t handle;
};
struct devicekey_place devicekey_place(const struct agent_config *config);

/*
 * Read one reference; *key is NULL where there is no such file, or folder. Fails with
 * GK_BAD_REFERENCE, GK_NOT_RSA2048.
 */
enum gk_status devicekey_reference_read(const char *directory, const char *name,
                                        struct gk_key **key, struct gk_error *err) GK_MUST_CHECK;

/* Read the files only. Fails with GK_BAD_REFERENCE, GK_NOT_RSA2048. */
enum gk_status devicekey_read_at(const struct devicekey_place *place, struct devicekey *devicekey,
                                 struct gk_error *err) GK_MUST_CHECK;
enum gk_status devicekey_read(const struct agent_config *config, struct devicekey *devicekey,
                              struct gk_error *err) GK_MUST_CHECK;

/* Ask the TPM what lies at the handle. */
enum gk_status devicekey_look(struct gk_admin *admin, struct devicekey *devicekey,
                              struct gk_error *err) GK_MUST_CHECK;

/*
 * Make sure that the key exists: make it, or finish making it, or find it. *made (may be NULL) is
 * true when it was not there before. Fails with GK_HANDLE_TAKEN (by what, in the error), GK_NO_KEY
 * (device.pem is there, but the TPM does not hold its key).
 */
enum gk_status devicekey_ensure_at(struct run *run, const struct devicekey_place *place, bool *made,
                                   struct gk_error *err) GK_MUST_CHECK;
enum gk_status devicekey_ensure(struct run *run, bool *made, struct gk_error *err) GK_MUST_CHECK;

/*
 * Destroy the key that device.pem and device.pem.new speak of, prove that the TPM no longer holds
 * it, and remove both. A handle that is empty, or holds another object, has nothing of ours: then
 * only the files go. *evicted is true when the TPM held the key.
 */
enum gk_status devicekey_destroy_at(struct run *run, const struct devicekey_place *place,
                                    bool *evicted, struct gk_error *err) GK_MUST_CHECK;
enum gk_status devicekey_destroy(struct run *run, bool *evicted,
                                 struct gk_error *err) GK_MUST_CHECK;

/* The same for the key that was rotated away, and device.pem.old. */
enum gk_status devicekey_destroy_old(struct run *run, bool *evicted,
                                     struct gk_error *err) GK_MUST_CHECK;

/* GK_NOT_OFFERED where the key is not ours to make, hence to destroy or to choose. */
enum gk_status devicekey_refuse_foreign(const struct run *run, struct gk_error *err) GK_MUST_CHECK;

/*
 * Is it what gatekey makes, as far as its attributes tell? Nothing else counts as made by gatekey,
 * whatever device.pem says.
 */
bool devicekey_is_as_made(const struct gk_key *key);

/* What is known of a key, on stdout. */
enum gk_status devicekey_show(struct run *run, const struct gk_key *key,
                              struct gk_error *err) GK_MUST_CHECK;

/* SHA-256 of the public key (SubjectPublicKeyInfo), in hex with colons: 96 characters. */
enum gk_status devicekey_fingerprint(struct agent_openssl *openssl, const struct gk_public *key,
                                     char text[static 97], struct gk_error *err) GK_MUST_CHECK;

#endif
