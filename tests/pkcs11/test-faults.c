/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault matrix of tests/tpm/ through C_Sign and C_Login: the return code says what is wrong as
 * far as the standard has a word for it, nothing is printed, and the next call works.
 */
#include "tests/pkcs11/fixture.h"
#include "tests/tpm/fault.h"
#include "tests/tpm/faults.h"

#include <fcntl.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *plain, *with_pin;
static unsigned cells, wrong;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE key;

static int set_up(void **state)
{
    (void)state;
    fixture_make_identity();
    plain = fixture_public("plain.pem");
    with_pin = fixture_public("pin.pem");
    fault_plan("%s", "");
    setenv("GATEKEY_TCTI", fault_tcti(), 1);
    fixture_load();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(plain);
    EVP_PKEY_free(with_pin);
    return 0;
}

/* --- what the module prints --------------------------------------------------------------------
 */

static int kept[2] = { -1, -1 };

/* Standard output and error go to a file from now on. */
static void listen_in(void)
{
    int file = open(fixture_path("said"), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);

    fflush(NULL);
    assert_true(file >= 0);
    for (int i = 0; i < 2; i++) {
        kept[i] = dup(1 + i);
        assert_true(kept[i] >= 0 && dup2(file, 1 + i) >= 0);
    }
    close(file);
}

/* Back again; what was said meanwhile, for free(3). */
static char *listen_no_more(void)
{
    size_t size;

    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(kept[i], 1 + i);
        close(kept[i]);
    }
    return fixture_read("said", &size);
}

/* --- one cell of the matrix --------------------------------------------------------------------
 */

/* The standard's lists of return codes: PINs are C_Login's business, users who are not logged in
 * those of C_Sign. */
static CK_RV login_code(enum gk_status status)
{
    return status == GK_BAD_AUTH     ? CKR_PIN_INCORRECT
           : status == GK_LOCKED     ? CKR_PIN_LOCKED
           : status == GK_TPM_MEMORY ? CKR_DEVICE_MEMORY
           : status == GK_NO_MEMORY  ? CKR_HOST_MEMORY
                                     : CKR_DEVICE_ERROR;
}

static CK_RV sign_code(enum gk_status status)
{
    return status == GK_BAD_AUTH || status == GK_NEED_AUTH ? CKR_USER_NOT_LOGGED_IN
           : status == GK_TPM_MEMORY                       ? CKR_DEVICE_MEMORY
           : status == GK_NO_MEMORY                        ? CKR_HOST_MEMORY
                                                           : CKR_DEVICE_ERROR;
}

struct operation_under_fault {
    const char *name;
    CK_RV (*run)(void);
    CK_RV (*code)(enum gk_status status);
};

/* What comes out, if anything does, is a signature. */
static CK_RV sign(void)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_RV rv = fixture_sign(session, key, "message", 7, signature);

    if (rv == CKR_OK && !fixture_verifies(plain, CKM_SHA256_RSA_PKCS, 0, "message", 7, signature)) {
        return CKR_SIGNATURE_INVALID;
    }
    return rv;
}

/* A login that failed has not happened, one that succeeded has. */
static CK_RV log_in(void)
{
    CK_RV rv = p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN, strlen(FIXTURE_PIN));
    CK_RV out = p11->C_Logout(session);

    return out == (rv == CKR_OK ? CKR_OK : CKR_USER_NOT_LOGGED_IN) ? rv : CKR_GENERAL_ERROR;
}

static void expect(bool is_met, const struct operation_under_fault *operation,
                   const struct fault *fault, CK_RV rv, const char *what)
{
    if (!is_met) {
        wrong++;
        print_error("%s: %s: 0x%lx: %s\n", operation->name, fault->action, rv, what);
    }
}

/* A slot may be free in a moment, so that is waited for as well. */
static bool is_asked_again(const struct fault *fault)
{
    return fault->kind == AGAIN || fault->status == GK_TPM_MEMORY;
}

static bool must_fail(const struct fault *fault, bool is_for_ever)
{
    return is_for_ever ? fault->kind != LATE && fault->kind != CHANGED
                       : fault->kind == REFUSED && !is_asked_again(fault);
}

static void run_cell(const struct operation_under_fault *operation, const struct fault *fault,
                     bool is_for_ever)
{
    CK_RV rv;

    cells++;
    fault_plan("%s 1%s %s\n", fault->kind == NOT_OPENED ? "open" : "*", is_for_ever ? "-" : "",
               fault->action);
    rv = operation->run();
    if (rv == CKR_OK) {
        expect(!must_fail(fault, is_for_ever), operation, fault, rv, "it worked");
    } else {
        /* An answer that was changed may look like any other. */
        expect(rv == operation->code(fault->status) ||
                   (fault->kind == CHANGED && rv == CKR_DEVICE_ERROR),
               operation, fault, rv, "another code");
    }
    fault_plan("%s", "");
    rv = operation->run();
    expect(rv == CKR_OK, operation, fault, rv, "the next call failed");
}

static void run_matrix(const struct operation_under_fault *operation)
{
    cells = wrong = 0;
    for (size_t i = 0; i < fault_total; i++) {
        run_cell(operation, &faults[i], false);
        /* Asking a TPM that is busy, or full, for ever again and again takes seconds. */
        if (!is_asked_again(&faults[i]) && faults[i].kind != LATE) {
            run_cell(operation, &faults[i], true);
        }
    }
    print_message("%u cells of %s: %u wrong\n", cells, operation->name, wrong);
    assert_int_equal(wrong, 0);
}

static void every_fault_has_its_code_in_c_sign(void **state)
{
    static const struct operation_under_fault operation = { "C_Sign", sign, sign_code };

    (void)state;
    session = fixture_open();
    key = fixture_find_class(session, CKO_PRIVATE_KEY);
    run_matrix(&operation);
}

static void every_fault_has_its_code_in_c_login(void **state)
{
    static const struct operation_under_fault operation = { "C_Login", log_in, login_code };

    (void)state;
    session = fixture_open();
    run_matrix(&operation);
}

/* --- what does not work is over ----------------------------------------------------------------
 */

static void a_failed_signature_ends_the_operation(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    uint8_t signature[FIXTURE_SIGNATURE_SIZE] = { 0 }, untouched[FIXTURE_SIGNATURE_SIZE] = { 0 };
    CK_ULONG size = sizeof(signature);

    (void)state;
    session = fixture_open();
    key = fixture_find_class(session, CKO_PRIVATE_KEY);
    for (int in_parts = 0; in_parts < 2; in_parts++) {
        assert_rv(p11->C_SignInit(session, &mechanism, key), CKR_OK);
        fault_plan("* * answer 0x101\n");
        if (in_parts) {
            assert_rv(p11->C_SignUpdate(session, (CK_BYTE *)"message", 7), CKR_OK);
            assert_rv(p11->C_SignFinal(session, signature, &size), CKR_DEVICE_ERROR);
        } else {
            assert_rv(p11->C_Sign(session, (CK_BYTE *)"message", 7, signature, &size),
                      CKR_DEVICE_ERROR);
        }
        assert_memory_equal(signature, untouched, sizeof(signature));
        fault_plan("%s", "");
        assert_rv(p11->C_SignFinal(session, signature, &size), CKR_OPERATION_NOT_INITIALIZED);
        assert_rv(sign(), CKR_OK);
    }
}

/* --- what it costs -----------------------------------------------------------------------------
 */

static void listing_asks_the_tpm_nothing_and_a_signature_once(void **state)
{
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];
    CK_SLOT_ID slot;
    CK_ULONG count = 1;
    CK_TOKEN_INFO token;
    uint32_t commands[4];

    (void)state;
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    fault_plan("%s", "");
    assert_rv(p11->C_Initialize(NULL), CKR_OK);
    assert_rv(p11->C_GetSlotList(CK_TRUE, &slot, &count), CKR_OK);
    assert_rv(p11->C_GetTokenInfo(slot, &token), CKR_OK);
    assert_rv(p11->C_GetMechanismList(slot, NULL, &count), CKR_OK);
    session = fixture_open();
    assert_true(fixture_find(session, NULL, 0, found) > 0);
    key = fixture_find_class(session, CKO_PRIVATE_KEY);
    assert_int_equal(fault_opened(), 0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_rv(sign(), CKR_OK);
        assert_int_equal(fault_commands(commands, 4), i);
        assert_int_equal(commands[i - 1], CC_SIGN);
    }
}

/* --- what is said ------------------------------------------------------------------------------
 */

static void fail_in_every_way(void)
{
    session = fixture_open();
    key = fixture_find_class(session, CKO_PRIVATE_KEY);
    for (size_t i = 0; i < fault_total; i++) {
        if (faults[i].kind == REFUSED && faults[i].status != GK_TPM_MEMORY) {
            fault_plan("* 1 %s\n", faults[i].action);
            (void)sign();
        }
    }
    fault_plan("%s", "");
    (void)p11->C_SignInit(session, NULL, 0);
    (void)p11->C_Login(0, 0, NULL, 0);
    fixture_write("device.pem", "damaged", 7);
    (void)p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session);
}

static void nothing_is_printed(void **state)
{
    CLEANUP(gk_freep) char *said = NULL;

    (void)state;
    listen_in();
    fail_in_every_way();
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    said = listen_no_more();
    assert_string_equal(said, "");
}

/* For whoever wants to know why; one sentence each, and no PIN in it. */
static void reasons_are_printed_on_request(void **state)
{
    CLEANUP(gk_freep) char *said = NULL;

    (void)state;
    assert_rv(p11->C_Finalize(NULL), CKR_OK);
    setenv("GATEKEY_DEBUG", "1", 1);
    listen_in();
    assert_rv(p11->C_Initialize(NULL), CKR_OK);
    fail_in_every_way();
    unsetenv("GATEKEY_DEBUG");
    said = listen_no_more();
    assert_non_null(strstr(said, "gatekey-pkcs11: cannot sign with the device key: "));
    assert_non_null(strstr(said, "TPM 0x101"));
    assert_non_null(strstr(said, "device.pem"));
    for (const char *line = said; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_int_equal(strncmp(line, "gatekey-pkcs11: cannot ", 23), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_fault_has_its_code_in_c_sign, fixture_begin,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(every_fault_has_its_code_in_c_login, fixture_begin_with_pin,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(a_failed_signature_ends_the_operation, fixture_begin,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(listing_asks_the_tpm_nothing_and_a_signature_once,
                                        fixture_begin, fixture_end),
        cmocka_unit_test_setup_teardown(nothing_is_printed, fixture_begin, fixture_end),
        cmocka_unit_test_setup_teardown(reasons_are_printed_on_request, fixture_begin, fixture_end),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
