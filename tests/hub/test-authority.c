/* SPDX-License-Identifier: Apache-2.0 */
/* The hub's CA: what it accepts, what it issues, and what its revocation list says. */
#include "tests/hub/authority.h"

#include "tests/hub/file.h"
#include "tests/hub/text.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

GK_DEFINE_CLEANUP(BIO, BIO_free_all)
GK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
GK_DEFINE_CLEANUP(X509, X509_free)
GK_DEFINE_CLEANUP(X509_CRL, X509_CRL_free)
GK_DEFINE_CLEANUP(X509_REQ, X509_REQ_free)
GK_DEFINE_CLEANUP(X509_STORE, X509_STORE_free)
GK_DEFINE_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free)

#define FOLDER "authority"
#define SUBJECT "C=CN,ST=Shanghai,L=Shanghai,O=EnOS,OU=test,CN=gateway one"

static struct hub_authority *authority;

static int open_authority(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    mkdir(FOLDER, 0700);
    return hub_authority_open(FOLDER, 1, 100, &authority, &err) == GK_OK ? 0 : -1;
}

static int close_authority(void **state)
{
    (void)state;
    hub_authority_close(authority);
    unlink(FOLDER "/root.key");
    unlink(FOLDER "/root.pem");
    return rmdir(FOLDER);
}

static X509 *read_certificate(const char *pem)
{
    CLEANUP(BIO_free_allp) BIO *source = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(source, NULL, NULL, NULL);

    assert_non_null(certificate);
    return certificate;
}

/* Give a name the parts of "C=CN,ST=...". */
static void set_subject(X509_NAME *name, const char *subject)
{
    CLEANUP(gk_freep) char *copy = strdup(subject);
    char *rest = NULL;

    for (char *part = strtok_r(copy, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(part, '=');

        *value++ = '\0';
        assert_int_equal(
            X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8, (uint8_t *)value, -1, -1, 0), 1);
    }
}

static char *request_text(X509_REQ *request)
{
    CLEANUP(BIO_free_allp) BIO *memory = BIO_new(BIO_s_mem());
    char *data;
    long size;

    assert_int_equal(PEM_write_bio_X509_REQ(memory, request), 1);
    size = BIO_get_mem_data(memory, &data);
    return strndup(data, (size_t)size);
}

static char *make_request(EVP_PKEY *key, const char *subject, const EVP_MD *digest, bool pss)
{
    CLEANUP(X509_REQ_freep) X509_REQ *request = X509_REQ_new();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *parameters = NULL;

    set_subject(X509_REQ_get_subject_name(request), subject);
    assert_int_equal(X509_REQ_set_pubkey(request, key), 1);
    assert_int_equal(EVP_DigestSignInit(context, &parameters, digest, NULL, key), 1);
    if (pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING), 1);
    }
    assert_true(X509_REQ_sign_ctx(request, context) > 0);
    EVP_MD_CTX_free(context);
    return request_text(request);
}

static void assert_refused(const char *pem, enum gk_status status, const char *why)
{
    struct hub_request request = { 0 };
    struct gk_error err = { 0 };

    assert_int_equal(hub_request_read(pem, &request, &err), status);
    assert_non_null(strstr(err.object, why));
    assert_null(request.request);
}

static void assert_verifies(X509 *certificate, X509_CRL *crl, int expected)
{
    CLEANUP(X509_freep) X509 *root = read_certificate(hub_authority_root(authority));
    CLEANUP(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
    CLEANUP(X509_STORE_CTX_freep) X509_STORE_CTX *context = X509_STORE_CTX_new();

    X509_STORE_add_cert(store, root);
    X509_STORE_set_flags(store, X509_V_FLAG_X509_STRICT);
    if (crl != NULL) {
        X509_STORE_add_crl(store, crl);
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    }
    assert_int_equal(X509_STORE_CTX_init(context, store, certificate, NULL), 1);
    assert_int_equal(X509_verify_cert(context), expected == X509_V_OK);
    assert_int_equal(X509_STORE_CTX_get_error(context), expected);
}

static const struct hub_terms enos = {
    .profile = HUB_PROFILE_ENOS,
    .life_s = 30 * HUB_DAY_S,
    .crl_url = "https://hub/enos/CA/crl",
};

static void issue_by(const struct hub_terms *terms, EVP_PKEY *key, int64_t serial,
                     struct hub_issued *issued)
{
    CLEANUP(gk_freep) char *csr = make_request(key, SUBJECT, EVP_sha256(), false);
    CLEANUP(hub_request_clear) struct hub_request request = { 0 };
    struct gk_error err = { 0 };

    assert_int_equal(hub_request_read(csr, &request, &err), GK_OK);
    assert_string_equal(request.common_name, "gateway one");
    assert_int_equal(hub_authority_issue(authority, &request, serial, terms, issued, &err), GK_OK);
    assert_int_equal(issued->serial, serial);
    assert_string_equal(issued->root, hub_authority_root(authority));
}

static void issue(EVP_PKEY *key, int64_t serial, struct hub_issued *issued)
{
    issue_by(&enos, key, serial, issued);
}

static void keeps_its_root_when_opened_again(void **state)
{
    CLEANUP(hub_authority_closep) struct hub_authority *again = NULL;
    struct gk_error err = { 0 };
    struct stat facts;

    (void)state;
    assert_int_equal(hub_authority_open(FOLDER, 1, 5, &again, &err), GK_OK);
    assert_string_equal(hub_authority_root(again), hub_authority_root(authority));
    assert_in_range(hub_authority_days_left(again), 99, 100);
    assert_int_equal(stat(FOLDER "/root.key", &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
}

static void has_a_root_that_strict_verifiers_take(void **state)
{
    CLEANUP(X509_freep) X509 *root = read_certificate(hub_authority_root(authority));

    (void)state;
    assert_verifies(root, NULL, X509_V_OK);
    assert_true(X509_check_ca(root) == 1);
    assert_int_equal(X509_get_key_usage(root), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(X509_get_pathlen(root), -1);
    assert_non_null(X509_get0_subject_key_id(root));
    assert_non_null(X509_get0_authority_key_id(root));
}

/*
 * Whoever knows the first root alone follows the link to what the second one signed. Not so with
 * EnOS's profile: there the issuer is named by its serial as well, and the link has another.
 */
static void links_one_root_to_the_next(void **state)
{
    const struct hub_terms modern = { .profile = HUB_PROFILE_MODERN, .life_s = 60, .crl_url = "u" };
    CLEANUP(hub_authority_closep) struct hub_authority *next = NULL;
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    CLEANUP(gk_freep) char *csr = make_request(key, SUBJECT, EVP_sha256(), false);
    CLEANUP(hub_request_clear) struct hub_request request = { 0 };
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    CLEANUP(gk_freep) char *pem = NULL;
    CLEANUP(X509_freep) X509 *link = NULL;
    CLEANUP(X509_freep) X509 *certificate = NULL;
    CLEANUP(X509_freep) X509 *old_root = read_certificate(hub_authority_root(authority));
    CLEANUP(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
    CLEANUP(X509_STORE_CTX_freep) X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) *untrusted = sk_X509_new_null();
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(hub_authority_open(FOLDER, 2, 200, &next, &err), GK_OK);
    assert_int_equal(hub_authority_link(authority, next, &pem, &err), GK_OK);
    link = read_certificate(pem);
    assert_verifies(link, NULL, X509_V_OK);
    assert_int_equal(ASN1_TIME_compare(X509_get0_notAfter(link), X509_get0_notAfter(old_root)), 0);
    assert_int_equal(hub_request_read(csr, &request, &err), GK_OK);
    assert_int_equal(hub_authority_issue(next, &request, 11, &modern, &issued, &err), GK_OK);
    certificate = read_certificate(issued.pem);
    assert_verifies(certificate, NULL, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    sk_X509_push(untrusted, link);
    X509_STORE_add_cert(store, old_root);
    X509_STORE_set_flags(store, X509_V_FLAG_X509_STRICT);
    X509_STORE_CTX_init(context, store, certificate, untrusted);
    assert_int_equal(X509_verify_cert(context), 1);
    assert_int_equal(sk_X509_num(X509_STORE_CTX_get0_chain(context)), 3);
    sk_X509_free(untrusted);
    unlink(FOLDER "/root-2.key");
    unlink(FOLDER "/root-2.pem");
}

static void issues_a_device_certificate_as_enos_does(void **state)
{
    static const int present[] = { NID_basic_constraints, NID_netscape_comment,
                                   NID_subject_key_identifier, NID_authority_key_identifier,
                                   NID_netscape_ca_revocation_url };
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    CLEANUP(X509_freep) X509 *certificate = NULL;

    (void)state;
    issue(key, 32720, &issued);
    certificate = read_certificate(issued.pem);
    assert_verifies(certificate, NULL, X509_V_OK);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(certificate), key), 1);
    assert_int_equal(ASN1_INTEGER_get(X509_get0_serialNumber(certificate)), 32720);
    assert_int_equal(issued.expire_ms - issued.sign_ms, 30 * HUB_DAY_MS);
    assert_string_equal(issued.subject,
                        "CN=gateway one,OU=test,O=EnOS,L=Shanghai,ST=Shanghai,C=CN");
    assert_int_equal(X509_get_ext_count(certificate), sizeof(present) / sizeof(present[0]));
    for (size_t i = 0; i < sizeof(present) / sizeof(present[0]); i++) {
        assert_true(X509_get_ext_by_NID(certificate, present[i], -1) >= 0);
    }
}

static void issues_for_seconds_and_from_the_past(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    const struct hub_terms terms = { .from_s = -30, .life_s = 40, .crl_url = "u" };
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };

    (void)state;
    issue_by(&terms, key, 8, &issued);
    assert_int_equal(issued.expire_ms - issued.sign_ms, 40000);
    assert_true(issued.sign_ms <= hub_now_ms() - 30000);
    assert_true(issued.expire_ms > hub_now_ms());
}

static void issues_in_a_modern_profile_as_well(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    const struct hub_terms terms = { .profile = HUB_PROFILE_MODERN,
                                     .life_s = 9,
                                     .crl_url = "http://hub/crl" };
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    CLEANUP(X509_freep) X509 *certificate = NULL;

    (void)state;
    issue_by(&terms, key, 9, &issued);
    certificate = read_certificate(issued.pem);
    assert_verifies(certificate, NULL, X509_V_OK);
    assert_int_equal(X509_get_key_usage(certificate), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(certificate), XKU_SSL_CLIENT);
    assert_true(X509_get_ext_by_NID(certificate, NID_crl_distribution_points, -1) >= 0);
    assert_true(X509_get_ext_by_NID(certificate, NID_netscape_ca_revocation_url, -1) < 0);
}

static void copies_the_subject_unchanged(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    CLEANUP(X509_REQ_freep) X509_REQ *request = NULL;
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    CLEANUP(X509_freep) X509 *certificate = NULL;
    CLEANUP(gk_freep) char *csr = make_request(key, SUBJECT, EVP_sha256(), false);
    CLEANUP(BIO_free_allp) BIO *source = BIO_new_mem_buf(csr, -1);
    const uint8_t *asked;
    const uint8_t *given;
    size_t asked_size;
    size_t given_size;

    (void)state;
    request = PEM_read_bio_X509_REQ(source, NULL, NULL, NULL);
    issue(key, 7, &issued);
    certificate = read_certificate(issued.pem);
    assert_int_equal(X509_NAME_get0_der(X509_REQ_get_subject_name(request), &asked, &asked_size),
                     1);
    assert_int_equal(X509_NAME_get0_der(X509_get_subject_name(certificate), &given, &given_size),
                     1);
    assert_int_equal(asked_size, given_size);
    assert_memory_equal(asked, given, given_size);
}

static void issues_no_serial_beyond_31_bits(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    CLEANUP(gk_freep) char *csr = make_request(key, SUBJECT, EVP_sha256(), false);
    CLEANUP(hub_request_clear) struct hub_request request = { 0 };
    struct hub_issued issued = { 0 };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(hub_request_read(csr, &request, &err), GK_OK);
    assert_int_equal(
        hub_authority_issue(authority, &request, INT64_C(1) << 31, &enos, &issued, &err),
        GK_CRYPTO_FAILED);
    assert_int_equal(hub_authority_issue(authority, &request, -1, &enos, &issued, &err),
                     GK_CRYPTO_FAILED);
    assert_null(issued.pem);
}

static void issues_the_hubs_own_certificate_from_its_request(void **state)
{
    CLEANUP(gk_freep) char *key = NULL;
    CLEANUP(gk_freep) char *csr = NULL;
    CLEANUP(hub_request_clear) struct hub_request request = { 0 };
    CLEANUP(hub_issued_clear) struct hub_issued issued = { 0 };
    CLEANUP(X509_freep) X509 *certificate = NULL;
    const struct hub_terms terms = { .profile = HUB_PROFILE_SERVER, .life_s = 9 };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(hub_key_create(&key, &err), GK_OK);
    assert_int_equal(hub_request_create(key, "localhost", "DNS:localhost,IP:127.0.0.1", &csr, &err),
                     GK_OK);
    assert_int_equal(hub_request_read(csr, &request, &err), GK_OK);
    assert_int_equal(hub_authority_issue(authority, &request, 1, &terms, &issued, &err), GK_OK);
    certificate = read_certificate(issued.pem);
    assert_verifies(certificate, NULL, X509_V_OK);
    assert_int_equal(X509_check_host(certificate, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_host(certificate, "elsewhere", 0, 0, NULL), 0);
    assert_int_equal(X509_get_extended_key_usage(certificate), XKU_SSL_SERVER);
}

static void refuses_keys_that_are_not_rsa_2048(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *large = EVP_RSA_gen(3072);
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *small = EVP_RSA_gen(1024);
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *curve = EVP_EC_gen("P-256");
    CLEANUP(gk_freep) char *large_csr = make_request(large, SUBJECT, EVP_sha256(), false);
    CLEANUP(gk_freep) char *small_csr = make_request(small, SUBJECT, EVP_sha256(), false);
    CLEANUP(gk_freep) char *curve_csr = make_request(curve, SUBJECT, EVP_sha256(), false);

    (void)state;
    assert_refused(large_csr, GK_NOT_RSA2048, "RSA with 3072 bits");
    assert_refused(small_csr, GK_NOT_RSA2048, "RSA with 1024 bits");
    assert_refused(curve_csr, GK_NOT_RSA2048, "EC");
}

static void refuses_other_signatures_than_sha256_with_rsa(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    CLEANUP(gk_freep) char *longer = make_request(key, SUBJECT, EVP_sha512(), false);
    CLEANUP(gk_freep) char *pss = make_request(key, SUBJECT, EVP_sha256(), true);

    (void)state;
    assert_refused(longer, GK_BAD_FILE, "sha512WithRSAEncryption");
    assert_refused(pss, GK_BAD_FILE, "not with SHA256withRSA");
}

/* Somebody else's public key with one's own signature: the holder of the key has not asked. */
static void refuses_a_request_its_key_did_not_sign(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *other = EVP_RSA_gen(2048);
    CLEANUP(X509_REQ_freep) X509_REQ *request = X509_REQ_new();
    CLEANUP(gk_freep) char *csr = NULL;

    (void)state;
    set_subject(X509_REQ_get_subject_name(request), SUBJECT);
    assert_int_equal(X509_REQ_set_pubkey(request, other), 1);
    assert_true(X509_REQ_sign(request, key, EVP_sha256()) > 0);
    csr = request_text(request);
    assert_refused(csr, GK_BAD_FILE, "does not verify");
}

static void refuses_incomplete_subjects_and_rubbish(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    CLEANUP(gk_freep) char *bare = make_request(key, "CN=x", EVP_sha256(), false);
    CLEANUP(gk_freep)
    char *nameless = make_request(key, "C=CN,ST=a,L=b,O=c,OU=d", EVP_sha256(), false);
    CLEANUP(gk_freep)
    char *twice = make_request(key, "C=CN,ST=a,L=b,O=c,OU=d,CN=e,CN=f", EVP_sha256(), false);

    (void)state;
    assert_refused(bare, GK_BAD_FILE, "one C");
    assert_refused(nameless, GK_BAD_FILE, "one CN");
    assert_refused(twice, GK_BAD_FILE, "one CN");
    assert_refused("", GK_BAD_FILE, "no PEM certificate request");
    assert_refused("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
                   GK_BAD_FILE, "no PEM certificate request");
}

/* "gateway" to whoever stops at the NUL. */
static void refuses_a_name_with_a_nul_inside(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    CLEANUP(X509_REQ_freep) X509_REQ *request = X509_REQ_new();
    CLEANUP(gk_freep) char *csr = NULL;

    (void)state;
    set_subject(X509_REQ_get_subject_name(request), "C=CN,ST=a,L=b,O=c,OU=d");
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN",
                                                MBSTRING_UTF8, (const uint8_t *)"gateway\0x", 9, -1,
                                                0),
                     1);
    assert_int_equal(X509_REQ_set_pubkey(request, key), 1);
    assert_true(X509_REQ_sign(request, key, EVP_sha256()) > 0);
    csr = request_text(request);
    assert_refused(csr, GK_BAD_FILE, "one CN");
}

static void lists_the_revoked(void **state)
{
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *key = EVP_RSA_gen(2048);
    const struct hub_revocation revoked[] = {
        { .serial = 41, .time_ms = hub_now_ms(), .reason = 1 },
        { .serial = 40, .time_ms = hub_now_ms(), .reason = 0 },
    };
    CLEANUP(hub_issued_clear) struct hub_issued bad = { 0 };
    CLEANUP(hub_issued_clear) struct hub_issued good = { 0 };
    CLEANUP(X509_freep) X509 *bad_certificate = NULL;
    CLEANUP(X509_freep) X509 *good_certificate = NULL;
    CLEANUP(X509_CRL_freep) X509_CRL *crl = NULL;
    CLEANUP(BIO_free_allp) BIO *source = NULL;
    CLEANUP(gk_freep) char *pem = NULL;
    struct gk_error err = { 0 };

    (void)state;
    issue(key, 41, &bad);
    issue(key, 42, &good);
    bad_certificate = read_certificate(bad.pem);
    good_certificate = read_certificate(good.pem);
    assert_int_equal(hub_authority_crl(authority, revoked, 2, 3, 0, 60, &pem, &err), GK_OK);
    source = BIO_new_mem_buf(pem, -1);
    crl = PEM_read_bio_X509_CRL(source, NULL, NULL, NULL);
    assert_verifies(good_certificate, crl, X509_V_OK);
    assert_verifies(bad_certificate, crl, X509_V_ERR_CERT_REVOKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_root_when_opened_again),
        cmocka_unit_test(has_a_root_that_strict_verifiers_take),
        cmocka_unit_test(links_one_root_to_the_next),
        cmocka_unit_test(issues_a_device_certificate_as_enos_does),
        cmocka_unit_test(issues_for_seconds_and_from_the_past),
        cmocka_unit_test(issues_in_a_modern_profile_as_well),
        cmocka_unit_test(copies_the_subject_unchanged),
        cmocka_unit_test(issues_no_serial_beyond_31_bits),
        cmocka_unit_test(issues_the_hubs_own_certificate_from_its_request),
        cmocka_unit_test(refuses_keys_that_are_not_rsa_2048),
        cmocka_unit_test(refuses_other_signatures_than_sha256_with_rsa),
        cmocka_unit_test(refuses_a_request_its_key_did_not_sign),
        cmocka_unit_test(refuses_incomplete_subjects_and_rubbish),
        cmocka_unit_test(refuses_a_name_with_a_nul_inside),
        cmocka_unit_test(lists_the_revoked),
    };

    return cmocka_run_group_tests_name("authority", tests, open_authority, close_authority);
}
