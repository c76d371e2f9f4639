/* SPDX-License-Identifier: Apache-2.0 */
/* Words for X.509 verification errors and TLS alerts. */
#include "agent/alert.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct row {
    int code;
    const char *cause;
    const char *advice; /* NULL: the status's own */
};

#define NOT_ANCHORED "its issuer is not among the roots in"
#define CHECK_ROOTS \
    "put the root that signed the hub's certificate into [hub] ca_file, if you trust it"
#define CHECK_NAME "check [hub] host, or set [hub] server_name to the name in the hub's certificate"
#define CHECK_CLOCK "check this machine's clock, then ask the hub's operator"
#define CHECK_LIST "replace server-crl.pem by a current one"

static const struct row distrusts[] = {
    { X509_V_ERR_HOSTNAME_MISMATCH, "its certificate is for another name", CHECK_NAME },
    { X509_V_ERR_IP_ADDRESS_MISMATCH, "its certificate is for another address", CHECK_NAME },
    { X509_V_ERR_CERT_HAS_EXPIRED, "its certificate has expired", CHECK_CLOCK },
    { X509_V_ERR_CERT_NOT_YET_VALID, "its certificate is not valid yet", CHECK_CLOCK },
    { X509_V_ERR_CERT_REVOKED, "its certificate is revoked", NULL },
    { X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, NOT_ANCHORED, CHECK_ROOTS },
    { X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, NOT_ANCHORED, CHECK_ROOTS },
    { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, NOT_ANCHORED, CHECK_ROOTS },
    { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, NOT_ANCHORED, CHECK_ROOTS },
    { X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, NOT_ANCHORED, CHECK_ROOTS },
    { X509_V_ERR_CERT_SIGNATURE_FAILURE, "its certificate carries a wrong signature", CHECK_ROOTS },
    { X509_V_ERR_CRL_HAS_EXPIRED, "the revocation list for it has expired", CHECK_LIST },
    { X509_V_ERR_CRL_NOT_YET_VALID, "the revocation list for it is not valid yet", CHECK_CLOCK },
    { X509_V_ERR_UNABLE_TO_GET_CRL, "server-crl.pem is another issuer's list", CHECK_LIST },
    { X509_V_ERR_CRL_SIGNATURE_FAILURE, "server-crl.pem carries a wrong signature", CHECK_LIST },
};

#define WRONG_HUB "check that [hub] host is the hub that issued cert.pem"

static const struct row alerts[] = {
    /* OpenSSL sends this one too when the hub's revocation list has expired. */
    { SSL_AD_CERTIFICATE_EXPIRED,
      "it says that our certificate has expired, which is not so; its clock is wrong, or its "
      "revocation list too old",
      "tell the hub's operator; nothing is wrong with this gateway's certificate" },
    /* And this one when it has no list. */
    { SSL_AD_UNKNOWN_CA,
      "it does not know the CA that issued our certificate, or has no revocation list of it",
      WRONG_HUB },
    /* What Java sends for most things that it does not like. */
    { SSL_AD_CERTIFICATE_UNKNOWN, "it does not accept our certificate",
      "run gatekey refresh, which finds out whether it is revoked; then check that [hub] host is "
      "the hub that issued it" },
    { SSL_AD_BAD_CERTIFICATE, "it finds our certificate faulty", WRONG_HUB },
    { SSL_AD_UNSUPPORTED_CERTIFICATE, "it does not take certificates like ours", WRONG_HUB },
    { SSL_AD_ACCESS_DENIED, "it knows our certificate and denies access", NULL },
    { SSL_AD_DECRYPT_ERROR, "it could not verify our signature", "run gatekey key show" },
    { TLS13_AD_CERTIFICATE_REQUIRED, "it wants a certificate and got none", "run gatekey enroll" },
    { SSL_AD_HANDSHAKE_FAILURE, "no common ground for TLS, or it wants a certificate",
      "check [hub] port, and [hub] activation_port when activating" },
    { SSL_AD_PROTOCOL_VERSION, "it does not speak TLS 1.2 or later", NULL },
    { SSL_AD_INSUFFICIENT_SECURITY, "it offers no cipher that we take", NULL },
    { SSL_AD_UNRECOGNIZED_NAME, "it does not go by that name", CHECK_NAME },
};

static const struct row *find(const struct row *rows, size_t count, int code)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return NULL;
}

enum gk_status agent_alert_distrust(int verify_error, const char *name, const char *ca_file,
                                    struct gk_error *err)
{
    const struct row *row = find(distrusts, sizeof(distrusts) / sizeof(distrusts[0]), verify_error);
    const char *cause = row != NULL ? row->cause : X509_verify_cert_error_string(verify_error);
    const char *roots = ca_file != NULL ? ca_file : "the system's store";
    bool names_roots = strcmp(cause, NOT_ANCHORED) == 0;

    gk_fail(err, GK_UNTRUSTED, "%s: %s%s%s", name, cause, names_roots ? " " : "",
            names_roots ? roots : "");
    if (row != NULL && row->advice != NULL) {
        gk_advise(err, "%s", row->advice);
    }
    return GK_UNTRUSTED;
}

enum gk_status agent_alert_received(int alert, bool expired, const char *name, struct gk_error *err)
{
    const struct row *row = find(alerts, sizeof(alerts) / sizeof(alerts[0]), alert);
    const char *cause = row != NULL ? row->cause : SSL_alert_desc_string_long(alert);

    if (alert == SSL_AD_CERTIFICATE_REVOKED) {
        return gk_fail(err, GK_REVOKED, "%s says so, TLS alert %d", name, alert);
    }
    if (alert == SSL_AD_CERTIFICATE_EXPIRED && expired) {
        return gk_fail(err, GK_EXPIRED, "%s says so, TLS alert %d", name, alert);
    }
    gk_fail(err, GK_HUB_REFUSED, "%s: %s, TLS alert %d", name, cause, alert);
    if (row != NULL && row->advice != NULL) {
        gk_advise(err, "%s", row->advice);
    }
    return GK_HUB_REFUSED;
}
