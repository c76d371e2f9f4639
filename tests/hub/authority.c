/* SPDX-License-Identifier: Apache-2.0 */
/* The local hub's CA: its root, the certificates it issues, and its revocation list. */
#include "tests/hub/authority.h"

#include "tests/hub/file.h"
#include "tests/hub/text.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

GK_DEFINE_CLEANUP(BIO, BIO_free_all)
GK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
GK_DEFINE_CLEANUP(X509, X509_free)
GK_DEFINE_CLEANUP(X509_CRL, X509_CRL_free)
GK_DEFINE_CLEANUP(X509_REVOKED, X509_REVOKED_free)
GK_DEFINE_CLEANUP(X509_EXTENSION, X509_EXTENSION_free)
GK_DEFINE_CLEANUP(ASN1_TIME, ASN1_TIME_free)
GK_DEFINE_CLEANUP(ASN1_INTEGER, ASN1_INTEGER_free)
GK_DEFINE_CLEANUP(ASN1_ENUMERATED, ASN1_ENUMERATED_free)

struct hub_authority {
    EVP_PKEY *key;
    X509 *root;
    char *root_pem;
    pthread_mutex_t lock; /* of terms */
    struct hub_terms terms;
    char crl_url[64];
};

struct extension {
    int nid;
    const char *value;
};

/* As EnOS's own root: a critical CA:TRUE without a path length, and both key identifiers. */
static const struct extension root_profile[] = {
    { NID_basic_constraints, "critical,CA:TRUE" },
    { NID_key_usage, "critical,keyCertSign,cRLSign" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid:always" },
    { NID_undef, NULL },
};

static const struct extension device_profile[] = {
    { NID_basic_constraints, "CA:FALSE" },
    { NID_netscape_comment, "Enos Generated Certificate" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid:always,issuer:always" },
    { NID_undef, NULL },
};

static const struct extension modern_profile[] = {
    { NID_basic_constraints, "critical,CA:FALSE" },
    { NID_key_usage, "critical,digitalSignature" },
    { NID_ext_key_usage, "clientAuth" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid:always" },
    { NID_undef, NULL },
};

static const struct extension server_profile[] = {
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

static char *certificate_pem(X509 *certificate)
{
    CLEANUP(BIO_free_allp) BIO *memory = BIO_new(BIO_s_mem());

    return PEM_write_bio_X509(memory, certificate) == 1 ? take_text(memory) : NULL;
}

static char *name_text(const X509_NAME *name)
{
    CLEANUP(BIO_free_allp) BIO *memory = BIO_new(BIO_s_mem());

    /* RFC 2253, but with characters beyond ASCII as they are. */
    return X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0
               ? take_text(memory)
               : NULL;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    CLEANUP(X509_EXTENSION_freep) X509_EXTENSION *extension = NULL;
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    return extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
}

static bool add_profile(X509 *certificate, X509 *issuer, const struct extension *profile)
{
    for (; profile->nid != NID_undef; profile++) {
        if (!add_extension(certificate, issuer, profile->nid, profile->value)) {
            return false;
        }
    }
    return true;
}

static bool set_life(X509 *certificate, int64_t from_s, int64_t life_s)
{
    time_t begin = time(NULL) + from_s;

    return ASN1_TIME_set(X509_getm_notBefore(certificate), begin) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), begin + life_s) != NULL;
}

static bool set_root_name(X509_NAME *name)
{
    static const char *const parts[][2] = {
        { "C", "CN" },   { "ST", "Shanghai" },          { "L", "Shanghai" },
        { "O", "EnOS" }, { "OU", "gatekey local hub" }, { "CN", "gatekey development CA" },
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (X509_NAME_add_entry_by_txt(name, parts[i][0], MBSTRING_UTF8,
                                       (const uint8_t *)parts[i][1], -1, -1, 0) != 1) {
            return false;
        }
    }
    return true;
}

static X509 *make_root(EVP_PKEY *key, int life_days)
{
    CLEANUP(X509_freep) X509 *root = X509_new();
    uint64_t serial;

    /* Random, and far above the serials handed out in sequence. */
    if (root == NULL || RAND_bytes((uint8_t *)&serial, sizeof(serial)) != 1) {
        return NULL;
    }
    serial = (serial >> 1) | (UINT64_C(1) << 62);
    if (X509_set_version(root, X509_VERSION_3) != 1 ||
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(root), serial) != 1 ||
        !set_root_name(X509_get_subject_name(root)) ||
        X509_set_issuer_name(root, X509_get_subject_name(root)) != 1 ||
        !set_life(root, 0, life_days * HUB_DAY_S) || X509_set_pubkey(root, key) != 1 ||
        !add_profile(root, root, root_profile) || X509_sign(root, key, EVP_sha256()) <= 0) {
        return NULL;
    }
    return TAKE(root);
}

static enum gk_status create_root(const char *key_path, const char *root_path, int life_days,
                                  struct gk_error *err)
{
    CLEANUP(gk_freep) char *key_pem = NULL;
    CLEANUP(gk_freep) char *root_pem = NULL;
    CLEANUP(BIO_free_allp) BIO *source = NULL;
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
    CLEANUP(X509_freep) X509 *root = NULL;
    enum gk_status status = hub_key_create(&key_pem, err);

    if (status != GK_OK) {
        return status;
    }
    source = BIO_new_mem_buf(key_pem, -1);
    key = PEM_read_bio_PrivateKey(source, NULL, NULL, NULL);
    root = key != NULL ? make_root(key, life_days) : NULL;
    root_pem = root != NULL ? certificate_pem(root) : NULL;
    if (root_pem == NULL) {
        return gk_fail(err, GK_CRYPTO_FAILED, "making the root certificate");
    }
    status = hub_file_write(key_path, key_pem, 0600, err);
    return status == GK_OK ? hub_file_write(root_path, root_pem, 0644, err) : status;
}

static enum gk_status read_root(struct hub_authority *authority, const char *key_path,
                                const char *root_path, struct gk_error *err)
{
    CLEANUP(gk_freep) char *key_pem = NULL;
    CLEANUP(BIO_free_allp) BIO *key_source = NULL;
    CLEANUP(BIO_free_allp) BIO *root_source = NULL;
    enum gk_status status = hub_file_read(key_path, &key_pem, err);

    if (status == GK_OK) {
        status = hub_file_read(root_path, &authority->root_pem, err);
    }
    if (status != GK_OK) {
        return status;
    }
    key_source = BIO_new_mem_buf(key_pem, -1);
    root_source = BIO_new_mem_buf(authority->root_pem, -1);
    authority->key = PEM_read_bio_PrivateKey(key_source, NULL, NULL, NULL);
    authority->root = PEM_read_bio_X509(root_source, NULL, NULL, NULL);
    if (authority->key == NULL || authority->root == NULL ||
        X509_check_private_key(authority->root, authority->key) != 1) {
        return gk_fail(err, GK_BAD_FILE, "%s and %s do not make a CA", root_path, key_path);
    }
    return GK_OK;
}

enum gk_status hub_authority_open(const char *directory, int life_days,
                                  struct hub_authority **authority, struct gk_error *err)
{
    CLEANUP(hub_authority_closep) struct hub_authority *a = calloc(1, sizeof(*a));
    CLEANUP(gk_freep) char *key_path = hub_print("%s/root.key", directory);
    CLEANUP(gk_freep) char *root_path = hub_print("%s/root.pem", directory);
    enum gk_status status = GK_OK;

    if (a == NULL || key_path == NULL || root_path == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    /* The certificate is written last: where it is, the key is too. */
    if (access(root_path, F_OK) != 0) {
        status = create_root(key_path, root_path, life_days, err);
    }
    if (status == GK_OK) {
        pthread_mutex_init(&a->lock, NULL);
        status = read_root(a, key_path, root_path, err);
    }
    if (status == GK_OK) {
        *authority = TAKE(a);
    }
    return status;
}

void hub_authority_close(struct hub_authority *authority)
{
    if (authority != NULL) {
        EVP_PKEY_free(authority->key);
        X509_free(authority->root);
        free(authority->root_pem);
        free(authority);
    }
}

const char *hub_authority_root(const struct hub_authority *authority)
{
    return authority->root_pem;
}

int hub_authority_days_left(const struct hub_authority *authority)
{
    int days = 0;
    int seconds = 0;

    ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(authority->root));
    return days > 0 ? days : 0;
}

static int64_t time_ms(const ASN1_TIME *time)
{
    struct tm parts = { 0 };

    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * 1000 : 0;
}

void hub_issued_clear(struct hub_issued *issued)
{
    free(issued->pem);
    free(issued->subject);
    free(issued->issuer);
    *issued = (struct hub_issued){ 0 };
}

static enum gk_status describe(X509 *certificate, struct hub_issued *issued, struct gk_error *err)
{
    CLEANUP(hub_issued_clear)
    struct hub_issued i = {
        .pem = certificate_pem(certificate),
        .subject = name_text(X509_get_subject_name(certificate)),
        .issuer = name_text(X509_get_issuer_name(certificate)),
        .sign_ms = time_ms(X509_get0_notBefore(certificate)),
        .expire_ms = time_ms(X509_get0_notAfter(certificate)),
    };

    if (i.pem == NULL || i.subject == NULL || i.issuer == NULL) {
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
        return add_extension(certificate, authority->root, NID_netscape_ca_revocation_url,
                             terms->crl_url);
    case HUB_PROFILE_MODERN:
        point = hub_print("URI:%s", terms->crl_url);
        return point != NULL &&
               add_extension(certificate, authority->root, NID_crl_distribution_points, point);
    case HUB_PROFILE_SERVER:
        return copy_names(certificate, request->request);
    }
    return false;
}

static X509 *make_certificate(struct hub_authority *authority, const struct hub_request *request,
                              int64_t serial, const struct hub_terms *terms)
{
    static const struct extension *const profiles[] = {
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
        !set_life(certificate, terms->from_s, terms->life_s) ||
        X509_set_pubkey(certificate, X509_REQ_get0_pubkey(request->request)) != 1 ||
        !add_profile(certificate, authority->root, profiles[terms->profile]) ||
        !add_particulars(certificate, authority, request, terms) ||
        X509_sign(certificate, authority->key, EVP_sha256()) <= 0) {
        return NULL;
    }
    return TAKE(certificate);
}

enum gk_status hub_authority_certify(struct hub_authority *authority,
                                     const struct hub_request *request, int64_t serial,
                                     const struct hub_terms *terms, struct hub_issued *issued,
                                     struct gk_error *err)
{
    CLEANUP(X509_freep) X509 *certificate = make_certificate(authority, request, serial, terms);

    return certificate != NULL ? describe(certificate, issued, err)
                               : gk_fail(err, GK_CRYPTO_FAILED, "issuing a certificate");
}

void hub_authority_set_terms(struct hub_authority *authority, const struct hub_terms *terms)
{
    pthread_mutex_lock(&authority->lock);
    authority->terms = *terms;
    if (terms->crl_url != NULL) {
        snprintf(authority->crl_url, sizeof(authority->crl_url), "%s", terms->crl_url);
        authority->terms.crl_url = authority->crl_url;
    }
    pthread_mutex_unlock(&authority->lock);
}

enum gk_status hub_authority_issue(struct hub_authority *authority,
                                   const struct hub_request *request, int64_t serial, int days,
                                   const char *crl_url, struct hub_issued *issued,
                                   struct gk_error *err)
{
    struct hub_terms terms;

    pthread_mutex_lock(&authority->lock);
    terms = authority->terms;
    pthread_mutex_unlock(&authority->lock);
    terms.crl_url = terms.crl_url != NULL ? terms.crl_url : crl_url;
    terms.life_s = terms.life_s > 0 ? terms.life_s : days * HUB_DAY_S;
    return hub_authority_certify(authority, request, serial, &terms, issued, err);
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
