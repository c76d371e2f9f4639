/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificates are believed, what a request asks for, and how a common name is made. */
#include "agent/command/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define DAY_S 86400L

struct fixture {
    struct agent_config config;
    struct agent_openssl *openssl;
    EVP_PKEY *key, *other_key, *ca_key;
    X509 *ca;
    struct certificate *certificate;
    struct gk_error err;
};

/* How a certificate is made; the rest is the same for all. */
struct recipe {
    EVP_PKEY *key;
    X509 *issuer; /* NULL: itself */
    EVP_PKEY *issuer_key;
    const char *name;
    long serial, from_s, until_s;
    bool is_ca;
    const EVP_MD *digest; /* NULL: SHA-256 */
    const char *usage;    /* extended key usage; NULL: none */
};

static X509 *make(const struct recipe *recipe)
{
    X509 *x509 = X509_new();
    X509_NAME *name = X509_get_subject_name(x509);
    BASIC_CONSTRAINTS constraints = { .ca = recipe->is_ca ? 0xff : 0 };

    assert_int_equal(X509_set_version(x509, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), recipe->serial);
    X509_gmtime_adj(X509_getm_notBefore(x509), recipe->from_s);
    X509_gmtime_adj(X509_getm_notAfter(x509), recipe->until_s);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)recipe->name, -1,
                               -1, 0);
    X509_set_issuer_name(x509,
                         recipe->issuer != NULL ? X509_get_subject_name(recipe->issuer) : name);
    assert_int_equal(X509_set_pubkey(x509, recipe->key), 1);
    X509_add1_ext_i2d(x509, NID_basic_constraints, &constraints, 1, 0);
    if (recipe->usage != NULL) {
        X509_EXTENSION *usage = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, recipe->usage);

        assert_int_equal(X509_add_ext(x509, usage, -1), 1);
        X509_EXTENSION_free(usage);
    }
    assert_true(X509_sign(x509, recipe->issuer_key,
                          recipe->digest != NULL ? recipe->digest : EVP_sha256()) > 0);
    return x509;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->config = (struct agent_config){
        .tcti = (char *)"device:/nonexistent",
        .directory = (char *)"/nonexistent",
        .state_directory = (char *)"/nonexistent",
        .provider = (char *)"default",
        .device_key = (char *)"gw-1",
        .common_name = (char *)"{device_key}",
        .country = (char *)"CN",
        .state = (char *)"S",
        .locality = (char *)"L",
        .organization = (char *)"O",
        .organizational_unit = (char *)"OU",
    };
    assert_int_equal(agent_openssl_new(&f->config, &f->openssl, &f->err), GK_OK);
    f->key = EVP_RSA_gen(2048);
    f->other_key = EVP_RSA_gen(2048);
    f->ca_key = EVP_RSA_gen(2048);
    f->ca = make(
        &(struct recipe){ f->ca_key, NULL, f->ca_key, "CA", 1, -DAY_S, DAY_S, true, NULL, NULL });
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    X509_free(f->ca);
    EVP_PKEY_free(f->key);
    EVP_PKEY_free(f->other_key);
    EVP_PKEY_free(f->ca_key);
    agent_openssl_free(f->openssl);
    free(f);
    return 0;
}

static char *pem_of(X509 *const *x509, size_t count)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *text;
    long size;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(PEM_write_bio_X509(bio, x509[i]), 1);
    }
    size = BIO_get_mem_data(bio, &data);
    text = strndup(data, (size_t)size);
    BIO_free(bio);
    return text;
}

/* Parse and check a certificate by its issuers; f->certificate stays when it was parsed. */
static enum gk_status judge(struct fixture *f, X509 *leaf, X509 *const *issuers, size_t count)
{
    CLEANUP(gk_freep) char *pem = pem_of(&leaf, 1);
    CLEANUP(gk_freep) char *issuer_pem = pem_of(issuers, count);
    enum gk_status status;

    certificate_free(f->certificate);
    f->certificate = NULL;
    f->err = (struct gk_error){ 0 };
    status = certificate_parse(f->openssl, pem, issuer_pem, &f->certificate, &f->err);
    return status == GK_OK
               ? certificate_check(&f->config, f->openssl, f->certificate, f->key, &f->err)
               : status;
}

static void is_judged(struct fixture *f, const struct recipe *recipe, enum gk_status wanted,
                      const char *why)
{
    X509 *leaf = make(recipe);

    assert_int_equal(judge(f, leaf, &f->ca, 1), wanted);
    if (why != NULL && strstr(f->err.object, why) == NULL) {
        fail_msg("wanted %s, got %s", why, f->err.object);
    }
    X509_free(leaf);
}

static void believes_one_that_fits(void **state)
{
    struct fixture *f = *state;
    struct gk_public public = { .exponent = 65537 };

    is_judged(
        f,
        &(struct recipe){ f->key, f->ca, f->ca_key, "gw-1", 32720, -60, DAY_S, false, NULL, NULL },
        GK_OK, NULL);
    assert_string_equal(certificate_serial(f->certificate), "32720");
    assert_string_equal(certificate_subject(f->certificate), "/CN=gw-1");
    assert_string_equal(certificate_subject_name(f->certificate), "gw-1");
    assert_false(certificate_is_for(f->certificate, &public));
    certificate_free(f->certificate);
}

static void takes_a_clock_that_is_a_little_behind(void **state)
{
    struct fixture *f = *state;

    is_judged(
        f, &(struct recipe){ f->key, f->ca, f->ca_key, "gw-1", 2, 200, DAY_S, false, NULL, NULL },
        GK_OK, NULL);
    is_judged(
        f, &(struct recipe){ f->key, f->ca, f->ca_key, "gw-1", 2, 900, DAY_S, false, NULL, NULL },
        GK_NOT_YET_VALID, "the clock says");
    certificate_free(f->certificate);
}

static void refuses_one_that_does_not_fit(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *small = EVP_RSA_gen(1024), *curve = EVP_EC_gen("P-256");
    struct recipe recipe = { f->other_key, f->ca, f->ca_key, "gw-1", 2,
                             -60,          DAY_S, false,     NULL,   NULL };

    is_judged(f, &recipe, GK_BAD_CERTIFICATE, "another key");
    recipe.key = small;
    is_judged(f, &recipe, GK_BAD_CERTIFICATE, "RSA-2048");
    recipe.key = curve;
    is_judged(f, &recipe, GK_BAD_CERTIFICATE, "RSA-2048");
    recipe.key = f->key;
    recipe.until_s = -1;
    is_judged(f, &recipe, GK_EXPIRED, "ended on");
    recipe.until_s = DAY_S;
    recipe.is_ca = true;
    is_judged(f, &recipe, GK_BAD_CERTIFICATE, "CA's own");
    recipe.is_ca = false;
    recipe.digest = EVP_sha384();
    is_judged(f, &recipe, GK_BAD_CERTIFICATE, "SHA-256");
    recipe.digest = NULL;
    recipe.usage = "serverAuth";
    is_judged(f, &recipe, GK_BAD_CERTIFICATE, "purpose");
    recipe.usage = "clientAuth";
    is_judged(f, &recipe, GK_OK, NULL);
    recipe.usage = NULL;
    recipe.serial = 0;
    is_judged(f, &recipe, GK_BAD_CERTIFICATE, "serial");
    recipe.serial = -5;
    is_judged(f, &recipe, GK_BAD_CERTIFICATE, "serial");
    recipe.serial = 2;
    recipe.issuer_key = f->other_key; /* the right name, but not its signature */
    is_judged(f, &recipe, GK_BAD_CERTIFICATE, "signature");
    EVP_PKEY_free(small);
    EVP_PKEY_free(curve);
    certificate_free(f->certificate);
}

static void refuses_an_issuer_that_is_no_ca(void **state)
{
    struct fixture *f = *state;
    X509 *fake = make(&(struct recipe){ f->other_key, f->ca, f->ca_key, "fake", 7, -60, DAY_S,
                                        false, NULL, NULL });
    X509 *leaf = make(
        &(struct recipe){ f->key, fake, f->other_key, "gw-1", 8, -60, DAY_S, false, NULL, NULL });
    X509 *const both[] = { fake, f->ca };

    assert_int_equal(judge(f, leaf, both, 2), GK_BAD_CERTIFICATE);
    X509_free(leaf);
    X509_free(fake);
    certificate_free(f->certificate);
}

static void shows_intermediates_but_no_root(void **state)
{
    struct fixture *f = *state;
    X509 *middle = make(&(struct recipe){ f->other_key, f->ca, f->ca_key, "middle", 7, -60, DAY_S,
                                          true, NULL, NULL });
    X509 *leaf = make(
        &(struct recipe){ f->key, middle, f->other_key, "gw-1", 8, -60, DAY_S, false, NULL, NULL });
    X509 *const both[] = { middle, f->ca }, *const shown[] = { leaf, middle };
    CLEANUP(gk_freep) char *all = pem_of(both, 2);
    CLEANUP(gk_freep) char *wanted = pem_of(shown, 2);
    char *text;

    assert_int_equal(judge(f, leaf, both, 2), GK_OK);
    text = certificate_format_chain(f->certificate);
    assert_string_equal(text, wanted);
    free(text);
    text = certificate_format_issuers(f->certificate);
    assert_string_equal(text, all);
    free(text);
    X509_free(leaf);
    X509_free(middle);
    certificate_free(f->certificate);
}

static void refuses_texts_that_hold_no_certificate(void **state)
{
    static const char *const texts[] = {
        "",
        "garbage",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB",
    };
    struct fixture *f = *state;
    CLEANUP(gk_freep) char *good = pem_of(&f->ca, 1);
    X509 *many[9];
    CLEANUP(gk_freep) char *too_many = NULL;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(certificate_parse(f->openssl, texts[i], good, &f->certificate, &f->err),
                         GK_BAD_CERTIFICATE);
        assert_int_equal(certificate_parse(f->openssl, good, texts[i], &f->certificate, &f->err),
                         GK_BAD_CERTIFICATE);
    }
    for (size_t i = 0; i < 9; i++) {
        many[i] = f->ca;
    }
    too_many = pem_of(many, 9);
    assert_int_equal(certificate_parse(f->openssl, too_many, good, &f->certificate, &f->err),
                     GK_BAD_CERTIFICATE);
    assert_null(f->certificate);
}

/* As install(1) does: the pile as one text, what is known in a file of the owner's. */
static enum gk_status carry_in(struct fixture *f, X509 *const *pile, size_t count,
                               const char *fingerprint)
{
    CLEANUP(gk_freep) char *pem = pem_of(pile, count);
    struct certificate_wanted wanted = { f->key, "gw-1", fingerprint };

    certificate_free(f->certificate);
    f->certificate = NULL;
    f->err = (struct gk_error){ 0 };
    return certificate_accept(&f->config, f->openssl, &wanted, pem, NULL, &f->certificate, &f->err);
}

static void know(struct fixture *f, X509 *ca, const char *path)
{
    CLEANUP(gk_freep) char *pem = pem_of(&ca, 1);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(pem, file) >= 0);
    assert_int_equal(fclose(file), 0);
    f->config.hub_ca_file = (char *)path;
}

static void finds_ours_in_a_pile(void **state)
{
    struct fixture *f = *state;
    X509 *middle = make(&(struct recipe){ f->other_key, f->ca, f->ca_key, "middle", 7, -60, DAY_S,
                                          true, NULL, NULL });
    X509 *leaf = make(
        &(struct recipe){ f->key, middle, f->other_key, "gw-1", 8, -60, DAY_S, false, NULL, NULL });
    X509 *older = make(&(struct recipe){ f->key, middle, f->other_key, "gw-1", 6, -600, DAY_S,
                                         false, NULL, NULL });
    X509 *stranger = make(
        &(struct recipe){ f->ca_key, f->ca, f->ca_key, "gw-1", 9, -60, DAY_S, false, NULL, NULL });
    X509 *const pile[] = { f->ca, stranger, older, middle, leaf }, *const chain[] = { leaf,
                                                                                      middle };
    X509 *const issuers[] = { middle, f->ca };
    CLEANUP(gk_freep) char *wanted = pem_of(chain, 2);
    CLEANUP(gk_freep) char *above = pem_of(issuers, 2);
    char *text;

    know(f, f->ca, "known.pem");
    assert_int_equal(carry_in(f, pile, 5, NULL), GK_OK);
    assert_string_equal(certificate_serial(f->certificate), "8");
    text = certificate_format_chain(f->certificate);
    assert_string_equal(text, wanted);
    free(text);
    text = certificate_format_issuers(f->certificate);
    assert_string_equal(text, above);
    free(text);
    /* Without the one in between there is no way to it. */
    assert_int_equal(carry_in(f, &pile[4], 1, NULL), GK_BAD_CERTIFICATE);
    assert_non_null(strstr(f->err.object, "its issuer /CN=middle is not known here"));
    assert_int_equal(carry_in(f, pile, 2, NULL), GK_BAD_CERTIFICATE);
    assert_non_null(strstr(f->err.object, "none of the 2 in it"));
    X509_free(stranger);
    X509_free(older);
    X509_free(leaf);
    X509_free(middle);
    certificate_free(f->certificate);
    f->config.hub_ca_file = NULL;
}

/* What the error of an unknown issuer shows is what --ca-fingerprint takes. */
static void believes_an_issuer_by_its_fingerprint_only(void **state)
{
    struct fixture *f = *state;
    X509 *leaf = make(
        &(struct recipe){ f->key, f->ca, f->ca_key, "gw-1", 8, -60, DAY_S, false, NULL, NULL });
    X509 *const pile[] = { leaf, f->ca };
    char shown[65], colons[96], *at;

    assert_int_equal(carry_in(f, pile, 2, NULL), GK_BAD_CERTIFICATE);
    at = strstr(f->err.object, "SHA-256 ");
    assert_non_null(at);
    snprintf(shown, sizeof(shown), "%s", at + strlen("SHA-256 "));
    assert_int_equal(strlen(shown), 64);
    assert_int_equal(carry_in(f, pile, 2, shown), GK_OK);
    for (size_t i = 0; i < 32; i++) {
        snprintf(colons + 3 * i, sizeof(colons) - 3 * i, "%.2s:", shown + 2 * i);
    }
    assert_int_equal(carry_in(f, pile, 2, colons), GK_OK);
    shown[0] = shown[0] == '0' ? '1' : '0';
    assert_int_equal(carry_in(f, pile, 2, shown), GK_BAD_CERTIFICATE);
    shown[63] = '\0';
    assert_int_equal(carry_in(f, pile, 2, shown), GK_USAGE);
    assert_int_equal(carry_in(f, pile, 2, ""), GK_USAGE);
    X509_free(leaf);
    certificate_free(f->certificate);
}

static void refuses_what_is_carried_in_and_does_not_fit(void **state)
{
    struct fixture *f = *state;
    struct recipe recipe = { f->key, f->ca, f->ca_key, "gw-2", 2, -60, DAY_S, false, NULL, NULL };
    X509 *leaf = make(&recipe);

    know(f, f->ca, "known.pem");
    assert_int_equal(carry_in(f, &leaf, 1, NULL), GK_BAD_CERTIFICATE);
    assert_non_null(strstr(f->err.object, "is for gw-2, but gw-1 was asked for"));
    X509_free(leaf);
    /* Its own issuer: a root of its own making, even among the known ones, vouches for nobody. */
    recipe = (struct recipe){ f->key, NULL, f->key, "gw-1", 2, -60, DAY_S, false, NULL, NULL };
    leaf = make(&recipe);
    know(f, leaf, "known.pem");
    assert_int_equal(carry_in(f, &leaf, 1, NULL), GK_BAD_CERTIFICATE);
    X509_free(leaf);
    f->config.hub_ca_file = (char *)"missing.pem";
    recipe = (struct recipe){ f->key, f->ca, f->ca_key, "gw-1", 2, -60, DAY_S, false, NULL, NULL };
    leaf = make(&recipe);
    assert_int_equal(carry_in(f, &leaf, 1, NULL), GK_NO_FILE);
    X509_free(leaf);
    certificate_free(f->certificate);
    f->config.hub_ca_file = NULL;
}

static void asks_for_what_enos_wants(void **state)
{
    struct fixture *f = *state;
    CLEANUP(gk_freep) char *pem = NULL;
    BIO *bio;
    X509_REQ *request;
    char *subject;

    assert_int_equal(
        certificate_request(&f->config, f->openssl, f->key, "gw-\xc3\xa4", &pem, &f->err), GK_OK);
    bio = BIO_new_mem_buf(pem, -1);
    request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    assert_non_null(request);
    assert_int_equal(X509_REQ_verify(request, f->key), 1);
    assert_int_equal(X509_REQ_get_signature_nid(request), NID_sha256WithRSAEncryption);
    subject = X509_NAME_oneline(X509_REQ_get_subject_name(request), NULL, 0);
    assert_string_equal(subject, "/C=CN/ST=S/L=L/O=O/OU=OU/CN=gw-\\xC3\\xA4");
    OPENSSL_free(subject);
    X509_REQ_free(request);
    BIO_free(bio);
}

static void makes_common_names_that_fit(void **state)
{
    struct fixture *f = *state;
    char name[CERTIFICATE_NAME_MAX + 1];
    char device[70], wanted[70];

    assert_int_equal(certificate_common_name(&f->config, NULL, name, &f->err), GK_OK);
    assert_string_equal(name, "gw-1");
    f->config.common_name = (char *)"edge {device_key} of ours";
    assert_int_equal(certificate_common_name(&f->config, "-2", name, &f->err), GK_OK);
    assert_string_equal(name, "edge gw-1 of ours-2");

    /* 64 characters are fine; a suffix cuts them, but no character in two. */
    memset(device, 'x', 62);
    memcpy(device + 62, "\xc3\xa4", 3);
    f->config.common_name = (char *)"{device_key}";
    f->config.device_key = device;
    assert_int_equal(certificate_common_name(&f->config, NULL, name, &f->err), GK_OK);
    assert_string_equal(name, device);
    snprintf(wanted, sizeof(wanted), "%.62s-", device);
    assert_int_equal(certificate_common_name(&f->config, "-", name, &f->err), GK_OK);
    assert_string_equal(name, wanted);

    f->config.common_name = (char *)"x{device_key}";
    assert_int_equal(certificate_common_name(&f->config, NULL, name, &f->err), GK_BAD_CONFIG);
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(believes_one_that_fits),
        CLAIM(takes_a_clock_that_is_a_little_behind),
        CLAIM(refuses_one_that_does_not_fit),
        CLAIM(refuses_an_issuer_that_is_no_ca),
        CLAIM(shows_intermediates_but_no_root),
        CLAIM(refuses_texts_that_hold_no_certificate),
        CLAIM(finds_ours_in_a_pile),
        CLAIM(believes_an_issuer_by_its_fingerprint_only),
        CLAIM(refuses_what_is_carried_in_and_does_not_fit),
        CLAIM(asks_for_what_enos_wants),
        CLAIM(makes_common_names_that_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
