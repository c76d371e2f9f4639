/* SPDX-License-Identifier: Apache-2.0 */
/* Makes what an identity directory holds: keys, certificates and references, without a TPM. */
#include "tests/pkcs11/files.h"

#include "identity/identity.h"
#include "tpm/internal.h"

#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

char *files_pem(const char *label, const void *binary, size_t size)
{
    char *text = armour_encode("", label, binary, size);

    assert_non_null(text);
    return text;
}

static void set_name(X509_NAME *name, const char *common_name)
{
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)common_name, -1, -1, 0),
                     1);
}

struct files_certificate files_certify(EVP_PKEY *key, const char *subject, EVP_PKEY *issuer_key,
                                       const char *issuer)
{
    struct files_certificate made = { NULL, 0, NULL };
    X509 *x509 = X509_new();

    assert_non_null(x509);
    X509_set_version(x509, X509_VERSION_3);
    /* The first byte has its highest bit set: the DER of it is three bytes long. */
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 0xc001);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    set_name(X509_get_subject_name(x509), subject);
    set_name(X509_get_issuer_name(x509), issuer);
    X509_set_pubkey(x509, key);
    assert_true(X509_sign(x509, issuer_key, EVP_sha256()) > 0);
    made.size = i2d_X509(x509, &made.der);
    assert_true(made.size > 0);
    made.pem = files_pem("CERTIFICATE", made.der, (size_t)made.size);
    X509_free(x509);
    return made;
}

void files_certificate_clear(struct files_certificate *certificate)
{
    OPENSSL_free(certificate->der);
    free(certificate->pem);
    *certificate = (struct files_certificate){ NULL, 0, NULL };
}

char *files_reference(EVP_PKEY *key, enum files_kind kind)
{
    TPM2B_PUBLIC area = {
        .publicArea = {
            .type = TPM2_ALG_RSA,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH |
                                TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_NODA |
                                (kind != FILES_IMPORTED ? TPMA_OBJECT_SENSITIVEDATAORIGIN : 0),
            .parameters.rsaDetail = {
                .symmetric.algorithm = TPM2_ALG_NULL,
                .scheme = { .scheme = kind == FILES_FOR_RSASSA ? TPM2_ALG_RSASSA : TPM2_ALG_NULL,
                            .details.rsassa.hashAlg = TPM2_ALG_SHA384 },
                .keyBits = 2048,
            },
            .unique.rsa.size = GK_RSA2048_SIZE,
        },
    };
    CLEANUP(gk_key_freep) struct gk_key *made = NULL;
    BIGNUM *modulus = NULL;
    char *text = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus), 1);
    assert_int_equal(BN_bn2binpad(modulus, area.publicArea.unique.rsa.buffer, GK_RSA2048_SIZE),
                     GK_RSA2048_SIZE);
    BN_free(modulus);
    assert_int_equal(key_from_area(GK_HANDLE_DEFAULT,
                                   kind == FILES_WITH_PASSWORD ? REFERENCE_HAS_PASSWORD : 0, &area,
                                   "it", &made, NULL),
                     GK_OK);
    assert_int_equal(gk_key_format(made, &text, NULL), GK_OK);
    return text;
}

void files_begin(void)
{
    static const char *const names[] = { GK_FILE_DEVICE, GK_FILE_CERTIFICATE, GK_FILE_IDENTITY };

    mkdir(FILES_DIRECTORY, 0700);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), FILES_DIRECTORY "/%s", names[i]);
        unlink(path);
        rmdir(path);
    }
}

void files_write(const char *name, const char *text, const char *more)
{
    char path[PATH_MAX];
    FILE *file = fopen("new", "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fputs(more != NULL ? more : "", file) >= 0);
    assert_int_equal(fclose(file), 0);
    snprintf(path, sizeof(path), FILES_DIRECTORY "/%s", name);
    assert_int_equal(rename("new", path), 0);
}
