/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault matrix of tests/tpm/ through the whole provider: an application that signs finds our
 * sentence on OpenSSL's queue when it did not work, and nothing there when it did.
 */
#include "tests/provider/fixture.h"
#include "tests/tpm/fault.h"
#include "tests/tpm/faults.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE_MAX_SIZE 512

static struct fixture fixture;
static EVP_PKEY *key, *public_key;
static const unsigned char message[] = "a message";
static unsigned cells, wrong;

static int set_up(void **state)
{
    (void)state;
    fixture_make_key(FIXTURE_HANDLE, "", "device.pem");
    fault_plan("%s", "");
    setenv("GATEKEY_TCTI", fault_tcti(), 1);
    fixture_load(&fixture);
    key = fixture_read_uri(&fixture, "gatekey:", NULL);
    assert_non_null(key);
    public_key = fixture_public(&fixture, key);
    ERR_clear_error();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    EVP_PKEY_free(public_key);
    fixture_unload(&fixture);
    return 0;
}

static bool verifies(const unsigned char *signature, size_t size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good =
        EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, public_key, NULL) == 1 &&
        EVP_DigestVerify(ctx, signature, size, message, sizeof(message)) == 1;

    EVP_MD_CTX_free(ctx);
    return good;
}

/* What comes back, if anything does, is a signature. */
static bool sign(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char signature[SIGNATURE_MAX_SIZE];
    size_t size = sizeof(signature);
    bool signed_it =
        EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, key, NULL) == 1 &&
        EVP_DigestSign(ctx, signature, &size, message, sizeof(message)) == 1;

    EVP_MD_CTX_free(ctx);
    assert_true(!signed_it || verifies(signature, size));
    return signed_it;
}

/* Take all there is off the queue, one line each. */
static void take_errors(char *text, size_t size)
{
    const char *data = NULL;
    int flags = 0;

    text[0] = '\0';
    while (ERR_get_error_all(NULL, NULL, NULL, &data, &flags) != 0) {
        size_t used = strlen(text);

        snprintf(text + used, size - used, "%s\n", (flags & ERR_TXT_STRING) != 0 ? data : "?");
    }
}

static void expect(bool is_met, const char *action, const char *said, const char *what)
{
    if (!is_met) {
        wrong++;
        printf("%s: %s: \"%s\"\n", action, what, said);
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

static void run_cell(const struct fault *fault, bool is_for_ever)
{
    const char *which = fault->kind == NOT_OPENED ? "open" : "*";
    bool is_answer = fault->kind == REFUSED || fault->kind == STALE;
    char said[4096], code[24] = "cannot ";

    cells++;
    fault_plan("%s 1%s %s\n", which, is_for_ever ? "-" : "", fault->action);
    if (sign()) {
        take_errors(said, sizeof(said));
        expect(!must_fail(fault, is_for_ever), fault->action, said, "it signed");
        expect(said[0] == '\0', fault->action, said, "it signed and left something");
    } else {
        take_errors(said, sizeof(said));
        if (is_answer) {
            snprintf(code, sizeof(code), "TPM 0x%lx",
                     strtoul(strchr(fault->action, ' '), NULL, 16));
        }
        expect(strncmp(said, "cannot sign with the device key: ", 33) == 0 &&
                   strstr(said, "); ") != NULL && strchr(said, '\n') == strrchr(said, '\n') &&
                   strstr(said, code) != NULL &&
                   (fault->says == NULL || strstr(said, fault->says) != NULL),
               fault->action, said, "no sentence of ours");
    }
    fault_plan("%s", "");
    expect(sign(), fault->action, "", "the next signature failed");
    take_errors(said, sizeof(said));
    expect(said[0] == '\0', fault->action, said, "the next signature left something");
}

static void every_fault_comes_as_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < fault_total; i++) {
        run_cell(&faults[i], false);
        /* Asking a TPM that is busy, or full, for ever again and again takes seconds. */
        if (!is_asked_again(&faults[i]) && faults[i].kind != LATE) {
            run_cell(&faults[i], true);
        }
    }
    printf("%u cells through the provider: %u wrong messages\n", cells, wrong);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_comes_as_a_sentence),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
