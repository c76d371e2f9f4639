/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder next/ of the identity directory: the request that was sent, and the pair that is
 * tried before it is used.
 *
 * cert.pem (with its chain), issuer-ca.pem, csr.pem; device.pem and device.pem.new where the key is
 * rotated, else the pair's key is the device's. One thread, under the lock of the identity
 * directory. Errors: see error.h.
 */
#ifndef GATEKEY_COMMAND_NEXT_H
#define GATEKEY_COMMAND_NEXT_H

#include "agent/command/certificate.h"
#include "agent/command/command.h"

#include <stdbool.h>

#define NEXT_FILE_REQUEST "csr.pem"

/*
 * Make the folder, and in it the new key if [renew] rotate_key says so: at [tpm] handle or the one
 * behind it, whichever is free of the key in use. Without rotate_key a key that lies there is
 * destroyed, but not one that was asked with while the answer to that (awaits_answer) may still
 * come. Fails as devicekey_ensure() does.
 */
enum gk_status next_prepare(struct run *run, bool awaits_answer,
                            struct gk_error *err) GK_MUST_CHECK;

/* The key of the pair in next/, by its URI; the caller frees it with EVP_PKEY_free(). */
enum gk_status next_key(struct run *run, EVP_PKEY **key, struct gk_error *err) GK_MUST_CHECK;

/*
 * The request for key and common_name, in PEM: the one that lies there, so that who is asked again
 * is asked the same, or a new one where none fits. *csr is the caller's to free(3).
 */
enum gk_status next_request(struct run *run, EVP_PKEY *key, const char *common_name, char **csr,
                            struct gk_error *err) GK_MUST_CHECK;

/* Lay a certificate with its issuers there. It was checked. */
enum gk_status next_put(struct run *run, const struct certificate *certificate,
                        struct gk_error *err) GK_MUST_CHECK;

/* Read it. Fails with GK_NO_FILE (there is none), GK_BAD_CERTIFICATE. */
enum gk_status next_read(struct run *run, struct certificate **certificate,
                         struct gk_error *err) GK_MUST_CHECK;

/*
 * Destroy the key in it, unless that is the one in use, prove that it is gone, and remove the
 * folder. *evicted (may be NULL) is true when the TPM held a key.
 */
enum gk_status next_discard(struct run *run, bool *evicted, struct gk_error *err) GK_MUST_CHECK;

/* Remove the folder and its files, and leave the TPM alone. No folder is no error. */
enum gk_status next_remove(const struct agent_config *config, struct gk_error *err) GK_MUST_CHECK;

#endif
