/* SPDX-License-Identifier: Apache-2.0 */
/* Makes CAs, certificates and lists. */
#include "tests/agent/authority.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void set_name(X509_NAME *name, const char *common_name)
{
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)common_name, -1, -1, 0),
                     1);
}

static void add_extension(X509 *x509, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);

    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

X509 *certificate_make(const struct certificate_recipe *recipe)
{
    X509 *x509 = X509_new();
    X509_NAME *name = X509_get_subject_name(x509);
    EVP_PKEY *signer = recipe->issuer != NULL ? recipe->issuer->key : recipe->key;
    time_t now = time(NULL);

    assert_int_equal(X509_set_version(x509, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), recipe->serial != 0 ? recipe->serial : 1);
    ASN1_TIME_set(X509_getm_notBefore(x509), recipe->begin != 0 ? recipe->begin : now - DAY_S);
    ASN1_TIME_set(X509_getm_notAfter(x509), recipe->end != 0 ? recipe->end : now + DAY_S);
    set_name(name, recipe->name);
    X509_set_issuer_name(x509, recipe->issuer != NULL ? X509_get_subject_name(recipe->issuer->x509)
                                                      : name);
    assert_int_equal(X509_set_pubkey(x509, recipe->key), 1);
    add_extension(x509, NID_basic_constraints,
                  recipe->is_leaf       ? "CA:FALSE"
                  : recipe->has_pathlen ? "critical,CA:TRUE,pathlen:0"
                                        : "critical,CA:TRUE");
    if (!recipe->is_leaf) {
        add_extension(x509, NID_key_usage,
                      recipe->may_not_certify ? "critical,cRLSign"
                      : recipe->may_not_list  ? "critical,keyCertSign"
                                              : "critical,keyCertSign,cRLSign");
    }
    assert_true(X509_sign(x509, signer, recipe->digest != NULL ? recipe->digest : EVP_sha256()) >
                0);
    return x509;
}

struct authority authority_make(const char *name)
{
    struct authority made = { .key = EVP_RSA_gen(2048) };

    assert_non_null(made.key);
    made.x509 = certificate_make(&(struct certificate_recipe){ .name = name, .key = made.key });
    return made;
}

void authority_clear(struct authority *authority)
{
    EVP_PKEY_free(authority->key);
    X509_free(authority->x509);
    *authority = (struct authority){ 0 };
}

static void add_entries(X509_CRL *crl, const struct crl_recipe *recipe)
{
    for (const long *serial = recipe->revoked; serial != NULL && *serial != 0; serial++) {
        X509_REVOKED *entry = X509_REVOKED_new();
        ASN1_INTEGER *number = ASN1_INTEGER_new();
        ASN1_TIME *when = ASN1_TIME_set(NULL, recipe->this_update);

        ASN1_INTEGER_set(number, *serial);
        X509_REVOKED_set_serialNumber(entry, number);
        X509_REVOKED_set_revocationDate(entry, when);
        if (recipe->critical_entry || recipe->taken_back) {
            ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();

            ASN1_ENUMERATED_set(reason, recipe->taken_back ? CRL_REASON_REMOVE_FROM_CRL
                                                           : CRL_REASON_SUPERSEDED);
            assert_int_equal(
                X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, recipe->critical_entry, 0),
                1);
            ASN1_ENUMERATED_free(reason);
        }
        assert_int_equal(X509_CRL_add0_revoked(crl, entry), 1);
        ASN1_INTEGER_free(number);
        ASN1_TIME_free(when);
    }
}

static void add_crl_extensions(X509_CRL *crl, const struct crl_recipe *recipe)
{
    ASN1_INTEGER *number = ASN1_INTEGER_new();

    ASN1_INTEGER_set(number, recipe->number);
    if (recipe->number != 0) {
        assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0), 1);
    }
    if (recipe->extension == NID_delta_crl) {
        assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, number, 1, 0), 1);
    } else if (recipe->extension != 0) {
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        X509_EXTENSION *extension;

        assert_int_equal(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x00", 2), 1);
        extension = X509_EXTENSION_create_by_NID(NULL, recipe->extension, 1, value);
        assert_int_equal(X509_CRL_add_ext(crl, extension, -1), 1);
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(value);
    }
    if (recipe->scope != NULL) {
        assert_int_equal(
            X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, recipe->scope, 1, 0), 1);
    }
    ASN1_INTEGER_free(number);
}

X509_CRL *crl_make(const struct crl_recipe *recipe)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *this_update = ASN1_TIME_set(NULL, recipe->this_update);
    ASN1_TIME *next_update = ASN1_TIME_set(NULL, recipe->next_update);

    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(recipe->issuer->x509));
    X509_CRL_set1_lastUpdate(crl, this_update);
    if (!recipe->endless) {
        X509_CRL_set1_nextUpdate(crl, next_update);
    }
    add_entries(crl, recipe);
    add_crl_extensions(crl, recipe);
    X509_CRL_sort(crl);
    assert_true(X509_CRL_sign(crl, recipe->issuer->key,
                              recipe->digest != NULL ? recipe->digest : EVP_sha256()) > 0);
    ASN1_TIME_free(this_update);
    ASN1_TIME_free(next_update);
    return crl;
}

unsigned char *crl_encode(X509_CRL *crl, bool pem, size_t *size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char *data, *copy;

    assert_int_equal(pem ? PEM_write_bio_X509_CRL(bio, crl) : i2d_X509_CRL_bio(bio, crl), 1);
    *size = (size_t)BIO_get_mem_data(bio, (char **)&data);
    copy = malloc(*size);
    assert_non_null(copy);
    memcpy(copy, data, *size);
    BIO_free(bio);
    return copy;
}

void file_write(const char *directory, const char *name, const void *data, size_t size)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void certificates_write(const char *directory, const char *name, X509 *const *x509, size_t count)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long size;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(PEM_write_bio_X509(bio, x509[i]), 1);
    }
    size = BIO_get_mem_data(bio, &data);
    file_write(directory, name, data, (size_t)size);
    BIO_free(bio);
}
