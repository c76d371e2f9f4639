/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of provider/context.c: several library contexts in one process, each with its own settings,
 * on two TPMs, used by several threads each.
 */
#include "tests/provider/fixture.h"

#include <openssl/err.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define OTHER_TPM "GATEKEY_OTHER_TCTI"
#define PLACES 3  /* the last one is the default library context's */
#define THREADS 4 /* in each */
#define ROUNDS 6

static struct place {
    const char *folder, *tpm;
    unsigned handle;
    char tcti[512], path[512];
    struct fixture fixture;
    EVP_PKEY *device, *public;
} places[PLACES] = {
    { .folder = "one", .tpm = "GATEKEY_TCTI", .handle = FIXTURE_HANDLE },
    { .folder = "two", .tpm = OTHER_TPM, .handle = FIXTURE_HANDLE },
    { .folder = "three", .tpm = "GATEKEY_TCTI", .handle = FIXTURE_HANDLE + 1 },
};

static pthread_barrier_t barrier;

static void write_configuration(const struct place *place)
{
    char name[64], text[4096];

    snprintf(name, sizeof(name), "%s.cnf", place->folder);
    snprintf(text, sizeof(text),
             "openssl_conf = init\n[init]\nproviders = p\n[p]\ndefault = d\ngatekey = g\n"
             "[d]\nactivate = 1\n"
             "[g]\nactivate = 1\nidentity-directory = %s\ntcti = %s\n",
             place->path, place->tcti);
    fixture_write(name, text, strlen(text));
}

static void prepare(struct place *place)
{
    snprintf(place->tcti, sizeof(place->tcti), "%s", getenv(place->tpm));
    snprintf(place->path, sizeof(place->path), "%s", fixture_path(place->folder));
    assert_int_equal(mkdir(place->path, 0700), 0);
    write_configuration(place);
}

/* In a process of its own: the first use of OpenSSL reads what the environment says. */
static void make_keys(void)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        for (int i = 0; i < PLACES; i++) {
            char name[64];

            snprintf(name, sizeof(name), "%s/device.pem", places[i].folder);
            setenv("GATEKEY_TCTI", places[i].tcti, 1);
            fixture_make_key(places[i].handle, "", name);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void load(struct place *place)
{
    char name[64];

    if (place == &places[PLACES - 1]) {
        place->fixture.libctx = NULL; /* it has read OPENSSL_CONF, or does so now */
        return;
    }
    snprintf(name, sizeof(name), "%s.cnf", place->folder);
    place->fixture.libctx = OSSL_LIB_CTX_new();
    assert_int_equal(OSSL_LIB_CTX_load_config(place->fixture.libctx, fixture_path(name)), 1);
}

static EVP_PKEY *load_key(struct place *place)
{
    return fixture_read_uri(&place->fixture, "gatekey:", NULL);
}

static int signs(struct place *place, EVP_PKEY *key)
{
    OSSL_LIB_CTX *libctx = place->fixture.libctx;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_MD_CTX *check = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);
    const uint8_t *data = (const uint8_t *)"x";
    int done =
        EVP_DigestSignInit_ex(ctx, NULL, "SHA256", libctx, NULL, key, NULL) == 1 &&
        EVP_DigestSign(ctx, signature, &size, data, 1) == 1 &&
        EVP_DigestVerifyInit_ex(check, NULL, "SHA256", libctx, NULL, place->public, NULL) == 1 &&
        EVP_DigestVerify(check, signature, size, data, 1) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_MD_CTX_free(check);
    return done;
}

static EVP_PKEY *read_file(struct place *place)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/device.pem", place->path);
    return fixture_read_pem(&place->fixture, path, NULL);
}

/* Reading a file asks nothing of the settings, so their first use is left to the tests. */
static int set_up(void **state)
{
    char modules[512];

    (void)state;
    for (int i = 0; i < PLACES; i++) {
        prepare(&places[i]);
    }
    setenv("OPENSSL_CONF", "/dev/null", 1);
    make_keys();
    snprintf(modules, sizeof(modules), "%s/.libs", getenv("abs_top_builddir"));
    setenv("OPENSSL_MODULES", modules, 1);
    setenv("OPENSSL_CONF", fixture_path("three.cnf"), 1);
    unsetenv("GATEKEY_TCTI");
    unsetenv("GATEKEY_IDENTITY");
    for (int i = 0; i < PLACES; i++) {
        load(&places[i]);
        places[i].device = read_file(&places[i]);
        assert_non_null(places[i].device);
        places[i].public = fixture_public(&places[i].fixture, places[i].device);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < PLACES; i++) {
        EVP_PKEY_free(places[i].device);
        EVP_PKEY_free(places[i].public);
        OSSL_LIB_CTX_free(places[i].fixture.libctx);
    }
    return 0;
}

static void each_has_its_own_key_in_its_own_tpm(void **state)
{
    (void)state;
    for (int i = 0; i < PLACES; i++) {
        EVP_PKEY *key = load_key(&places[i]);

        for (int j = 0; j < PLACES; j++) {
            assert_int_equal(EVP_PKEY_eq(key, places[j].public) == 1, i == j);
        }
        assert_true(signs(&places[i], key));
        EVP_PKEY_free(key);
    }
    fixture_assert_silence();
}

static void each_speaks_of_its_own_folder(void **state)
{
    (void)state;
    for (int i = 0; i < PLACES; i++) {
        char name[600], away[600];

        snprintf(name, sizeof(name), "%s/device.pem", places[i].path);
        snprintf(away, sizeof(away), "%s/away", places[i].path);
        assert_int_equal(rename(name, away), 0);
        assert_null(load_key(&places[i]));
        fixture_assert_says(name);
        assert_int_equal(rename(away, name), 0);
        for (int j = 0; j < PLACES; j++) {
            EVP_PKEY *key = load_key(&places[j]);

            assert_non_null(key);
            EVP_PKEY_free(key);
        }
    }
}

struct user {
    pthread_t thread;
    struct place *place;
    int failures;
};

static void *use(void *argument)
{
    struct user *user = argument;

    pthread_barrier_wait(&barrier);
    for (int i = 0; i < ROUNDS; i++) {
        EVP_PKEY *key;

        user->failures += !signs(user->place, user->place->device);
        key = load_key(user->place);
        user->failures += key == NULL || !signs(user->place, key);
        EVP_PKEY_free(key);
    }
    if (user->failures > 0) {
        ERR_print_errors_fp(stderr);
    }
    return NULL;
}

static void threads_use_all_of_them_from_the_first_moment(void **state)
{
    struct user users[PLACES * THREADS];

    (void)state;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, PLACES * THREADS), 0);
    for (int i = 0; i < PLACES * THREADS; i++) {
        users[i] = (struct user){ .place = &places[i % PLACES] };
        assert_int_equal(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
    }
    for (int i = 0; i < PLACES * THREADS; i++) {
        assert_int_equal(pthread_join(users[i].thread, NULL), 0);
        assert_int_equal(users[i].failures, 0);
    }
    pthread_barrier_destroy(&barrier);
}

static int run_with_another_tpm(void)
{
    char path[512], self[512] = "";

    setenv(OTHER_TPM, getenv("GATEKEY_TCTI"), 1);
    snprintf(path, sizeof(path), "%s/tests/with-swtpm", getenv("abs_top_srcdir"));
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) {
        execl(path, path, self, (char *)NULL);
    }
    return 99;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_use_all_of_them_from_the_first_moment),
        cmocka_unit_test(each_has_its_own_key_in_its_own_tpm),
        cmocka_unit_test(each_speaks_of_its_own_folder),
    };

    if (getenv(OTHER_TPM) == NULL) {
        return run_with_another_tpm();
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
