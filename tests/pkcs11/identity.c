/* SPDX-License-Identifier: Apache-2.0 */
/* What the C tests of the PKCS#11 module share: the identity folder, its keys and certificates. */
#include "tests/pkcs11/fixture.h"

#include "tests/tpm/device-key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#define VALID_DAYS 30

const char *fixture_path(const char *name)
{
    static _Thread_local char path[512];
    const char *folder = getenv("GATEKEY_TEST_DIR");

    assert_non_null(folder);
    snprintf(path, sizeof(path), "%s/gatekey", folder);
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
    snprintf(path, sizeof(path), "%s/gatekey/%s", folder, name);
    return path;
}

void fixture_write(const char *name, const void *data, size_t size)
{
    char beside[600];
    FILE *file;

    snprintf(beside, sizeof(beside), "%s.written", fixture_path(name));
    file = fopen(beside, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(beside, fixture_path(name)), 0);
}

char *fixture_read(const char *name, size_t *size)
{
    enum { MOST = 64 * 1024 };
    FILE *file = fopen(fixture_path(name), "r");
    char *text = malloc(MOST);

    assert_non_null(file);
    assert_non_null(text);
    *size = fread(text, 1, MOST - 1, file);
    text[*size] = '\0';
    fclose(file);
    return text;
}

void fixture_copy(const char *from, const char *to)
{
    size_t size;
    CLEANUP(gk_freep) char *text = fixture_read(from, &size);

    fixture_write(to, text, size);
}

void fixture_remove(const char *name)
{
    assert_true(unlink(fixture_path(name)) == 0 || errno == ENOENT);
}

void fixture_make_key(unsigned handle, const char *password, const char *name)
{
    CLEANUP(gk_freep) char *text = fixture_key_file(handle, password);

    fixture_write(name, text, strlen(text));
}

static EVP_PKEY *key_of(const struct gk_public *public)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *modulus = BN_bin2bn(public->modulus, sizeof(public->modulus), NULL);
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params;

    assert_int_equal(OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus), 1);
    assert_int_equal(OSSL_PARAM_BLD_push_uint(builder, OSSL_PKEY_PARAM_RSA_E, public->exponent), 1);
    params = OSSL_PARAM_BLD_to_param(builder);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(ctx);
    BN_free(modulus);
    return key;
}

EVP_PKEY *fixture_public(const char *reference)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    size_t size;
    CLEANUP(gk_freep) char *text = fixture_read(reference, &size);
    struct gk_error err = { 0 };

    assert_int_equal(gk_key_parse(text, size, &key, &err), GK_OK);
    return key_of(gk_key_public(key));
}

static X509 *issue(const char *subject, EVP_PKEY *public, const char *issuer, EVP_PKEY *private,
                   long serial)
{
    X509 *certificate = X509_new();
    X509_NAME *name;

    assert_non_null(certificate);
    assert_int_equal(X509_set_version(certificate, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_DAYS * 86400L));
    name = X509_get_subject_name(certificate);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)subject, -1, -1, 0),
                     1);
    name = X509_get_issuer_name(certificate);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)issuer, -1, -1, 0),
                     1);
    assert_int_equal(X509_set_pubkey(certificate, public), 1);
    assert_true(X509_sign(certificate, private, EVP_sha256()) > 0);
    return certificate;
}

/* The issuer is the same for all, and its key of another kind than ours, as it may well be. */
void fixture_certify(const char *reference, const char *subject, const char *name)
{
    static EVP_PKEY *issuer;
    static X509 *above;
    static long serial = 1000;
    EVP_PKEY *public = fixture_public(reference);
    BIO *text = BIO_new(BIO_s_mem());
    X509 *leaf;
    char *data = NULL;
    long size;

    if (issuer == NULL) {
        issuer = EVP_EC_gen("P-256");
        above = issue("issuer", issuer, "issuer", issuer, 1);
    }
    leaf = issue(subject, public, "issuer", issuer, ++serial);
    assert_int_equal(PEM_write_bio_X509(text, leaf), 1);
    assert_int_equal(PEM_write_bio_X509(text, above), 1);
    size = BIO_get_mem_data(text, &data);
    fixture_write(name, data, (size_t)size);
    X509_free(leaf);
    BIO_free(text);
    EVP_PKEY_free(public);
}

X509 *fixture_certificate(const char *name, int nth)
{
    BIO *file = BIO_new_file(fixture_path(name), "r");
    X509 *certificate = NULL;

    assert_non_null(file);
    for (int i = 0; i <= nth; i++) {
        X509_free(certificate);
        certificate = PEM_read_bio_X509(file, NULL, NULL, NULL);
    }
    BIO_free(file);
    return certificate;
}
