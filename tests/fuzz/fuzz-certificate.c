/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate and its issuers as the hub sends them or as somebody carries them in: PEM, or DER
 * that is put into PEM, which a fuzzer changes more easily.
 */
#include "tests/fuzz/target.h"

#include "agent/command/certificate.h"
#include "agent/command/refresh.h"
#include "agent/roots.h"
#include "identity/identity.h"
#include "tests/fuzz/scene.h"

#include <openssl/pem.h>

static char *to_pem(const uint8_t *data, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL, *copy = NULL;
    long length;

    if (bio != NULL && PEM_write_bio(bio, "CERTIFICATE", "", data, (long)size) > 0) {
        length = BIO_get_mem_data(bio, &text);
        copy = strndup(text, (size_t)length);
    }
    BIO_free(bio);
    return copy;
}

/* Whom such a certificate could be for. */
static EVP_PKEY *own_key(void)
{
    static EVP_PKEY *key;

    if (key == NULL) {
        key = EVP_PKEY_Q_keygen(agent_openssl_context(fuzz_scene()->openssl), NULL, "RSA",
                                (size_t)2048);
    }
    return key;
}

/* The one root that is believed; without it all of the system's would be read in each run. */
static void set_root(struct fuzz_scene *scene)
{
    static char path[128];
    X509 *root = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long size;

    X509_set_version(root, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(root), 1);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(root), "CN", MBSTRING_ASC,
                               (const unsigned char *)"root", -1, -1, 0);
    X509_set_issuer_name(root, X509_get_subject_name(root));
    X509_gmtime_adj(X509_getm_notBefore(root), -60);
    X509_gmtime_adj(X509_getm_notAfter(root), 86400);
    X509_set_pubkey(root, own_key());
    if (X509_sign(root, own_key(), EVP_sha256()) == 0 || PEM_write_bio_X509(bio, root) != 1) {
        abort();
    }
    size = BIO_get_mem_data(bio, &text);
    fuzz_write("root.pem", text, (size_t)size);
    snprintf(path, sizeof(path), "%s/root.pem", scene->directory);
    scene->config.hub_ca_file = path;
    BIO_free(bio);
    X509_free(root);
}

static void look_at(const struct certificate *certificate)
{
    struct gk_public key = { .exponent = 65537 };
    char *chain = certificate_format_chain(certificate);
    char *issuers = certificate_format_issuers(certificate);

    /* What was taken has a serial that fits into the state, and can be written down. */
    if (certificate_serial(certificate)[0] == '\0' ||
        strlen(certificate_serial(certificate)) >= 49 || chain == NULL || issuers == NULL) {
        abort();
    }
    (void)certificate_is_for(certificate, &key);
    (void)strlen(certificate_subject(certificate));
    (void)strlen(certificate_subject_name(certificate));
    free(chain);
    free(issuers);
}

/* Where its revocation list would be fetched from: only where a URL of gatekey.conf may lead as
 * well. */
static void look_for_list(struct fuzz_scene *scene, const char *pem)
{
    CLEANUP(gk_freep) char *url = NULL;
    struct gk_error err = { 0 };

    fuzz_write(GK_FILE_CERTIFICATE, pem, strlen(pem));
    if (refresh_address(&scene->config, scene->openssl, REFRESH_CRL, &url, &err) == GK_OK &&
        url != NULL && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_scene *scene = fuzz_scene();
    bool is_text = size > 0 && (data[0] == '-' || data[0] == '\n');
    CLEANUP(gk_freep) char *pem = is_text ? strndup((const char *)data, size) : to_pem(data, size);
    CLEANUP(certificate_freep) struct certificate *certificate = NULL;
    CLEANUP(certificate_freep) struct certificate *accepted = NULL;
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    const struct certificate_wanted wanted = { own_key(), "gw-1", NULL };
    struct gk_error err = { 0 };

    if (pem == NULL) {
        return 0;
    }
    if (scene->config.hub_ca_file == NULL) {
        set_root(scene);
    }
    if (certificate_parse(scene->openssl, pem, pem, &certificate, &err) == GK_OK) {
        look_at(certificate);
        (void)!certificate_check(&scene->config, scene->openssl, certificate, wanted.key, &err);
    }
    /* Nothing here is for a key that was made a moment ago. */
    if (certificate_accept(&scene->config, scene->openssl, &wanted, pem, pem, &accepted, &err) ==
        GK_OK) {
        abort();
    }
    look_for_list(scene, pem);
    (void)!agent_roots_parse(scene->openssl, pem, AGENT_ROOTS_MAX, "it", &roots, &err);
    return 0;
}
