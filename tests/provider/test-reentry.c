/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests that no lock of ours is held while the application is called: a pass-phrase callback uses
 * the provider itself, in its own thread, in another one it waits for, and in a child.
 */
#include "tests/provider/fixture.h"

#include <openssl/pem.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct fixture fixture;
static int calls; /* of the callback, with all it does done */

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fixture_make_key(FIXTURE_PASSWORD_HANDLE, FIXTURE_PASSWORD, "password.pem");
    return 0;
}

static int begin(void **state)
{
    (void)state;
    calls = 0;
    alarm(60);
    fixture_load(&fixture);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fixture_unload(&fixture);
    alarm(0);
    return 0;
}

static int signs(EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);
    int done = key != NULL &&
               EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, key, NULL) == 1 &&
               EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"x", 1) == 1;

    EVP_MD_CTX_free(ctx);
    return done;
}

/* All that the provider can be asked: by file, by URI with its settings, at the TPM. */
static int uses_the_provider(void)
{
    static const char *const uris[] = { "gatekey:", "gatekey:handle=0x81000100" };
    EVP_PKEY *key = fixture_read_pem(&fixture, fixture_path("device.pem"), NULL);
    int done = signs(key);

    EVP_PKEY_free(key);
    for (int i = 0; i < 2; i++) {
        key = fixture_read_uri(&fixture, uris[i], NULL);
        done = signs(key) && done;
        EVP_PKEY_free(key);
    }
    return done;
}

static void *use(void *done)
{
    *(int *)done = uses_the_provider();
    return NULL;
}

static int in_this_thread(void)
{
    return uses_the_provider();
}

static int in_another_thread(void)
{
    pthread_t thread;
    int done = 0;

    return pthread_create(&thread, NULL, use, &done) == 0 && pthread_join(thread, NULL) == 0 &&
           done;
}

static int in_a_child(void)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        alarm(30);
        _exit(uses_the_provider() ? 0 : 1);
    }
    return waitpid(child, &status, 0) == child && status == 0;
}

static int answer(char *buffer, int size, int writing, void *where)
{
    int (*const *use_it)(void) = where;

    (void)writing;
    calls += (*use_it)();
    snprintf(buffer, (size_t)size, "%s", FIXTURE_PASSWORD);
    return (int)strlen(FIXTURE_PASSWORD);
}

static void a_key_is_loaded_whose_callback_works(int (*where)(void))
{
    BIO *bio = BIO_new_file(fixture_path("password.pem"), "r");
    EVP_PKEY *key = PEM_read_bio_PrivateKey_ex(bio, NULL, answer, &where, fixture.libctx, NULL);

    BIO_free(bio);
    assert_non_null(key);
    assert_int_equal(calls, 1);
    assert_true(signs(key));
    EVP_PKEY_free(key);
    fixture_assert_silence();
}

static void the_callback_uses_the_provider(void **state)
{
    (void)state;
    a_key_is_loaded_whose_callback_works(in_this_thread);
}

static void the_callback_waits_for_a_thread_that_does(void **state)
{
    (void)state;
    a_key_is_loaded_whose_callback_works(in_another_thread);
}

static void the_callback_waits_for_a_child_that_does(void **state)
{
    (void)state;
    a_key_is_loaded_whose_callback_works(in_a_child);
}

static int unloads(void)
{
    OSSL_PROVIDER *again = OSSL_PROVIDER_load(fixture.libctx, "gatekey");

    return again != NULL && OSSL_PROVIDER_unload(fixture.gatekey) == 1 &&
           (fixture.gatekey = again) != NULL;
}

static void the_callback_loads_and_unloads_the_provider(void **state)
{
    (void)state;
    a_key_is_loaded_whose_callback_works(unloads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_callback_uses_the_provider, begin, end),
        cmocka_unit_test_setup_teardown(the_callback_waits_for_a_thread_that_does, begin, end),
        cmocka_unit_test_setup_teardown(the_callback_waits_for_a_child_that_does, begin, end),
        cmocka_unit_test_setup_teardown(the_callback_loads_and_unloads_the_provider, begin, end),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
