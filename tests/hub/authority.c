/* SPDX-License-Identifier: Apache-2.0 */
/* What a root of the local hub's CA signs: certificates and revocation lists. */
#include "tests/hub/authority-internal.h"

#include "tests/hub/text.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

GK_DEFINE_CLEANUP(BIO, BIO_free_all)
GK_DEFINE_CLEANUP(X509, X509_free)
GK_DEFINE_CLEANUP(X509_CRL, X509_CRL_free)
GK_DEFINE_CLEANUP(X509_REVOKED, X509_REVOKED_free)
GK_DEFINE_CLEANUP(X509_EXTENSION, X509_EXTENSION_free)
GK_DEFINE_CLEANUP(ASN1_TIME, ASN1_TIME_free)
GK_DEFINE_CLEANUP(ASN1_INTEGER, ASN1_INTEGER_free)
GK_DEFINE_CLEANUP(ASN1_ENUMERATED, ASN1_ENUMERATED_free)

static const struct hub_extension device_profile[] = {
    { NID_basic_constraints, "CA:FALSE" },
    { NID_netscape_comment, "Enos Generated Certificate" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid:always,issuer:always" },
    { NID_undef, NULL },
};

static const struct hub_extension modern_profile[] = {
    { NID_basic_constraints, "critical,CA:FALSE" },
    { NID_key_usage, "critical,digitalSignature" },
    { NID_ext_key_usage, "clientAuth" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid:always" },
    { NID_undef, NULL },
};

static const struct hub_extension server_profile[] = {
    { NID_basic_constraints, "critical,CA:FALSE" },
    { NID_key_usage, "critical,digitalSignature,keyEncipherment" },
    { NID_ext_key_usage, "serverAuth" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid:always" },
    { NID_undef, NULL },
};

static void extensions_free(STACK_OF(X509_EXTENSION) * *extensions)
{
    sk_X509_EXTENSION_pop_free(*extensions, X509_EXTENSION_free);
}

static char *take_text(BIO *memory)
{
    char *data;
    long size = BIO_get_mem_data(memory, &data);

    return size > 0 ? strndup(data, (size_t)size) : NULL;
}

static char *name_text(const X509_NAME *name)
{
    CLEANUP(BIO_free_allp) BIO *memory = BIO_new(BIO_s_mem());

    /* RFC 2253, but with characters beyond ASCII as they are. */
    return X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0
               ? take_text(memory)
               : NULL;
}

static int64_t time_ms(const ASN1_TIME *time)
{
    struct tm parts = { 0 };

    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * 1000 : 0;
}

static enum gk_status describe(const struct hub_authority *authority, X509 *certificate,
                               int64_t serial, struct hub_issued *issued, struct gk_error *err)
{
    CLEANUP(hub_issued_clear)
    struct hub_issued i = {
        .serial = serial,
        .root = strdup(authority->root_pem),
        .pem = hub_certificate_pem(certificate),
        .subject = name_text(X509_get_subject_name(certificate)),
        .issuer = name_text(X509_get_issuer_name(certificate)),
        .sign_ms = time_ms(X509_get0_notBefore(certificate)),
        .expire_ms = time_ms(X509_get0_notAfter(certificate)),
    };

    if (i.pem == NULL || i.root == NULL || i.subject == NULL || i.issuer == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *issued = i;
    i = (struct hub_issued){ 0 };
    return GK_OK;
}

static bool copy_names(X509 *certificate, X509_REQ *request)
{
    CLEANUP(extensions_free)
    STACK_OF(X509_EXTENSION) *asked = X509_REQ_get_extensions(request);
    int at = X509v3_get_ext_by_NID(asked, NID_subject_alt_name, -1);

    return at >= 0 && X509_add_ext(certificate, sk_X509_EXTENSION_value(asked, at), -1) == 1;
}

/* What the profiles have that differs from one certificate to the next. */
static bool add_particulars(X509 *certificate, struct hub_authority *authority,
                            const struct hub_request *request, const struct hub_terms *terms)
{
    CLEANUP(gk_freep) char *point = NULL;

    switch (terms->profile) {
    case HUB_PROFILE_ENOS:
        return hub_extension_add(certificate, authority->root, NID_netscape_ca_revocation_url,
                                 terms->crl_url);
    case HUB_PROFILE_MODERN:
        point = hub_print("URI:%s", terms->crl_url);
        return point != NULL &&
               hub_extension_add(certificate, authority->root, NID_crl_distribution_points, point);
    case HUB_PROFILE_SERVER:
        return copy_names(certificate, request->request);
    case HUB_PROFILE_COUNT:
        break;
    }
    return false;
}

static X509 *make_certificate(struct hub_authority *authority, const struct hub_request *request,
                              int64_t serial, const struct hub_terms *terms)
{
    static const struct hub_extension *const profiles[HUB_PROFILE_COUNT] = {
        [HUB_PROFILE_ENOS] = device_profile,
        [HUB_PROFILE_MODERN] = modern_profile,
        [HUB_PROFILE_SERVER] = server_profile,
    };
    CLEANUP(X509_freep) X509 *certificate = X509_new();

    if (certificate == NULL || serial <= 0 || serial > INT_MAX ||
        X509_set_version(certificate, X509_VERSION_3) != 1 ||
        ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serial) != 1 ||
        X509_set_subject_name(certificate, X509_REQ_get_subject_name(request->request)) != 1 ||
        X509_set_issuer_name(certificate, X509_get_subject_name(authority->root)) != 1 ||
        !hub_certificate_set_life(certificate, terms->from_s, terms->life_s) ||
        X509_set_pubkey(certificate, X509_REQ_get0_pubkey(request->request)) != 1 ||
        !hub_extensions_add(certificate, authority->root, profiles[terms->profile]) ||
        !add_particulars(certificate, authority, request, terms) ||
        X509_sign(certificate, authority->key, EVP_sha256()) <= 0) {
        return NULL;
    }
    return TAKE(certificate);
}

enum gk_status hub_authority_issue(struct hub_authority *authority,
                                   const struct hub_request *request, int64_t serial,
                                   const struct hub_terms *terms, struct hub_issued *issued,
                                   struct gk_error *err)
{
    CLEANUP(X509_freep) X509 *certificate = make_certificate(authority, request, serial, terms);

    return certificate != NULL ? describe(authority, certificate, serial, issued, err)
                               : gk_fail(err, GK_CRYPTO_FAILED, "issuing a certificate");
}

static bool add_revoked(X509_CRL *crl, const struct hub_revocation *revocation)
{
    CLEANUP(X509_REVOKED_freep) X509_REVOKED *entry = X509_REVOKED_new();
    CLEANUP(ASN1_INTEGER_freep) ASN1_INTEGER *serial = ASN1_INTEGER_new();
    CLEANUP(ASN1_ENUMERATED_freep) ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
    CLEANUP(ASN1_TIME_freep)
    ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)(revocation->time_ms / 1000));

    if (entry == NULL || when == NULL || ASN1_INTEGER_set_int64(serial, revocation->serial) != 1 ||
        X509_REVOKED_set_serialNumber(entry, serial) != 1 ||
        X509_REVOKED_set_revocationDate(entry, when) != 1) {
        return false;
    }
    if (revocation->reason != 0 &&
        (ASN1_ENUMERATED_set(reason, revocation->reason) != 1 ||
         X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, 0) != 1)) {
        return false;
    }
    return X509_CRL_add0_revoked(crl, entry) == 1 && TAKE(entry) != NULL;
}

static bool identify_crl(X509_CRL *crl, struct hub_authority *authority, int64_t number)
{
    CLEANUP(ASN1_INTEGER_freep) ASN1_INTEGER *crl_number = ASN1_INTEGER_new();
    CLEANUP(X509_EXTENSION_freep) X509_EXTENSION *key_id = NULL;
    X509V3_CTX context;

    X509V3_set_ctx(&context, authority->root, NULL, NULL, crl, 0);
    key_id = X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid:always");
    return key_id != NULL && X509_CRL_add_ext(crl, key_id, -1) == 1 &&
           ASN1_INTEGER_set_int64(crl_number, number) == 1 &&
           X509_CRL_add1_ext_i2d(crl, NID_crl_number, crl_number, 0, 0) == 1;
}

enum gk_status hub_authority_crl(struct hub_authority *authority,
                                 const struct hub_revocation *revoked, size_t count, int64_t number,
                                 int64_t from_s, int64_t life_s, char **pem, struct gk_error *err)
{
    CLEANUP(X509_CRL_freep) X509_CRL *crl = X509_CRL_new();
    CLEANUP(ASN1_TIME_freep) ASN1_TIME *now = X509_gmtime_adj(NULL, from_s);
    CLEANUP(ASN1_TIME_freep) ASN1_TIME *next = X509_gmtime_adj(NULL, from_s + life_s);
    CLEANUP(BIO_free_allp) BIO *memory = BIO_new(BIO_s_mem());
    bool good = crl != NULL && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(authority->root)) == 1 &&
                X509_CRL_set1_lastUpdate(crl, now) == 1 && X509_CRL_set1_nextUpdate(crl, next) == 1;
    char *text;

    for (size_t i = 0; good && i < count; i++) {
        good = add_revoked(crl, &revoked[i]);
    }
    if (!good || !identify_crl(crl, authority, number) || X509_CRL_sort(crl) != 1 ||
        X509_CRL_sign(crl, authority->key, EVP_sha256()) <= 0 ||
        PEM_write_bio_X509_CRL(memory, crl) != 1 || (text = take_text(memory)) == NULL) {
        return gk_fail(err, GK_CRYPTO_FAILED, "signing the revocation list");
    }
    *pem = text;
    return GK_OK;
}
