/* SPDX-License-Identifier: Apache-2.0 */
/* Takes revocation lists apart and says whether they are to be believed. */
#include "agent/crl.h"

#include "agent/clock.h"
#include "agent/file.h"
#include "agent/roots.h"
#include "identity/identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

/* As strong as RSA-2048 and SHA-256 (SSL_CTX_set_security_level(3) describes the levels). */
#define STRENGTH_LEVEL 2

struct agent_crl {
    X509_CRL *x509_crl;
    ASN1_INTEGER *number; /* NULL: it has none */
    int64_t this_update, next_update;
    X509 *signer; /* set when it was verified */
};

GK_DEFINE_CLEANUP(X509_CRL, X509_CRL_free)
GK_DEFINE_CLEANUP(X509_STORE, X509_STORE_free)
GK_DEFINE_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free)
GK_DEFINE_CLEANUP(ISSUING_DIST_POINT, ISSUING_DIST_POINT_free)

static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

static void stack_freep(STACK_OF(X509) * *stack)
{
    sk_X509_pop_free(*stack, X509_free);
}

void agent_crl_free(struct agent_crl *crl)
{
    if (crl != NULL) {
        X509_CRL_free(crl->x509_crl);
        ASN1_INTEGER_free(crl->number);
        X509_free(crl->signer);
        free(crl);
    }
}

/* DER of any list begins with a SEQUENCE that is longer than 127 bytes; no text begins so. */
static bool is_der(const unsigned char *data, size_t size)
{
    return size > 2 && data[0] == 0x30 && (data[1] & 0x80) != 0;
}

static bool decode_der(const unsigned char *data, size_t size, X509_CRL **list)
{
    const unsigned char *next = data;

    return d2i_X509_CRL(list, &next, (long)size) != NULL && next == data + size;
}

static bool decode_pem(const void *data, size_t size, X509_CRL **list)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(data, (int)size);
    CLEANUP(X509_CRL_freep) X509_CRL *second = NULL;

    if (bio == NULL || PEM_read_bio_X509_CRL(bio, list, NULL, NULL) == NULL) {
        return false;
    }
    /* Which of two would be meant? */
    second = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    ERR_clear_error();
    return second == NULL;
}

static enum gk_status decode(struct agent_openssl *openssl, const void *data, size_t size,
                             X509_CRL **list, struct gk_error *err)
{
    CLEANUP(X509_CRL_freep)
    X509_CRL *made =
        X509_CRL_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));
    bool fine;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (size > AGENT_CRL_FILE_MAX) {
        return gk_fail(err, GK_BAD_CRL, "it is larger than %zu bytes", AGENT_CRL_FILE_MAX);
    }
    fine = is_der(data, size) ? decode_der(data, size, &made) : decode_pem(data, size, &made);
    if (!fine) {
        ERR_clear_error();
        return gk_fail(err, GK_BAD_CRL, "it is no revocation list, neither PEM nor DER");
    }
    *list = TAKE(made);
    return GK_OK;
}

static bool read_time(const ASN1_TIME *time, int64_t *seconds)
{
    struct tm tm;

    if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1) {
        return false;
    }
    *seconds = timegm(&tm);
    return true;
}

static enum gk_status read_dates(struct agent_crl *crl, struct gk_error *err)
{
    if (!read_time(X509_CRL_get0_lastUpdate(crl->x509_crl), &crl->this_update) ||
        !read_time(X509_CRL_get0_nextUpdate(crl->x509_crl), &crl->next_update)) {
        return gk_fail(err, GK_BAD_CRL, "it does not say from when to when it is good");
    }
    if (crl->next_update < crl->this_update) {
        return gk_fail(err, GK_BAD_CRL, "its nextUpdate is before its thisUpdate");
    }
    return GK_OK;
}

static enum gk_status check_algorithm(const X509_CRL *list, struct gk_error *err)
{
    static const int taken[] = {
        NID_sha256WithRSAEncryption, NID_sha384WithRSAEncryption, NID_sha512WithRSAEncryption,
        NID_ecdsa_with_SHA256,       NID_ecdsa_with_SHA384,       NID_ecdsa_with_SHA512,
    };
    int used = X509_CRL_get_signature_nid(list);
    const char *name = OBJ_nid2ln(used);

    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (taken[i] == used) {
            return GK_OK;
        }
    }
    return gk_fail(err, GK_BAD_CRL, "it is signed with %s", name != NULL ? name : "?");
}

/* A list of a part of the certificates, or of several issuers' (RFC 5280, 5.2.5). */
static enum gk_status check_scope(const X509_CRL *list, struct gk_error *err)
{
    int critical = 0;
    CLEANUP(ISSUING_DIST_POINT_freep)
    ISSUING_DIST_POINT *scope =
        X509_CRL_get_ext_d2i(list, NID_issuing_distribution_point, &critical, NULL);

    if (scope == NULL && critical == -1) {
        return GK_OK; /* none */
    }
    if (scope == NULL) {
        ERR_clear_error();
        return gk_fail(err, GK_BAD_CRL, "its issuingDistributionPoint makes no sense");
    }
    if (scope->onlyCA > 0 || scope->onlyattr > 0 || scope->indirectCRL > 0 ||
        scope->onlysomereasons != NULL) {
        return gk_fail(err, GK_BAD_CRL, "it is a list of a part only, or of several issuers'");
    }
    return GK_OK;
}

static enum gk_status check_extensions(const X509_CRL *list, struct gk_error *err)
{
    if (X509_CRL_get_ext_by_NID(list, NID_delta_crl, -1) >= 0) {
        return gk_fail(err, GK_BAD_CRL, "it is a delta, not a whole list");
    }
    for (int i = 0; i < X509_CRL_get_ext_count(list); i++) {
        X509_EXTENSION *extension = X509_CRL_get_ext(list, i);
        int kind = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

        if (X509_EXTENSION_get_critical(extension) && kind != NID_issuing_distribution_point) {
            return gk_fail(err, GK_BAD_CRL, "a critical extension of it is not known");
        }
    }
    return check_scope(list, err);
}

static enum gk_status check_entries(X509_CRL *list, struct gk_error *err)
{
    STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(list);

    for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
        const X509_REVOKED *entry = sk_X509_REVOKED_value(entries, i);

        for (int j = 0; j < X509_REVOKED_get_ext_count(entry); j++) {
            if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(entry, j))) {
                return gk_fail(err, GK_BAD_CRL, "a critical extension of an entry is not known");
            }
        }
    }
    return GK_OK;
}

static enum gk_status read_number(struct agent_crl *crl, struct gk_error *err)
{
    int critical = 0;

    crl->number = X509_CRL_get_ext_d2i(crl->x509_crl, NID_crl_number, &critical, NULL);
    if (crl->number == NULL && critical != -1) {
        ERR_clear_error();
        return gk_fail(err, GK_BAD_CRL, "its number makes no sense");
    }
    return GK_OK;
}

enum gk_status agent_crl_parse(struct agent_openssl *openssl, const void *data, size_t size,
                               struct agent_crl **crl, struct gk_error *err)
{
    CLEANUP(agent_crl_freep) struct agent_crl *c = calloc(1, sizeof(*c));
    enum gk_status status;

    if (c == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = decode(openssl, data, size, &c->x509_crl, err);
    if (status == GK_OK) {
        status = read_dates(c, err);
    }
    if (status == GK_OK) {
        status = check_algorithm(c->x509_crl, err);
    }
    if (status == GK_OK) {
        status = check_extensions(c->x509_crl, err);
    }
    if (status == GK_OK) {
        status = check_entries(c->x509_crl, err);
    }
    if (status == GK_OK) {
        status = read_number(c, err);
    }
    if (status == GK_OK) {
        *crl = TAKE(c);
    }
    return status;
}

/* X509_V_OK, or why this CA must not be believed. */
static int check_signer(X509_STORE_CTX *verify, X509_STORE *trusted, X509 *signer, int64_t now)
{
    X509_VERIFY_PARAM *param;
    int why;

    if (X509_check_ca(signer) != 1) {
        return X509_V_ERR_INVALID_CA;
    }
    if ((X509_get_key_usage(signer) & KU_CRL_SIGN) == 0) {
        return X509_V_ERR_KEYUSAGE_NO_CRL_SIGN;
    }
    if (X509_STORE_CTX_init(verify, trusted, signer, NULL) != 1) {
        return X509_V_ERR_OUT_OF_MEM;
    }
    param = X509_STORE_CTX_get0_param(verify);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_auth_level(param, STRENGTH_LEVEL);
    X509_VERIFY_PARAM_set_time(param, (time_t)now);
    why = X509_verify_cert(verify) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(verify);
    X509_STORE_CTX_cleanup(verify);
    return why;
}

/* Of several CAs of that name (one that changed its key) any may be the one. */
static enum gk_status find_signer(struct agent_crl *crl, X509_STORE_CTX *verify,
                                  X509_STORE *trusted, const char *where, int64_t now,
                                  struct gk_error *err)
{
    CLEANUP(stack_freep) STACK_OF(X509) *named = NULL;
    char issuer[160];
    int why = X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER;

    X509_NAME_oneline(X509_CRL_get_issuer(crl->x509_crl), issuer, sizeof(issuer));
    if (X509_STORE_CTX_init(verify, trusted, NULL, NULL) != 1) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    named = X509_STORE_CTX_get1_certs(verify, X509_CRL_get_issuer(crl->x509_crl));
    X509_STORE_CTX_cleanup(verify);
    for (int i = 0; i < sk_X509_num(named); i++) {
        X509 *candidate = sk_X509_value(named, i);

        if (X509_CRL_verify(crl->x509_crl, X509_get0_pubkey(candidate)) != 1) {
            why =
                why == X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER ? X509_V_ERR_CRL_SIGNATURE_FAILURE : why;
            continue;
        }
        why = check_signer(verify, trusted, candidate, now);
        if (why == X509_V_OK) {
            X509_free(crl->signer);
            X509_up_ref(candidate);
            crl->signer = candidate;
            break;
        }
    }
    ERR_clear_error(); /* signatures that do not fit leave their traces */
    if (why == X509_V_OK) {
        return GK_OK;
    }
    gk_fail(err, GK_BAD_CRL, "list of %s: %s (%s)", issuer, X509_verify_cert_error_string(why),
            where);
    if (why == X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER) {
        gk_advise(err, "check the address of the list; a new CA is made known by [trust] root_url "
                       "or gatekey ca add");
    }
    return GK_BAD_CRL;
}

enum gk_status agent_crl_verify(struct agent_openssl *openssl, struct agent_crl *crl,
                                X509_STORE *trusted, const char *where, int64_t now,
                                struct gk_error *err)
{
    CLEANUP(X509_STORE_CTX_freep)
    X509_STORE_CTX *verify =
        X509_STORE_CTX_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));
    time_t begins = (time_t)crl->this_update;
    enum gk_status status;
    char text[32];
    struct tm tm;

    if (verify == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = find_signer(crl, verify, trusted, where, now, err);
    if (status == GK_OK && crl->this_update > now + AGENT_CRL_SKEW_S) {
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&begins, &tm));
        status = gk_fail(err, GK_BAD_CRL, "it begins in the future, on %s", text);
        gk_advise(err, "check this gateway's clock, then ask the hub's operator");
    }
    return status;
}

static bool is_same_key(const X509 *a, const X509 *b)
{
    return a != NULL && b != NULL && EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1;
}

enum gk_status agent_crl_follow(const struct agent_crl *crl, const struct agent_crl *before,
                                struct gk_error *err)
{
    bool numbered =
        crl->number != NULL && before->number != NULL && is_same_key(crl->signer, before->signer);

    if (crl->this_update < before->this_update ||
        (numbered && ASN1_INTEGER_cmp(crl->number, before->number) < 0)) {
        gk_fail(err, GK_BAD_CRL, "it is older than the one that is here");
        gk_advise(err, "see whether an old list is served at its address; the newer one stays in "
                       "use");
        return GK_BAD_CRL;
    }
    return GK_OK;
}

bool agent_crl_identical(const struct agent_crl *a, const struct agent_crl *b)
{
    return X509_CRL_match(a->x509_crl, b->x509_crl) == 0;
}

enum agent_crl_age agent_crl_age(const struct agent_config *config, const struct agent_crl *crl,
                                 int64_t now)
{
    if (now <= crl->next_update) {
        return AGENT_CRL_FRESH;
    }
    return now - crl->next_update <= (int64_t)config->grace_s ? AGENT_CRL_GRACE : AGENT_CRL_STALE;
}

int64_t agent_crl_this_update(const struct agent_crl *crl)
{
    return crl->this_update;
}

int64_t agent_crl_next_update(const struct agent_crl *crl)
{
    return crl->next_update;
}

static bool follows(const struct agent_crl *crl, const X509_NAME *issuer, const X509 *link)
{
    return X509_NAME_cmp(X509_get_subject_name(link), X509_CRL_get_issuer(crl->x509_crl)) == 0 &&
           X509_NAME_cmp(X509_get_issuer_name(link), issuer) == 0 && is_same_key(link, crl->signer);
}

bool agent_crl_counts_for(const struct agent_crl *crl, const X509 *x509,
                          const struct agent_roots *links)
{
    const X509_NAME *issuer = X509_get_issuer_name(x509);

    if (X509_NAME_cmp(X509_CRL_get_issuer(crl->x509_crl), issuer) == 0) {
        return true;
    }
    for (int i = 0; links != NULL && i < agent_roots_count(links); i++) {
        if (follows(crl, issuer, agent_roots_at(links, i))) {
            return true;
        }
    }
    return false;
}

bool agent_crl_lists(const struct agent_crl *crl, X509 *x509, const struct agent_roots *links)
{
    X509_REVOKED *entry;

    return agent_crl_counts_for(crl, x509, links) &&
           /* 2 is an entry that takes a revocation back (RFC 5280, 5.3.1, removeFromCRL). */
           X509_CRL_get0_by_serial(crl->x509_crl, &entry, X509_get_serialNumber(x509)) == 1;
}

char *agent_crl_format(const struct agent_crl *crl)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long size;

    if (bio == NULL || PEM_write_bio_X509_CRL(bio, crl->x509_crl) != 1) {
        return NULL;
    }
    size = BIO_get_mem_data(bio, &data);
    return strndup(data, (size_t)size);
}

enum gk_status agent_crl_read(const struct agent_config *config, struct agent_openssl *openssl,
                              const char *name, int64_t now, struct agent_crl **crl,
                              struct gk_error *err)
{
    enum agent_trust trust = strcmp(name, GK_FILE_CRL) == 0 ? AGENT_TRUST_ISSUER : AGENT_TRUST_HUB;
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(agent_crl_freep) struct agent_crl *c = NULL;
    CLEANUP(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
    CLEANUP(gk_freep) char *path = NULL;
    enum gk_status status;
    char where[160];

    if (store == NULL || asprintf(&path, "%s/%s", config->directory, name) < 0) {
        path = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    agent_roots_describe(config, trust, where, sizeof(where));
    status = agent_file_read(path, AGENT_CRL_FILE_MAX, &content, err);
    if (status == GK_OK) {
        status = agent_crl_parse(openssl, content.data, content.size, &c, err);
    }
    if (status == GK_OK) {
        status = agent_roots_fill(config, openssl, trust, store, err);
    }
    if (status == GK_OK) {
        status = agent_crl_verify(openssl, c, store, where, now, err);
    }
    if (status == GK_OK) {
        *crl = TAKE(c);
    }
    return status;
}

enum gk_status agent_crl_lists_own(const struct agent_config *config, struct agent_openssl *openssl,
                                   bool *listed, struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots own = { 0 };
    CLEANUP(agent_roots_clear) struct agent_roots links = { 0 };
    CLEANUP(agent_crl_freep) struct agent_crl *crl = NULL;
    enum gk_status status = agent_roots_read(config, openssl, GK_FILE_CERTIFICATE, &own, err);

    if (status == GK_OK) {
        status = agent_roots_read(config, openssl, GK_FILE_LINK_CA, &links, err);
    }
    if (status == GK_OK && agent_roots_count(&own) > 0) {
        status = agent_crl_read(config, openssl, GK_FILE_CRL, agent_clock_now(config), &crl, err);
    }
    if (status != GK_OK && status != GK_NO_FILE) {
        return status;
    }
    *listed = crl != NULL && agent_crl_lists(crl, agent_roots_at(&own, 0), &links);
    return GK_OK;
}
