/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CAs that are believed: by whom the hub and its API may be certified, and who may certify us.
 *
 * Roots of hub and API are what the owner named ([hub] ca_file, [api] ca_file; never written here)
 * and what is in server-ca.pem; the system's only where there is neither. Issuers are what is in
 * issuer-ca.pem. A new one comes in by somebody's word, or over a link certificate: the new root's
 * name and key, signed by a root that is trusted already (RFC 4210, section 4.4).
 *
 * One thread per object. Everything happens in the library context of struct agent_openssl. Errors:
 * see error.h; outputs are written on success only.
 */
#ifndef GATEKEY_AGENT_ROOTS_H
#define GATEKEY_AGENT_ROOTS_H

#include "agent/config.h"
#include "agent/openssl.h"
#include "cleanup.h"
#include "error.h"
#include "identity/identity.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* What a CA is believed for. */
enum agent_trust {
    AGENT_TRUST_HUB,    /* the certificate of [hub] host */
    AGENT_TRUST_API,    /* the certificate of [api] url */
    AGENT_TRUST_ISSUER, /* our own certificate */
};

/* As many as one of our files holds; a reply's chain may be no longer either. */
#define AGENT_ROOTS_MAX 8

/* A SHA-256 fingerprint in lower-case hex. */
#define AGENT_FINGERPRINT_SIZE 65

/* Certificates, owned. */
struct agent_roots {
    STACK_OF(X509) * all; /* NULL: none */
};
void agent_roots_clear(struct agent_roots *roots);
int agent_roots_count(const struct agent_roots *roots);
X509 *agent_roots_at(const struct agent_roots *roots, int index); /* borrowed */

/* Add a reference to x509, unless it is there already. Fails with GK_NO_MEMORY. */
enum gk_status agent_roots_add(struct agent_roots *roots, X509 *x509,
                               struct gk_error *err) GK_MUST_CHECK;
/* The same for one of our own files, name in errors: with room for AGENT_ROOTS_MAX. Fails with
 * GK_BUSY too. */
enum gk_status agent_roots_append(struct agent_roots *roots, X509 *x509, const char *name,
                                  struct gk_error *err) GK_MUST_CHECK;
/* Take out what has this fingerprint; false: it is not there. */
bool agent_roots_remove(struct agent_roots *roots, const char *fingerprint);
X509 *agent_roots_find(const struct agent_roots *roots, const char *fingerprint); /* or NULL */

/*
 * Parse the certificates in a PEM text, max at most (0: any number); other blocks are passed over.
 * what names it in errors. Fails with GK_BAD_FILE (none, too many, or one is broken), GK_NO_MEMORY.
 */
enum gk_status agent_roots_parse(struct agent_openssl *openssl, const char *pem, int max,
                                 const char *what, struct agent_roots *roots,
                                 struct gk_error *err) GK_MUST_CHECK;

/* Read one of our files, such as GK_FILE_SERVER_CA; one that is missing holds none. */
enum gk_status agent_roots_read(const struct agent_config *config, struct agent_openssl *openssl,
                                const char *name, struct agent_roots *roots,
                                struct gk_error *err) GK_MUST_CHECK;

/* Replace one of our files; without certificates it is removed. Fails as agent_file_replace(). */
enum gk_status agent_roots_write(const struct agent_config *config, const char *name,
                                 const struct agent_roots *roots,
                                 struct gk_error *err) GK_MUST_CHECK;

/* The owner's own file for that trust, or NULL. */
const char *agent_roots_file(const struct agent_config *config, enum agent_trust trust);

/* Where the roots for that trust stand, in words for an error or for status. */
void agent_roots_describe(const struct agent_config *config, enum agent_trust trust, char *text,
                          size_t size);

/*
 * All that are trusted, the system's left out. *system (may be NULL) is true when it is the system
 * that is trusted. Fails as agent_roots_read(), GK_NO_FILE (ca_file is missing).
 */
enum gk_status agent_roots_trusted(const struct agent_config *config, struct agent_openssl *openssl,
                                   enum agent_trust trust, struct agent_roots *roots, bool *system,
                                   struct gk_error *err) GK_MUST_CHECK;

/* The same put into a store, the system's included. */
enum gk_status agent_roots_fill(const struct agent_config *config, struct agent_openssl *openssl,
                                enum agent_trust trust, X509_STORE *store,
                                struct gk_error *err) GK_MUST_CHECK;

/*
 * The same as one PEM text, for libcurl; empty (data NULL) when the system is trusted. The caller
 * frees it with gk_content_clear().
 */
enum gk_status agent_roots_pem(const struct agent_config *config, enum agent_trust trust,
                               struct gk_content *pem, struct gk_error *err) GK_MUST_CHECK;

/* The SHA-256 fingerprint of a certificate. */
void agent_fingerprint(const X509 *x509, char text[static AGENT_FINGERPRINT_SIZE]);

/* Bring a fingerprint as people write it (colons, blanks, capitals) into our form; false: it is
 * none. */
bool agent_fingerprint_read(const char *text, char clean[static AGENT_FINGERPRINT_SIZE]);

/* The same for people: capitals in pairs, parted by colons, as openssl x509 -fingerprint. */
#define AGENT_FINGERPRINT_SHOWN_SIZE 96
void agent_fingerprint_show(const X509 *x509, char text[static AGENT_FINGERPRINT_SHOWN_SIZE]);

/* notBefore and notAfter, UNIX time; false: they make no sense. */
bool agent_certificate_dates(const X509 *x509, int64_t *begin, int64_t *end);

/* True where the certificate is signed by its own key. */
bool agent_root_is_self_signed(X509 *x509);

/*
 * Check that a certificate may be trusted as a CA at that time: CA:TRUE, keyCertSign where it has a
 * key usage, RSA of 2048 bits or as strong, signed with SHA-256 or better, and in its dates.
 * Fails with GK_BAD_CERTIFICATE, GK_NOT_YET_VALID, GK_EXPIRED; the error names the certificate.
 */
enum gk_status agent_root_check(X509 *x509, int64_t now, struct gk_error *err) GK_MUST_CHECK;

/*
 * Do the trusted ones vouch for this root? Returns which of the candidates is the link: it has the
 * root's name and key, may be a CA itself (as above), and is signed by a trusted one. NULL: none.
 * Nothing but the chain counts: a root that merely has the same name as a trusted one is not
 * vouched for.
 */
X509 *agent_root_link(struct agent_openssl *openssl, X509 *root,
                      const struct agent_roots *candidates, const struct agent_roots *trusted,
                      int64_t now);

#endif
