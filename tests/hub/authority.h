/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local hub's CA: one RSA-2048 root that signs the hub's own server certificate, the devices'
 * certificates, and the list of the revoked ones, with the profiles EnOS uses.
 *
 * In EnOS's profile a device's certificate carries no key usage, no extended key usage and no CRL
 * distribution point, because EnOS's do not. What is issued and revoked is remembered by the
 * caller. Safe from several threads once open.
 */
#ifndef GATEKEY_HUB_AUTHORITY_H
#define GATEKEY_HUB_AUTHORITY_H

#include "cleanup.h"
#include "error.h"

#include <openssl/x509.h>
#include <stdint.h>

#define HUB_DAY_MS INT64_C(86400000)
#define HUB_DAY_S INT64_C(86400)

struct hub_authority;

/* Open the root in a folder (root.pem, root.key), making it on first use to live for so many days.
 */
GK_MUST_CHECK enum gk_status hub_authority_open(const char *directory, int life_days,
                                                struct hub_authority **authority,
                                                struct gk_error *err);
void hub_authority_close(struct hub_authority *authority);
GK_DEFINE_CLEANUP(struct hub_authority, hub_authority_close)

/* The root certificate, PEM; lives as long as the authority. */
const char *hub_authority_root(const struct hub_authority *authority);

/* Whole days the root still lives, 0 when it is over. */
int hub_authority_days_left(const struct hub_authority *authority);

/* A certificate request that was read and found good. */
struct hub_request {
    X509_REQ *request;
    char common_name[65 * 4]; /* 64 characters of UTF-8 */
    char key_digest[65];      /* SHA-256 of the public key's DER */
};

void hub_request_clear(struct hub_request *request);

/*
 * Read a PEM request as EnOS would: RSA with exactly 2048 bits, signed by that key with
 * SHA256withRSA (PKCS#1 v1.5), and C, ST, L, O, OU and CN in the subject. Otherwise GK_NOT_RSA2048
 * or GK_BAD_FILE with the reason as the error's object.
 */
GK_MUST_CHECK enum gk_status hub_request_read(const char *pem, struct hub_request *request,
                                              struct gk_error *err);

/* What was issued. Texts are the caller's to free by hub_issued_clear. */
struct hub_issued {
    char *pem;
    char *subject; /* RFC 2253 */
    char *issuer;
    int64_t sign_ms;
    int64_t expire_ms;
};

void hub_issued_clear(struct hub_issued *issued);

/* What is put into a certificate beside subject and key. */
enum hub_profile {
    HUB_PROFILE_ENOS,   /* a device's, as EnOS issues them */
    HUB_PROFILE_MODERN, /* a device's, with key usage, clientAuth and CRL distribution point */
    HUB_PROFILE_SERVER, /* the hub's own; its subjectAltName is copied from the request */
};

struct hub_terms {
    enum hub_profile profile;
    int64_t from_s; /* when it begins, counted from now; negative is in the past */
    int64_t life_s; /* how long it is valid from then on */
    const char *crl_url;
};

/* Issue a certificate: subject and key copied from the request. */
GK_MUST_CHECK enum gk_status hub_authority_certify(struct hub_authority *authority,
                                                   const struct hub_request *request,
                                                   int64_t serial, const struct hub_terms *terms,
                                                   struct hub_issued *issued, struct gk_error *err);

/* How hub_authority_issue departs from what it is asked: life_s 0 keeps to the days. */
void hub_authority_set_terms(struct hub_authority *authority, const struct hub_terms *terms);

/*
 * Issue a device's certificate, valid from now for so many days. crl_url goes into the Netscape
 * revocation URL, where EnOS writes it.
 */
GK_MUST_CHECK enum gk_status hub_authority_issue(struct hub_authority *authority,
                                                 const struct hub_request *request, int64_t serial,
                                                 int days, const char *crl_url,
                                                 struct hub_issued *issued, struct gk_error *err);

struct hub_revocation {
    int64_t serial;
    int64_t time_ms;
    int reason; /* RFC 5280, 5.3.1; 0 is left out */
};

/* A list of the revoked, PEM, valid from from_s seconds from now for life_s. The caller frees it.
 */
GK_MUST_CHECK enum gk_status hub_authority_crl(struct hub_authority *authority,
                                               const struct hub_revocation *revoked, size_t count,
                                               int64_t number, int64_t from_s, int64_t life_s,
                                               char **pem, struct gk_error *err);

/* A new RSA-2048 key, PEM (PKCS#8); the caller frees it. */
GK_MUST_CHECK enum gk_status hub_key_create(char **pem, struct gk_error *err);

/* A request for a server's certificate by a key: names is "DNS:...,IP:..."; the caller frees the
 * PEM. */
GK_MUST_CHECK enum gk_status hub_request_create(const char *key_pem, const char *common_name,
                                                const char *names, char **pem,
                                                struct gk_error *err);

#endif
