/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that open, find, sign and close. */
#include "tests/pkcs11/rounds.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define THREADS_MAX 16

struct thread {
    pthread_t id;
    struct rounds *rounds;
    int number;
};

struct rounds {
    EVP_PKEY *public;
    int threads, each;
    atomic_bool is_over;
    atomic_int gone, bad;
    CK_SESSION_HANDLE *handles; /* of every session, where their number is known */
    struct thread thread[THREADS_MAX];
};

int rounds_wanted(int few)
{
    const char *text = getenv("GATEKEY_ROUNDS");
    int wanted = text != NULL ? atoi(text) : 0;

    return wanted > 0 ? wanted : few;
}

static CK_RV find_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *key)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof(class) };
    CK_ULONG count = 0;
    CK_RV rv = p11->C_FindObjectsInit(session, &template, 1);

    if (rv == CKR_OK) {
        rv = p11->C_FindObjects(session, key, 1, &count);
    }
    if (rv == CKR_OK) {
        rv = p11->C_FindObjectsFinal(session);
    }
    return rv == CKR_OK && count != 1 ? CKR_KEY_HANDLE_INVALID : rv;
}

CK_RV rounds_go(EVP_PKEY *public, int number, CK_SESSION_HANDLE *handle)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_RV rv = p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session);

    if (handle != NULL) {
        *handle = session;
    }
    if (rv == CKR_OK) {
        rv = find_key(session, &key);
    }
    if (rv == CKR_OK) {
        rv = fixture_sign(session, key, &number, sizeof(number), signature);
    }
    if (rv == CKR_OK &&
        !fixture_verifies(public, CKM_SHA256_RSA_PKCS, 0, &number, sizeof(number), signature)) {
        rv = CKR_SIGNATURE_INVALID;
    }
    return rv == CKR_OK ? p11->C_CloseSession(session) : rv;
}

static void *go(void *context)
{
    const struct thread *thread = context;
    struct rounds *rounds = thread->rounds;

    for (int i = 0; rounds->each == 0 ? !atomic_load(&rounds->is_over) : i < rounds->each; i++) {
        int number = thread->number * rounds->each + i;
        CK_RV rv = rounds_go(rounds->public, number,
                             rounds->handles != NULL ? &rounds->handles[number] : NULL);

        if (rv != CKR_OK) {
            print_error("thread %d, round %d: 0x%lx\n", thread->number, i, rv);
            atomic_fetch_add(&rounds->bad, 1);
        }
        atomic_fetch_add(&rounds->gone, 1);
    }
    return NULL;
}

struct rounds *rounds_start(EVP_PKEY *public, int threads, int each)
{
    struct rounds *rounds = calloc(1, sizeof(*rounds));

    assert_non_null(rounds);
    assert_true(threads <= THREADS_MAX);
    rounds->public = public;
    rounds->threads = threads;
    rounds->each = each;
    if (each > 0) {
        rounds->handles = calloc((size_t)(threads * each), sizeof(rounds->handles[0]));
        assert_non_null(rounds->handles);
    }
    for (int i = 0; i < threads; i++) {
        rounds->thread[i] = (struct thread){ .rounds = rounds, .number = i };
        assert_int_equal(pthread_create(&rounds->thread[i].id, NULL, go, &rounds->thread[i]), 0);
    }
    return rounds;
}

void rounds_wait(struct rounds *rounds, int number)
{
    while (atomic_load(&rounds->gone) < number) {
        nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
    }
}

static int compare(const void *a, const void *b)
{
    CK_SESSION_HANDLE x = *(const CK_SESSION_HANDLE *)a, y = *(const CK_SESSION_HANDLE *)b;

    return x < y ? -1 : x > y;
}

static void assert_all_differ(CK_SESSION_HANDLE *handles, size_t count)
{
    qsort(handles, count, sizeof(handles[0]), compare);
    for (size_t i = 1; i < count; i++) {
        assert_int_not_equal(handles[i - 1], handles[i]);
    }
}

void rounds_end(struct rounds *rounds)
{
    atomic_store(&rounds->is_over, true);
    for (int i = 0; i < rounds->threads; i++) {
        assert_int_equal(pthread_join(rounds->thread[i].id, NULL), 0);
    }
    print_message("%d rounds of %d threads: %d failures\n", atomic_load(&rounds->gone),
                  rounds->threads, atomic_load(&rounds->bad));
    assert_int_equal(atomic_load(&rounds->bad), 0);
    if (rounds->handles != NULL) {
        assert_all_differ(rounds->handles, (size_t)(rounds->threads * rounds->each));
    }
    free(rounds->handles);
    free(rounds);
}
