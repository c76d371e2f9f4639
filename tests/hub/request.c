/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate requests: reads a device's as strictly as EnOS does, and writes the hub's own. */
#include "tests/hub/request.h"

#include "tests/hub/text.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

#define RSA_BITS 2048

GK_DEFINE_CLEANUP(BIO, BIO_free_all)
GK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
GK_DEFINE_CLEANUP(X509_REQ, X509_REQ_free)
GK_DEFINE_CLEANUP(X509_EXTENSION, X509_EXTENSION_free)

/* EnOS wants all six; emailAddress may be there as well. */
static const struct {
    int nid;
    const char *name;
    int longest;
} mandatory[] = {
    { NID_countryName, "C", 2 },
    { NID_stateOrProvinceName, "ST", 64 },
    { NID_localityName, "L", 64 },
    { NID_organizationName, "O", 64 },
    { NID_organizationalUnitName, "OU", 64 },
    { NID_commonName, "CN", 64 },
};

static void stack_free(STACK_OF(X509_EXTENSION) * *extensions)
{
    sk_X509_EXTENSION_pop_free(*extensions, X509_EXTENSION_free);
}

static void string_freep(uint8_t **text)
{
    OPENSSL_free(*text);
}

static enum gk_status check_key(X509_REQ *request, struct gk_error *err)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(request);

    if (key == NULL || !EVP_PKEY_is_a(key, "RSA")) {
        return gk_fail(err, GK_NOT_RSA2048, "the request's key is %s",
                       key != NULL ? EVP_PKEY_get0_type_name(key) : "unreadable");
    }
    if (EVP_PKEY_get_bits(key) != RSA_BITS) {
        return gk_fail(err, GK_NOT_RSA2048, "the request's key is RSA with %d bits",
                       EVP_PKEY_get_bits(key));
    }
    return GK_OK;
}

static enum gk_status check_signature(X509_REQ *request, struct gk_error *err)
{
    int nid = X509_REQ_get_signature_nid(request);

    if (nid != NID_sha256WithRSAEncryption) {
        return gk_fail(err, GK_BAD_FILE, "the request is signed with %s, not with SHA256withRSA",
                       OBJ_nid2ln(nid));
    }
    if (X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) != 1) {
        return gk_fail(err, GK_BAD_FILE, "the request's signature does not verify");
    }
    return GK_OK;
}

/* One part of the subject as UTF-8; how many characters it has, or -1 when it is not there just
 * once. */
static int read_part(X509_NAME *subject, int nid, uint8_t **text)
{
    int at = X509_NAME_get_index_by_NID(subject, nid, -1);
    ASN1_STRING *data;
    int characters = 0;
    int length;

    if (at < 0 || (nid == NID_commonName && X509_NAME_get_index_by_NID(subject, nid, at) >= 0)) {
        return -1;
    }
    data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    length = ASN1_STRING_to_UTF8(text, data);
    /* A NUL inside would make two names look alike. */
    if (length < 1 || strlen((char *)*text) != (size_t)length) {
        return -1;
    }
    for (const uint8_t *byte = *text; *byte != '\0'; byte++) {
        characters += (*byte & 0xc0) != 0x80;
    }
    return characters;
}

static enum gk_status check_subject(struct hub_request *request, struct gk_error *err)
{
    X509_NAME *subject = X509_REQ_get_subject_name(request->request);

    for (size_t i = 0; i < sizeof(mandatory) / sizeof(mandatory[0]); i++) {
        CLEANUP(string_freep) uint8_t *text = NULL;
        int characters = read_part(subject, mandatory[i].nid, &text);

        if (characters < 0) {
            return gk_fail(err, GK_BAD_FILE, "the request's subject must have one %s",
                           mandatory[i].name);
        }
        if (characters > mandatory[i].longest) {
            return gk_fail(err, GK_BAD_FILE, "the request's %s is longer than %d characters",
                           mandatory[i].name, mandatory[i].longest);
        }
        if (mandatory[i].nid == NID_commonName) {
            snprintf(request->common_name, sizeof(request->common_name), "%s", (char *)text);
        }
    }
    return GK_OK;
}

static enum gk_status digest_key(struct hub_request *request, struct gk_error *err)
{
    uint8_t digest[32];
    unsigned int size = sizeof(digest);
    CLEANUP(string_freep) uint8_t *der = NULL;
    int der_size = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(request->request), &der);

    if (der_size <= 0 ||
        EVP_Digest(der, (size_t)der_size, digest, &size, EVP_sha256(), NULL) != 1) {
        return gk_fail(err, GK_CRYPTO_FAILED, "hashing the request's key");
    }
    hub_hex(digest, sizeof(digest), request->key_digest);
    return GK_OK;
}

void hub_request_clear(struct hub_request *request)
{
    X509_REQ_free(request->request);
    *request = (struct hub_request){ 0 };
}

enum gk_status hub_request_read(const char *pem, struct hub_request *request, struct gk_error *err)
{
    CLEANUP(BIO_free_allp) BIO *source = BIO_new_mem_buf(pem, -1);
    CLEANUP(hub_request_clear) struct hub_request r = { 0 };
    enum gk_status status;

    /* Takes both headers EnOS's clients write, with "NEW" and without. */
    r.request = PEM_read_bio_X509_REQ(source, NULL, NULL, NULL);
    ERR_clear_error();
    if (r.request == NULL) {
        return gk_fail(err, GK_BAD_FILE, "this is no PEM certificate request");
    }
    status = check_key(r.request, err);
    if (status == GK_OK) {
        status = check_signature(r.request, err);
    }
    if (status == GK_OK) {
        status = check_subject(&r, err);
    }
    if (status == GK_OK) {
        status = digest_key(&r, err);
    }
    ERR_clear_error();
    if (status == GK_OK) {
        *request = r;
        r = (struct hub_request){ 0 };
    }
    return status;
}

/* The whole of a memory BIO as text of its own. */
static char *take_text(BIO *memory)
{
    char *data;
    long size = BIO_get_mem_data(memory, &data);

    return size > 0 ? strndup(data, (size_t)size) : NULL;
}

enum gk_status hub_key_create(char **pem, struct gk_error *err)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(RSA_BITS);
    CLEANUP(BIO_free_allp) BIO *memory = BIO_new(BIO_s_mem());
    char *text;

    if (key == NULL || PEM_write_bio_PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        (text = take_text(memory)) == NULL) {
        return gk_fail(err, GK_CRYPTO_FAILED, "making a key");
    }
    *pem = text;
    return GK_OK;
}

static bool name_request(X509_REQ *request, const char *common_name)
{
    static const struct {
        const char *part;
        const char *value;
    } fixed[] = {
        { "C", "CN" },   { "ST", "Shanghai" },          { "L", "Shanghai" },
        { "O", "EnOS" }, { "OU", "gatekey local hub" },
    };
    X509_NAME *subject = X509_REQ_get_subject_name(request);
    bool good = true;

    for (size_t i = 0; good && i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        good = X509_NAME_add_entry_by_txt(subject, fixed[i].part, MBSTRING_UTF8,
                                          (const uint8_t *)fixed[i].value, -1, -1, 0) == 1;
    }
    return good && X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                              (const uint8_t *)common_name, -1, -1, 0) == 1;
}

static bool ask_for_names(X509_REQ *request, const char *names)
{
    CLEANUP(stack_free) STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    CLEANUP(X509_EXTENSION_freep)
    X509_EXTENSION *alternative = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

    if (alternative == NULL || sk_X509_EXTENSION_push(extensions, alternative) == 0) {
        return false;
    }
    alternative = NULL;
    return X509_REQ_add_extensions(request, extensions) == 1;
}

enum gk_status hub_request_create(const char *key_pem, const char *common_name, const char *names,
                                  char **pem, struct gk_error *err)
{
    CLEANUP(BIO_free_allp) BIO *source = BIO_new_mem_buf(key_pem, -1);
    CLEANUP(BIO_free_allp) BIO *memory = BIO_new(BIO_s_mem());
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = PEM_read_bio_PrivateKey(source, NULL, NULL, NULL);
    CLEANUP(X509_REQ_freep) X509_REQ *request = X509_REQ_new();
    char *text;

    if (key == NULL || request == NULL || !name_request(request, common_name) ||
        !ask_for_names(request, names) || X509_REQ_set_pubkey(request, key) != 1 ||
        X509_REQ_sign(request, key, EVP_sha256()) <= 0 ||
        PEM_write_bio_X509_REQ(memory, request) != 1 || (text = take_text(memory)) == NULL) {
        return gk_fail(err, GK_CRYPTO_FAILED, "making a request for %s", names);
    }
    *pem = text;
    return GK_OK;
}
