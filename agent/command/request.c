/* SPDX-License-Identifier: Apache-2.0 */
/* Writes certificate signing requests, signed by the device key through its URI. */
#include "agent/command/certificate.h"

#include <inttypes.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#define PLACEHOLDER "{device_key}"

static void free_requestp(X509_REQ **request)
{
    X509_REQ_free(*request);
}

static void free_namep(X509_NAME **name)
{
    X509_NAME_free(*name);
}

static void free_digestp(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

static void free_biop(BIO **bio)
{
    BIO_free(*bio);
}

static void free_extensionsp(STACK_OF(X509_EXTENSION) * *extensions)
{
    sk_X509_EXTENSION_pop_free(*extensions, X509_EXTENSION_free);
}

enum gk_status certificate_common_name(const struct agent_config *config, const char *suffix,
                                       char name[static CERTIFICATE_NAME_MAX + 1],
                                       struct gk_error *err)
{
    const char *template = config->common_name, *at = strstr(template, PLACEHOLDER);
    char whole[3 * CERTIFICATE_NAME_MAX];
    size_t limit = CERTIFICATE_NAME_MAX - (suffix != NULL ? strlen(suffix) : 0);
    size_t size;

    if (at == NULL) {
        snprintf(whole, sizeof(whole), "%s", template);
    } else {
        snprintf(whole, sizeof(whole), "%.*s%s%s", (int)(at - template), template,
                 config->device_key, at + strlen(PLACEHOLDER));
    }
    size = strlen(whole);
    if (size > CERTIFICATE_NAME_MAX || size == 0) {
        gk_fail(err, GK_BAD_CONFIG, "[device] common_name becomes %zu characters long", size);
        gk_advise(err, "shorten it to %d characters", CERTIFICATE_NAME_MAX);
        return GK_BAD_CONFIG;
    }
    while (size > limit || (size > 0 && ((unsigned char)whole[size] & 0xc0) == 0x80)) {
        size--; /* never in the middle of a UTF-8 character */
    }
    snprintf(name, CERTIFICATE_NAME_MAX + 1, "%.*s%s", (int)size, whole,
             suffix != NULL ? suffix : "");
    return GK_OK;
}

void certificate_suffix(char suffix[static CERTIFICATE_SUFFIX_SIZE])
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(suffix, CERTIFICATE_SUFFIX_SIZE, "-%" PRIx64,
             ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) & 0xfffffffffff);
}

static bool set_subject(X509_REQ *request, const struct agent_config *config,
                        const char *common_name)
{
    const struct {
        const char *type, *value;
    } parts[] = {
        { "C", config->country },
        { "ST", config->state },
        { "L", config->locality },
        { "O", config->organization },
        { "OU", config->organizational_unit },
        { "CN", common_name },
    };
    CLEANUP(free_namep) X509_NAME *name = X509_NAME_new();
    bool fine = name != NULL;

    for (size_t i = 0; fine && i < sizeof(parts) / sizeof(parts[0]); i++) {
        fine = X509_NAME_add_entry_by_txt(name, parts[i].type, MBSTRING_UTF8,
                                          (const unsigned char *)parts[i].value, -1, -1, 0) == 1;
    }
    return fine && X509_REQ_set_subject_name(request, name) == 1;
}

/* Asked for although EnOS ignores it: another CA may look at it. */
static bool ask_for_signing_only(X509_REQ *request)
{
    static const struct {
        int nid;
        const char *value;
    } wanted[] = {
        { NID_key_usage, "critical,digitalSignature" },
        { NID_ext_key_usage, "clientAuth" },
    };
    CLEANUP(free_extensionsp) STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        X509_EXTENSION *one = X509V3_EXT_conf_nid(NULL, NULL, wanted[i].nid, wanted[i].value);

        if (extensions == NULL || one == NULL || sk_X509_EXTENSION_push(extensions, one) == 0) {
            X509_EXTENSION_free(one);
            return false;
        }
    }
    return X509_REQ_add_extensions(request, extensions) == 1;
}

static enum gk_status sign(struct agent_openssl *openssl, X509_REQ *request, EVP_PKEY *key,
                           struct gk_error *err)
{
    CLEANUP(free_digestp) EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (EVP_DigestSignInit_ex(context, NULL, "SHA256", agent_openssl_context(openssl),
                              agent_openssl_propquery(openssl), key, NULL) != 1 ||
        X509_REQ_sign_ctx(request, context) <= 0) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "signing with the device key");
    }
    return GK_OK;
}

enum gk_status certificate_request(const struct agent_config *config, struct agent_openssl *openssl,
                                   EVP_PKEY *key, const char *common_name, char **pem,
                                   struct gk_error *err)
{
    CLEANUP(free_requestp)
    X509_REQ *request =
        X509_REQ_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));
    CLEANUP(free_biop) BIO *bio = BIO_new(BIO_s_mem());
    enum gk_status status;
    char *data;
    long size;

    if (request == NULL || bio == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
        !set_subject(request, config, common_name) ||
        (config->csr_extensions && !ask_for_signing_only(request)) ||
        X509_REQ_set_pubkey(request, key) != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "filling in the request");
    }
    status = sign(openssl, request, key, err);
    if (status != GK_OK) {
        return status;
    }
    if (PEM_write_bio_X509_REQ(bio, request) != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "writing the request");
    }
    size = BIO_get_mem_data(bio, &data);
    *pem = strndup(data, (size_t)size);
    return *pem != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}
