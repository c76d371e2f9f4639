/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of provider/lifetime.c: who outlives whom, to the end of the program and beyond.
 *
 * Each case is a process of its own, this program again with the case's name, that has to end well.
 */
#include "tests/provider/fixture.h"

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS 25
#define THREADS 4

/* Of the case that runs in this process. Without fixture_load() the default library context. */
static struct fixture fixture;
static EVP_PKEY *device;
static atomic_int signatures;

static void expect(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        ERR_print_errors_fp(stderr);
        _exit(1);
    }
}

static int signs(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);
    int done =
        EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, device, NULL) == 1 &&
        EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"x", 1) == 1;

    EVP_MD_CTX_free(ctx);
    return done;
}

static void load_key(void)
{
    device = fixture_read_pem(&fixture, fixture_path("device.pem"), NULL);
    expect(device != NULL && signs(), "the key cannot be used");
}

static void free_key(void)
{
    EVP_PKEY_free(device);
}

static void expect_signature(void)
{
    expect(signs(), "no signature at exit");
}

static int times_mapped(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    int times = 0;

    expect(maps != NULL, "no /proc");
    while (fgets(line, sizeof(line), maps) != NULL) {
        times += strstr(line, "/gatekey.so") != NULL;
    }
    fclose(maps);
    return times;
}

static void unloaded_and_loaded_again(void)
{
    int mapped = 0;

    for (int i = 0; i < ROUNDS; i++) {
        fixture_load(&fixture);
        load_key();
        free_key();
        fixture_unload(&fixture);
        mapped = i == 0 ? times_mapped() : mapped;
    }
    expect(mapped > 0 && times_mapped() == mapped, "more of it is mapped each time");
}

/* In the same library context: unloading leaves what OpenSSL fetched before, and that still works.
 */
static void unloaded_and_loaded_again_in_one_context(void)
{
    fixture_load(&fixture);
    for (int i = 0; i < ROUNDS; i++) {
        load_key();
        expect(OSSL_PROVIDER_unload(fixture.gatekey) == 1, "unload");
        expect(signs(), "a key loaded before does not sign");
        fixture.gatekey = OSSL_PROVIDER_load(fixture.libctx, "gatekey");
        expect(fixture.gatekey != NULL && signs(), "loaded again, it does not sign");
        free_key();
    }
    fixture_unload(&fixture);
}

static void the_key_outlives_its_context(void)
{
    fixture_load(&fixture);
    load_key();
    fixture_unload(&fixture);
    free_key();
}

static void nothing_is_ever_freed(void)
{
    load_key();
    fixture_load(&fixture);
    load_key();
}

static void the_key_is_freed_at_exit(void)
{
    load_key();
    atexit(free_key);
}

static void the_key_is_used_at_exit(void)
{
    load_key();
    atexit(expect_signature);
}

/* Handlers run in the reverse order of their registration, and libcrypto's comes second here. */
static void the_key_is_freed_after_cleanup(void)
{
    atexit(free_key);
    load_key();
}

static void the_key_is_freed_after_cleanup_and_its_context_before(void)
{
    atexit(free_key);
    fixture_load(&fixture);
    load_key();
    fixture_unload(&fixture);
}

static void the_key_is_freed_after_an_early_cleanup(void)
{
    load_key();
    OPENSSL_cleanup();
    free_key();
}

/* What a C++ program does with an SSL_CTX in a global variable: the provider's last holder is late.
 */
static void a_context_is_freed_after_cleanup(void)
{
    static EVP_MD_CTX *ctx;

    load_key();
    ctx = EVP_MD_CTX_new();
    expect(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, device, NULL) == 1, "init");
    free_key();
    OPENSSL_cleanup();
    EVP_MD_CTX_free(ctx);
}

static void *sign_on_and_on(void *unused)
{
    for (;;) {
        expect(signs(), "a thread cannot sign");
        atomic_fetch_add(&signatures, 1);
    }
    return unused;
}

/* In a context of its own: OpenSSL takes the default one away from under its threads. */
static void threads_sign_while_the_program_exits(void)
{
    pthread_t thread;

    fixture_load(&fixture);
    load_key();
    for (int i = 0; i < THREADS; i++) {
        expect(pthread_create(&thread, NULL, sign_on_and_on, NULL) == 0, "no thread");
    }
    while (atomic_load(&signatures) < 2 * THREADS) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

static void *stop_and_sign(void *unused)
{
    for (int i = 0; i < 3; i++) {
        expect(signs(), "no signature in a thread");
        OPENSSL_thread_stop_ex(fixture.libctx);
        OPENSSL_thread_stop();
        expect(signs(), "no signature in a thread that was stopped");
    }
    return unused;
}

static void a_thread_is_stopped_and_goes_on(void)
{
    pthread_t thread;

    fixture_load(&fixture);
    load_key();
    for (int i = 0; i < THREADS; i++) {
        expect(pthread_create(&thread, NULL, stop_and_sign, NULL) == 0, "no thread");
        expect(pthread_join(thread, NULL) == 0, "join");
    }
    free_key();
    fixture_unload(&fixture);
}

/* The first configuration counts: the provider is there already, and keys of it may be. */
static void the_configuration_is_read_again(void)
{
    unsetenv("GATEKEY_IDENTITY");
    device = fixture_read_uri(&fixture, "gatekey:", NULL);
    expect(device != NULL, "no key in the first folder");
    for (int i = 0; i < 3; i++) {
        expect(CONF_modules_load_file(fixture_path("other.cnf"), NULL, 0) == 1, "other.cnf");
        expect(CONF_modules_load_file(fixture_path("first.cnf"), NULL, 0) == 1, "first.cnf");
        expect(signs(), "a key from before does not sign");
        free_key();
        device = fixture_read_uri(&fixture, "gatekey:", NULL);
        expect(device != NULL, "another folder counts now");
    }
    CONF_modules_unload(1);
    expect(signs(), "does not sign without the configuration");
    free_key();
}

static void another_configuration_is_named(void)
{
    OPENSSL_INIT_SETTINGS *settings = OPENSSL_INIT_new();

    expect(OPENSSL_INIT_set_config_filename(settings, fixture_path("first.cnf")) == 1, "settings");
    setenv("OPENSSL_CONF", "/nonexistent", 1);
    expect(OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, settings) == 1, "first.cnf");
    OPENSSL_INIT_free(settings);
    load_key();
    free_key();
}

/* What is left behind on purpose, or by libcrypto when it has cleaned up, is no leak to look for.
 */
#define LEAVES(name)        \
    {                       \
#name, (name), true \
    }
#define CASE(name)           \
    {                        \
#name, (name), false \
    }
static const struct lifetime_case {
    const char *name;
    void (*run)(void);
    bool leaves_something;
} cases[] = {
    CASE(unloaded_and_loaded_again),
    CASE(unloaded_and_loaded_again_in_one_context),
    CASE(the_key_outlives_its_context),
    LEAVES(nothing_is_ever_freed),
    CASE(the_key_is_freed_at_exit),
    CASE(the_key_is_used_at_exit),
    LEAVES(the_key_is_freed_after_cleanup),
    LEAVES(the_key_is_freed_after_cleanup_and_its_context_before),
    LEAVES(the_key_is_freed_after_an_early_cleanup),
    LEAVES(a_context_is_freed_after_cleanup),
    CASE(threads_sign_while_the_program_exits),
    CASE(a_thread_is_stopped_and_goes_on),
    CASE(the_configuration_is_read_again),
    CASE(another_configuration_is_named),
};
#define CASE_COUNT (sizeof(cases) / sizeof(cases[0]))

static int run_case(const char *name)
{
    if (strcmp(name, "make key") == 0) {
        fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
        return 0;
    }
    for (size_t i = 0; i < CASE_COUNT; i++) {
        if (strcmp(name, cases[i].name) == 0) {
            alarm(60);
            cases[i].run();
            return 0;
        }
    }
    return 2;
}

static void assert_ends_well(const char *name, bool leaves_something)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        if (leaves_something) {
            setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        }
        execl("/proc/self/exe", "test-lifetime", name, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFSIGNALED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void write_configuration(const char *name, const char *identity)
{
    char text[4096];

    snprintf(text, sizeof(text),
             "openssl_conf = init\n[init]\nproviders = p\n[p]\ndefault = d\ngatekey = g\n"
             "[d]\nactivate = 1\n[g]\nactivate = 1\nidentity-directory = %s\n",
             identity);
    fixture_write(name, text, strlen(text));
}

/* No OpenSSL in this process: it begins afresh in each case. */
static int set_up(void **state)
{
    char modules[512];

    (void)state;
    snprintf(modules, sizeof(modules), "%s/.libs", getenv("abs_top_builddir"));
    setenv("OPENSSL_MODULES", modules, 1);
    write_configuration("first.cnf", getenv("GATEKEY_TEST_DIR"));
    write_configuration("other.cnf", "/nonexistent");
    setenv("OPENSSL_CONF", "/dev/null", 1);
    assert_ends_well("make key", false);
    setenv("OPENSSL_CONF", fixture_path("first.cnf"), 1);
    return 0;
}

static void ends_well(void **state)
{
    const struct lifetime_case *wanted = *state;

    assert_ends_well(wanted->name, wanted->leaves_something);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[CASE_COUNT];

    if (argc > 1) {
        return run_case(argv[1]);
    }
    for (size_t i = 0; i < CASE_COUNT; i++) {
        tests[i] = (struct CMUnitTest){ .name = cases[i].name,
                                        .test_func = ends_well,
                                        .initial_state = (void *)&cases[i] };
    }
    return cmocka_run_group_tests(tests, set_up, NULL);
}
