/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the SSL_CTX for the hub: whom it believes, and what it shows. */
#include "agent/tls-internal.h"

#include "agent/crl.h"
#include "agent/file.h"
#include "agent/roots.h"
#include "identity/identity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

/* What the device key signs: RSA with SHA-2, nothing older. */
#define CLIENT_SIGNATURES \
    "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512"
#define TLS12_CIPHERS "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"

GK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
GK_DEFINE_CLEANUP(X509_CRL, X509_CRL_free)

static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

static bool is_address(const char *name)
{
    uint8_t address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

enum gk_status agent_tls_expect(struct agent_tls *tls, const char *host, struct gk_error *err)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls->context);
    const struct agent_config *config = tls->config;
    int ok = X509_VERIFY_PARAM_set1_ip(param, NULL, 0) == 1 &&
             X509_VERIFY_PARAM_set1_host(param, NULL, 0) == 1;

    tls->host = host;
    tls->name = config->server_name != NULL ? config->server_name : host;
    tls->name_is_address = is_address(tls->name);
    if (ok && tls->name_is_address) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(param, tls->name);
    } else if (ok) {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        ok = X509_VERIFY_PARAM_set1_host(param, tls->name, 0);
    }
    return ok == 1 ? GK_OK : agent_openssl_error(err, GK_BAD_CONFIG, "[hub] host or server_name");
}

static enum gk_status trust_roots(struct agent_tls *tls, struct agent_openssl *openssl,
                                  struct gk_error *err)
{
    agent_roots_describe(tls->config, AGENT_TRUST_HUB, tls->roots, sizeof(tls->roots));
    return agent_roots_fill(tls->config, openssl, AGENT_TRUST_HUB,
                            SSL_CTX_get_cert_store(tls->context), err);
}

static enum gk_status add_crls(X509_STORE *store, BIO *pem, const char *path, struct gk_error *err)
{
    unsigned count = 0;

    for (;;) {
        CLEANUP(X509_CRL_freep) X509_CRL *crl = PEM_read_bio_X509_CRL(pem, NULL, NULL, NULL);

        if (crl == NULL) {
            break;
        }
        if (X509_STORE_add_crl(store, crl) != 1) {
            return agent_openssl_error(err, GK_BAD_FILE, path);
        }
        count++;
    }
    ERR_clear_error(); /* the end of a PEM file is an error to OpenSSL */
    if (count == 0) {
        return gk_fail(err, GK_BAD_FILE, "%s holds no revocation list", path);
    }
    return X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1
               ? GK_OK
               : agent_openssl_error(err, GK_CRYPTO_FAILED, path);
}

/* One is configured, and was never fetched. */
static enum gk_status miss_crl(struct agent_tls *tls, struct gk_error *err)
{
    if (tls->config->stale == AGENT_STOP) {
        return gk_fail(err, GK_STALE_CRL, "%s/" GK_FILE_SERVER_CRL " is not there",
                       tls->config->directory);
    }
    snprintf(tls->remark, sizeof(tls->remark), GK_FILE_SERVER_CRL " is not there");
    return GK_OK;
}

/* A list that is there must be good: one that cannot be read must not quietly mean "none". */
static enum gk_status heed_crl(struct agent_tls *tls, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(bio_freep) BIO *pem = NULL;
    CLEANUP(gk_freep) char *path = NULL;
    enum gk_status status;

    if (asprintf(&path, "%s/" GK_FILE_SERVER_CRL, tls->config->directory) < 0) {
        path = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = agent_file_read(path, AGENT_CRL_FILE_MAX, &content, err);
    if (status == GK_NO_FILE) {
        return tls->config->server_crl_url != NULL ? miss_crl(tls, err) : GK_OK;
    }
    if (status != GK_OK) {
        return status;
    }
    pem = BIO_new_mem_buf(content.data, (int)content.size);
    if (pem == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return add_crls(SSL_CTX_get_cert_store(tls->context), pem, GK_FILE_SERVER_CRL, err);
}

static enum gk_status show_files(struct agent_tls *tls, struct agent_openssl *openssl,
                                 const char *path, const char *uri, struct gk_error *err)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = NULL;
    enum gk_status status;

    if (access(path, R_OK) != 0) {
        return errno == ENOENT ? gk_fail(err, GK_NOT_ENROLLED, "%s does not exist", path)
                               : gk_fail_file(err, errno, path);
    }
    if (SSL_CTX_use_certificate_chain_file(tls->context, path) != 1) {
        return agent_openssl_error(err, GK_BAD_CERTIFICATE, path);
    }
    status = agent_openssl_load_key(openssl, uri, &key, err);
    if (status != GK_OK) {
        return status;
    }
    if (SSL_CTX_use_PrivateKey(tls->context, key) != 1 ||
        SSL_CTX_check_private_key(tls->context) != 1) {
        ERR_clear_error();
        gk_fail(err, GK_BAD_CERTIFICATE, "%s is for another key than %s", path, uri);
        gk_advise(err, "run gatekey status; the key may have been replaced after the enrolment");
        return GK_BAD_CERTIFICATE;
    }
    return GK_OK;
}

static char *locate(const char *folder, const char *name)
{
    char *path;

    return folder == NULL || asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/*
 * While a rotated key moves into place, or when a power cut ended that half-way, cert.pem and
 * device.pem are of two pairs; identity.pem never is, and neither is it there for another's key.
 */
static enum gk_status show_certificate(struct agent_tls *tls, struct agent_openssl *openssl,
                                       enum agent_pair pair, struct gk_error *err)
{
    CLEANUP(gk_freep) char *folder = agent_pair_folder(tls->config, pair);
    CLEANUP(gk_freep) char *uri = agent_pair_key(tls->config, pair);
    CLEANUP(gk_freep) char *path = locate(folder, GK_FILE_CERTIFICATE);
    CLEANUP(gk_freep) char *both = locate(tls->config->directory, GK_FILE_IDENTITY);
    enum gk_status status;

    if (uri == NULL || path == NULL || both == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = show_files(tls, openssl, path, uri, err);
    if (status == GK_BAD_CERTIFICATE && pair == AGENT_PAIR_CURRENT &&
        strcmp(uri, "gatekey:") == 0 && show_files(tls, openssl, both, both, NULL) == GK_OK) {
        return GK_OK;
    }
    return status;
}

static enum gk_status set_rules(struct agent_tls *tls, struct gk_error *err)
{
    SSL_CTX *context = tls->context;

    agent_tls_listen(tls);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_security_level(context, 2);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, TLS12_CIPHERS) != 1 ||
        SSL_CTX_set1_client_sigalgs_list(context, CLIENT_SIGNATURES) != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "setting up TLS");
    }
    return GK_OK;
}

enum gk_status agent_tls_new(const struct agent_config *config, struct agent_openssl *openssl,
                             enum agent_pair pair, struct agent_tls_session *session,
                             struct agent_tls **tls, struct gk_error *err)
{
    CLEANUP(agent_tls_freep) struct agent_tls *made = calloc(1, sizeof(*made));
    enum gk_status status;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (config->host == NULL) {
        return gk_fail(err, GK_BAD_CONFIG, "[hub] host is missing");
    }
    made->config = config;
    made->session = session;
    agent_tls_reset(made);
    ERR_clear_error();
    made->context = SSL_CTX_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl),
                                   TLS_client_method());
    if (made->context == NULL) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "setting up TLS");
    }
    status = set_rules(made, err);
    if (status == GK_OK) {
        status = agent_tls_expect(made, config->host, err);
    }
    if (status == GK_OK) {
        status = trust_roots(made, openssl, err);
    }
    if (status == GK_OK) {
        status = heed_crl(made, err);
    }
    if (status == GK_OK && pair != AGENT_PAIR_NONE) {
        status = show_certificate(made, openssl, pair, err);
    }
    if (status == GK_OK) {
        *tls = TAKE(made);
    }
    return status;
}

void agent_tls_free(struct agent_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_CTX_free(tls->context);
    free(tls);
}

SSL_CTX *agent_tls_context(struct agent_tls *tls)
{
    return tls->context;
}
