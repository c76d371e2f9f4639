/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at certificates before they are believed. */
#include "agent/command/certificate.h"

#include "agent/enos/rest.h"
#include "identity/identity.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

/* A chain from a hub is short; more than this is nonsense. */
#define CHAIN_MAX 8

/* How far a gateway's clock may be behind the hub's when a certificate is new. */
#define CLOCK_SKEW_S 300

struct certificate {
    X509 *leaf;
    STACK_OF(X509) * issuers; /* roots included, in the order given */
    char serial[49];
    char *subject, *subject_name;
    int64_t begin, end;
};

static void free_biop(BIO **bio)
{
    BIO_free(*bio);
}

static void free_stackp(STACK_OF(X509) * *stack)
{
    sk_X509_pop_free(*stack, X509_free);
}

static void free_x509p(X509 **x509)
{
    X509_free(*x509);
}

static void free_storep(X509_STORE **store)
{
    X509_STORE_free(*store);
}

static void free_verifyp(X509_STORE_CTX **verify)
{
    X509_STORE_CTX_free(*verify);
}

static void free_pkeyp(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
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

/* All certificates of a PEM text; other blocks are passed over. */
static enum gk_status parse_all(struct agent_openssl *openssl, const char *pem, const char *what,
                                STACK_OF(X509) * *all, struct gk_error *err)
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
        if (sk_X509_num(found) == CHAIN_MAX || sk_X509_push(found, one) == 0) {
            return gk_fail(err, GK_BAD_CERTIFICATE, "%s: more than %d", what, CHAIN_MAX);
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

    if (at >= 0) {
        if (ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))) <
            0) {
            return false;
        }
        enos_text_clean((const char *)utf8, clean, sizeof(clean));
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

enum gk_status certificate_parse(struct agent_openssl *openssl, const char *pem,
                                 const char *issuers, struct certificate **certificate,
                                 struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *c = calloc(1, sizeof(*c));
    CLEANUP(free_stackp) STACK_OF(X509) *own = NULL;
    enum gk_status status;

    if (c == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = parse_all(openssl, pem, "the certificate", &own, err);
    if (status == GK_OK) {
        status = parse_all(openssl, issuers, "its issuer", &c->issuers, err);
    }
    if (status != GK_OK) {
        return status;
    }
    c->leaf = sk_X509_shift(own);
    if (!read_serial(c) || !read_subject(c) || !read_dates(c)) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "its serial, subject or dates make no sense");
    }
    *certificate = TAKE(c);
    return GK_OK;
}

/* By their encodings, because keys of two providers have no other form in common. */
static bool is_same_key(EVP_PKEY *a, EVP_PKEY *b)
{
    unsigned char *left = NULL, *right = NULL;
    int left_size = i2d_PUBKEY(a, &left), right_size = i2d_PUBKEY(b, &right);
    bool same =
        left_size > 0 && left_size == right_size && memcmp(left, right, (size_t)left_size) == 0;

    OPENSSL_free(left);
    OPENSSL_free(right);
    return same;
}

bool certificate_is_early(const struct certificate *certificate)
{
    return certificate->begin - time(NULL) > CLOCK_SKEW_S;
}

/*
 * The time to check for: now, or the certificate's first second where that is only a little later.
 * The hub dates a certificate by its own clock, and a gateway's may be behind.
 */
static time_t time_to_check(const struct certificate *c)
{
    time_t now = time(NULL);

    return c->begin > now && !certificate_is_early(c) ? (time_t)c->begin : now;
}

/* The clock is the likelier culprit, so it is shown. */
static enum gk_status fail_early(const struct certificate *c, struct gk_error *err)
{
    time_t now = time(NULL);
    char text[32];
    struct tm tm;

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    return gk_fail(err, GK_NOT_YET_VALID, "serial %s, and the clock says %s", c->serial, text);
}

static enum gk_status check_chain(struct agent_openssl *openssl, const struct certificate *c,
                                  struct gk_error *err)
{
    OSSL_LIB_CTX *context = agent_openssl_context(openssl);
    CLEANUP(free_storep) X509_STORE *store = X509_STORE_new();
    CLEANUP(free_verifyp)
    X509_STORE_CTX *verify = X509_STORE_CTX_new_ex(context, agent_openssl_propquery(openssl));
    int why;

    if (store == NULL || verify == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    for (int i = 0; i < sk_X509_num(c->issuers); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(c->issuers, i)) != 1) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
    }
    /* The issuer of the reply is believed for this one certificate; it need not be a root. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_STORE_CTX_init(verify, store, c->leaf, NULL) != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "checking the certificate");
    }
    X509_STORE_CTX_set_time(verify, 0, time_to_check(c));
    if (X509_verify_cert(verify) == 1) {
        return GK_OK;
    }
    why = X509_STORE_CTX_get_error(verify);
    if (why == X509_V_ERR_CERT_NOT_YET_VALID) {
        return fail_early(c, err);
    }
    gk_fail(err, GK_BAD_CERTIFICATE, "serial %s: %s", c->serial,
            X509_verify_cert_error_string(why));
    if (why == X509_V_ERR_CERT_HAS_EXPIRED) {
        gk_advise(err, "check this gateway's clock");
    }
    return GK_BAD_CERTIFICATE;
}

enum gk_status certificate_check(struct agent_openssl *openssl,
                                 const struct certificate *certificate, EVP_PKEY *key,
                                 struct gk_error *err)
{
    CLEANUP(free_pkeyp) EVP_PKEY *own = X509_get_pubkey(certificate->leaf);

    if (own == NULL) {
        return agent_openssl_error(err, GK_BAD_CERTIFICATE, "its public key");
    }
    if (EVP_PKEY_get_base_id(own) != EVP_PKEY_RSA || EVP_PKEY_get_bits(own) != 2048) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "serial %s is not for an RSA-2048 key",
                       certificate->serial);
    }
    if (!is_same_key(own, key)) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "serial %s is for another key than the device's",
                       certificate->serial);
    }
    return check_chain(openssl, certificate, err);
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

int64_t certificate_end(const struct certificate *certificate)
{
    return certificate->end;
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

char *certificate_format_issuers(const struct certificate *certificate)
{
    CLEANUP(free_biop) BIO *bio = BIO_new(BIO_s_mem());
    bool fine = bio != NULL;

    for (int i = 0; fine && i < sk_X509_num(certificate->issuers); i++) {
        fine = PEM_write_bio_X509(bio, sk_X509_value(certificate->issuers, i)) == 1;
    }
    return fine ? take_text(bio) : NULL;
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
