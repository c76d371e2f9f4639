/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the provider share.
 *
 * OpenSSL calls the provider from any thread. A struct prov_context lives from OSSL_provider_init
 * to teardown and is shared by all; a struct prov_key never changes once it is made and is counted.
 * No lock of ours is ever held across a call into OpenSSL, a callback or a TPM command.
 */
#ifndef GATEKEY_PROVIDER_INTERNAL_H
#define GATEKEY_PROVIDER_INTERNAL_H

#include "identity/identity.h"
#include "provider/crypto.h"
#include "tpm/devkey.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>

/* The names under which our implementations are found, and the property each of them carries. */
#define PROV_RSA_NAMES "RSA:rsaEncryption:1.2.840.113549.1.1.1"
#define PROV_PROPERTIES "provider=gatekey"

/* --- the provider's context: context.c ----------------------------------------------------------
 */

/* The functions of the core we call; any may be missing. */
struct prov_upcalls {
    OSSL_FUNC_core_get_params_fn *get_params;
    OSSL_FUNC_core_new_error_fn *new_error;
    OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
    OSSL_FUNC_core_vset_error_fn *vset_error;
    OSSL_FUNC_core_set_error_mark_fn *set_error_mark;
    OSSL_FUNC_core_pop_error_to_mark_fn *pop_error_to_mark;
    OSSL_FUNC_BIO_gets_fn *bio_gets;
    OSSL_FUNC_BIO_read_ex_fn *bio_read_ex;
    OSSL_FUNC_BIO_write_ex_fn *bio_write_ex;
    OSSL_FUNC_core_get_libctx_fn *get_libctx;
    OSSL_FUNC_CRYPTO_malloc_fn *crypto_malloc;
    OSSL_FUNC_provider_up_ref_fn *provider_up_ref;
    OSSL_FUNC_provider_free_fn *provider_free;
};

/* A library context of our own, where only "default" is loaded: it hashes and verifies for us. */
struct prov_software {
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *provider;
    EVP_MD *hashes[GK_SHA512 + 1]; /* by enum gk_hash */
    struct prov_crypto where;
};

/* Our section of openssl.cnf; NULL where it says nothing. */
struct prov_settings {
    char *identity;         /* "identity-directory" */
    char *tcti;             /* "tcti" */
    char *auth_file;        /* "auth-file": holds the device key's password */
    char *parent_auth_file; /* "parent-auth-file": holds that of a loadable key's parent */
    char *assume_fips;      /* "assume-fips": yes, if all of it is to claim fips=yes */
};

/* How far order.c has got with the other providers. */
struct prov_visit {
    atomic_bool under_way; /* a thread is there; others wait for it */
    atomic_bool made;      /* something was found: from now on nobody waits */
};

/* What this provider signed since it was loaded, and how long that took in the TPM. */
struct prov_tally {
    uint64_t signatures, failures; /* handed out; asked for in vain */
    uint64_t total_us, last_us;    /* of those handed out */
};

struct prov_context {
    const OSSL_CORE_HANDLE *core;
    struct prov_upcalls upcalls;
    struct gk_environment environment;
    struct prov_settings settings;
    OSSL_ALGORITHM **fips_tables; /* with assume-fips, else NULL */

    pthread_mutex_t lock; /* guards the pointers below, which are set once, at first use */
    struct gk_tpm *tpm;
    struct gk_place place;
    struct prov_software *software;
    struct prov_tally tally; /* guarded by the lock as well */

    struct prov_context *next; /* fork.c's list */
    bool watched;

    struct prov_visit visits[OSSL_OP_ASYM_CIPHER + 1]; /* by operation */
};

/* NULL when out of memory; nothing else can fail. Opens no file, asks no TPM, fetches nothing. */
struct prov_context *prov_context_new(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *upcalls);
void prov_context_free(struct prov_context *context);

/*
 * The TPM, the identity directory and our cryptography, each made at first use and then kept until
 * teardown. What they return is borrowed.
 */
enum gk_status prov_context_tpm(struct prov_context *context, struct gk_tpm **tpm,
                                struct gk_error *err) GK_MUST_CHECK;
enum gk_status prov_context_tcti(struct prov_context *context, const char **tcti,
                                 struct gk_error *err) GK_MUST_CHECK;
enum gk_status prov_context_directory(struct prov_context *context, const char **directory,
                                      struct gk_error *err) GK_MUST_CHECK;
enum gk_status prov_context_software(struct prov_context *context, struct prov_software **software,
                                     struct gk_error *err) GK_MUST_CHECK;

/*
 * The passwords in the files that "auth-file" and "parent-auth-file" name, read anew each time and
 * never kept here; an empty one where the setting is missing. Both are wiped by gk_auth_clear().
 * Fail with GK_BAD_CONFIG and as gk_secret_read() does. (password.c)
 */
enum gk_status prov_context_auth(struct prov_context *context, struct gk_auth *auth,
                                 struct gk_error *err) GK_MUST_CHECK;
enum gk_status prov_context_parent_auth(struct prov_context *context, struct gk_auth *auth,
                                        struct gk_error *err) GK_MUST_CHECK;

/* --- what was signed: tally.c -------------------------------------------------------------------
 */

uint64_t prov_tally_now_us(void); /* on a clock that nobody sets */
void prov_tally_note(struct prov_context *context, bool is_signed, uint64_t spent_us);
/* Our part of OSSL_FUNC_PROVIDER_GET_PARAMS: 1, or 0 where a number does not fit. */
int prov_tally_get(struct prov_context *context, OSSL_PARAM params[]);

/* --- fork: fork.c -------------------------------------------------------------------------------
 */

/* From now on a fork waits for this context's TPM. Fails with GK_NO_MEMORY. */
enum gk_status prov_fork_watch(struct prov_context *context, struct gk_error *err) GK_MUST_CHECK;
void prov_fork_unwatch(struct prov_context *context);

/* Around every call into tpm/ that talks to the TPM: a fork between the two is the TCTI's own. */
void prov_fork_enter(void);
void prov_fork_leave(void);

/* --- the order of providers: order.c ------------------------------------------------------------
 */

/*
 * Before anything for RSA is handed out: let what the other providers have be there first. False
 * when this call is on its way to them; it must then find nothing here.
 *
 * While another thread is there for the first time this waits for it, but not for ever.
 */
bool prov_order_step_back(struct prov_context *context, int operation);

/* --- exit: lifetime.c ---------------------------------------------------------------------------
 */

/* For as long as a key lives the provider is not torn down, and at the program's end never. */
void prov_lifetime_hold(struct prov_context *context);
void prov_lifetime_release(struct prov_context *context);
/* True once OPENSSL_cleanup() has run: what OpenSSL made for us is then left alone. */
bool prov_lifetime_is_over(void);

/* --- errors: error.c ----------------------------------------------------------------------------
 */

/*
 * OpenSSL's 1 for GK_OK. For anything else 0, and "cannot <operation>: ..." goes on the error
 * queue.
 */
#define PROV_ANSWER(context, status, err, operation) \
    prov_answer((context), (status), (err), (operation), __FILE__, __LINE__, __func__)
int prov_answer(const struct prov_context *context, enum gk_status status,
                const struct gk_error *err, const char *operation, const char *file, int line,
                const char *function);

/*
 * What is raised between the two is forgotten. This is the queue of the application's libcrypto;
 * ERR_set_mark() is for that of the one we are linked with, and a program may hold a second one.
 */
void prov_error_mark(const struct prov_context *context);
void prov_error_drop(const struct prov_context *context);

/* The reason codes we raise, for OSSL_FUNC_PROVIDER_GET_REASON_STRINGS. */
extern const OSSL_ITEM prov_reasons[];

/* --- the key object: key.c ----------------------------------------------------------------------
 */

struct prov_key {
    struct prov_context *context;
    atomic_uint holders;
    struct gk_key *reference;        /* NULL: no key yet, and never one (keymgmt.c) */
    struct gk_auth auth;             /* empty when none is needed or none was given */
    bool answered;                   /* when asked for a password, be it with an empty one */
    bool answer_too_long;            /* for a password; auth is then empty */
    bool by_handle;                  /* named so; no reference tells whether it has a password */
    bool parent_auth_unread;         /* "parent-auth-file", when the key was loaded */
    _Atomic(EVP_PKEY_CTX *) checker; /* of its signatures, made at first use */
};

/* Takes reference over in any case; NULL when out of memory. */
struct prov_key *prov_key_new(struct prov_context *context, struct gk_key *reference);
struct prov_key *prov_key_hold(struct prov_key *key); /* one more holder; returns key */
void prov_key_free(struct prov_key *key);             /* one holder less; NULL is fine */

/*
 * Our software cryptography with the key's public part at hand, to check its signatures by.
 * Borrowed from the key. Fails with GK_CRYPTO_FAILED.
 */
enum gk_status prov_key_software(struct prov_key *key, struct prov_crypto *where,
                                 struct gk_error *err) GK_MUST_CHECK;
GK_DEFINE_CLEANUP(struct prov_key, prov_key_free)

/*
 * Hand the key to whoever asked a decoder or a store for it. It is theirs when key management
 * loaded it; *key is then NULL. Returns what the callback returned.
 */
int prov_key_deliver(struct prov_key **key, OSSL_CALLBACK *deliver, void *argument);

/* The reason why nobody gets the private part. Returns GK_NOT_OFFERED. */
enum gk_status prov_key_refuse_export(struct gk_error *err);

/* --- passwords: password.c ----------------------------------------------------------------------
 */

/*
 * Find the key's password where its reference says that there is one: the device key's in
 * "auth-file" where that is set, and nobody is asked then; else by asking. None to be had is no
 * failure: the public part is of use without it, and signing then says what is missing. Only before
 * key is shared.
 */
void prov_key_find_password(struct prov_key *key, OSSL_PASSPHRASE_CALLBACK *ask, void *argument);

/*
 * The password to sign with, into auth, which the caller wipes; empty where the key has none. Where
 * "auth-file" could not be read when the key was loaded it is tried once more. Fails with
 * GK_NEED_AUTH, GK_BAD_AUTH and as prov_context_auth() does.
 */
enum gk_status prov_key_password(const struct prov_key *key, struct gk_auth *auth,
                                 struct gk_error *err) GK_MUST_CHECK;

/* After a signature failed with GK_BAD_AUTH: what the password was, and what to do about it. */
void prov_key_explain_password(const struct prov_key *key, struct gk_error *err);

/*
 * The same for the password above a loadable key: once, when it is loaded; and when it signs, where
 * the file could not be read before. *with is then the key with it, the caller's to free.
 */
void prov_key_find_parent_password(struct prov_key *key);
enum gk_status prov_key_parent_password(const struct prov_key *key, struct gk_key **with,
                                        struct gk_error *err) GK_MUST_CHECK;

/* --- what the store has: uri.c, certificate.c ---------------------------------------------------
 */

enum prov_content { PROV_KEY, PROV_HANDLE, PROV_CERTIFICATE, PROV_CHAIN };

struct prov_uri {
    enum prov_content content;
    uint32_t handle;   /* for PROV_HANDLE */
    bool has_password; /* for PROV_HANDLE: the URI says that this key has one */
};

/* Fails with GK_USAGE, whose advice lists the URIs there are. */
enum gk_status prov_uri_parse(const char *text, struct prov_uri *uri,
                              struct gk_error *err) GK_MUST_CHECK;

#define PROV_CERTIFICATES_MAX 16

struct prov_certificates {
    size_t count;
    X509 *list[PROV_CERTIFICATES_MAX];
};

/*
 * Read the gateway's certificate and its chain, in this order. The caller frees them with
 * prov_certificates_clear(). Asks no TPM. Fails with GK_NOT_ENROLLED (there is no such file),
 * GK_BAD_FILE (something else is in it) and as gk_identity_read() does.
 */
enum gk_status prov_certificates_read(struct prov_context *context,
                                      struct prov_certificates *certificates,
                                      struct gk_error *err) GK_MUST_CHECK;
void prov_certificates_clear(struct prov_certificates *certificates);

/* --- objects: object.c --------------------------------------------------------------------------
 */

/*
 * Hand what the URI names to whoever asked the store for it: the key (after its password was looked
 * for), or its public part alone. Returns 1, or 0 with the reason on the error queue. Asks the TPM
 * for a key that is named by its handle, and only then.
 */
int prov_object_key(struct prov_context *context, const struct prov_uri *uri,
                    OSSL_CALLBACK *deliver, void *argument, OSSL_PASSPHRASE_CALLBACK *ask,
                    void *ask_argument);
int prov_object_public(struct prov_context *context, const struct prov_uri *uri,
                       OSSL_CALLBACK *deliver, void *argument);
/*
 * The public key of a reference as bytes, not as an object of ours: that has a private part, and
 * whoever wants a public key is not given one with it. No password is asked for, as nothing could
 * be done with it.
 */
int prov_object_public_part(struct prov_context *context, const struct gk_key *reference,
                            OSSL_CALLBACK *deliver, void *argument);
int prov_object_certificate(X509 *certificate, OSSL_CALLBACK *deliver, void *argument);

/* --- key files of other tools: tss2.c -----------------------------------------------------------
 */

#define PROV_TSS2_FIRST_SIZE 7

/* Whether an ASN.1 SEQUENCE that begins with these bytes is such a file, of whatever kind. */
bool prov_tss2_begins(const uint8_t first[static PROV_TSS2_FIRST_SIZE]);

/* The block of a "TSS2 PRIVATE KEY" in PEM as DER. Fails with GK_BAD_REFERENCE. */
enum gk_status prov_tss2_dearmour(const char *text, size_t size, uint8_t *der, size_t room,
                                  size_t *der_size, struct gk_error *err) GK_MUST_CHECK;

/* Fails as gk_key_from_loadable() does; asks no TPM. */
enum gk_status prov_tss2_parse(const uint8_t *der, size_t size, struct gk_key **key,
                               struct gk_error *err) GK_MUST_CHECK;

/* The failure for a file in the format that was there before. */
enum gk_status prov_tss2_refuse_legacy(struct gk_error *err);

/* --- how a signature is to be made: scheme.c ----------------------------------------------------
 */

/* What the application asked for so far (provider-signature(7), EVP_SIGNATURE-RSA(7)). */
struct prov_scheme {
    enum gk_scheme padding;
    bool hash_named;
    enum gk_hash hash;
    bool mgf1_named;
    enum gk_hash mgf1;
    int salt; /* bytes, or one of OpenSSL's negative RSA_PSS_SALTLEN values */
};

/* PKCS #1 v1.5, and a salt as long as the hash where PSS is asked for: the one every TPM can make.
 */
#define PROV_SCHEME_DEFAULT ((struct prov_scheme){ .padding = GK_RSASSA, .salt = -1 })

/* By any of the names OpenSSL has for it. Fails with GK_NOT_OFFERED. */
enum gk_status prov_scheme_hash(struct prov_scheme *scheme, const char *name,
                                struct gk_error *err) GK_MUST_CHECK;

/* Takes what it knows of params, which may be NULL. Fails with GK_NOT_OFFERED, GK_USAGE. */
enum gk_status prov_scheme_set(struct prov_scheme *scheme, const OSSL_PARAM params[],
                               struct gk_error *err) GK_MUST_CHECK;
const OSSL_PARAM *prov_scheme_settable(void);

/* Returns 1, or 0 when something does not fit into the caller's buffer. */
int prov_scheme_get(const struct prov_scheme *scheme, OSSL_PARAM params[]);
const OSSL_PARAM *prov_scheme_gettable(void);

/* Salt bytes to ask the TPM for. Fails with GK_NOT_OFFERED where the whole makes no sense. */
enum gk_status prov_scheme_settle(const struct prov_scheme *scheme, size_t *salt_size,
                                  struct gk_error *err) GK_MUST_CHECK;

#define PROV_ALGORITHM_ID_MAX 80

/*
 * Write the scheme's AlgorithmIdentifier in DER (RFC 8017, A.2.3 and A.2.4, and RFC 4055), as
 * certificates, requests and CMS carry it. Returns its size.
 */
size_t prov_algorithm_id(const struct prov_scheme *scheme, size_t salt_size,
                         uint8_t der[PROV_ALGORITHM_ID_MAX]);

/* --- a signature in the making: signature.c, and verification.c for the other way round ----------
 */

/* The signature that a streamed message is verified against; size 0 until it is given. */
struct prov_given {
    uint8_t bytes[GK_RSA2048_SIZE + 1]; /* one more, so that too long a one cannot fit */
    size_t size;
};

struct prov_signature {
    struct prov_context *context;
    const char *operation; /* for errors: "sign with the device key" */
    struct prov_key *key;
    struct prov_scheme scheme;
    EVP_MD_CTX *hashing; /* of a streamed message, else NULL */
    bool takes_message;  /* sign and verify are given messages, not digests: message.c */
    struct prov_given given;
};

/* Begin anew; without a key the one from before stays, as EVP allows. Fails with GK_USAGE. */
enum gk_status prov_signature_start(struct prov_signature *signature, const char *operation,
                                    void *provkey, struct gk_error *err) GK_MUST_CHECK;

/*
 * After it, for a message that comes in pieces: take the hash (SHA-256 for NULL and "") and params,
 * and hash what prov_signature_update() is given, until the end.
 */
enum gk_status prov_signature_start_message(struct prov_signature *signature, const char *hash,
                                            const OSSL_PARAM params[],
                                            struct gk_error *err) GK_MUST_CHECK;
enum gk_status prov_signature_end_message(struct prov_signature *signature,
                                          uint8_t digest[static EVP_MAX_MD_SIZE],
                                          struct gk_error *err) GK_MUST_CHECK;

/* Fails unless the hash was named and this is the size of its digests. */
enum gk_status prov_signature_check_digest(const struct prov_scheme *scheme, size_t size,
                                           struct gk_error *err) GK_MUST_CHECK;

OSSL_FUNC_signature_newctx_fn prov_signature_new;
OSSL_FUNC_signature_freectx_fn prov_signature_free;
OSSL_FUNC_signature_dupctx_fn prov_signature_copy;
OSSL_FUNC_signature_digest_sign_init_fn prov_digest_sign_init;
OSSL_FUNC_signature_digest_sign_update_fn prov_signature_update;
OSSL_FUNC_signature_digest_sign_final_fn prov_digest_sign_final;
OSSL_FUNC_signature_digest_sign_fn prov_digest_sign;
OSSL_FUNC_signature_get_ctx_params_fn prov_signature_get;
OSSL_FUNC_signature_gettable_ctx_params_fn prov_signature_gettable;

OSSL_FUNC_signature_verify_init_fn prov_verify_init;
OSSL_FUNC_signature_verify_fn prov_verify;
OSSL_FUNC_signature_digest_verify_init_fn prov_digest_verify_init;
OSSL_FUNC_signature_digest_verify_final_fn prov_digest_verify_final;
OSSL_FUNC_signature_digest_verify_fn prov_digest_verify;

/* --- whole messages, as OpenSSL 3.4 and later sign them: message.c ------------------------------
 */

#ifdef OSSL_FUNC_SIGNATURE_SIGN_MESSAGE_INIT
OSSL_FUNC_signature_sign_message_init_fn prov_message_sign_init;
OSSL_FUNC_signature_verify_message_init_fn prov_message_verify_init;
OSSL_FUNC_signature_verify_message_final_fn prov_message_verify_final;
extern const OSSL_DISPATCH prov_message_sha256[];
extern const OSSL_DISPATCH prov_message_sha384[];
extern const OSSL_DISPATCH prov_message_sha512[];
#endif

/* Take the signature to verify against, if params holds one. Fails with GK_USAGE. */
enum gk_status prov_message_set_given(struct prov_given *given, const OSSL_PARAM params[],
                                      struct gk_error *err) GK_MUST_CHECK;

/* --- the tables OpenSSL is given: tables.c ------------------------------------------------------
 */

#define PROV_TABLE_COUNT (OSSL_OP_STORE + 1)

/* NULL where nothing is offered for an operation. */
const OSSL_ALGORITHM *prov_table(const struct prov_context *context, int operation);

/* From now on they claim fips=yes. False when out of memory. */
bool prov_tables_assume_fips(struct prov_context *context);
void prov_tables_clear(struct prov_context *context);

extern const OSSL_ALGORITHM prov_keymgmt[];
extern const OSSL_ALGORITHM prov_signature[];
extern const OSSL_ALGORITHM prov_cipher[];
extern const OSSL_ALGORITHM prov_decoder[];
extern const OSSL_ALGORITHM prov_encoder[];
extern const OSSL_ALGORITHM prov_store[];

#endif
