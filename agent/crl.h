/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocation lists (RFC 5280, section 5): read, believed or not, looked up.
 *
 * A list counts only when one of the given CAs signed it, when it does not come from the future,
 * and when nothing in it must be understood that is not understood here. Past its nextUpdate it is
 * still used for [trust] grace; what then is [trust] stale. Times are judged by whoever calls, with
 * agent_clock_now().
 *
 * One thread per object. Everything happens in the library context of struct agent_openssl. Errors:
 * see error.h; outputs are written on success only.
 */
#ifndef GATEKEY_AGENT_CRL_H
#define GATEKEY_AGENT_CRL_H

#include "agent/config.h"
#include "agent/openssl.h"
#include "agent/roots.h"
#include "cleanup.h"
#include "error.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest list that is taken from the network, bytes: more than 100,000 revocations, which take
 * some 90 MB while they are looked at. As PEM in a file it is longer. */
#define AGENT_CRL_MAX ((size_t)4 * 1024 * 1024)
#define AGENT_CRL_FILE_MAX ((size_t)6 * 1024 * 1024)

/* How far thisUpdate may be ahead of us: clocks differ. */
#define AGENT_CRL_SKEW_S 300

enum agent_crl_age {
    AGENT_CRL_FRESH, /* before its nextUpdate */
    AGENT_CRL_GRACE, /* after it, by [trust] grace at most */
    AGENT_CRL_STALE,
};

struct agent_crl;
void agent_crl_free(struct agent_crl *crl); /* NULL is fine */
GK_DEFINE_CLEANUP(struct agent_crl, agent_crl_free)

/*
 * Parse one list, PEM or DER. It must say when the next one comes, be a whole list and not a
 * delta or an indirect one, be signed with SHA-256 or better, and have no critical extension but
 * issuingDistributionPoint. Fails with GK_BAD_CRL, GK_NO_MEMORY.
 */
enum gk_status agent_crl_parse(struct agent_openssl *openssl, const void *data, size_t size,
                               struct agent_crl **crl, struct gk_error *err) GK_MUST_CHECK;

/*
 * Check that a CA in the store (or one that chains to it) issued the list: its name, its key, its
 * key usage; and that the list is not from the future. Its age is not looked at. where names the
 * store in errors. Fails with GK_BAD_CRL.
 */
enum gk_status agent_crl_verify(struct agent_openssl *openssl, struct agent_crl *crl,
                                X509_STORE *trusted, const char *where, int64_t now,
                                struct gk_error *err) GK_MUST_CHECK;

/*
 * Check that a list is not older than the one before it: by the CRL number where the same key
 * signed both (a new CA counts anew), by thisUpdate always. Both are verified. Fails with
 * GK_BAD_CRL.
 */
enum gk_status agent_crl_follow(const struct agent_crl *crl, const struct agent_crl *before,
                                struct gk_error *err) GK_MUST_CHECK;

/* The same list, byte by byte. */
bool agent_crl_identical(const struct agent_crl *a, const struct agent_crl *b);

enum agent_crl_age agent_crl_age(const struct agent_config *config, const struct agent_crl *crl,
                                 int64_t now);
int64_t agent_crl_this_update(const struct agent_crl *crl); /* UNIX time */
int64_t agent_crl_next_update(const struct agent_crl *crl);

/*
 * Does the list speak of this certificate? Its issuer is the list's, or the list's signer follows
 * that issuer: one of the links (NULL: none), certificates that were believed, has the signer's
 * name and key and is signed by the issuer. A CA that changes its name with its key goes on
 * numbering its certificates, and lists them all.
 */
bool agent_crl_counts_for(const struct agent_crl *crl, const X509 *x509,
                          const struct agent_roots *links);

/* Is this certificate revoked by it? A list that does not speak of it says nothing: false. */
bool agent_crl_lists(const struct agent_crl *crl, X509 *x509, const struct agent_roots *links);

/* The list as PEM: allocated, NULL when out of memory. */
char *agent_crl_format(const struct agent_crl *crl);

/*
 * Read GK_FILE_CRL or GK_FILE_SERVER_CRL, and verify it by issuer-ca.pem or by the roots of the
 * hub. Fails with GK_NO_FILE (there is none), GK_BAD_CRL, and as agent_file_read(),
 * agent_roots_fill().
 */
enum gk_status agent_crl_read(const struct agent_config *config, struct agent_openssl *openssl,
                              const char *name, int64_t now, struct agent_crl **crl,
                              struct gk_error *err) GK_MUST_CHECK;

/*
 * Is our own certificate, cert.pem, revoked by crl.pem? Without either it is not. A list that is
 * stale still counts: what was revoked stays revoked. Fails as agent_crl_read().
 */
enum gk_status agent_crl_lists_own(const struct agent_config *config, struct agent_openssl *openssl,
                                   bool *listed, struct gk_error *err) GK_MUST_CHECK;

#endif
