/* SPDX-License-Identifier: Apache-2.0 */
/* Which CAs are trusted, and by whose word a new one comes in. */
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
    struct authority old, new;
    int64_t now;
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
        .provider = (char *)"default",
    };
    assert_int_equal(agent_openssl_new(&f->config, &f->openssl, &f->err), GK_OK);
    f->old = authority_make("old root");
    f->new = authority_make("new root");
    f->now = time(NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    authority_clear(&f->old);
    authority_clear(&f->new);
    agent_openssl_free(f->openssl);
    free(f->config.directory);
    free(f);
    return 0;
}

static enum gk_status check(struct fixture *f, const struct certificate_recipe *recipe)
{
    X509 *x509 = certificate_make(recipe);
    enum gk_status status;

    f->err = (struct gk_error){ 0 };
    status = agent_root_check(x509, f->now, &f->err);
    X509_free(x509);
    return status;
}

static void takes_a_sound_ca_only(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *weak = EVP_RSA_gen(1024), *elliptic = EVP_EC_gen("P-256");
    EVP_PKEY *key = f->old.key;
    struct {
        struct certificate_recipe recipe;
        enum gk_status status;
        const char *says;
    } cases[] = {
        { { .key = key }, GK_OK, "" },
        { { .key = elliptic }, GK_OK, "" },
        { { .key = key, .is_leaf = true }, GK_BAD_CERTIFICATE, "CA:TRUE" },
        { { .key = key, .may_not_certify = true }, GK_BAD_CERTIFICATE, "keyUsage" },
        { { .key = weak }, GK_BAD_CERTIFICATE, "weaker than RSA" },
        { { .key = key, .digest = EVP_sha1() }, GK_BAD_CERTIFICATE, "weaker than SHA-256" },
        { { .key = key, .begin = f->now + 99, .end = f->now + 999 }, GK_NOT_YET_VALID, "/CN=R" },
        { { .key = key, .begin = f->now - 99, .end = f->now - 9 }, GK_EXPIRED, "/CN=R" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cases[i].recipe.name = "R";
        assert_int_equal(check(f, &cases[i].recipe), cases[i].status);
        assert_non_null(strstr(f->err.object, cases[i].says));
    }
    EVP_PKEY_free(weak);
    EVP_PKEY_free(elliptic);
}

/* What goes with the new root; trusted are the old root and more. */
struct offer {
    X509 *link;
    X509 *trusted;
};

static bool is_linked(struct fixture *f, const struct offer *offer)
{
    CLEANUP(agent_roots_clear) struct agent_roots candidates = { 0 };
    CLEANUP(agent_roots_clear) struct agent_roots trusted = { 0 };

    assert_int_equal(agent_roots_add(&candidates, f->new.x509, NULL), GK_OK);
    assert_int_equal(agent_roots_add(&trusted, offer->trusted, NULL), GK_OK);
    if (offer->link != NULL) {
        assert_int_equal(agent_roots_add(&candidates, offer->link, NULL), GK_OK);
    }
    return agent_root_link(f->openssl, f->new.x509, &candidates, &trusted, f->now) != NULL;
}

/* The same with a link made by this recipe, which is then freed. */
static bool is_linked_by(struct fixture *f, struct certificate_recipe recipe)
{
    struct offer offer = { .trusted = f->old.x509 };
    bool linked;

    recipe.name = recipe.name != NULL ? recipe.name : "new root";
    recipe.key = recipe.key != NULL ? recipe.key : f->new.key;
    recipe.issuer = recipe.issuer != NULL ? recipe.issuer : &f->old;
    offer.link = certificate_make(&recipe);
    linked = is_linked(f, &offer);
    X509_free(offer.link);
    return linked;
}

static void believes_a_new_root_over_its_link_only(void **state)
{
    struct fixture *f = *state;
    struct authority stranger = authority_make("old root");
    struct certificate_recipe good = { 0 };

    assert_true(is_linked_by(f, good));
    assert_false(is_linked(f, &(struct offer){ NULL, f->old.x509 }));
    /* For the same name, but another key; for the same key, but another name. */
    assert_false(is_linked_by(f, (struct certificate_recipe){ .key = stranger.key }));
    assert_false(is_linked_by(f, (struct certificate_recipe){ .name = "newer root" }));
    /* By somebody who calls himself as the old root is called. */
    assert_false(is_linked_by(f, (struct certificate_recipe){ .issuer = &stranger }));
    assert_false(is_linked_by(f, (struct certificate_recipe){ .issuer = &f->new }));
    authority_clear(&stranger);
}

static void believes_no_weaker_link(void **state)
{
    struct fixture *f = *state;

    assert_false(is_linked_by(f, (struct certificate_recipe){ .is_leaf = true }));
    assert_false(is_linked_by(f, (struct certificate_recipe){ .may_not_certify = true }));
    assert_false(is_linked_by(f, (struct certificate_recipe){ .digest = EVP_sha1() }));
    assert_false(
        is_linked_by(f, (struct certificate_recipe){ .begin = f->now - 99, .end = f->now - 9 }));
}

static void lets_no_short_path_vouch(void **state)
{
    struct fixture *f = *state;
    X509 *kept = f->old.x509;

    f->old.x509 = certificate_make(
        &(struct certificate_recipe){ .name = "old root", .key = f->old.key, .has_pathlen = true });
    assert_false(is_linked_by(f, (struct certificate_recipe){ 0 }));
    X509_free(f->old.x509);
    f->old.x509 = kept;
    assert_true(is_linked_by(f, (struct certificate_recipe){ 0 }));
}

static void unites_the_owners_file_with_ours(void **state)
{
    struct fixture *f = *state;
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    CLEANUP(gk_freep) char *file = NULL;
    bool system = false;

    f->config.hub_ca_file = NULL;
    assert_int_equal(
        agent_roots_trusted(&f->config, f->openssl, AGENT_TRUST_HUB, &roots, &system, &f->err),
        GK_OK);
    assert_true(system);
    certificates_write(f->config.directory, GK_FILE_SERVER_CA, &f->new.x509, 1);
    assert_int_equal(
        agent_roots_trusted(&f->config, f->openssl, AGENT_TRUST_HUB, &roots, &system, &f->err),
        GK_OK);
    assert_false(system);
    assert_int_equal(agent_roots_count(&roots), 1);
    certificates_write(f->config.directory, "owner.pem", &f->old.x509, 1);
    assert_true(asprintf(&file, "%s/owner.pem", f->config.directory) > 0);
    f->config.hub_ca_file = file;
    assert_int_equal(
        agent_roots_trusted(&f->config, f->openssl, AGENT_TRUST_HUB, &roots, &system, &f->err),
        GK_OK);
    assert_int_equal(agent_roots_count(&roots), 2);
    assert_int_equal(
        agent_roots_trusted(&f->config, f->openssl, AGENT_TRUST_ISSUER, &roots, &system, &f->err),
        GK_OK);
    assert_int_equal(agent_roots_count(&roots), 0);
    assert_false(system);
    f->config.hub_ca_file = (char *)"/nonexistent/ca.pem";
    assert_int_equal(
        agent_roots_trusted(&f->config, f->openssl, AGENT_TRUST_HUB, &roots, &system, &f->err),
        GK_NO_FILE);
    f->config.hub_ca_file = NULL;
    assert_int_equal(agent_roots_write(&f->config, GK_FILE_SERVER_CA, &roots, &f->err), GK_OK);
    assert_int_equal(
        agent_roots_trusted(&f->config, f->openssl, AGENT_TRUST_HUB, &roots, &system, &f->err),
        GK_OK);
    assert_true(system);
}

static void keeps_a_set_by_fingerprint(void **state)
{
    struct fixture *f = *state;
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    char fingerprint[AGENT_FINGERPRINT_SIZE], again[AGENT_FINGERPRINT_SIZE];
    char spaced[2 * AGENT_FINGERPRINT_SIZE] = "";

    agent_fingerprint(f->new.x509, fingerprint);
    agent_fingerprint_show(f->new.x509, spaced);
    assert_int_equal(strlen(spaced), AGENT_FINGERPRINT_SHOWN_SIZE - 1);
    assert_true(agent_fingerprint_read(spaced, again));
    assert_string_equal(again, fingerprint);
    assert_false(agent_fingerprint_read("abcd", again));
    assert_false(agent_fingerprint_read(strcat(spaced, "00"), again));
    assert_int_equal(agent_roots_add(&roots, f->new.x509, &f->err), GK_OK);
    assert_int_equal(agent_roots_add(&roots, f->new.x509, &f->err), GK_OK);
    assert_int_equal(agent_roots_add(&roots, f->old.x509, &f->err), GK_OK);
    assert_int_equal(agent_roots_count(&roots), 2);
    assert_ptr_equal(agent_roots_find(&roots, fingerprint), f->new.x509);
    assert_true(agent_roots_remove(&roots, fingerprint));
    assert_false(agent_roots_remove(&roots, fingerprint));
    assert_int_equal(agent_roots_count(&roots), 1);
}

static void reads_no_broken_file(void **state)
{
    struct fixture *f = *state;
    CLEANUP(agent_roots_clear) struct agent_roots roots = { 0 };
    static const char broken[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    assert_int_equal(agent_roots_parse(f->openssl, "", 0, "x", &roots, &f->err), GK_BAD_FILE);
    assert_int_equal(agent_roots_parse(f->openssl, broken, 0, "x", &roots, &f->err), GK_BAD_FILE);
    file_write(f->config.directory, GK_FILE_ISSUER_CA, broken, sizeof(broken) - 1);
    assert_int_equal(agent_roots_read(&f->config, f->openssl, GK_FILE_ISSUER_CA, &roots, &f->err),
                     GK_BAD_FILE);
    certificates_write(f->config.directory, GK_FILE_ISSUER_CA,
                       (X509 *[]){ f->old.x509, f->new.x509 }, 2);
    assert_int_equal(agent_roots_read(&f->config, f->openssl, GK_FILE_ISSUER_CA, &roots, &f->err),
                     GK_OK);
    assert_int_equal(agent_roots_count(&roots), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_sound_ca_only),
        cmocka_unit_test(believes_a_new_root_over_its_link_only),
        cmocka_unit_test(believes_no_weaker_link),
        cmocka_unit_test(lets_no_short_path_vouch),
        cmocka_unit_test(unites_the_owners_file_with_ours),
        cmocka_unit_test(keeps_a_set_by_fingerprint),
        cmocka_unit_test(reads_no_broken_file),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
