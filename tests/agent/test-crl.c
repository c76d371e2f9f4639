/* SPDX-License-Identifier: Apache-2.0 */
/* Which revocation lists are believed, and what is found in them. */
#include "agent/crl.h"

#include "agent/roots.h"
#include "tests/agent/authority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

struct fixture {
    struct agent_config config;
    struct agent_openssl *openssl;
    struct authority ca, other;
    int64_t now;
    struct agent_crl *crl; /* what take() parsed and verified last */
    struct gk_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char directory[256];

    assert_non_null(getcwd(directory, sizeof(directory)));
    f->config = (struct agent_config){
        .tcti = (char *)"device:/nonexistent",
        .directory = strdup(directory),
        .state_directory = strdup(directory),
        .provider = (char *)"default",
        .grace_s = 3600,
    };
    assert_int_equal(agent_openssl_new(&f->config, &f->openssl, &f->err), GK_OK);
    f->ca = authority_make("CA");
    f->other = authority_make("other CA");
    f->now = time(NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    agent_crl_free(f->crl);
    authority_clear(&f->ca);
    authority_clear(&f->other);
    agent_openssl_free(f->openssl);
    free(f->config.directory);
    free(f->config.state_directory);
    free(f);
    return 0;
}

/* A sound list of the fixture's CA, to be spoilt. */
static struct crl_recipe sound(const struct fixture *f)
{
    static const long revoked[] = { 7, 300, 0 };

    return (struct crl_recipe){ .issuer = &f->ca,
                                .number = 5,
                                .this_update = f->now - 60,
                                .next_update = f->now + 600,
                                .revoked = revoked };
}

/* Parse and verify it by these CAs. */
static enum gk_status take_by(struct fixture *f, const struct crl_recipe *recipe, bool pem,
                              X509 *const *trusted, size_t count)
{
    X509_STORE *store = X509_STORE_new();
    X509_CRL *made = crl_make(recipe);
    size_t size;
    unsigned char *data = crl_encode(made, pem, &size);
    enum gk_status status;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(X509_STORE_add_cert(store, trusted[i]), 1);
    }
    agent_crl_free(f->crl);
    f->crl = NULL;
    f->err = (struct gk_error){ 0 };
    status = agent_crl_parse(f->openssl, data, size, &f->crl, &f->err);
    if (status == GK_OK) {
        status = agent_crl_verify(f->openssl, f->crl, store, "here", f->now, &f->err);
    }
    X509_STORE_free(store);
    X509_CRL_free(made);
    free(data);
    return status;
}

static enum gk_status take(struct fixture *f, const struct crl_recipe *recipe)
{
    return take_by(f, recipe, true, &f->ca.x509, 1);
}

static void refused_for(struct fixture *f, const struct crl_recipe *recipe, const char *why)
{
    assert_int_equal(take(f, recipe), GK_BAD_CRL);
    if (strstr(f->err.object, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->err.object, why);
    }
}

static bool lists(struct fixture *f, const struct authority *issuer, long serial)
{
    X509 *x509 = certificate_make(&(struct certificate_recipe){
        .name = "gw", .key = f->other.key, .issuer = issuer, .serial = serial, .is_leaf = true });
    bool listed = agent_crl_lists(f->crl, x509, NULL);

    X509_free(x509);
    return listed;
}

static void believes_a_sound_list_in_both_encodings(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe recipe = sound(f);

    for (int pem = 0; pem <= 1; pem++) {
        assert_int_equal(take_by(f, &recipe, pem == 1, &f->ca.x509, 1), GK_OK);
        assert_int_equal(agent_crl_this_update(f->crl), f->now - 60);
        assert_int_equal(agent_crl_next_update(f->crl), f->now + 600);
        assert_true(lists(f, &f->ca, 7));
        assert_true(lists(f, &f->ca, 300));
        assert_false(lists(f, &f->ca, 8));
    }
}

static void looks_a_serial_up_for_its_issuer_only(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe recipe = sound(f);

    assert_int_equal(take(f, &recipe), GK_OK);
    assert_false(lists(f, &f->other, 7));
}

/* A CA that took another name with its new key lists what it issued under the old one. */
static void looks_a_serial_up_for_a_ca_that_it_follows(void **state)
{
    struct fixture *f = *state;
    CLEANUP(agent_roots_clear) struct agent_roots links = { 0 };
    struct crl_recipe recipe = sound(f);
    X509 *own = certificate_make(&(struct certificate_recipe){
        .name = "gw", .key = f->other.key, .issuer = &f->ca, .serial = 7, .is_leaf = true });
    X509 *link = certificate_make(
        &(struct certificate_recipe){ .name = "other CA", .key = f->other.key, .issuer = &f->ca });
    X509 *wrong = certificate_make(
        &(struct certificate_recipe){ .name = "other CA", .key = f->ca.key, .issuer = &f->ca });

    recipe.issuer = &f->other;
    assert_int_equal(take_by(f, &recipe, true, &f->other.x509, 1), GK_OK);
    assert_false(agent_crl_lists(f->crl, own, &links));
    assert_int_equal(agent_roots_add(&links, wrong, NULL), GK_OK);
    assert_false(agent_crl_lists(f->crl, own, &links));
    assert_int_equal(agent_roots_add(&links, link, NULL), GK_OK);
    assert_true(agent_crl_lists(f->crl, own, &links));
    X509_free(own);
    X509_free(link);
    X509_free(wrong);
}

static void refuses_what_is_no_list(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe recipe = sound(f);
    X509_CRL *made = crl_make(&recipe);
    size_t size, pem_size;
    unsigned char *der = crl_encode(made, false, &size);
    unsigned char *pem = crl_encode(made, true, &pem_size);
    unsigned char *twice = malloc(2 * pem_size);
    const struct {
        const void *data;
        size_t size;
    } texts[] = { { "", 0 },        { "<html>", 6 },       { der, size - 1 },
                  { der, 3 },       { pem, pem_size / 2 }, { twice, 2 * pem_size },
                  { der, size - 9 } };

    memcpy(twice, pem, pem_size);
    memcpy(twice + pem_size, pem, pem_size);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(
            agent_crl_parse(f->openssl, texts[i].data, texts[i].size, &f->crl, &f->err),
            GK_BAD_CRL);
    }
    der[1] = 0x05; /* neither DER nor text any more */
    assert_int_equal(agent_crl_parse(f->openssl, der, size, &f->crl, &f->err), GK_BAD_CRL);
    X509_CRL_free(made);
    free(der);
    free(pem);
    free(twice);
}

static void refuses_bytes_behind_a_list(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe recipe = sound(f);
    X509_CRL *made = crl_make(&recipe);
    size_t size;
    unsigned char *der = crl_encode(made, false, &size);
    unsigned char *longer = calloc(1, size + 1);

    memcpy(longer, der, size);
    assert_int_equal(agent_crl_parse(f->openssl, longer, size + 1, &f->crl, &f->err), GK_BAD_CRL);
    X509_CRL_free(made);
    free(der);
    free(longer);
}

static void refuses_another_ca_and_a_ca_of_the_same_name(void **state)
{
    struct fixture *f = *state;
    struct authority double_of = authority_make("CA");
    struct crl_recipe recipe = sound(f);

    recipe.issuer = &f->other;
    refused_for(f, &recipe, "unable to get CRL issuer certificate");
    recipe.issuer = &double_of;
    refused_for(f, &recipe, "CRL signature failure");
    authority_clear(&double_of);
}

static void finds_the_signer_among_several_of_its_name(void **state)
{
    struct fixture *f = *state;
    struct authority renewed = authority_make("CA");
    X509 *const both[] = { f->ca.x509, f->other.x509, renewed.x509 };
    struct crl_recipe recipe = sound(f);

    recipe.issuer = &renewed;
    assert_int_equal(take_by(f, &recipe, true, both, 3), GK_OK);
    recipe.issuer = &f->ca;
    assert_int_equal(take_by(f, &recipe, true, both, 3), GK_OK);
    authority_clear(&renewed);
}

/* Refuse a list by a CA that this recipe makes with the fixture's key. */
static void signer_refused_for(struct fixture *f, struct certificate_recipe ca, const char *why)
{
    X509 *kept = f->ca.x509;
    struct crl_recipe recipe = sound(f);

    ca.name = "CA";
    ca.key = f->ca.key;
    f->ca.x509 = certificate_make(&ca);
    refused_for(f, &recipe, why);
    X509_free(f->ca.x509);
    f->ca.x509 = kept;
}

static void refuses_a_signer_that_must_not_sign_lists(void **state)
{
    struct fixture *f = *state;

    signer_refused_for(f, (struct certificate_recipe){ .is_leaf = true }, "invalid CA certificate");
    signer_refused_for(f, (struct certificate_recipe){ .may_not_list = true },
                       "key usage does not include CRL signing");
    signer_refused_for(f, (struct certificate_recipe){ .begin = f->now - 99, .end = f->now - 9 },
                       "certificate has expired");
}

static void refuses_dates_that_make_no_sense(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe recipe = sound(f);

    recipe.endless = true;
    refused_for(f, &recipe, "from when to when");
    recipe = sound(f);
    recipe.next_update = recipe.this_update - 1;
    refused_for(f, &recipe, "nextUpdate is before its thisUpdate");
    recipe = sound(f);
    recipe.this_update = f->now + AGENT_CRL_SKEW_S + 10;
    recipe.next_update = f->now + DAY_S;
    refused_for(f, &recipe, "begins in the future");
    assert_non_null(strstr(f->err.advice, "clock"));
    recipe.this_update = f->now + AGENT_CRL_SKEW_S - 10;
    assert_int_equal(take(f, &recipe), GK_OK);
}

static void refuses_a_weak_signature(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe recipe = sound(f);

    recipe.digest = EVP_sha1();
    refused_for(f, &recipe, "signed with sha1");
}

static void refuses_what_it_does_not_understand(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe recipe = sound(f);

    recipe.extension = NID_delta_crl;
    refused_for(f, &recipe, "a delta");
    recipe.extension = NID_inhibit_any_policy;
    refused_for(f, &recipe, "a critical extension of it");
    recipe.extension = NID_issuing_distribution_point;
    refused_for(f, &recipe, "issuingDistributionPoint makes no sense");
    recipe = sound(f);
    recipe.critical_entry = true;
    refused_for(f, &recipe, "a critical extension of an entry");
}

static void takes_a_whole_list_of_one_issuer_only(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe recipe = sound(f);

    recipe.scope = ISSUING_DIST_POINT_new();
    recipe.scope->onlyuser = 0xff;
    assert_int_equal(take(f, &recipe), GK_OK);
    recipe.scope->indirectCRL = 0xff;
    refused_for(f, &recipe, "a part only");
    recipe.scope->indirectCRL = 0;
    recipe.scope->onlyuser = 0;
    recipe.scope->onlyCA = 0xff;
    refused_for(f, &recipe, "a part only");
    ISSUING_DIST_POINT_free(recipe.scope);
}

/* Is a list that follows another taken? */
static enum gk_status follow(struct fixture *f, const struct crl_recipe *first,
                             const struct crl_recipe *next, X509 *const *trusted, size_t count)
{
    struct agent_crl *before;
    enum gk_status status;

    assert_int_equal(take_by(f, first, true, trusted, count), GK_OK);
    before = f->crl;
    f->crl = NULL;
    assert_int_equal(take_by(f, next, false, trusted, count), GK_OK);
    status = agent_crl_follow(f->crl, before, &f->err);
    assert_int_equal(agent_crl_identical(f->crl, before), first == next);
    agent_crl_free(before);
    return status;
}

static void refuses_a_replayed_list(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe first = sound(f), next = sound(f);

    assert_int_equal(follow(f, &first, &first, &f->ca.x509, 1), GK_OK);
    next.number = 6;
    assert_int_equal(follow(f, &first, &next, &f->ca.x509, 1), GK_OK);
    next.number = 4;
    assert_int_equal(follow(f, &first, &next, &f->ca.x509, 1), GK_BAD_CRL);
    assert_non_null(strstr(f->err.object, "older"));
    next.number = 6;
    next.this_update--;
    assert_int_equal(follow(f, &first, &next, &f->ca.x509, 1), GK_BAD_CRL);
    next.number = 0;
    assert_int_equal(follow(f, &first, &next, &f->ca.x509, 1), GK_BAD_CRL);
    next.this_update += 2;
    assert_int_equal(follow(f, &first, &next, &f->ca.x509, 1), GK_OK);
}

static void lets_a_new_signer_count_anew(void **state)
{
    struct fixture *f = *state;
    struct authority renewed = authority_make("CA");
    X509 *const both[] = { f->ca.x509, renewed.x509 };
    struct crl_recipe first = sound(f), next = sound(f);

    next.issuer = &renewed;
    next.number = 1;
    assert_int_equal(follow(f, &first, &next, both, 2), GK_OK);
    next.this_update--;
    assert_int_equal(follow(f, &first, &next, both, 2), GK_BAD_CRL);
    authority_clear(&renewed);
}

static void ages_through_a_grace_period(void **state)
{
    struct fixture *f = *state;
    struct crl_recipe recipe = sound(f);
    int64_t next = recipe.next_update;

    assert_int_equal(take(f, &recipe), GK_OK);
    assert_int_equal(agent_crl_age(&f->config, f->crl, next), AGENT_CRL_FRESH);
    assert_int_equal(agent_crl_age(&f->config, f->crl, next + 1), AGENT_CRL_GRACE);
    assert_int_equal(agent_crl_age(&f->config, f->crl, next + 3600), AGENT_CRL_GRACE);
    assert_int_equal(agent_crl_age(&f->config, f->crl, next + 3601), AGENT_CRL_STALE);
}

/* Install a list of the CA as crl.pem, with the format that the agent writes. */
static void install(struct fixture *f, const struct crl_recipe *recipe)
{
    char *text;

    assert_int_equal(take_by(f, recipe, false, &recipe->issuer->x509, 1), GK_OK);
    text = agent_crl_format(f->crl);
    assert_non_null(text);
    file_write(f->config.directory, GK_FILE_CRL, text, strlen(text));
    free(text);
}

static void finds_the_own_serial(void **state)
{
    struct fixture *f = *state;
    X509 *own = certificate_make(&(struct certificate_recipe){
        .name = "gw", .key = f->other.key, .issuer = &f->ca, .serial = 300, .is_leaf = true });
    struct crl_recipe recipe = sound(f);
    static const long nobody[] = { 301, 0 };
    bool listed = true;

    assert_int_equal(agent_crl_lists_own(&f->config, f->openssl, &listed, &f->err), GK_OK);
    assert_false(listed); /* neither certificate nor list */
    certificates_write(f->config.directory, GK_FILE_CERTIFICATE, &own, 1);
    certificates_write(f->config.directory, GK_FILE_ISSUER_CA, &f->ca.x509, 1);
    assert_int_equal(agent_crl_lists_own(&f->config, f->openssl, &listed, &f->err), GK_OK);
    assert_false(listed); /* no list */
    recipe.next_update = f->now - DAY_S;
    recipe.this_update = f->now - 2 * DAY_S;
    install(f, &recipe);
    assert_int_equal(agent_crl_lists_own(&f->config, f->openssl, &listed, &f->err), GK_OK);
    assert_true(listed); /* a stale list still revokes */
    recipe.taken_back = true;
    install(f, &recipe);
    assert_int_equal(agent_crl_lists_own(&f->config, f->openssl, &listed, &f->err), GK_OK);
    assert_false(listed);
    recipe.taken_back = false;
    recipe.revoked = nobody;
    install(f, &recipe);
    assert_int_equal(agent_crl_lists_own(&f->config, f->openssl, &listed, &f->err), GK_OK);
    assert_false(listed);
    certificates_write(f->config.directory, GK_FILE_ISSUER_CA, &f->other.x509, 1);
    assert_int_equal(agent_crl_lists_own(&f->config, f->openssl, &listed, &f->err), GK_BAD_CRL);
    X509_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_a_sound_list_in_both_encodings),
        cmocka_unit_test(looks_a_serial_up_for_its_issuer_only),
        cmocka_unit_test(looks_a_serial_up_for_a_ca_that_it_follows),
        cmocka_unit_test(refuses_what_is_no_list),
        cmocka_unit_test(refuses_bytes_behind_a_list),
        cmocka_unit_test(refuses_another_ca_and_a_ca_of_the_same_name),
        cmocka_unit_test(finds_the_signer_among_several_of_its_name),
        cmocka_unit_test(refuses_a_signer_that_must_not_sign_lists),
        cmocka_unit_test(refuses_dates_that_make_no_sense),
        cmocka_unit_test(refuses_a_weak_signature),
        cmocka_unit_test(refuses_what_it_does_not_understand),
        cmocka_unit_test(takes_a_whole_list_of_one_issuer_only),
        cmocka_unit_test(refuses_a_replayed_list),
        cmocka_unit_test(lets_a_new_signer_count_anew),
        cmocka_unit_test(ages_through_a_grace_period),
        cmocka_unit_test(finds_the_own_serial),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
