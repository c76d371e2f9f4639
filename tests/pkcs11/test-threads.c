/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that use the module at once: no failure, no handle given twice, no one left waiting. */
#include "tests/pkcs11/rounds.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 8
#define OPENINGS 4000
#define LIMIT_S 3000 /* whoever hangs is ended by SIGALRM */

static EVP_PKEY *plain, *with_pin;
static atomic_bool is_over;
static atomic_int wrong, signatures;

static int set_up(void **state)
{
    fixture_set_up(state);
    plain = fixture_public("plain.pem");
    with_pin = fixture_public("pin.pem");
    alarm(LIMIT_S);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(plain);
    EVP_PKEY_free(with_pin);
    return 0;
}

static void eight_threads_open_find_sign_and_close(void **state)
{
    (void)state;
    rounds_end(rounds_start(plain, THREADS, rounds_wanted(12)));
}

static void run_all(void *(*function)(void *), void *arguments[THREADS])
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, function, arguments[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

/* Nothing here waits for a TPM, so that threads meet in the table of sessions all the time. */
struct opening {
    CK_SESSION_HANDLE handles[OPENINGS];
    CK_RV rv;
};

static CK_RV digest_in(CK_SESSION_HANDLE session)
{
    CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
    uint8_t digest[32], wanted[32];
    CK_ULONG size = sizeof(digest);
    CK_RV rv = p11->C_DigestInit(session, &mechanism);

    if (rv == CKR_OK) {
        rv = p11->C_Digest(session, (CK_BYTE *)&session, sizeof(session), digest, &size);
    }
    EVP_Digest(&session, sizeof(session), wanted, NULL, EVP_sha256(), NULL);
    return rv == CKR_OK && memcmp(digest, wanted, size) != 0 ? CKR_GENERAL_ERROR : rv;
}

static void *open_and_close(void *context)
{
    struct opening *opening = context;

    for (int i = 0; i < OPENINGS && opening->rv == CKR_OK; i++) {
        CK_SESSION_HANDLE *session = &opening->handles[i];

        opening->rv = p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, session);
        if (opening->rv == CKR_OK && i % 16 == 0) {
            opening->rv = digest_in(*session);
        }
        if (opening->rv == CKR_OK && i % 4 != 0) {
            opening->rv = p11->C_CloseSession(*session);
        }
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    CK_SESSION_HANDLE x = *(const CK_SESSION_HANDLE *)a, y = *(const CK_SESSION_HANDLE *)b;

    return x < y ? -1 : x > y;
}

static void no_two_sessions_have_one_handle(void **state)
{
    CLEANUP(gk_freep) struct opening *openings = calloc(THREADS, sizeof(*openings));
    CLEANUP(gk_freep) CK_SESSION_HANDLE *all = calloc(THREADS * OPENINGS, sizeof(*all));
    void *arguments[THREADS];

    (void)state;
    assert_non_null(openings);
    assert_non_null(all);
    for (int i = 0; i < THREADS; i++) {
        arguments[i] = &openings[i];
    }
    run_all(open_and_close, arguments);
    for (size_t i = 0; i < THREADS; i++) {
        assert_rv(openings[i].rv, CKR_OK);
        memcpy(all + i * OPENINGS, openings[i].handles, sizeof(openings[i].handles));
    }
    qsort(all, (size_t)THREADS * OPENINGS, sizeof(all[0]), compare);
    for (size_t i = 1; i < (size_t)THREADS * OPENINGS; i++) {
        assert_int_not_equal(all[i - 1], all[i]);
    }
}

/* The token is read by whoever comes first, and by nobody twice. */
static void threads_race_for_the_first_use(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        rounds_end(rounds_start(plain, THREADS, 1));
        assert_rv(p11->C_Finalize(NULL), CKR_OK);
        assert_rv(p11->C_Initialize(NULL), CKR_OK);
    }
}

static void *initialize(void *result)
{
    *(CK_RV *)result = p11->C_Initialize(NULL);
    return NULL;
}

static void one_of_many_initialises(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        CK_RV results[THREADS];
        void *arguments[THREADS];
        int first = 0;

        assert_rv(p11->C_Finalize(NULL), CKR_OK);
        for (int j = 0; j < THREADS; j++) {
            arguments[j] = &results[j];
        }
        run_all(initialize, arguments);
        for (int j = 0; j < THREADS; j++) {
            first += results[j] == CKR_OK;
            assert_true(results[j] == CKR_OK || results[j] == CKR_CRYPTOKI_ALREADY_INITIALIZED);
        }
        assert_int_equal(first, 1);
    }
}

/* Sign until it is over, whatever others do meanwhile; these codes may come of that. */
static void *sign_through(void *allowed)
{
    while (!atomic_load(&is_over)) {
        CK_RV rv = rounds_go(plain, 1, NULL);
        bool is_allowed = rv == CKR_OK;

        for (const CK_RV *code = allowed; *code != CKR_OK; code++) {
            is_allowed = is_allowed || rv == *code;
        }
        if (!is_allowed) {
            print_error("0x%lx\n", rv);
            atomic_fetch_add(&wrong, 1);
        }
        atomic_fetch_add(&signatures, rv == CKR_OK);
    }
    return NULL;
}

static void start(pthread_t threads[static THREADS], const CK_RV *allowed)
{
    atomic_store(&is_over, false);
    atomic_store(&wrong, 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sign_through, (void *)allowed), 0);
    }
}

static void end(pthread_t threads[static THREADS])
{
    atomic_store(&is_over, true);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&wrong), 0);
}

/* Until somebody has signed since, so that the next blow falls into work again. */
static void let_them_sign(void)
{
    int before = atomic_load(&signatures);

    while (atomic_load(&signatures) < before + 2) {
        nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
    }
}

static void the_library_may_end_under_them(void **state)
{
    static const CK_RV allowed[] = { CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID,
                                     CKR_FUNCTION_CANCELED,        CKR_OPERATION_NOT_INITIALIZED,
                                     CKR_KEY_HANDLE_INVALID,       CKR_OK };
    pthread_t threads[THREADS];

    (void)state;
    start(threads, allowed);
    for (int i = 0; i < 30; i++) {
        let_them_sign();
        assert_rv(p11->C_Finalize(NULL), CKR_OK);
        assert_rv(p11->C_Initialize(NULL), CKR_OK);
    }
    end(threads);
}

static void sessions_may_be_closed_under_them(void **state)
{
    static const CK_RV allowed[] = { CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_OK };
    pthread_t threads[THREADS];

    (void)state;
    start(threads, allowed);
    for (int i = 0; i < 30; i++) {
        let_them_sign();
        assert_rv(p11->C_CloseAllSessions(0), CKR_OK);
    }
    end(threads);
}

/* The certificate, not the key: what they hold stays valid. */
static void files_may_be_renewed_under_them(void **state)
{
    static const CK_RV allowed[] = { CKR_OK };
    pthread_t threads[THREADS];

    (void)state;
    start(threads, allowed);
    for (int i = 0; i < 30; i++) {
        let_them_sign();
        fixture_certify("plain.pem", "device", "cert.pem");
    }
    end(threads);
}

static void *log_in_and_out(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++) {
        CK_SESSION_HANDLE session;
        CK_RV in, out;

        if (p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK) {
            atomic_fetch_add(&wrong, 1);
            continue;
        }
        in = p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN, strlen(FIXTURE_PIN));
        out = p11->C_Logout(session);
        if ((in != CKR_OK && in != CKR_USER_ALREADY_LOGGED_IN) ||
            (out != CKR_OK && out != CKR_USER_NOT_LOGGED_IN) ||
            p11->C_CloseSession(session) != CKR_OK) {
            print_error("login 0x%lx, logout 0x%lx\n", in, out);
            atomic_fetch_add(&wrong, 1);
        }
    }
    return NULL;
}

static void threads_may_log_in_and_out_at_once(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    void *nothing[THREADS] = { NULL };
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];

    (void)state;
    atomic_store(&wrong, 0);
    run_all(log_in_and_out, nothing);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_rv(p11->C_Logout(session), CKR_USER_NOT_LOGGED_IN);
    assert_rv(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN, strlen(FIXTURE_PIN)),
              CKR_OK);
    assert_rv(fixture_sign(session, 0, "x", 1, signature), CKR_OK);
    assert_true(fixture_verifies(with_pin, CKM_SHA256_RSA_PKCS, 0, "x", 1, signature));
}

static void *log_in_until_it_is_over(void *unused)
{
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;

    if (p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK) {
        atomic_fetch_add(&wrong, 1);
    }
    for (int i = 0; i < 30; i++) {
        CK_RV rv = p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN, strlen(FIXTURE_PIN));

        if (rv != CKR_OK || p11->C_Logout(session) != CKR_OK) {
            print_error("login 0x%lx\n", rv);
            atomic_fetch_add(&wrong, 1);
        }
    }
    atomic_store(&is_over, true);
    return unused;
}

/* While the TPM is asked about a PIN, others see a new certificate; the key is the same. */
static void certificates_may_be_renewed_during_a_login(void **state)
{
    pthread_t thread;

    (void)state;
    atomic_store(&wrong, 0);
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, log_in_until_it_is_over, NULL), 0);
    while (!atomic_load(&is_over)) {
        fixture_certify("pin.pem", "device", "cert.pem");
        assert_rv(p11->C_CloseSession(fixture_open()), CKR_OK);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
}

static void *wait_for_event(void *result)
{
    CK_SLOT_ID slot;

    *(CK_RV *)result = p11->C_WaitForSlotEvent(0, &slot, NULL);
    return NULL;
}

/* The standard: whoever waits for a slot when the library ends is told that it has. */
static void whoever_waits_for_a_slot_is_told_of_the_end(void **state)
{
    CK_RV results[THREADS];
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        results[i] = 77;
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_event, &results[i]), 0);
    }
    rounds_end(rounds_start(plain, 2, 2)); /* they hold nobody up */
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_rv(results[i], CKR_CRYPTOKI_NOT_INITIALIZED);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(eight_threads_open_find_sign_and_close),
        TEST(no_two_sessions_have_one_handle),
        TEST(threads_race_for_the_first_use),
        TEST(one_of_many_initialises),
        TEST(the_library_may_end_under_them),
        TEST(sessions_may_be_closed_under_them),
        TEST(files_may_be_renewed_under_them),
        cmocka_unit_test_setup_teardown(threads_may_log_in_and_out_at_once, fixture_begin_with_pin,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(certificates_may_be_renewed_during_a_login,
                                        fixture_begin_with_pin, fixture_end),
        TEST(whoever_waits_for_a_slot_is_told_of_the_end),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
