/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program around the module may do to it without being wrong: have functions of the same
 * names, cancel its threads, and be out of descriptors.
 */
#include "tests/pkcs11/fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT_S 600 /* whoever hangs is ended by SIGALRM */
#define ROUNDS 60

static EVP_PKEY *plain;

static int set_up(void **state)
{
    fixture_set_up(state);
    plain = fixture_public("plain.pem");
    alarm(LIMIT_S);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(plain);
    return 0;
}

/* --- names --------------------------------------------------------------------------------------
 *
 * A program exports these when it is linked with another module; libp11-kit is one, and whatever
 * uses GnuTLS is linked with that. The linker looks there first.
 */

#define EXPORTED __attribute__((visibility("default")))

EXPORTED CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    (void)list;
    return CKR_VENDOR_DEFINED;
}

EXPORTED CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                              CK_FLAGS flags)
{
    (void)name;
    (void)version;
    (void)interface;
    (void)flags;
    return CKR_VENDOR_DEFINED;
}

EXPORTED CK_RV C_GetInterfaceList(CK_INTERFACE *list, CK_ULONG *count)
{
    (void)list;
    (void)count;
    return CKR_VENDOR_DEFINED;
}

static void the_lists_name_no_function_of_the_program(void **state)
{
    CK_FUNCTION_LIST *list = NULL, *again = NULL;
    CK_INTERFACE *interface = NULL;
    CK_ULONG count = 0;

    (void)state;
    assert_rv(p11->C_GetFunctionList(&list), CKR_OK);
    assert_rv(list->C_GetFunctionList(&again), CKR_OK);
    assert_ptr_equal(list, again);
    assert_rv(p11->C_GetInterfaceList(NULL, &count), CKR_OK);
    assert_rv(p11->C_GetInterface(NULL, NULL, &interface, 0), CKR_OK);
    assert_ptr_equal(interface->pFunctionList, p11);
}

/* --- cancelled threads --------------------------------------------------------------------------
 */

static sem_t begun;

static void *sign_until_cancelled(void *key)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE session;

    /* Only the module's own calls can be where it is cancelled. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    sem_post(&begun);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    for (;;) {
        uint8_t signature[FIXTURE_SIGNATURE_SIZE];
        CK_ULONG size = sizeof(signature);

        if (p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK ||
            p11->C_SignInit(session, &mechanism, *(CK_OBJECT_HANDLE *)key) != CKR_OK ||
            p11->C_Sign(session, (CK_BYTE *)"x", 1, signature, &size) != CKR_OK ||
            p11->C_CloseSession(session) != CKR_OK) {
            return NULL;
        }
        pthread_testcancel();
    }
}

static void cancel(pthread_t thread)
{
    void *result = NULL;

    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
}

static void a_thread_cancelled_at_work_holds_nobody_up(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE key = fixture_find_class(session, CKO_PRIVATE_KEY);
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];

    (void)state;
    for (long i = 0; i < ROUNDS; i++) {
        pthread_t thread;

        assert_int_equal(sem_init(&begun, 0, 0), 0);
        assert_int_equal(pthread_create(&thread, NULL, sign_until_cancelled, &key), 0);
        sem_wait(&begun);
        /* Here and there in its work. */
        nanosleep(&(struct timespec){ .tv_nsec = i * 200000 }, NULL);
        cancel(thread);
        assert_rv(fixture_sign(session, key, "x", 1, signature), CKR_OK);
    }
    assert_true(fixture_verifies(plain, CKM_SHA256_RSA_PKCS, 0, "x", 1, signature));
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
}

static void *wait_for_event(void *unused)
{
    CK_SLOT_ID slot;

    p11->C_WaitForSlotEvent(0, &slot, NULL);
    return unused;
}

static void whoever_waits_for_a_slot_can_be_cancelled(void **state)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];

    (void)state;
    for (long i = 0; i < ROUNDS; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, wait_for_event, NULL), 0);
        nanosleep(&(struct timespec){ .tv_nsec = i * 20000 }, NULL);
        cancel(thread);
    }
    assert_rv(fixture_sign(fixture_open(), CK_INVALID_HANDLE, "x", 1, signature), CKR_OK);
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
}

/* --- descriptors --------------------------------------------------------------------------------
 */

static void open_a_session_without_descriptors(void)
{
    CK_SESSION_HANDLE session;
    struct rlimit before, none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    (void)p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* A server at its limit. It is as it was before, and sees what is new as soon as it can. */
static void who_is_out_of_descriptors_loses_no_key(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE key, certificate = fixture_find_class(session, CKO_CERTIFICATE);
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_ULONG size;

    (void)state;
    assert_rv(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN, strlen(FIXTURE_PIN)),
              CKR_OK);
    key = fixture_find_class(session, CKO_PRIVATE_KEY);
    fixture_certify("pin.pem", "device", "cert.pem");
    open_a_session_without_descriptors();
    assert_rv(fixture_sign(session, key, "x", 1, signature), CKR_OK);
    assert_rv(p11->C_GetObjectSize(session, certificate, &size), CKR_OK);
    session = fixture_open();
    assert_rv(fixture_sign(session, key, "x", 1, signature), CKR_OK);
    assert_rv(p11->C_GetObjectSize(session, certificate, &size), CKR_OBJECT_HANDLE_INVALID);
    assert_int_not_equal(fixture_find_class(session, CKO_CERTIFICATE), CK_INVALID_HANDLE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_lists_name_no_function_of_the_program),
        TEST(a_thread_cancelled_at_work_holds_nobody_up),
        TEST(whoever_waits_for_a_slot_can_be_cancelled),
        cmocka_unit_test_setup_teardown(who_is_out_of_descriptors_loses_no_key,
                                        fixture_begin_with_pin, fixture_end),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
