/* SPDX-License-Identifier: Apache-2.0 */
/* The roots of the local hub's CA: made on first use, read from their folder, linked one to the
 * next. */
#include "tests/hub/authority-internal.h"

#include "tests/hub/file.h"
#include "tests/hub/text.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <time.h>

GK_DEFINE_CLEANUP(BIO, BIO_free_all)
GK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
GK_DEFINE_CLEANUP(X509, X509_free)
GK_DEFINE_CLEANUP(X509_EXTENSION, X509_EXTENSION_free)

/* As EnOS's own root: a critical CA:TRUE without a path length, and both key identifiers. */
static const struct hub_extension root_profile[] = {
    { NID_basic_constraints, "critical,CA:TRUE" },
    { NID_key_usage, "critical,keyCertSign,cRLSign" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid:always" },
    { NID_undef, NULL },
};

char *hub_certificate_pem(X509 *certificate)
{
    CLEANUP(BIO_free_allp) BIO *memory = BIO_new(BIO_s_mem());
    char *data;
    long size;

    if (PEM_write_bio_X509(memory, certificate) != 1) {
        return NULL;
    }
    size = BIO_get_mem_data(memory, &data);
    return strndup(data, (size_t)size);
}

bool hub_extension_add(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    CLEANUP(X509_EXTENSION_freep) X509_EXTENSION *extension = NULL;
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    return extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
}

bool hub_extensions_add(X509 *certificate, X509 *issuer, const struct hub_extension *table)
{
    for (; table->nid != NID_undef; table++) {
        if (!hub_extension_add(certificate, issuer, table->nid, table->value)) {
            return false;
        }
    }
    return true;
}

bool hub_certificate_set_life(X509 *certificate, int64_t from_s, int64_t life_s)
{
    time_t begin = time(NULL) + from_s;

    return ASN1_TIME_set(X509_getm_notBefore(certificate), begin) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), begin + life_s) != NULL;
}

/* The first keeps the name it always had. */
static bool set_root_name(X509_NAME *name, int number)
{
    static const char *const parts[][2] = {
        { "C", "CN" },   { "ST", "Shanghai" },          { "L", "Shanghai" },
        { "O", "EnOS" }, { "OU", "gatekey local hub" },
    };
    char common_name[64] = "gatekey development CA";

    if (number > 1) {
        snprintf(common_name, sizeof(common_name), "gatekey development CA %d", number);
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (X509_NAME_add_entry_by_txt(name, parts[i][0], MBSTRING_UTF8,
                                       (const uint8_t *)parts[i][1], -1, -1, 0) != 1) {
            return false;
        }
    }
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)common_name, -1,
                                      -1, 0) == 1;
}

/* Random, and far above the serials handed out in sequence. */
static bool set_random_serial(X509 *certificate)
{
    uint64_t serial;

    if (RAND_bytes((uint8_t *)&serial, sizeof(serial)) != 1) {
        return false;
    }
    serial = (serial >> 1) | (UINT64_C(1) << 62);
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial) == 1;
}

static X509 *make_root(EVP_PKEY *key, int number, int life_days)
{
    CLEANUP(X509_freep) X509 *root = X509_new();

    if (root == NULL || X509_set_version(root, X509_VERSION_3) != 1 || !set_random_serial(root) ||
        !set_root_name(X509_get_subject_name(root), number) ||
        X509_set_issuer_name(root, X509_get_subject_name(root)) != 1 ||
        !hub_certificate_set_life(root, 0, life_days * HUB_DAY_S) ||
        X509_set_pubkey(root, key) != 1 || !hub_extensions_add(root, root, root_profile) ||
        X509_sign(root, key, EVP_sha256()) <= 0) {
        return NULL;
    }
    return TAKE(root);
}

static enum gk_status create_root(const char *key_path, const char *root_path, int number,
                                  int life_days, struct gk_error *err)
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
    root = key != NULL ? make_root(key, number, life_days) : NULL;
    root_pem = root != NULL ? hub_certificate_pem(root) : NULL;
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

static char *path_of(const char *directory, int number, const char *what)
{
    return number > 1 ? hub_print("%s/root-%d.%s", directory, number, what)
                      : hub_print("%s/root.%s", directory, what);
}

enum gk_status hub_authority_open(const char *directory, int number, int life_days,
                                  struct hub_authority **authority, struct gk_error *err)
{
    CLEANUP(hub_authority_closep) struct hub_authority *a = calloc(1, sizeof(*a));
    CLEANUP(gk_freep) char *key_path = path_of(directory, number, "key");
    CLEANUP(gk_freep) char *root_path = path_of(directory, number, "pem");
    enum gk_status status = GK_OK;

    if (a == NULL || key_path == NULL || root_path == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    /* The certificate is written last: where it is, the key is too. */
    if (access(root_path, F_OK) != 0) {
        status = create_root(key_path, root_path, number, life_days, err);
    }
    if (status == GK_OK) {
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

static X509 *make_link(struct hub_authority *authority, const struct hub_authority *next)
{
    CLEANUP(X509_freep) X509 *link = X509_new();

    if (link == NULL || X509_set_version(link, X509_VERSION_3) != 1 || !set_random_serial(link) ||
        X509_set_subject_name(link, X509_get_subject_name(next->root)) != 1 ||
        X509_set_issuer_name(link, X509_get_subject_name(authority->root)) != 1 ||
        X509_set1_notBefore(link, X509_get0_notBefore(next->root)) != 1 ||
        X509_set1_notAfter(link, X509_get0_notAfter(authority->root)) != 1 ||
        X509_set_pubkey(link, next->key) != 1 ||
        !hub_extensions_add(link, authority->root, root_profile) ||
        X509_sign(link, authority->key, EVP_sha256()) <= 0) {
        return NULL;
    }
    return TAKE(link);
}

enum gk_status hub_authority_link(struct hub_authority *authority, const struct hub_authority *next,
                                  char **pem, struct gk_error *err)
{
    CLEANUP(X509_freep) X509 *link = make_link(authority, next);
    char *text = link != NULL ? hub_certificate_pem(link) : NULL;

    if (text == NULL) {
        return gk_fail(err, GK_CRYPTO_FAILED, "making a link certificate");
    }
    *pem = text;
    return GK_OK;
}
