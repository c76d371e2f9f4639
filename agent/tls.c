/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the SSL_CTX for the hub and remembers what the handshake said. */
#include "agent/tls.h"

#include "agent/alert.h"
#include "agent/clock.h"
#include "agent/crl.h"
#include "agent/file.h"
#include "agent/roots.h"
#include "identity/identity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

/* What the device key signs: RSA with SHA-2, nothing older. */
#define CLIENT_SIGNATURES \
    "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512"
#define TLS12_CIPHERS "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"

struct agent_tls {
    const struct agent_config *config;
    SSL_CTX *context;
    char *name;           /* what the hub's certificate must be for */
    bool name_is_address; /* then it is no server name for the wire */
    char roots[160];      /* where they stand, for errors */

    /* What the handshake said. */
    bool established;
    bool shown;          /* the hub has proved who it is, and our certificate was on its way */
    int alert;           /* received, or -1 */
    int verify_error;    /* X509_V_OK, or why the hub was not believed */
    int system_error;    /* of the last read or write that failed, 0 when none did */
    int64_t now;         /* the time that certificates and lists are judged by */
    char remark[256];    /* on a list that was heeded for want of a better one */
    struct gk_error own; /* our own first failure, GK_OK when there was none */
};

GK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
GK_DEFINE_CLEANUP(X509_CRL, X509_CRL_free)

static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

/* The SSL_CTX's application data leads back from OpenSSL's callbacks to us. */
static struct agent_tls *owner_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/*
 * libmosquitto puts the address it was given on the wire as server name; the name belongs there.
 * The start of the handshake is the last moment before it is sent. A name that does not go in is as
 * good as none: the certificate is checked against it all the same.
 */
static void set_server_name(const struct agent_tls *tls, const SSL *ssl)
{
    SSL_set_tlsext_host_name((SSL *)ssl, tls->name_is_address ? NULL : tls->name);
}

/* Not the wall clock, which may stand before what certainly has passed. */
static void set_time(struct agent_tls *tls, const SSL *ssl)
{
    tls->now = agent_clock_now(tls->config);
    X509_VERIFY_PARAM_set_time(SSL_get0_param((SSL *)ssl), (time_t)tls->now);
}

/* The hub's certificate began to be valid: that moment has passed. If it cannot be noted, the floor
 * stays where it is. */
static void raise_floor(const struct agent_tls *tls, const SSL *ssl)
{
    const X509 *hub = SSL_get0_peer_certificate(ssl);
    int64_t begin, end;

    if (hub != NULL && agent_certificate_dates(hub, &begin, &end)) {
        (void)!agent_clock_raise(tls->config, AGENT_CLOCK_HUB, begin, NULL);
    }
}

/*
 * A hub that refuses us sends an alert and hangs up, and our next write may fail before the alert
 * was read; libmosquitto would then close the socket, and the reason with it. So a write that fails
 * only says "later": the next read brings the alert, or the end.
 */
static long on_socket(BIO *bio, int operation, const char *data, size_t size, int number,
                      long argument, int result, size_t *processed)
{
    struct agent_tls *tls = (struct agent_tls *)BIO_get_callback_arg(bio);

    (void)data;
    (void)size;
    (void)number;
    (void)argument;
    (void)processed;
    if ((operation != (BIO_CB_READ | BIO_CB_RETURN) &&
         operation != (BIO_CB_WRITE | BIO_CB_RETURN)) ||
        result >= 0 || BIO_should_retry(bio)) {
        return result;
    }
    tls->system_error = errno;
    if (operation == (BIO_CB_WRITE | BIO_CB_RETURN) && tls->established &&
        (errno == ECONNRESET || errno == EPIPE)) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return result;
}

/*
 * Now or never, since libmosquitto empties the queue: either our key failed, or what came was no
 * TLS. The queue is empty while the handshake only waits; a connection cut off is not told here.
 */
static void note_own_failure(struct agent_tls *tls)
{
    unsigned long code = ERR_peek_error();

    if (code != 0 && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        tls->own.status = agent_openssl_peek(&tls->own, GK_HUB_GARBLED, tls->name);
    }
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct agent_tls *tls = owner_of(ssl);

    if ((where & SSL_CB_HANDSHAKE_START) != 0) {
        set_server_name(tls, ssl);
        set_time(tls, ssl);
        BIO_set_callback_arg(SSL_get_wbio(ssl), (char *)tls);
        BIO_set_callback_ex(SSL_get_wbio(ssl), on_socket);
    } else if ((where & SSL_CB_HANDSHAKE_DONE) != 0) {
        tls->established = true;
        tls->shown = true; /* in TLS 1.3 perhaps in a compressed message of its own (RFC 8879) */
        raise_floor(tls, ssl);
    } else if ((where & SSL_CB_LOOP) != 0 && SSL_get_state(ssl) == TLS_ST_CW_CERT) {
        tls->shown = true; /* TLS 1.2 waits for the hub's Finished after it */
    } else if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
               (value & 0xff) != SSL_AD_CLOSE_NOTIFY && tls->alert < 0) {
        tls->alert = value & 0xff;
    } else if ((where & SSL_CB_EXIT) != 0 && value <= 0 && tls->own.status == GK_OK) {
        note_own_failure(tls);
    }
}

/*
 * No list of the issuer, or one past its nextUpdate, tells nothing of what was revoked since. Until
 * [trust] grace is over it is heeded as it is; then [trust] stale decides. Either way somebody is
 * told.
 */
static bool may_do_without(struct agent_tls *tls, const X509_CRL *list)
{
    bool stops = tls->config->stale == AGENT_STOP;
    int64_t next;
    struct tm tm;

    if (list == NULL) {
        snprintf(tls->remark, sizeof(tls->remark),
                 GK_FILE_SERVER_CRL " has no list of the issuer of the certificate of %s",
                 tls->name);
        return !stops;
    }
    if (ASN1_TIME_to_tm(X509_CRL_get0_nextUpdate(list), &tm) != 1) {
        return false;
    }
    next = timegm(&tm);
    if (tls->now - next <= (int64_t)tls->config->grace_s) {
        stops = false;
    }
    snprintf(tls->remark, sizeof(tls->remark),
             "the list in " GK_FILE_SERVER_CRL " is %lld s past its nextUpdate",
             (long long)(tls->now - next));
    return !stops;
}

static bool is_for_want_of_a_list(int verify_error)
{
    return verify_error == X509_V_ERR_CRL_HAS_EXPIRED ||
           verify_error == X509_V_ERR_UNABLE_TO_GET_CRL;
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct agent_tls *tls = owner_of(ssl);
    int why = X509_STORE_CTX_get_error(store);

    if (!ok && is_for_want_of_a_list(why)) {
        ok = may_do_without(
            tls, why == X509_V_ERR_CRL_HAS_EXPIRED ? X509_STORE_CTX_get0_current_crl(store) : NULL);
    }
    if (!ok && tls->verify_error == X509_V_OK) {
        tls->verify_error = why;
    }
    return ok;
}

static bool is_address(const char *name)
{
    uint8_t address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static enum gk_status expect_name(struct agent_tls *tls, struct gk_error *err)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls->context);
    const struct agent_config *config = tls->config;
    int ok;

    tls->name = config->server_name != NULL ? config->server_name : config->host;
    tls->name_is_address = is_address(tls->name);
    if (tls->name_is_address) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(param, tls->name);
    } else {
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

    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_info_callback(context, on_info);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_security_level(context, 2);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, TLS12_CIPHERS) != 1 ||
        SSL_CTX_set1_client_sigalgs_list(context, CLIENT_SIGNATURES) != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "setting up TLS");
    }
    return GK_OK;
}

enum gk_status agent_tls_new(const struct agent_config *config, struct agent_openssl *openssl,
                             enum agent_pair pair, struct agent_tls **tls, struct gk_error *err)
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
    agent_tls_reset(made);
    ERR_clear_error();
    made->context = SSL_CTX_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl),
                                   TLS_client_method());
    if (made->context == NULL) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "setting up TLS");
    }
    status = set_rules(made, err);
    if (status == GK_OK) {
        status = expect_name(made, err);
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

void agent_tls_reset(struct agent_tls *tls)
{
    tls->established = false;
    tls->shown = false;
    tls->alert = -1;
    tls->verify_error = X509_V_OK;
    tls->system_error = 0;
    tls->own = (struct gk_error){ 0 };
}

int agent_tls_system_error(const struct agent_tls *tls)
{
    return tls->system_error;
}

bool agent_tls_is_established(const struct agent_tls *tls)
{
    return tls->established;
}

const char *agent_tls_remark(const struct agent_tls *tls)
{
    return tls->remark[0] != '\0' ? tls->remark : NULL;
}

/* Our own certificate, by the time that it was shown at. */
static bool has_expired(const struct agent_tls *tls)
{
    const X509 *ours = SSL_CTX_get0_certificate(tls->context);
    int64_t begin, end;

    return ours != NULL && agent_certificate_dates(ours, &begin, &end) && end < tls->now;
}

/* Until it was shown nobody can judge it: in the clear anybody on the way may say so. */
static bool is_premature(const struct agent_tls *tls)
{
    return !tls->shown &&
           (tls->alert == SSL_AD_CERTIFICATE_REVOKED || tls->alert == SSL_AD_CERTIFICATE_EXPIRED);
}

enum gk_status agent_tls_explain(const struct agent_tls *tls, struct gk_error *err)
{
    if (is_for_want_of_a_list(tls->verify_error)) {
        return gk_fail(err, GK_STALE_CRL, "%s, and [trust] stale is stop", tls->remark);
    }
    if (tls->verify_error != X509_V_OK) {
        return agent_alert_distrust(tls->verify_error, tls->name, tls->roots, err);
    }
    if (is_premature(tls)) {
        return gk_fail(err, GK_HUB_GARBLED,
                       "%s judges our certificate before it has seen it, TLS alert %d", tls->name,
                       tls->alert);
    }
    if (tls->alert >= 0) {
        return agent_alert_received(tls->alert, has_expired(tls), tls->name, err);
    }
    if (tls->own.status != GK_OK && err != NULL) {
        *err = tls->own;
    }
    return tls->own.status;
}
