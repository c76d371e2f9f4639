/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of the device: asking for one, and looking at one before it is believed.
 *
 * One thread. Everything happens in the library context of struct agent_openssl. Errors: see
 * error.h.
 */
#ifndef GATEKEY_COMMAND_CERTIFICATE_H
#define GATEKEY_COMMAND_CERTIFICATE_H

#include "agent/config.h"
#include "agent/openssl.h"
#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

/* The longest value of a subject's part (EnOS, "X.509 Certificate Service"), characters. */
#define CERTIFICATE_NAME_MAX 64

/*
 * The common name to ask for: [device] common_name with "{device_key}" replaced, and suffix (NULL:
 * none) behind it, for which the name is cut where it would grow too long. Fails with GK_BAD_CONFIG
 * (too long, or empty), GK_NO_MEMORY.
 */
enum gk_status certificate_common_name(const struct agent_config *config, const char *suffix,
                                       char name[static CERTIFICATE_NAME_MAX + 1],
                                       struct gk_error *err) GK_MUST_CHECK;

/* A suffix unlike any other that was ever asked for, whichever gateway asks. */
#define CERTIFICATE_SUFFIX_SIZE 16
void certificate_suffix(char suffix[static CERTIFICATE_SUFFIX_SIZE]);

/*
 * A certificate signing request for key (PKCS #10, RFC 2986), in PEM: the subject from [device]
 * with this common name, keyUsage digitalSignature asked for, SHA256withRSA (PKCS #1 v1.5). One
 * signature of the key. pem is the caller's to free(3). Fails with GK_CRYPTO_FAILED (the key's own
 * failure in the error), GK_NO_MEMORY.
 */
enum gk_status certificate_request(const struct agent_config *config, struct agent_openssl *openssl,
                                   EVP_PKEY *key, const char *common_name, char **pem,
                                   struct gk_error *err) GK_MUST_CHECK;

/* A certificate with the CAs that issued it. */
struct certificate;
void certificate_free(struct certificate *certificate); /* NULL is fine */
GK_DEFINE_CLEANUP(struct certificate, certificate_free)

/*
 * Parse a certificate in PEM (further ones behind it are its chain) and its issuers in PEM.
 * Fails with GK_BAD_CERTIFICATE, GK_NO_MEMORY.
 */
enum gk_status certificate_parse(struct agent_openssl *openssl, const char *pem,
                                 const char *issuers, struct certificate **certificate,
                                 struct gk_error *err) GK_MUST_CHECK;

/*
 * Check that it is what this device can use now: for this key, RSA-2048, no CA's, for TLS clients
 * where it says what it is for, valid at this time (agent_clock_now()), signed with SHA-256, by its
 * issuers. Fails with GK_NOT_YET_VALID (it or an issuer begins later: the clock may be wrong, and
 * the certificate right), GK_EXPIRED (it has), GK_BAD_CERTIFICATE, which says what does not fit.
 */
enum gk_status certificate_check(const struct agent_config *config, struct agent_openssl *openssl,
                                 const struct certificate *certificate, EVP_PKEY *key,
                                 struct gk_error *err) GK_MUST_CHECK;

/* What a certificate that is carried in must be; nothing of this is kept. */
struct certificate_wanted {
    EVP_PKEY *key;           /* the one that it was asked for with */
    const char *common_name; /* what was asked for */
    const char *fingerprint; /* of the CA that somebody vouches for, as people write it; NULL: none
                              */
};

/*
 * Believe a certificate that somebody, or the hub over MQTT, carried in: find it among those of pem
 * and issuers (may be NULL), which may come in any order and with others, check it as
 * certificate_check() does, and find the way from it to a CA that is known here: one of
 * issuer-ca.pem, of [hub] ca_file, of server-ca.pem, or the one that wanted vouches for. The
 * issuers of *certificate are those of that way. Nothing is written. Fails as certificate_check()
 * does, with GK_USAGE (this is no fingerprint), and as agent_roots_trusted(); where the issuer is
 * not known the error says its fingerprint.
 */
enum gk_status certificate_accept(const struct agent_config *config, struct agent_openssl *openssl,
                                  const struct certificate_wanted *wanted, const char *pem,
                                  const char *issuers, struct certificate **certificate,
                                  struct gk_error *err) GK_MUST_CHECK;

/* The X.509 serial in decimal, as EnOS's certSN; the subject and its CN for people. */
const char *certificate_serial(const struct certificate *certificate);
const char *certificate_subject(const struct certificate *certificate);
const char *certificate_subject_name(const struct certificate *certificate);

/* Is it for this key? */
bool certificate_is_for(const struct certificate *certificate, const struct gk_public *key);

/* Does it begin later than a clock that is a little behind explains? */
bool certificate_is_early(const struct agent_config *config, const struct certificate *certificate);

/* When it begins and ends, UNIX time. */
int64_t certificate_begin(const struct certificate *certificate);
int64_t certificate_end(const struct certificate *certificate);

/*
 * What goes into the files: the certificate and those of its issuers that are no roots; all its
 * issuers. Both are the caller's to free(3), NULL when out of memory.
 */
char *certificate_format_chain(const struct certificate *certificate);
char *certificate_format_issuers(const struct certificate *certificate);

/*
 * The new issuer-ca.pem: its issuers, then those that are in the file already and have not ended,
 * since the certificate before this one may still be looked at; AGENT_ROOTS_MAX at most. *pem is
 * the caller's to free(3). Fails as agent_roots_read().
 */
enum gk_status certificate_unite_issuers(const struct agent_config *config,
                                         struct agent_openssl *openssl,
                                         const struct certificate *certificate, char **pem,
                                         struct gk_error *err) GK_MUST_CHECK;

/*
 * Read the installed one: cert.pem with issuer-ca.pem (which may be missing).
 * Fails with GK_NOT_ENROLLED (no cert.pem), GK_BAD_CERTIFICATE, and as gk_identity_read().
 */
enum gk_status certificate_read(const struct agent_config *config, struct agent_openssl *openssl,
                                struct certificate **certificate,
                                struct gk_error *err) GK_MUST_CHECK;

#endif
