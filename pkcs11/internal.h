/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of pkcs11/ share.
 *
 * One lock stands around every entry point (library.c); everything here is called with it held
 * unless it says otherwise. It is let go for the length of a TPM operation only, so that listing,
 * digests and other sessions do not wait for a TPM. Words: "the standard" is "PKCS #11
 * Cryptographic Token Interface Base Specification Version 3.0" (OASIS).
 */
#ifndef GATEKEY_PKCS11_INTERNAL_H
#define GATEKEY_PKCS11_INTERNAL_H

#include "identity/identity.h"
#include "pkcs11/cryptoki.h"
#include "tpm/devkey.h"

#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define P11_SLOT_ID 0UL /* the one slot */
#define P11_ID_SIZE 20  /* bytes of CKA_ID */

/* --- attributes and objects (attribute.c, object.c) ---------------------------------------------
 */

/* One attribute of an object. value is NULL where the standard lets it be known but never read. */
struct p11_attribute {
    CK_ATTRIBUTE_TYPE type;
    bool sensitive; /* answered with CKR_ATTRIBUTE_SENSITIVE */
    CK_ULONG size;
    uint8_t *value;
};

struct p11_object {
    CK_OBJECT_HANDLE handle; /* 0 until the library gives it one (p11_library_handle()) */
    CK_OBJECT_CLASS class;
    bool private; /* CKA_PRIVATE: only seen after C_Login */
    struct p11_attribute *attributes;
    size_t count;
};

/* Each by itself; false when memory ran out, the object is then only good for clearing. */
bool p11_object_add(struct p11_object *object, CK_ATTRIBUTE_TYPE type, const void *value,
                    size_t size);
bool p11_object_add_bool(struct p11_object *object, CK_ATTRIBUTE_TYPE type, bool value);
bool p11_object_add_number(struct p11_object *object, CK_ATTRIBUTE_TYPE type, CK_ULONG value);
bool p11_object_add_sensitive(struct p11_object *object, CK_ATTRIBUTE_TYPE type);
void p11_object_clear(struct p11_object *object);
/* NULL where the object has no such attribute. */
const struct p11_attribute *p11_object_find(const struct p11_object *object,
                                            CK_ATTRIBUTE_TYPE type);
/* Every attribute of the template is there, byte for byte. */
bool p11_object_matches(const struct p11_object *object, const CK_ATTRIBUTE *template,
                        CK_ULONG count);
/* Same attributes with the same values. */
bool p11_object_equal(const struct p11_object *a, const struct p11_object *b);

/* --- certificates (certificate.c, chain.c) ------------------------------------------------------
 */

/* What the attributes of an X.509 certificate need; all point into der. */
struct p11_bytes {
    const uint8_t *data;
    size_t size;
};
struct p11_certificate {
    struct p11_bytes der;     /* the whole certificate */
    struct p11_bytes subject; /* DER of the name */
    struct p11_bytes issuer;
    struct p11_bytes serial;      /* DER of the INTEGER */
    struct p11_bytes public_info; /* DER of SubjectPublicKeyInfo */
    struct p11_bytes public_bits; /* the content of its BIT STRING, without the count of bits */
};

/* Take a DER certificate apart; false where it is none (trailing bytes count as such). */
bool p11_certificate_parse(const uint8_t *der, size_t size, struct p11_certificate *certificate);

#define P11_CERTIFICATES_MAX 8

/* The certificates of a PEM text, in its order. */
struct p11_chain {
    uint8_t *der[P11_CERTIFICATES_MAX]; /* owned */
    size_t size[P11_CERTIFICATES_MAX];
    size_t count;
};

/*
 * Other PEM blocks are passed over; a private key among them, a damaged certificate or too many are
 * GK_BAD_FILE; none at all is GK_OK with a count of 0. path is for errors only.
 */
enum gk_status p11_chain_parse(const struct gk_content *content, const char *path,
                               struct p11_chain *chain, struct gk_error *err) GK_MUST_CHECK;
void p11_chain_clear(struct p11_chain *chain);

/* DER of a public key: RSAPublicKey (RFC 8017, A.1.1) and SubjectPublicKeyInfo (RFC 5280, 4.1). */
#define P11_PUBLIC_BITS_MAX 280
#define P11_PUBLIC_INFO_MAX 304
size_t p11_public_bits(const struct gk_public *public, uint8_t bits[static P11_PUBLIC_BITS_MAX]);
size_t p11_public_info(const struct gk_public *public, uint8_t info[static P11_PUBLIC_INFO_MAX]);

/* --- the token: what the identity directory held when it was read (token.c) ---------------------
 *
 * Immutable but for the handles of its objects and lacks_pss, counted by holders.
 */

/* Which version of a file it was. */
struct p11_stamp {
    bool exists;
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
};

struct p11_token {
    unsigned holders;
    /* GK_OK, or why there is no key; the token then counts as not initialised and is empty. */
    enum gk_status status;
    struct gk_error error;      /* says more; where status is GK_OK, of the certificates */
    struct p11_stamp stamps[3]; /* device.pem, cert.pem, identity.pem */
    bool is_incomplete;         /* for now: no descriptor was left, or the disk failed */
    char label[32 + 1];         /* the last component of the directory: "gatekey" */
    char serial[16 + 1];        /* from CKA_ID; "" without a key */
    struct gk_key *key;         /* NULL where status is not GK_OK */
    bool lacks_pss;             /* a signature has shown that TPM and key cannot make the salt */
    uint8_t id[P11_ID_SIZE];    /* RFC 7093, 2, method 1: leftmost 160 bits of SHA-256 */
    struct p11_object *objects; /* key, public key, certificates, profiles */
    size_t count;
};

/*
 * Read the identity directory. Never fails but for memory (NULL): what is wrong with the files is
 * in status. Where device.pem and the first certificate of cert.pem do not belong together (a key
 * is being renewed), both come from identity.pem, which changes in one step. Reads local files;
 * no TPM command.
 */
struct p11_token *p11_token_read(const char *directory);
/* A token without a key, for whoever cannot even say where the directory is. */
struct p11_token *p11_token_none(const struct gk_error *why);
/* The files are no longer the ones it was read from. */
bool p11_token_is_stale(const struct p11_token *token, const char *directory);
struct p11_token *p11_token_hold(struct p11_token *token);
void p11_token_release(struct p11_token *token); /* NULL is fine */
/* Objects that the older one has as well, and halves of the same key, keep their handles; the
 * others get 0. */
void p11_token_inherit(struct p11_token *token, const struct p11_token *older);
struct p11_object *p11_token_object(const struct p11_token *token, CK_OBJECT_HANDLE handle);

/* --- what lies on the token (contents.c) --------------------------------------------------------
 */

/* CKA_ID of a key, from the content of its BIT STRING. */
void p11_key_id(struct p11_bytes public_bits, uint8_t id[static P11_ID_SIZE]);
/* The first certificate is of the key with that id. */
bool p11_chain_fits(const struct p11_chain *chain, const uint8_t id[static P11_ID_SIZE]);
/* Make the objects of a token that has its key and id; false when memory ran out. */
bool p11_token_fill(struct p11_token *token, const struct p11_chain *chain);

/* --- mechanisms (mechanism.c) -------------------------------------------------------------------
 */

enum p11_use { P11_DIGEST, P11_SIGN, P11_VERIFY };

/* What is signed. */
enum p11_input {
    P11_MESSAGE,     /* hashed here, in one part or several */
    P11_DIGEST_INFO, /* CKM_RSA_PKCS: DER of hash algorithm and digest (RFC 8017, 9.2) */
    P11_HASHED,      /* CKM_RSA_PKCS_PSS: the digest; which, says the parameter */
};

/* One row per mechanism, read by everything that asks about one. */
struct p11_mechanism {
    CK_MECHANISM_TYPE type;
    CK_MECHANISM_INFO info;
    enum p11_input input;
    enum gk_scheme scheme; /* signatures only */
    bool any_hash;         /* the hash is not the mechanism's own but said by data or parameter */
    enum gk_hash hash;
};

extern const struct p11_mechanism p11_mechanisms[];
extern const size_t p11_mechanism_count;

/* Offered with this token: PSS is not where TPM and key cannot make the right salt. */
bool p11_mechanism_is_offered(const struct p11_mechanism *mechanism, const struct p11_token *token);
/* NULL where it is not offered for this use. */
const struct p11_mechanism *p11_mechanism_find(CK_MECHANISM_TYPE type, enum p11_use use,
                                               const struct p11_token *token);

/* --- hashes and verification on nettle (crypto.c) -----------------------------------------------
 */

struct p11_hash {
    enum gk_hash type;
    union {
        struct sha256_ctx sha256;
        struct sha512_ctx sha512; /* SHA-384 too */
    } state;
};
void p11_hash_begin(struct p11_hash *hash, enum gk_hash type);
void p11_hash_add(struct p11_hash *hash, const void *data, size_t size);
void p11_hash_end(struct p11_hash *hash, uint8_t digest[static GK_HASH_MAX_SIZE]);

/* DER of a DigestInfo (RFC 8017, 9.2, note 1), parameter NULL and all. */
#define P11_DIGEST_INFO_MAX (19 + GK_HASH_MAX_SIZE)
size_t p11_digest_info_write(enum gk_hash hash, const uint8_t *digest,
                             uint8_t info[static P11_DIGEST_INFO_MAX]);
/* CKR_DATA_LEN_RANGE or CKR_DATA_INVALID where it is none, of these hashes. */
CK_RV p11_digest_info_read(const uint8_t *info, size_t size, enum gk_hash *hash,
                           uint8_t digest[static GK_HASH_MAX_SIZE]);

/* As verify below, for RSASSA with anything in the place of the DigestInfo; needs no lock. */
int p11_crypto_verify_pkcs1(const struct gk_public *public, const uint8_t *data, size_t size,
                            const uint8_t signature[GK_RSA2048_SIZE]);
/* For tpm/; needs no lock. */
extern const struct gk_crypto p11_crypto;

/* --- operations of a session (digest.c, signing.c, sign.c, verify.c, find.c) --------------------
 */

/*
 * The standard, "Conventions for functions returning output in a variable-length buffer": true
 * where needed bytes may be written to buffer. Else *size says how many, *rv is what the function
 * returns, and the operation stays active.
 */
bool p11_has_room(const void *buffer, CK_ULONG *size, CK_ULONG needed, CK_RV *rv);

struct p11_digest {
    bool active, multipart;
    struct p11_hash hash;
};

/* Signing and verifying are begun alike. */
struct p11_signing {
    bool active, multipart;
    const struct p11_mechanism *mechanism;
    enum gk_hash hash_type; /* for P11_HASHED: the parameter's */
    struct p11_hash hash;
    struct p11_token *token; /* held: the key that C_SignInit was given */
};
/* C_SignInit and C_VerifyInit, by use. */
CK_RV p11_signing_begin(struct p11_signing *signing, enum p11_use use,
                        const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
/* Is active, and can be ended by a Final or an Update, else by C_Sign or C_Verify. */
CK_RV p11_signing_check(const struct p11_signing *signing, bool is_multipart);
/* C_SignUpdate and C_VerifyUpdate. */
CK_RV p11_signing_update(struct p11_signing *signing, const CK_BYTE *part, CK_ULONG size);
/* The digest of all data, the last of which is given here. */
CK_RV p11_signing_digest(struct p11_signing *signing, const CK_BYTE *data, CK_ULONG size,
                         enum gk_hash *hash, uint8_t digest[static GK_HASH_MAX_SIZE]);
/* End it, whatever its state; a zeroed one is fine. */
void p11_signing_end(struct p11_signing *signing);

struct p11_find {
    bool active;
    CK_OBJECT_HANDLE *found;
    size_t count, next;
};
void p11_find_end(struct p11_find *find);

/* --- sessions (session.c) -----------------------------------------------------------------------
 */

struct p11_session {
    CK_SESSION_HANDLE handle;
    CK_FLAGS flags; /* CKF_SERIAL_SESSION, CKF_RW_SESSION */
    struct p11_find find;
    struct p11_digest digest;
    struct p11_signing sign;
    struct p11_signing verify;
};

/* NULL where it is none, or no longer. */
struct p11_session *p11_session_find(CK_SESSION_HANDLE handle);
/* Their number; with CKF_RW_SESSION only those that are read-write. */
CK_ULONG p11_session_count(CK_FLAGS flags);
void p11_session_close_all(void);
/* End what any session does with private objects, for C_Logout. */
void p11_session_end_private(void);

/* --- the library (library.c) --------------------------------------------------------------------
 */

/*
 * Held while an entry point runs; let go by p11_leave(), at the latest when it goes out of scope.
 * The thread cannot be cancelled meanwhile.
 */
struct p11_guard {
    bool locked;
    int cancel_state; /* the thread's own */
};

/* CKR_CRYPTOKI_NOT_INITIALIZED, in a child of fork as well; guard is then not locked. */
CK_RV p11_enter(struct p11_guard *guard) GK_MUST_CHECK;
/* The same, and the session of that handle, or CKR_SESSION_HANDLE_INVALID. */
CK_RV p11_enter_session(struct p11_guard *guard, CK_SESSION_HANDLE handle,
                        struct p11_session **session) GK_MUST_CHECK;
/* The same for functions that take a slot: CKR_SLOT_ID_INVALID. */
CK_RV p11_enter_slot(struct p11_guard *guard, CK_SLOT_ID slot) GK_MUST_CHECK;
void p11_leave(struct p11_guard *guard);
/* Wait for C_Finalize, or to be cancelled, with the lock let go meanwhile and afterwards. */
void p11_library_await_end(struct p11_guard *guard);

/* The token as it was last read; read now where it never was. NULL when memory ran out. */
struct p11_token *p11_library_token(void);
/* The same, read again where the files have changed since; the older one while they cannot be. */
struct p11_token *p11_library_token_now(void);
/* Its key is still that of another token, read earlier. */
bool p11_library_has_key_of(const struct p11_token *token);
/* The object of that handle that this application may see now, or NULL. */
struct p11_object *p11_library_object(CK_OBJECT_HANDLE handle);
/* False for private objects before C_Login. */
bool p11_library_shows(const struct p11_object *object);

/* C_Login was successful; with the password that the key's signatures need from now on, or NULL. */
void p11_library_log_in(const struct gk_auth *auth);
void p11_library_log_out(void);
bool p11_library_logged_in(void);

/* What p11_library_sign() is asked for; token is held by whoever asks. */
struct p11_request {
    struct p11_token *token;
    const struct gk_auth *auth; /* NULL: the one of C_Login */
    enum gk_scheme scheme;
    enum gk_hash hash;
    const uint8_t *digest;
    size_t salt_size;
};

/*
 * Sign with the token's key: one TPM command. Lets the lock go while the TPM works and takes it
 * again: whatever else belongs to the lock, sessions above all, may be gone by then. Needs a token
 * with a key. On success signature receives its GK_RSA2048_SIZE bytes. Fails with CKR_FUNCTION_
 * CANCELED after a C_Finalize meanwhile, and as p11_status_code().
 */
CK_RV p11_library_sign(const struct p11_request *request,
                       uint8_t signature[GK_RSA2048_SIZE]) GK_MUST_CHECK;

/* --- texts (slot.c) ----------------------------------------------------------------------------
 */

#define P11_MANUFACTURER "gatekey"

/* The standard's text fields: filled up with blanks, never a NUL. */
void p11_pad(CK_UTF8CHAR *field, size_t size, const char *text);

/* --- fork (fork.c) ------------------------------------------------------------------------------
 */

/* Have the library told of forks from now on. */
enum gk_status p11_fork_watch(struct gk_error *err) GK_MUST_CHECK;
/* Around whatever may fork by itself, as some TCTIs do to reach their TPM. */
void p11_fork_enter(void);
void p11_fork_leave(void);
/* library.c: hold everything still, and let it go on in the parent or forget it in the child. */
void p11_library_before_fork(void);
void p11_library_after_fork(bool child);

/* --- errors (status.c) --------------------------------------------------------------------------
 */

/* The return code that stands for a failure. */
CK_RV p11_status_code(enum gk_status status);
/* The same, and the sentence "cannot <operation>: ..." on stderr where GATEKEY_DEBUG asks for it.
 */
CK_RV p11_status_report(const char *operation, const struct gk_error *err);
/* Look at the environment, at C_Initialize. A child's may be gone: it then goes on as its parent.
 */
void p11_status_capture(bool is_child);

#endif
