/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secrets the agent is trusted with: where they are read from, and the device secret sealed to
 * the TPM.
 *
 * A struct agent_secret is wiped by agent_secret_clear(); nothing here logs one or puts one into an
 * error. Threads: none of these keep state. Errors: see error.h; outputs are written on success
 * only.
 */
#ifndef GATEKEY_AGENT_SECRET_H
#define GATEKEY_AGENT_SECRET_H

#include "agent/config.h"
#include "error.h"
#include "tpm/admin.h"

struct agent_secret {
    size_t size;
    char text[GK_SECRET_MAX_SIZE + 1]; /* a NUL after its last byte, which size does not count */
};
void agent_secret_clear(struct agent_secret *secret);

/*
 * Read a secret from the file that a setting names: an absolute path, or "credential:NAME" for the
 * file NAME in $CREDENTIALS_DIRECTORY, where systemd's LoadCredential= puts it. One line feed at
 * its end is dropped. The file must not be readable or writable by others, nor writable by its
 * group. Fails with GK_NO_FILE, GK_FILE_DENIED, GK_FILE_FAILED, GK_BAD_FILE (empty, longer than
 * GK_SECRET_MAX_SIZE, holds a NUL), GK_REFUSED (its modes), GK_NO_MEMORY.
 */
enum gk_status agent_secret_read_file(const char *path, struct agent_secret *secret,
                                      struct gk_error *err) GK_MUST_CHECK;

/* The same for a password of the TPM (at most GK_AUTH_MAX_SIZE bytes); path NULL is the empty one.
 */
enum gk_status agent_auth_read_file(const char *path, struct gk_auth *auth,
                                    struct gk_error *err) GK_MUST_CHECK;

/* Open the configured TPM for administration, with [tpm] owner_auth_file. See gk_admin_open(). */
enum gk_status agent_admin_open(const struct agent_config *config, struct gk_admin **admin,
                                struct gk_error *err) GK_MUST_CHECK;

/*
 * Seal the device secret, to [tpm] seal_pcrs as well where that is set, and store it durably as
 * secret.tpm in the identity directory. Fails as gk_admin_seal() and agent_file_replace() do.
 */
enum gk_status agent_secret_store(const struct agent_config *config, const char *text, size_t size,
                                  struct gk_error *err) GK_MUST_CHECK;

/*
 * Read secret.tpm and open it. Fails with GK_NOT_ENROLLED (there is none), and as
 * gk_admin_unseal().
 */
enum gk_status agent_secret_load(const struct agent_config *config, struct agent_secret *secret,
                                 struct gk_error *err) GK_MUST_CHECK;

/* Is secret.tpm sealed to what [tpm] seal_pcrs says now? Not where it cannot be read. */
bool agent_secret_is_sealed_as_set(const struct agent_config *config);

#endif
