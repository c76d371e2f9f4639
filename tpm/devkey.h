/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device key: parse a reference to it, sign with it. The door for both modules and the agent.
 *
 * Stands on the TSS system API (TCG TSS 2.0 System Level API) with password authorisation. Knows no
 * OpenSSL: what it needs of cryptography the caller hands in as struct gk_crypto. Prints nothing,
 * reads no environment, has no mutable statics.
 *
 * Threads: a struct gk_tpm and a struct gk_key may be used from several threads at once; one TPM
 * operation of a struct gk_tpm runs at a time. After fork both work in the child, provided that the
 * caller's atfork handlers call gk_tpm_before_fork() and gk_tpm_after_fork().
 * Errors: see error.h; outputs are written on success only.
 */
#ifndef GATEKEY_DEVKEY_H
#define GATEKEY_DEVKEY_H

#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GK_RSA2048_SIZE 256 /* bytes of modulus and of signature */
#define GK_HASH_MAX_SIZE 64
#define GK_AUTH_MAX_SIZE 64

/* TPM 2.0 Library Part 2, "TPM_HT": persistent handles that the owner hands out. */
#define GK_HANDLE_FIRST 0x81000000U
#define GK_HANDLE_LAST 0x817fffffU
#define GK_HANDLE_DEFAULT 0x81000100U

/* GK_SHA1 for digests that come as such from elsewhere: for GK_RSASSA only. */
enum gk_hash { GK_SHA256, GK_SHA384, GK_SHA512, GK_SHA1 };

/* RFC 8017, 8.2 (RSASSA-PKCS1-v1_5) and 8.1 (RSASSA-PSS). */
enum gk_scheme { GK_RSASSA, GK_RSAPSS };

/* Digest size in bytes. */
size_t gk_hash_size(enum gk_hash hash);

/* A password of the TPM; wiped by gk_auth_clear(). */
struct gk_auth {
    size_t size;
    uint8_t bytes[GK_AUTH_MAX_SIZE];
};
void gk_auth_clear(struct gk_auth *auth);

/* The public part, RSA-2048 only. */
struct gk_public {
    uint8_t modulus[GK_RSA2048_SIZE]; /* big-endian */
    uint32_t exponent;                /* never 0: the TPM's 0 is given as 65537 */
};

/*
 * The cryptography that tpm/ is handed. Both functions return 1 for yes or done, 0 for "does not
 * verify", -1 when the library failed; they may be called from several threads at once and never
 * while a lock of gatekey's is held.
 */
struct gk_crypto {
    void *context; /* handed to both functions as it is */
    int (*hash)(void *context, enum gk_hash hash, const void *data, size_t size, uint8_t *digest);
    /* salt_size counts for GK_RSAPSS only and must match exactly; MGF1 uses the same hash. */
    int (*verify)(void *context, const struct gk_public *key, enum gk_scheme scheme,
                  enum gk_hash hash, size_t salt_size, const uint8_t *digest,
                  const uint8_t signature[GK_RSA2048_SIZE]);
};

/* --- the TPM ------------------------------------------------------------------------------------
 */

/* Where a TPM is and how to speak to it. Holds no connection while idle. */
struct gk_tpm;

/*
 * Remember a TPM connection by its TCTI (TCG TSS 2.0 TCTI): "device:PATH" or "swtpm:path=SOCKET",
 * which are our own (silent, close-on-exec, deaf to signals), or NAME:SETTINGS of an installed one.
 * The name is always needed; the TSS is never left to search for a TPM.
 *
 * Does not connect, does not block. The caller frees it with gk_tpm_free() after the last
 * operation. Fails with GK_BAD_TCTI, GK_NO_MEMORY.
 */
enum gk_status gk_tpm_new(const char *tcti, struct gk_tpm **tpm,
                          struct gk_error *err) GK_MUST_CHECK;

/* Sends nothing to the TPM. NULL is fine. */
void gk_tpm_free(struct gk_tpm *tpm);
GK_DEFINE_CLEANUP(struct gk_tpm, gk_tpm_free)

/*
 * For pthread_atfork(3) handlers of the module that owns the TPM: before waits until no operation
 * is under way (at most one signature) and holds off new ones; after, in parent and child, lets
 * them go on. child: drop what was inherited, without a word to the TPM.
 */
void gk_tpm_before_fork(struct gk_tpm *tpm);
void gk_tpm_after_fork(struct gk_tpm *tpm, bool child);

/* --- the key ------------------------------------------------------------------------------------
 */

/* A reference to a device key: persistent handle, public part, whether a password is needed. */
struct gk_key;

/* True when data holds a PEM block "GATEKEY DEVICE KEY"; cheap, looks at nothing else. */
bool gk_key_is_reference(const void *data, size_t size);

/*
 * Parse a device.pem: text, then PEM "GATEKEY DEVICE KEY" (RFC 7468 armour around version, flags,
 * handle and TPM2B_PUBLIC as the TPM marshals it). Other PEM blocks before and after are passed
 * over, so identity.pem does as well. No TPM I/O, does not block. The caller frees it with
 * gk_key_free(). Fails with GK_BAD_REFERENCE (what is wrong with it in the error), GK_NOT_RSA2048,
 * GK_NO_MEMORY.
 */
enum gk_status gk_key_parse(const void *data, size_t size, struct gk_key **key,
                            struct gk_error *err) GK_MUST_CHECK;

/*
 * Make a reference to whatever signing key lies at a persistent handle (TPM2_ReadPublic: one
 * command). Whether it needs a password cannot be read from a TPM; it is taken as needing none.
 * Blocks while the TPM works. Fails with GK_NO_KEY, GK_NOT_RSA2048, GK_WRONG_KIND (restricted or
 * not a signing key), GK_BAD_REFERENCE (not a persistent handle), and the TPM's failures as
 * gk_key_sign().
 */
enum gk_status gk_key_read(struct gk_tpm *tpm, uint32_t handle, struct gk_key **key,
                           struct gk_error *err) GK_MUST_CHECK;

/*
 * A key whose private part lies in a file, encrypted to one TPM, and is loaded for each signature.
 *
 * parent        what it is loaded under: a persistent handle (0x81...), or a hierarchy (0x40000001
 *               owner, also written 0; 0x4000000b endorsement; 0x4000000c platform; 0x40000007
 *               null), where the parent is made by TPM2_CreatePrimary with the TCG's template for
 *               P-256 (TCG EK Credential Profile, "Template H-2", empty unique).
 * rsa_parent    made with the one for RSA-2048 (H-1) instead; counts for hierarchies only.
 * public_area   TPM2B_PUBLIC, private_area TPM2B_PRIVATE, both as the TPM marshals them.
 */
struct gk_loadable {
    uint32_t parent;
    bool rsa_parent;
    bool needs_auth;
    const uint8_t *public_area;
    size_t public_size;
    const uint8_t *private_area;
    size_t private_size;
};

/*
 * Make a key of it; nothing of loadable is kept. No TPM I/O, does not block. The caller frees it
 * with gk_key_free(). Fails with GK_BAD_REFERENCE, GK_NOT_RSA2048, GK_WRONG_KIND (restricted, used
 * by a policy only, not for signing, sealed data), GK_NO_MEMORY.
 *
 * Its signatures are by gk_key_sign(), with one struct gk_tpm for all its life. Each costs three
 * commands: load, sign, flush. Under a hierarchy the first one in a process costs six, as the
 * parent is made; the loaded key is then kept in memory as the TPM saves it (TPM2_ContextSave), and
 * made anew where the TPM no longer takes that, as after a reset. Nothing of it stays in the TPM
 * between signatures. gk_key_handle() is 0.
 */
enum gk_status gk_key_from_loadable(const struct gk_loadable *loadable, struct gk_key **key,
                                    struct gk_error *err) GK_MUST_CHECK;

/* The password of the parent, or of the hierarchy; only before key is shared. */
void gk_key_set_parent_auth(struct gk_key *key, const struct gk_auth *auth);

bool gk_key_is_loadable(const struct gk_key *key);
uint32_t gk_key_parent(const struct gk_key *key); /* 0 where it is not loadable */

struct gk_key *gk_key_copy(const struct gk_key *key); /* NULL when out of memory */
void gk_key_free(struct gk_key *key);                 /* NULL is fine */
GK_DEFINE_CLEANUP(struct gk_key, gk_key_free)

#define GK_KEY_ABOUT_SIZE 48

/* What errors call the key: its handle, or what it is loaded under. */
void gk_key_describe(const struct gk_key *key, char about[static GK_KEY_ABOUT_SIZE]);

const struct gk_public *gk_key_public(const struct gk_key *key);
uint32_t gk_key_handle(const struct gk_key *key);
bool gk_key_needs_auth(const struct gk_key *key);
/* From somebody who knows what gk_key_read() cannot; only before key is shared. */
void gk_key_set_needs_auth(struct gk_key *key);
/* A wrong password counts towards the lockout of the TPM. */
bool gk_key_counts_attempts(const struct gk_key *key);
/* Made as sign+decrypt, for TPMs whose own PSS salt is of no use. */
bool gk_key_pads_in_software(const struct gk_key *key);
/* It cannot be moved to another TPM (fixedTPM); it was made by a TPM (sensitiveDataOrigin). */
bool gk_key_is_fixed(const struct gk_key *key);
bool gk_key_was_made_inside(const struct gk_key *key);
/* Made by its TPM and never outside of it (both), as ours are. */
bool gk_key_is_local(const struct gk_key *key);
/* False where the key was made for another scheme or hash only, as those of others may be. */
bool gk_key_offers(const struct gk_key *key, enum gk_scheme scheme, enum gk_hash hash);
/* Same public key (and so the same private one); handles may differ. */
bool gk_key_equal(const struct gk_key *a, const struct gk_key *b);
/* Same object: the whole public area, its attributes and policy too, is the same byte for byte. */
bool gk_key_identical(const struct gk_key *a, const struct gk_key *b);

/*
 * Sign a digest with the device key: one TPM command (TPM 2.0 Library Part 3, "TPM2_Sign", schemes
 * RSASSA and RSAPSS; for a key that pads in software and GK_RSAPSS "TPM2_RSA_Decrypt", scheme
 * null). The signature is verified with crypto before it is handed out.
 *
 * auth       the key's password; NULL or empty where gk_key_needs_auth() is false. Of a loadable
 * key it may be empty even so, as some tools write files that are wrong about that.
 * digest     gk_hash_size(hash) bytes; already hashed, not hashed again.
 * salt_size  bytes of PSS salt, not looked at for GK_RSASSA. A TPM's own padding makes a salt as
 * long as the hash, on some TPMs the longest that fits instead, and no other; a key that pads in
 * software takes any that fits. signature
 * receives exactly GK_RSA2048_SIZE bytes, big-endian (RFC 8017, 8.1.1 and 8.2.1).
 *
 * Blocks while the TPM works: about 100 to 300 ms on a discrete chip, longer while another program
 * holds a TPM that has no resource manager (given up after about ten seconds with GK_TPM_BUSY), 90
 * seconds where one takes a command and never answers (GK_NO_TPM). A broken connection is made anew
 * and the command sent once more. Fails with GK_NO_TPM, GK_TPM_DENIED, GK_TPM_BUSY, GK_NO_KEY,
 * GK_WRONG_KEY, GK_NEED_AUTH, GK_BAD_AUTH, GK_LOCKED, GK_BAD_SALT, GK_BAD_SIGNATURE, GK_NOT_OFFERED
 * (RSA-PSS with SHA-1; a key of others, made for another scheme or hash only), GK_TPM_FAILED,
 * GK_TPM_GARBLED, GK_CRYPTO_FAILED, GK_NO_MEMORY, a loadable key also with GK_TPM_MEMORY and
 * GK_NOT_LOADED; signature is then untouched.
 */
enum gk_status gk_key_sign(struct gk_tpm *tpm, const struct gk_key *key, const struct gk_auth *auth,
                           const struct gk_crypto *crypto, enum gk_scheme scheme, enum gk_hash hash,
                           const uint8_t *digest, size_t salt_size,
                           uint8_t signature[GK_RSA2048_SIZE], struct gk_error *err) GK_MUST_CHECK;

/*
 * Write a reference as device.pem holds it, text lines included. text is allocated, NUL-terminated,
 * and the caller's to free(3). Fails with GK_WRONG_KIND (a loadable key), GK_NO_MEMORY.
 */
enum gk_status gk_key_format(const struct gk_key *key, char **text,
                             struct gk_error *err) GK_MUST_CHECK;

#endif
