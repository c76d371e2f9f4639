/* SPDX-License-Identifier: Apache-2.0 */
/* A promotion that was interrupted after any of its steps comes to the same end. */
#include "agent/command/promotion.h"

#include "agent/clock.h"
#include "agent/command/next.h"
#include "agent/file.h"
#include "identity/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#define NEXT_DEVICE GK_FILE_NEXT "/" GK_FILE_DEVICE

struct fixture {
    char directory[64], folder[96];
    struct agent_config config;
    struct run run;
    struct renewal renewal;
    char *old_ca, *new_ca, *old_chain, *new_chain; /* PEM */
    enum agent_renewal written;                    /* by the promotion, last */
    char superseded[64];
    struct gk_error err;
};

static struct fixture *current;

/* --- what promotion.c stands on, and main.c and renew.c have ------------------------------------
 */

enum gk_status run_openssl(struct run *run, struct agent_openssl **openssl, struct gk_error *err)
{
    (void)err;
    *openssl = run->openssl;
    return GK_OK;
}

enum gk_status renewal_write(struct renewal *renewal, enum agent_renewal stands,
                             struct gk_error *err)
{
    renewal->state.renewal = current->written = stands;
    return agent_state_write(renewal->config->directory, &renewal->state, err);
}

enum gk_status renewal_supersede(struct renewal *renewal, const char *serial, struct gk_error *err)
{
    (void)renewal;
    (void)err;
    snprintf(current->superseded, sizeof(current->superseded), "%s", serial);
    return GK_OK;
}

/* --- the scene ----------------------------------------------------------------------------------
 */

static EVP_PKEY *key; /* of all certificates: what differs here is the rest of them */

static int make_key(void **state)
{
    (void)state;
    key = EVP_RSA_gen(2048);
    return key != NULL ? 0 : -1;
}

static int free_key(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

static char *make_certificate(const char *name, long serial)
{
    X509 *x509 = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *text;
    long size;

    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), serial);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    X509_set_pubkey(x509, key);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, x509), 1);
    size = BIO_get_mem_data(bio, &data);
    text = strndup(data, (size_t)size);
    BIO_free(bio);
    X509_free(x509);
    return text;
}

static void put(struct fixture *f, const char *name, const char *text)
{
    assert_int_equal(
        agent_file_replace(f->directory, name, text, strlen(text), AGENT_FOR_ALL, &f->err), GK_OK);
}

static void put_next(struct fixture *f, const char *name, const char *text)
{
    assert_int_equal(
        agent_file_replace(f->folder, name, text, strlen(text), AGENT_FOR_ALL, &f->err), GK_OK);
}

static void holds(struct fixture *f, const char *name, const char *text)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };

    assert_int_equal(gk_identity_read(f->directory, name, &content, &f->err), GK_OK);
    assert_string_equal(content.data, text);
}

static bool exists(const struct fixture *f, const char *name)
{
    char path[192];

    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    return access(path, F_OK) == 0;
}

static char *join(const char *a, const char *b)
{
    char *both;

    assert_true(asprintf(&both, "%s%s", a, b) >= 0);
    return both;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->directory, "test-promotion.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->folder, sizeof(f->folder), "%s/" GK_FILE_NEXT, f->directory);
    f->config = (struct agent_config){ .directory = f->directory,
                                       .state_directory = f->directory,
                                       .tcti = (char *)"device:/nonexistent",
                                       .provider = (char *)"default",
                                       .key = (char *)"pkcs11:",
                                       .overlap_s = 100 };
    assert_int_equal(agent_openssl_new(&f->config, &f->run.openssl, &f->err), GK_OK);
    f->run.config = &f->config;
    f->old_ca = make_certificate("old CA", 1);
    f->new_ca = make_certificate("new CA", 2);
    f->old_chain = make_certificate("gw-1", 10);
    f->new_chain = make_certificate("gw-1", 11);
    current = f;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[96];

    snprintf(command, sizeof(command), "rm -rf %s", f->directory);
    assert_int_equal(system(command), 0);
    agent_openssl_free(f->run.openssl);
    free(f->old_ca);
    free(f->new_ca);
    free(f->old_chain);
    free(f->new_chain);
    free(f);
    return 0;
}

/* An identity that works, and a pair in next/ that the hub accepted. */
static void prepare(struct fixture *f, bool rotates)
{
    CLEANUP(gk_freep) char *identity = join("key 1\n", f->old_chain);
    struct agent_state *s = &f->renewal.state;

    f->renewal = (struct renewal){ .run = &f->run, .config = &f->config };
    f->renewal.openssl = f->run.openssl;
    s->stage = AGENT_STAGE_ENROLLED;
    s->renewal = AGENT_RENEWAL_READY;
    strcpy(s->certificate_sn, "10");
    strcpy(s->next_sn, "11");
    s->next_at = s->tried_at = s->failures = 7;
    put(f, GK_FILE_DEVICE, "key 1\n");
    put(f, GK_FILE_CERTIFICATE, f->old_chain);
    put(f, GK_FILE_IDENTITY, identity);
    put(f, GK_FILE_ISSUER_CA, f->old_ca);
    assert_int_equal(agent_file_remove(f->directory, GK_FILE_DEVICE_OLD, &f->err), GK_OK);
    assert_int_equal(agent_file_make_directory(f->folder, &f->err), GK_OK);
    put_next(f, GK_FILE_CERTIFICATE, f->new_chain);
    put_next(f, GK_FILE_ISSUER_CA, f->new_ca);
    put_next(f, NEXT_FILE_REQUEST, "request\n");
    if (rotates) {
        put_next(f, GK_FILE_DEVICE, "key 2\n");
    }
}

static void is_promoted(struct fixture *f, bool rotates)
{
    const char *reference = rotates ? "key 2\n" : "key 1\n";
    CLEANUP(gk_freep) char *identity = join(reference, f->new_chain);
    CLEANUP(gk_freep) char *issuers = join(f->new_ca, f->old_ca);
    struct agent_state state;

    holds(f, GK_FILE_DEVICE, reference);
    holds(f, GK_FILE_CERTIFICATE, f->new_chain);
    holds(f, GK_FILE_IDENTITY, identity);
    holds(f, GK_FILE_ISSUER_CA, issuers);
    assert_int_equal(exists(f, GK_FILE_DEVICE_OLD), rotates);
    if (rotates) {
        holds(f, GK_FILE_DEVICE_OLD, "key 1\n");
    }
    assert_false(exists(f, GK_FILE_NEXT));
    assert_int_equal(agent_state_read(f->directory, &state, &f->err), GK_OK);
    assert_int_equal(state.renewal, AGENT_RENEWAL_OVERLAP);
    assert_string_equal(state.certificate_sn, "11");
    assert_string_equal(state.old_sn, "10");
    assert_string_equal(state.next_sn, "");
    assert_int_equal(state.failures, 0);
}

/* --- claims -------------------------------------------------------------------------------------
 */

static void moves_a_certificate_into_place(void **state)
{
    struct fixture *f = *state;

    prepare(f, false);
    assert_int_equal(promotion_run(&f->renewal, &f->err), GK_OK);
    is_promoted(f, false);
}

static void moves_a_new_key_with_its_certificate(void **state)
{
    struct fixture *f = *state;

    prepare(f, true);
    assert_int_equal(promotion_run(&f->renewal, &f->err), GK_OK);
    is_promoted(f, true);
}

/* Each step is done on disk as the run that was killed did it, and then all of them are again. */
static void goes_on_from_every_step(void **state)
{
    struct fixture *f = *state;

    for (int steps = 0; steps <= 5; steps++) {
        CLEANUP(gk_freep) char *identity = join("key 2\n", f->new_chain);
        CLEANUP(gk_freep) char *issuers = join(f->new_ca, f->old_ca);

        prepare(f, true);
        f->renewal.state.renewal = AGENT_RENEWAL_PROMOTING;
        if (steps >= 1) {
            put(f, GK_FILE_IDENTITY, identity);
        }
        if (steps >= 2) {
            put(f, GK_FILE_ISSUER_CA, issuers);
        }
        if (steps >= 3) {
            put(f, GK_FILE_DEVICE_OLD, "key 1\n");
        }
        if (steps >= 4) {
            assert_int_equal(agent_file_rename(f->directory, NEXT_DEVICE, GK_FILE_DEVICE, &f->err),
                             GK_OK);
        }
        if (steps >= 5) {
            put(f, GK_FILE_CERTIFICATE, f->new_chain);
        }
        assert_int_equal(promotion_run(&f->renewal, &f->err), GK_OK);
        is_promoted(f, true);
    }
}

/* The state goes before the act: whoever reads it knows that all of next/ is still there. */
static void announces_itself_first(void **state)
{
    struct fixture *f = *state;
    struct agent_state s;

    prepare(f, true);
    assert_int_equal(agent_file_remove(f->folder, GK_FILE_CERTIFICATE, &f->err), GK_OK);
    assert_int_equal(promotion_run(&f->renewal, &f->err), GK_NO_FILE);
    assert_int_equal(agent_state_read(f->directory, &s, &f->err), GK_OK);
    assert_int_equal(s.renewal, AGENT_RENEWAL_PROMOTING);
    holds(f, GK_FILE_DEVICE, "key 1\n");
    holds(f, GK_FILE_CERTIFICATE, f->old_chain);
}

static void ends_the_overlap_when_it_is_over(void **state)
{
    struct fixture *f = *state;
    int64_t now = agent_clock_now(&f->config);

    prepare(f, false);
    assert_int_equal(promotion_run(&f->renewal, &f->err), GK_OK);
    assert_false(promotion_is_settled(&f->renewal));
    f->renewal.state.old_until = now;
    assert_true(promotion_is_settled(&f->renewal));
    /* A clock that went back, and would keep two certificates valid for years. */
    f->renewal.state.old_until = now + 100000;
    assert_true(promotion_is_settled(&f->renewal));
    assert_int_equal(promotion_end_overlap(&f->renewal, &f->err), GK_OK);
    assert_string_equal(f->superseded, "10");
    assert_string_equal(f->renewal.state.old_sn, "");
    assert_int_equal(f->written, AGENT_RENEWAL_NONE);
    assert_false(promotion_is_settled(&f->renewal));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(moves_a_certificate_into_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moves_a_new_key_with_its_certificate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goes_on_from_every_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(announces_itself_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_the_overlap_when_it_is_over, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, make_key, free_key);
}
