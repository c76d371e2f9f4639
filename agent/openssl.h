/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL as the agent uses it: a library context of our own that holds "default" and the
 * configured provider and nothing else. The system's openssl.cnf is never read, so it can neither
 * help nor hurt.
 *
 * Threads: make it while the process has one thread (the environment is changed once); after that
 * the functions may be called from several threads. Loading touches no TPM and no key. Errors: see
 * error.h; outputs are written on success only.
 */
#ifndef GATEKEY_AGENT_OPENSSL_H
#define GATEKEY_AGENT_OPENSSL_H

#include "agent/config.h"
#include "cleanup.h"
#include "error.h"
#include "tpm/devkey.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

struct agent_openssl;

/*
 * Make the context and load the providers into it. [identity] provider is a name ("gatekey",
 * "tpm2"; "default" for keys that are files) or the absolute path of a module "/DIR/NAME.so". What
 * gatekey's own provider needs to know, [tpm] tcti and [identity] directory, it is told by
 * GATEKEY_TCTI and GATEKEY_IDENTITY, which are set here for the whole process; tpm2-openssl by
 * TPM2OPENSSL_TCTI, where that is not set.
 *
 * The configuration must outlive the object, which the caller frees with agent_openssl_free() after
 * everything made from it.
 * Fails with GK_BAD_CONFIG (the provider cannot be loaded; why in the error), GK_CRYPTO_FAILED,
 * GK_NO_MEMORY.
 */
enum gk_status agent_openssl_new(const struct agent_config *config, struct agent_openssl **openssl,
                                 struct gk_error *err) GK_MUST_CHECK;
void agent_openssl_free(struct agent_openssl *openssl); /* NULL is fine */
GK_DEFINE_CLEANUP(struct agent_openssl, agent_openssl_free)

/* The context to hand to every OpenSSL call, and [identity] propquery (NULL: none). */
OSSL_LIB_CTX *agent_openssl_context(const struct agent_openssl *openssl);
const char *agent_openssl_propquery(const struct agent_openssl *openssl);

/* The cryptography that tpm/ is handed, from this context; lives as long as it. */
const struct gk_crypto *agent_openssl_crypto(const struct agent_openssl *openssl);

/*
 * Load a private key by its URI ("gatekey:", "file:/path", "pkcs11:...", "handle:0x81000100"): the
 * one way this program names a key. A pass phrase comes from [tpm] key_auth_file, never from a
 * terminal. The caller frees *key with EVP_PKEY_free(). Usually no TPM command. Fails with
 * GK_NO_KEY (nothing there, no provider knows it, or the pass phrase is wrong), GK_NOT_RSA2048, and
 * what gatekey's provider says.
 */
enum gk_status agent_openssl_load_key(struct agent_openssl *openssl, const char *uri,
                                      EVP_PKEY **key, struct gk_error *err) GK_MUST_CHECK;

/*
 * What the configured provider signed in this context since it was made: what it handed out and
 * how long that took, and what it could not make. False, and nothing written, where it does not
 * count: gatekey's own does (gatekey-provider(7)), others do not.
 */
struct agent_signatures {
    uint64_t made, failed;
    uint64_t total_us, last_us; /* of those made */
};
bool agent_openssl_signatures(const struct agent_openssl *openssl,
                              struct agent_signatures *signatures);

/*
 * Note a failure of OpenSSL and return its status: "what" and the error queue's root cause become
 * the object, and the queue is emptied. Where gatekey's own provider is the root, its status goes
 * before the one given. err may be NULL.
 */
enum gk_status agent_openssl_error(struct gk_error *err, enum gk_status status, const char *what);

/* The same from the queue's oldest entry, for callbacks: leaves the queue as it is. GK_OK: it is
 * empty. */
enum gk_status agent_openssl_peek(struct gk_error *err, enum gk_status status, const char *what);

#endif
