/* SPDX-License-Identifier: Apache-2.0 */
/* Takes certificates apart and writes them down; verification.c says which are believed. */
#include "agent/command/certificate-internal.h"

#include "agent/clock.h"
#include "agent/enos/rest.h"
#include "agent/roots.h"
#include "identity/identity.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

static void free_biop(BIO **bio)
{
    BIO_free(*bio);
}

static void free_bnp(BIGNUM **number)
{
    BN_free(*number);
}

void certificate_free(struct certificate *certificate)
{
    if (certificate != NULL) {
        X509_free(certificate->leaf);
        sk_X509_pop_free(certificate->issuers, X509_free);
        OPENSSL_free(certificate->subject);
        free(certificate->subject_name);
        free(certificate);
    }
}

enum gk_status certificate_parse_all(struct agent_openssl *openssl, const char *pem, size_t max,
                                     const char *what, STACK_OF(X509) * *all, struct gk_error *err)
{
    CLEANUP(free_biop) BIO *bio = BIO_new_mem_buf(pem, -1);
    CLEANUP(free_stackp) STACK_OF(X509) *found = sk_X509_new_null();

    if (bio == NULL || found == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    for (;;) {
        CLEANUP(free_x509p)
        X509 *one = X509_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));

        if (one == NULL) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
        if (PEM_read_bio_X509(bio, &one, NULL, NULL) == NULL) {
            break;
        }
        if ((size_t)sk_X509_num(found) == max || sk_X509_push(found, one) == 0) {
            return gk_fail(err, GK_BAD_CERTIFICATE, "%s: more than %zu", what, max);
        }
        one = NULL;
    }
    if (BIO_pending(bio) > 0 || sk_X509_num(found) == 0) {
        return agent_openssl_error(err, GK_BAD_CERTIFICATE, what);
    }
    *all = TAKE(found);
    return GK_OK;
}

static bool read_serial(struct certificate *c)
{
    CLEANUP(free_bnp) BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(c->leaf), NULL);
    char *text = number != NULL ? BN_bn2dec(number) : NULL;
    bool fine = text != NULL && !BN_is_negative(number) && !BN_is_zero(number) &&
                strlen(text) < sizeof(c->serial);

    if (fine) {
        snprintf(c->serial, sizeof(c->serial), "%s", text);
    }
    OPENSSL_free(text);
    return fine;
}

static bool read_subject(struct certificate *c)
{
    const X509_NAME *name = X509_get_subject_name(c->leaf);
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    unsigned char *utf8 = NULL;
    char clean[4 * CERTIFICATE_NAME_MAX + 1] = "";
    int size = 0;

    if (at >= 0) {
        size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
        if (size >= 0) {
            enos_text_clean((const char *)utf8, clean, sizeof(clean));
        }
        /* A NUL inside would make one name look like another. */
        if (size < 0 || strlen((const char *)utf8) != (size_t)size) {
            OPENSSL_free(utf8);
            return false;
        }
        OPENSSL_free(utf8);
    }
    c->subject_name = strdup(clean);
    c->subject = X509_NAME_oneline(name, NULL, 0);
    return c->subject_name != NULL && c->subject != NULL;
}

static bool read_dates(struct certificate *c)
{
    struct tm begin, end;

    if (ASN1_TIME_to_tm(X509_get0_notBefore(c->leaf), &begin) != 1 ||
        ASN1_TIME_to_tm(X509_get0_notAfter(c->leaf), &end) != 1) {
        return false;
    }
    c->begin = timegm(&begin);
    c->end = timegm(&end);
    return true;
}

enum gk_status certificate_make(X509 **leaf, STACK_OF(X509) * *issuers,
                                struct certificate **certificate, struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    c->leaf = TAKE(*leaf);
    c->issuers = TAKE(*issuers);
    if (!read_serial(c) || !read_subject(c) || !read_dates(c)) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "its serial, subject or dates make no sense");
    }
    *certificate = TAKE(c);
    return GK_OK;
}

enum gk_status certificate_parse(struct agent_openssl *openssl, const char *pem,
                                 const char *issuers, struct certificate **certificate,
                                 struct gk_error *err)
{
    CLEANUP(free_stackp) STACK_OF(X509) *own = NULL;
    CLEANUP(free_stackp) STACK_OF(X509) *others = NULL;
    CLEANUP(free_x509p) X509 *leaf = NULL;
    enum gk_status status =
        certificate_parse_all(openssl, pem, CERTIFICATE_CHAIN_MAX, "the certificate", &own, err);

    if (status == GK_OK) {
        status = certificate_parse_all(openssl, issuers, CERTIFICATE_CHAIN_MAX, "its issuer",
                                       &others, err);
    }
    if (status != GK_OK) {
        return status;
    }
    leaf = sk_X509_shift(own);
    return certificate_make(&leaf, &others, certificate, err);
}

const char *certificate_serial(const struct certificate *certificate)
{
    return certificate->serial;
}

const char *certificate_subject(const struct certificate *certificate)
{
    return certificate->subject;
}

const char *certificate_subject_name(const struct certificate *certificate)
{
    return certificate->subject_name;
}

int64_t certificate_begin(const struct certificate *certificate)
{
    return certificate->begin;
}

int64_t certificate_end(const struct certificate *certificate)
{
    return certificate->end;
}

bool certificate_is_for(const struct certificate *certificate, const struct gk_public *key)
{
    EVP_PKEY *own = X509_get0_pubkey(certificate->leaf);
    CLEANUP(free_bnp) BIGNUM *modulus = BN_bin2bn(key->modulus, GK_RSA2048_SIZE, NULL);
    CLEANUP(free_bnp) BIGNUM *exponent = BN_new();
    CLEANUP(free_bnp) BIGNUM *n = NULL;
    CLEANUP(free_bnp) BIGNUM *e = NULL;

    return own != NULL && modulus != NULL && exponent != NULL &&
           BN_set_word(exponent, key->exponent) == 1 &&
           EVP_PKEY_get_bn_param(own, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
           EVP_PKEY_get_bn_param(own, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_cmp(n, modulus) == 0 &&
           BN_cmp(e, exponent) == 0;
}

/* What was written into bio, as text of our own. */
static char *take_text(BIO *bio)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);

    return size > 0 ? strndup(data, (size_t)size) : NULL;
}

static bool is_root(X509 *x509)
{
    return X509_self_signed(x509, 0) == 1;
}

char *certificate_format_chain(const struct certificate *certificate)
{
    CLEANUP(free_biop) BIO *bio = BIO_new(BIO_s_mem());
    bool fine = bio != NULL && PEM_write_bio_X509(bio, certificate->leaf) == 1;

    for (int i = 0; fine && i < sk_X509_num(certificate->issuers); i++) {
        X509 *issuer = sk_X509_value(certificate->issuers, i);

        fine = is_root(issuer) || PEM_write_bio_X509(bio, issuer) == 1;
    }
    return fine ? take_text(bio) : NULL;
}

static char *format_all(const STACK_OF(X509) * all)
{
    CLEANUP(free_biop) BIO *bio = BIO_new(BIO_s_mem());
    bool fine = bio != NULL;

    for (int i = 0; fine && i < sk_X509_num(all); i++) {
        fine = PEM_write_bio_X509(bio, sk_X509_value(all, i)) == 1;
    }
    return fine ? take_text(bio) : NULL;
}

char *certificate_format_issuers(const struct certificate *certificate)
{
    return format_all(certificate->issuers);
}

enum gk_status certificate_unite_issuers(const struct agent_config *config,
                                         struct agent_openssl *openssl,
                                         const struct certificate *certificate, char **pem,
                                         struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots all = { 0 };
    CLEANUP(agent_roots_clear) struct agent_roots there = { 0 };
    enum gk_status status = agent_roots_read(config, openssl, GK_FILE_ISSUER_CA, &there, err);
    int64_t now = agent_clock_now(config);

    for (int i = 0; status == GK_OK && i < sk_X509_num(certificate->issuers); i++) {
        status = agent_roots_add(&all, sk_X509_value(certificate->issuers, i), err);
    }
    for (int i = 0; status == GK_OK && i < agent_roots_count(&there); i++) {
        X509 *one = agent_roots_at(&there, i);
        int64_t begin, end;

        if (agent_roots_count(&all) < AGENT_ROOTS_MAX &&
            agent_certificate_dates(one, &begin, &end) && end >= now) {
            status = agent_roots_add(&all, one, err);
        }
    }
    if (status == GK_OK) {
        *pem = format_all(all.all);
        status = *pem != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return status;
}

enum gk_status certificate_read(const struct agent_config *config, struct agent_openssl *openssl,
                                struct certificate **certificate, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content pem = { 0 };
    CLEANUP(gk_content_clear) struct gk_content issuers = { 0 };
    enum gk_status status = gk_identity_read(config->directory, GK_FILE_CERTIFICATE, &pem, err);

    if (status == GK_NO_FILE) {
        return gk_fail(err, GK_NOT_ENROLLED, "no %s in %s", GK_FILE_CERTIFICATE, config->directory);
    }
    if (status == GK_OK) {
        status = gk_identity_read(config->directory, GK_FILE_ISSUER_CA, &issuers, err);
    }
    if (status == GK_NO_FILE) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "no %s in %s to check it by", GK_FILE_ISSUER_CA,
                       config->directory);
    }
    return status == GK_OK ? certificate_parse(openssl, pem.data, issuers.data, certificate, err)
                           : status;
}
