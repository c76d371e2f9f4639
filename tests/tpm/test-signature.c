/* SPDX-License-Identifier: Apache-2.0 */
/* Signing with the device key, on a TPM of the test's own. */
#include "tests/tpm/fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define HANDLE 0x81000100U
#define PASSWORD_HANDLE 0x81000101U

static struct gk_tpm *tpm;
static struct gk_key *key;
static const uint8_t digest[GK_HASH_MAX_SIZE] = { 1, 2, 3 };

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(gk_tpm_new(fixture_tcti(), &tpm, NULL), GK_OK);
    key = fixture_key(HANDLE, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gk_key_free(key);
    gk_tpm_free(tpm);
    return 0;
}

static enum gk_status sign_with(const struct gk_key *with, const struct gk_crypto *crypto,
                                enum gk_scheme scheme, size_t salt_size, struct gk_error *err)
{
    uint8_t signature[GK_RSA2048_SIZE];

    return gk_key_sign(tpm, with, NULL, crypto, scheme, GK_SHA256, digest, salt_size, signature,
                       err);
}

static void signs_every_scheme_and_hash(void **state)
{
    static const enum gk_hash hashes[] = { GK_SHA256, GK_SHA384, GK_SHA512 };
    const struct gk_crypto *crypto = fixture_crypto();

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(hashes) / sizeof(hashes[0]); i++) {
        enum gk_hash hash = hashes[i / 2];
        enum gk_scheme scheme = i % 2 == 0 ? GK_RSASSA : GK_RSAPSS;
        size_t salt_size = gk_hash_size(hash);
        uint8_t signature[GK_RSA2048_SIZE];

        assert_int_equal(
            gk_key_sign(tpm, key, NULL, crypto, scheme, hash, digest, salt_size, signature, NULL),
            GK_OK);
        assert_int_equal(crypto->verify(crypto->context, gk_key_public(key), scheme, hash,
                                        salt_size, digest, signature),
                         1);
        signature[100] ^= 1;
        assert_int_equal(crypto->verify(crypto->context, gk_key_public(key), scheme, hash,
                                        salt_size, digest, signature),
                         0);
    }
}

/* What PKCS #11 applications sign now and then, and a TPM still does. */
static void signs_a_sha1_digest_by_rsassa(void **state)
{
    const struct gk_crypto *crypto = fixture_crypto();
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    assert_int_equal(gk_hash_size(GK_SHA1), 20);
    assert_int_equal(
        gk_key_sign(tpm, key, NULL, crypto, GK_RSASSA, GK_SHA1, digest, 0, signature, NULL), GK_OK);
    assert_int_equal(crypto->verify(crypto->context, gk_key_public(key), GK_RSASSA, GK_SHA1, 0,
                                    digest, signature),
                     1);
    signature[100] ^= 1;
    assert_int_equal(crypto->verify(crypto->context, gk_key_public(key), GK_RSASSA, GK_SHA1, 0,
                                    digest, signature),
                     0);
}

static void refuses_rsa_pss_with_sha1(void **state)
{
    uint8_t signature[GK_RSA2048_SIZE] = { 42 };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(gk_key_sign(tpm, key, NULL, fixture_crypto(), GK_RSAPSS, GK_SHA1, digest, 20,
                                 signature, &err),
                     GK_NOT_OFFERED);
    fixture_assert_says(&err, "the device key does not do that (RSA-PSS with SHA-1)");
    assert_int_equal(signature[0], 42);
}

static void refuses_a_salt_the_tpm_does_not_make(void **state)
{
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(sign_with(key, fixture_crypto(), GK_RSAPSS, 20, &err), GK_BAD_SALT);
    fixture_assert_says(&err, "20 bytes, the hash has 32");
}

static void says_the_key_is_missing(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *there = NULL;
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(gk_key_read(tpm, 0x81000155, &there, &err), GK_NO_KEY);
    fixture_assert_says(
        &err, "no key at that handle (0x81000155, TPM 0x18b TPM_RC_HANDLE); run gatekey enroll");
}

static void refuses_a_transient_handle(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *there = NULL;
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(gk_key_read(tpm, 0x80000000, &there, &err), GK_BAD_REFERENCE);
    fixture_assert_says(&err, "0x80000000 is not a persistent handle");
}

static void reads_the_key_back_from_its_handle(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *there = NULL;

    (void)state;
    assert_int_equal(gk_key_read(tpm, HANDLE, &there, NULL), GK_OK);
    assert_true(gk_key_identical(key, there));
    assert_true(gk_key_equal(key, there));
    assert_int_equal(gk_key_public(there)->exponent, 65537);
}

/* A password is asked for before the TPM is, and a wrong one is told from a missing one. */
static void needs_the_password_of_a_key_that_has_one(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *locked = fixture_key(PASSWORD_HANDLE, "correct horse");
    struct gk_auth right = fixture_auth("correct horse"), wrong = fixture_auth("battery staple");
    uint8_t signature[GK_RSA2048_SIZE];
    struct gk_error err = { 0 };

    (void)state;
    assert_true(gk_key_needs_auth(locked));
    assert_int_equal(sign_with(locked, fixture_crypto(), GK_RSASSA, 0, &err), GK_NEED_AUTH);
    assert_int_equal(gk_key_sign(tpm, locked, &wrong, fixture_crypto(), GK_RSASSA, GK_SHA256,
                                 digest, 0, signature, &err),
                     GK_BAD_AUTH);
    fixture_assert_says(&err, "wrong password (0x81000101");
    assert_int_equal(gk_key_sign(tpm, locked, &right, fixture_crypto(), GK_RSASSA, GK_SHA256,
                                 digest, 0, signature, &err),
                     GK_OK);
}

/* The signature of whatever lies at the handle is not handed out when it is another key's. */
static void notices_another_key_at_the_handle(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *old = fixture_key(0x81000102, NULL);
    CLEANUP(gk_key_freep) struct gk_key *new = NULL;
    struct gk_error err = { 0 };

    (void)state;
    fixture_run("tpm2_evictcontrol -Q -C o -c 0x81000102");
    new = fixture_key(0x81000102, NULL);
    assert_int_equal(sign_with(old, fixture_crypto(), GK_RSASSA, 0, &err), GK_WRONG_KEY);
    fixture_assert_says(&err, "the handle holds another key than the reference says (0x81000102)");
    assert_int_equal(sign_with(new, fixture_crypto(), GK_RSASSA, 0, &err), GK_OK);
}

/* A gk_crypto whose verification always answers the int that is its context. */
static int answer_verify(void *context, const struct gk_public *public, enum gk_scheme scheme,
                         enum gk_hash hash, size_t salt_size, const uint8_t *d,
                         const uint8_t signature[GK_RSA2048_SIZE])
{
    (void)public;
    (void)scheme;
    (void)hash;
    (void)salt_size;
    (void)d;
    (void)signature;
    return *(const int *)context;
}

static void hands_out_no_signature_that_does_not_verify(void **state)
{
    int answer = 0;
    struct gk_crypto crypto = { .context = &answer, .verify = answer_verify };
    uint8_t signature[GK_RSA2048_SIZE] = { 42 };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(
        gk_key_sign(tpm, key, NULL, &crypto, GK_RSASSA, GK_SHA256, digest, 0, signature, &err),
        GK_BAD_SIGNATURE);
    assert_int_equal(signature[0], 42);
    answer = -1;
    assert_int_equal(sign_with(key, &crypto, GK_RSASSA, 0, &err), GK_CRYPTO_FAILED);
}

static void *sign_some(void *context)
{
    int *failures = context;

    for (int i = 0; i < 10; i++) {
        *failures += sign_with(key, fixture_crypto(), GK_RSASSA, 0, NULL) != GK_OK;
    }
    return NULL;
}

static void serves_several_threads(void **state)
{
    pthread_t threads[8];
    int failures[8] = { 0 };

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sign_some, &failures[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
}

static void before_fork(void)
{
    gk_tpm_before_fork(tpm);
}

static void after_fork_in_parent(void)
{
    gk_tpm_after_fork(tpm, false);
}

static void after_fork_in_child(void)
{
    gk_tpm_after_fork(tpm, true);
}

/* Forks land in the middle of the other threads' signatures; every child signs as well. */
static void *sign_cancelled(void *argument)
{
    bool *has_signed = argument;

    pthread_cancel(pthread_self()); /* at the next thing that blocks */
    *has_signed = sign_with(key, fixture_crypto(), GK_RSASSA, 0, NULL) == GK_OK;
    pthread_testcancel();
    return NULL;
}

/* Cancelled in the middle, it would keep the lock that everybody needs. */
static void a_cancelled_thread_signs_to_its_end(void **state)
{
    bool has_signed = false;
    pthread_t thread;
    void *ended;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, sign_cancelled, &has_signed), 0);
    assert_int_equal(pthread_join(thread, &ended), 0);
    assert_ptr_equal(ended, PTHREAD_CANCELED);
    assert_true(has_signed);
    assert_int_equal(sign_with(key, fixture_crypto(), GK_RSASSA, 0, NULL), GK_OK);
}

static void signs_in_a_child_forked_during_signatures(void **state)
{
    pthread_t threads[4];
    int failures[4] = { 0 };

    (void)state;
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sign_some, &failures[i]), 0);
    }
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            _exit(sign_with(key, fixture_crypto(), GK_RSASSA, 0, NULL) == GK_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
}

static void says_that_no_tpm_is_there(void **state)
{
    struct gk_tpm *missing = NULL;
    struct gk_error err = { 0 };
    uint8_t signature[GK_RSA2048_SIZE];

    (void)state;
    assert_int_equal(gk_tpm_new("device:/dev/no-such-tpm", &missing, &err), GK_OK);
    assert_int_equal(gk_key_sign(missing, key, NULL, fixture_crypto(), GK_RSASSA, GK_SHA256, digest,
                                 0, signature, &err),
                     GK_NO_TPM);
    fixture_assert_says(&err, "no TPM answered (/dev/no-such-tpm");
    gk_tpm_free(missing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_every_scheme_and_hash),
        cmocka_unit_test(signs_a_sha1_digest_by_rsassa),
        cmocka_unit_test(refuses_rsa_pss_with_sha1),
        cmocka_unit_test(refuses_a_salt_the_tpm_does_not_make),
        cmocka_unit_test(says_the_key_is_missing),
        cmocka_unit_test(refuses_a_transient_handle),
        cmocka_unit_test(reads_the_key_back_from_its_handle),
        cmocka_unit_test(needs_the_password_of_a_key_that_has_one),
        cmocka_unit_test(notices_another_key_at_the_handle),
        cmocka_unit_test(hands_out_no_signature_that_does_not_verify),
        cmocka_unit_test(serves_several_threads),
        cmocka_unit_test(a_cancelled_thread_signs_to_its_end),
        cmocka_unit_test(signs_in_a_child_forked_during_signatures),
        cmocka_unit_test(says_that_no_tpm_is_there),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
