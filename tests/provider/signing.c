/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that sign. */
#include "tests/provider/signing.h"

#include <openssl/err.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define THREADS_MAX 16

struct thread {
    pthread_t id;
    struct signing *signing;
    const struct signing_key *key;
};

struct signing {
    int times;
    size_t count;
    atomic_bool is_over;
    atomic_int made, bad;
    struct thread threads[THREADS_MAX];
};

struct signing_key signing_key_load(struct fixture *fixture, const char *uri)
{
    struct signing_key key = { .fixture = fixture };

    key.private = fixture_read_uri(fixture, uri, NULL);
    assert_non_null(key.private);
    key.public = fixture_public(fixture, key.private);
    assert_non_null(key.public);
    return key;
}

void signing_key_free(struct signing_key *key)
{
    EVP_PKEY_free(key->private);
    EVP_PKEY_free(key->public);
    *key = (struct signing_key){ 0 };
}

bool signing_works(const struct signing_key *key, int number)
{
    OSSL_LIB_CTX *libctx = key->fixture->libctx;
    EVP_MD_CTX *signing = EVP_MD_CTX_new();
    EVP_MD_CTX *checking = EVP_MD_CTX_new();
    const uint8_t *data = (const uint8_t *)&number;
    uint8_t signature[256];
    size_t size = sizeof(signature);
    bool works =
        EVP_DigestSignInit_ex(signing, NULL, "SHA256", libctx, NULL, key->private, NULL) == 1 &&
        EVP_DigestSign(signing, signature, &size, data, sizeof(number)) == 1 &&
        EVP_DigestVerifyInit_ex(checking, NULL, "SHA256", libctx, NULL, key->public, NULL) == 1 &&
        EVP_DigestVerify(checking, signature, size, data, sizeof(number)) == 1;

    EVP_MD_CTX_free(signing);
    EVP_MD_CTX_free(checking);
    return works;
}

static void *sign(void *context)
{
    const struct thread *thread = context;
    struct signing *signing = thread->signing;

    for (int i = 0; signing->times == 0 ? !atomic_load(&signing->is_over) : i < signing->times;
         i++) {
        if (!signing_works(thread->key, i)) {
            ERR_print_errors_fp(stderr);
            atomic_fetch_add(&signing->bad, 1);
        }
        atomic_fetch_add(&signing->made, 1);
    }
    return NULL;
}

struct signing *signing_start(const struct signing_key *keys, size_t key_count, size_t threads,
                              int times)
{
    struct signing *signing = calloc(1, sizeof(*signing));

    assert_non_null(signing);
    assert_true(threads <= THREADS_MAX);
    signing->times = times;
    signing->count = threads;
    for (size_t i = 0; i < threads; i++) {
        signing->threads[i] = (struct thread){ .signing = signing, .key = &keys[i % key_count] };
        assert_int_equal(pthread_create(&signing->threads[i].id, NULL, sign, &signing->threads[i]),
                         0);
    }
    return signing;
}

void signing_wait(struct signing *signing, int number)
{
    while (atomic_load(&signing->made) < number) {
        nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
    }
}

void signing_end(struct signing *signing)
{
    atomic_store(&signing->is_over, true);
    for (size_t i = 0; i < signing->count; i++) {
        assert_int_equal(pthread_join(signing->threads[i].id, NULL), 0);
    }
    assert_int_equal(atomic_load(&signing->bad), 0);
    free(signing);
}
