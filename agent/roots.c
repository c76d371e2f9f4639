/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, writes and judges the CAs that are believed. */
#include "agent/roots.h"

#include "agent/file.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

/* As strong as RSA-2048 and SHA-256, in bits (NIST SP 800-57, part 1, table 2). */
#define STRENGTH_BITS 112

GK_DEFINE_CLEANUP(X509, X509_free)
GK_DEFINE_CLEANUP(X509_STORE, X509_STORE_free)
GK_DEFINE_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free)

static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

void agent_roots_clear(struct agent_roots *roots)
{
    sk_X509_pop_free(roots->all, X509_free);
    roots->all = NULL;
}

int agent_roots_count(const struct agent_roots *roots)
{
    return roots->all != NULL ? sk_X509_num(roots->all) : 0;
}

X509 *agent_roots_at(const struct agent_roots *roots, int index)
{
    return sk_X509_value(roots->all, index);
}

static int index_of(const struct agent_roots *roots, const char *fingerprint)
{
    char text[AGENT_FINGERPRINT_SIZE];

    for (int i = 0; i < agent_roots_count(roots); i++) {
        agent_fingerprint(agent_roots_at(roots, i), text);
        if (strcmp(text, fingerprint) == 0) {
            return i;
        }
    }
    return -1;
}

X509 *agent_roots_find(const struct agent_roots *roots, const char *fingerprint)
{
    int index = index_of(roots, fingerprint);

    return index >= 0 ? agent_roots_at(roots, index) : NULL;
}

enum gk_status agent_roots_add(struct agent_roots *roots, X509 *x509, struct gk_error *err)
{
    char fingerprint[AGENT_FINGERPRINT_SIZE];

    agent_fingerprint(x509, fingerprint);
    if (index_of(roots, fingerprint) >= 0) {
        return GK_OK;
    }
    if (roots->all == NULL) {
        roots->all = sk_X509_new_null();
    }
    if (roots->all == NULL || sk_X509_push(roots->all, x509) == 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    X509_up_ref(x509);
    return GK_OK;
}

enum gk_status agent_roots_append(struct agent_roots *roots, X509 *x509, const char *name,
                                  struct gk_error *err)
{
    char fingerprint[AGENT_FINGERPRINT_SIZE];

    agent_fingerprint(x509, fingerprint);
    if (agent_roots_count(roots) >= AGENT_ROOTS_MAX && index_of(roots, fingerprint) < 0) {
        gk_fail(err, GK_BUSY, "%s holds %d certificates already", name, AGENT_ROOTS_MAX);
        gk_advise(err, "remove what is no longer needed with gatekey ca remove");
        return GK_BUSY;
    }
    return agent_roots_add(roots, x509, err);
}

bool agent_roots_remove(struct agent_roots *roots, const char *fingerprint)
{
    int index = index_of(roots, fingerprint);

    if (index >= 0) {
        X509_free(sk_X509_delete(roots->all, index));
    }
    return index >= 0;
}

enum gk_status agent_roots_parse(struct agent_openssl *openssl, const char *pem, int max,
                                 const char *what, struct agent_roots *roots, struct gk_error *err)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(pem, -1);
    CLEANUP(agent_roots_clear) struct agent_roots found = { 0 };
    unsigned long end;

    for (;;) {
        CLEANUP(X509_freep)
        X509 *one = X509_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));

        if (bio == NULL || one == NULL) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
        if (PEM_read_bio_X509(bio, &one, NULL, NULL) == NULL) {
            break;
        }
        if (max > 0 && agent_roots_count(&found) == max) {
            return gk_fail(err, GK_BAD_FILE, "%s holds more than %d certificates", what, max);
        }
        if (agent_roots_add(&found, one, err) != GK_OK) {
            return GK_NO_MEMORY;
        }
    }
    end = ERR_peek_last_error();
    if (ERR_GET_LIB(end) != ERR_LIB_PEM || ERR_GET_REASON(end) != PEM_R_NO_START_LINE) {
        return agent_openssl_error(err, GK_BAD_FILE, what);
    }
    ERR_clear_error(); /* the end of a PEM text is an error to OpenSSL */
    if (agent_roots_count(&found) == 0) {
        return gk_fail(err, GK_BAD_FILE, "%s holds no certificate", what);
    }
    agent_roots_clear(roots);
    *roots = found;
    found = (struct agent_roots){ 0 };
    return GK_OK;
}

enum gk_status agent_roots_read(const struct agent_config *config, struct agent_openssl *openssl,
                                const char *name, struct agent_roots *roots, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    enum gk_status status = gk_identity_read(config->directory, name, &content, err);

    if (status == GK_NO_FILE) {
        agent_roots_clear(roots);
        return GK_OK;
    }
    return status == GK_OK ? agent_roots_parse(openssl, content.data, 0, name, roots, err) : status;
}

enum gk_status agent_roots_write(const struct agent_config *config, const char *name,
                                 const struct agent_roots *roots, struct gk_error *err)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long size;

    if (agent_roots_count(roots) == 0) {
        return agent_file_remove(config->directory, name, err);
    }
    for (int i = 0; i < agent_roots_count(roots); i++) {
        if (bio == NULL || PEM_write_bio_X509(bio, agent_roots_at(roots, i)) != 1) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
    }
    size = BIO_get_mem_data(bio, &data);
    return agent_file_replace(config->directory, name, data, (size_t)size, AGENT_FOR_ALL, err);
}

const char *agent_roots_file(const struct agent_config *config, enum agent_trust trust)
{
    switch (trust) {
    case AGENT_TRUST_HUB:
        return config->hub_ca_file;
    case AGENT_TRUST_API:
        return config->api_ca_file;
    case AGENT_TRUST_ISSUER:
        break;
    }
    return NULL;
}

/* The file of ours that the owner's is united with. */
static const char *own_file(enum agent_trust trust)
{
    return trust == AGENT_TRUST_ISSUER ? GK_FILE_ISSUER_CA : GK_FILE_SERVER_CA;
}

static bool have_own_file(const struct agent_config *config, enum agent_trust trust)
{
    CLEANUP(gk_freep) char *path = NULL;

    if (asprintf(&path, "%s/%s", config->directory, own_file(trust)) < 0) {
        path = NULL;
        return false;
    }
    return access(path, F_OK) == 0;
}

/* Neither the owner nor we name any: then the distribution's roots count. */
static bool trusts_system(const struct agent_config *config, enum agent_trust trust)
{
    return trust != AGENT_TRUST_ISSUER && agent_roots_file(config, trust) == NULL &&
           !have_own_file(config, trust);
}

void agent_roots_describe(const struct agent_config *config, enum agent_trust trust, char *text,
                          size_t size)
{
    const char *file = agent_roots_file(config, trust);
    bool own = have_own_file(config, trust);

    if (trusts_system(config, trust)) {
        snprintf(text, size, "the system's store");
    } else if (file == NULL) {
        snprintf(text, size, "%s", own_file(trust));
    } else {
        snprintf(text, size, "%s%s", file, own ? " and " GK_FILE_SERVER_CA : "");
    }
}

/* Both files as one text; trust must not be the system's. */
static enum gk_status read_union(const struct agent_config *config, enum agent_trust trust,
                                 struct gk_content *pem, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content theirs = { 0 };
    CLEANUP(gk_content_clear) struct gk_content ours = { 0 };
    const char *file = agent_roots_file(config, trust);
    enum gk_status status = file != NULL ? agent_file_read(file, GK_FILE_MAX, &theirs, err) : GK_OK;
    int size;

    if (status == GK_OK) {
        status = gk_identity_read(config->directory, own_file(trust), &ours, err);
        status = status == GK_NO_FILE ? GK_OK : status;
    }
    if (status != GK_OK) {
        return status;
    }
    size = asprintf(&pem->data, "%s\n%s", theirs.data != NULL ? theirs.data : "",
                    ours.data != NULL ? ours.data : "");
    if (size < 0) {
        *pem = (struct gk_content){ 0 };
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    pem->size = (size_t)size;
    return GK_OK;
}

enum gk_status agent_roots_pem(const struct agent_config *config, enum agent_trust trust,
                               struct gk_content *pem, struct gk_error *err)
{
    if (trusts_system(config, trust)) {
        *pem = (struct gk_content){ 0 };
        return GK_OK;
    }
    return read_union(config, trust, pem, err);
}

enum gk_status agent_roots_trusted(const struct agent_config *config, struct agent_openssl *openssl,
                                   enum agent_trust trust, struct agent_roots *roots, bool *system,
                                   struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content pem = { 0 };
    enum gk_status status = agent_roots_pem(config, trust, &pem, err);
    char where[160];

    if (status != GK_OK) {
        return status;
    }
    if (system != NULL) {
        *system = pem.data == NULL;
    }
    /* Issuers may all be missing: before the first certificate there are none. */
    if (pem.data == NULL || (trust == AGENT_TRUST_ISSUER && !have_own_file(config, trust))) {
        agent_roots_clear(roots);
        return GK_OK;
    }
    agent_roots_describe(config, trust, where, sizeof(where));
    status = agent_roots_parse(openssl, pem.data, 0, where, roots, err);
    if (status == GK_BAD_FILE && trust != AGENT_TRUST_ISSUER) {
        gk_advise(err, "put the root certificate there, in PEM");
    }
    return status;
}

enum gk_status agent_roots_fill(const struct agent_config *config, struct agent_openssl *openssl,
                                enum agent_trust trust, X509_STORE *store, struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    bool system;
    enum gk_status status = agent_roots_trusted(config, openssl, trust, &roots, &system, err);

    if (status != GK_OK) {
        return status;
    }
    if (system && X509_STORE_set_default_paths_ex(store, agent_openssl_context(openssl),
                                                  agent_openssl_propquery(openssl)) != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "the system's roots");
    }
    for (int i = 0; i < agent_roots_count(&roots); i++) {
        if (X509_STORE_add_cert(store, agent_roots_at(&roots, i)) != 1) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
    }
    return GK_OK;
}

void agent_fingerprint(const X509 *x509, char text[static AGENT_FINGERPRINT_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
    unsigned size = 0;

    if (X509_digest(x509, EVP_sha256(), digest, &size) != 1) {
        memset(digest, 0, sizeof(digest));
    }
    for (unsigned i = 0; i < (AGENT_FINGERPRINT_SIZE - 1) / 2; i++) {
        snprintf(text + (size_t)i * 2, 3, "%02x", digest[i]);
    }
}

bool agent_fingerprint_read(const char *text, char clean[static AGENT_FINGERPRINT_SIZE])
{
    size_t used = 0;

    for (; *text != '\0'; text++) {
        if (*text == ':' || *text == ' ') {
            continue;
        }
        if (!isxdigit((unsigned char)*text) || used == AGENT_FINGERPRINT_SIZE - 1) {
            return false;
        }
        clean[used++] = (char)tolower((unsigned char)*text);
    }
    clean[used] = '\0';
    return used == AGENT_FINGERPRINT_SIZE - 1;
}

void agent_fingerprint_show(const X509 *x509, char text[static AGENT_FINGERPRINT_SHOWN_SIZE])
{
    char clean[AGENT_FINGERPRINT_SIZE];

    agent_fingerprint(x509, clean);
    for (size_t i = 0; i < AGENT_FINGERPRINT_SIZE - 1; i += 2) {
        snprintf(text + i / 2 * 3, 4, "%c%c%s", toupper((unsigned char)clean[i]),
                 toupper((unsigned char)clean[i + 1]), clean[i + 2] != '\0' ? ":" : "");
    }
}

bool agent_certificate_dates(const X509 *x509, int64_t *begin, int64_t *end)
{
    struct tm from, until;

    if (ASN1_TIME_to_tm(X509_get0_notBefore(x509), &from) != 1 ||
        ASN1_TIME_to_tm(X509_get0_notAfter(x509), &until) != 1) {
        return false;
    }
    *begin = timegm(&from);
    *end = timegm(&until);
    return true;
}

bool agent_root_is_self_signed(X509 *x509)
{
    bool own = X509_self_signed(x509, 1) == 1;

    ERR_clear_error();
    return own;
}

/* What is wrong with it whatever the time, or NULL. */
static const char *weakness(X509 *x509)
{
    EVP_PKEY *key = X509_get0_pubkey(x509);
    int strength = 0;

    if ((X509_get_key_usage(x509) & KU_KEY_CERT_SIGN) == 0) {
        return "its key must not sign certificates (keyUsage)";
    }
    if (X509_check_ca(x509) != 1) {
        return "it is not a CA's (basicConstraints CA:TRUE is missing)";
    }
    if ((X509_get_extension_flags(x509) & EXFLAG_CRITICAL) != 0) {
        return "a critical extension of it is not known";
    }
    if (key == NULL || EVP_PKEY_get_security_bits(key) < STRENGTH_BITS) {
        return "its key is weaker than RSA with 2048 bits";
    }
    if (X509_get_signature_info(x509, NULL, NULL, &strength, NULL) != 1 ||
        strength < STRENGTH_BITS) {
        return "it is signed with a digest weaker than SHA-256";
    }
    return NULL;
}

enum gk_status agent_root_check(X509 *x509, int64_t now, struct gk_error *err)
{
    const char *weak = weakness(x509);
    char subject[160];
    int64_t begin, end;

    X509_NAME_oneline(X509_get_subject_name(x509), subject, sizeof(subject));
    ERR_clear_error();
    if (weak != NULL) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "%s: %s", subject, weak);
    }
    if (!agent_certificate_dates(x509, &begin, &end)) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "%s: its dates make no sense", subject);
    }
    if (now < begin) {
        return gk_fail(err, GK_NOT_YET_VALID, "%s", subject);
    }
    if (now > end) {
        gk_fail(err, GK_EXPIRED, "%s", subject);
        gk_advise(err, "ask for the one that follows it");
        return GK_EXPIRED;
    }
    return GK_OK;
}

/* How many further CAs a path may have below it: -1 any number. A link is one, unless it only
 * renews its issuer's own name (RFC 5280, 6.1.4 (l)). */
static bool path_is_open(X509 *issuer, X509 *link, int between)
{
    long allowed = X509_get_pathlen(issuer);
    bool renews = X509_NAME_cmp(X509_get_subject_name(link), X509_get_issuer_name(link)) == 0;

    return allowed < 0 || between + (renews ? 0 : 1) <= allowed;
}

static bool chains(struct agent_openssl *openssl, X509 *link, const struct agent_roots *trusted,
                   int64_t now)
{
    CLEANUP(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
    CLEANUP(X509_STORE_CTX_freep)
    X509_STORE_CTX *verify =
        X509_STORE_CTX_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));
    STACK_OF(X509) * chain;
    bool fine = store != NULL && verify != NULL;

    for (int i = 0; fine && i < agent_roots_count(trusted); i++) {
        fine = X509_STORE_add_cert(store, agent_roots_at(trusted, i)) == 1;
    }
    if (!fine || X509_STORE_CTX_init(verify, store, link, NULL) != 1) {
        return false;
    }
    X509_STORE_CTX_set_flags(verify, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(verify), 2);
    X509_STORE_CTX_set_time(verify, 0, (time_t)now);
    fine = X509_verify_cert(verify) == 1;
    ERR_clear_error();
    chain = X509_STORE_CTX_get0_chain(verify);
    for (int i = 1; fine && i < sk_X509_num(chain); i++) {
        fine = path_is_open(sk_X509_value(chain, i), link, i - 1);
    }
    return fine;
}

X509 *agent_root_link(struct agent_openssl *openssl, X509 *root,
                      const struct agent_roots *candidates, const struct agent_roots *trusted,
                      int64_t now)
{
    for (int i = 0; i < agent_roots_count(candidates); i++) {
        X509 *link = agent_roots_at(candidates, i);

        if (X509_NAME_cmp(X509_get_subject_name(link), X509_get_subject_name(root)) == 0 &&
            EVP_PKEY_eq(X509_get0_pubkey(link), X509_get0_pubkey(root)) == 1 &&
            agent_root_check(link, now, NULL) == GK_OK && chains(openssl, link, trusted, now)) {
            return link;
        }
    }
    return NULL;
}
