/* SPDX-License-Identifier: Apache-2.0 */
/* cert.pem: its certificates in their order, and what makes it no good. */
#include "tests/pkcs11/files.h"

#include "pkcs11/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *key;
static struct files_certificate first, second;

static int begin(void **state)
{
    (void)state;
    key = EVP_EC_gen("P-256");
    first = files_certify(key, "device", key, "issuer");
    second = files_certify(key, "issuer", key, "issuer");
    return 0;
}

static int end(void **state)
{
    (void)state;
    files_certificate_clear(&first);
    files_certificate_clear(&second);
    EVP_PKEY_free(key);
    return 0;
}

static enum gk_status parse(const char *text, size_t size, struct p11_chain *chain,
                            struct gk_error *err)
{
    CLEANUP(gk_freep) char *copy = malloc(size + 1);
    struct gk_content content = { copy, size };

    assert_non_null(copy);
    memcpy(copy, text, size);
    copy[size] = '\0';
    return p11_chain_parse(&content, "it.pem", chain, err);
}

/* The texts one after the other. */
static char *join(const char *a, const char *b, const char *c)
{
    char *joined = NULL;

    assert_true(asprintf(&joined, "%s%s%s", a, b, c) >= 0);
    return joined;
}

static void assert_holds(const char *text, size_t count)
{
    const struct files_certificate *wanted[] = { &first, &second };
    CLEANUP(p11_chain_clear) struct p11_chain chain = { 0 };

    assert_int_equal(parse(text, strlen(text), &chain, NULL), GK_OK);
    assert_int_equal(chain.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(chain.size[i], wanted[i]->size);
        assert_memory_equal(chain.der[i], wanted[i]->der, chain.size[i]);
    }
}

static void assert_refused(const char *text, const char *says)
{
    struct p11_chain chain = { .count = 77 };
    struct gk_error err = { 0 };

    assert_int_equal(parse(text, strlen(text), &chain, &err), GK_BAD_FILE);
    assert_non_null(strstr(err.object, says));
    assert_int_equal(chain.count, 77);
}

static void keeps_the_order(void **state)
{
    CLEANUP(gk_freep) char *both = join(first.pem, second.pem, "");

    (void)state;
    assert_holds(first.pem, 1);
    assert_holds(both, 2);
}

static void holds_none(void **state)
{
    (void)state;
    assert_holds("", 0);
    assert_holds("no certificate here\nsee -----BEGIN CERTIFICATE----- for one\n", 0);
}

static void passes_over_text_and_other_blocks(void **state)
{
    CLEANUP(gk_freep) char *reference = files_pem("GATEKEY DEVICE KEY", "abc", 3);
    CLEANUP(gk_freep) char *begun = join("subject=CN = device\n\n", first.pem, "\n1 s: issuer\n");
    CLEANUP(gk_freep) char *all = join(reference, begun, second.pem);

    (void)state;
    assert_holds(all, 2);
}

static void reads_windows_line_ends_and_trailing_blanks(void **state)
{
    char text[8192];
    size_t length = 0;

    (void)state;
    for (const char *from = first.pem; *from != '\0'; from++) {
        if (*from == '\n') {
            text[length++] = ' ';
            text[length++] = '\r';
        }
        text[length++] = *from;
    }
    text[length] = '\0';
    assert_holds(text, 1);
}

static void reads_a_last_line_without_end(void **state)
{
    CLEANUP(gk_freep) char *text = strdup(first.pem);

    (void)state;
    text[strlen(text) - 1] = '\0';
    assert_holds(text, 1);
}

static void refuses_a_private_key(void **state)
{
    static const char *const labels[] = { "PRIVATE KEY", "RSA PRIVATE KEY",
                                          "ENCRYPTED PRIVATE KEY" };

    (void)state;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        CLEANUP(gk_freep) char *private = files_pem(labels[i], "abc", 3);
        CLEANUP(gk_freep) char *text = join(first.pem, private, second.pem);

        assert_refused(text, "it.pem holds a private key");
    }
}

static void refuses_too_many(void **state)
{
    CLEANUP(gk_freep) char *four = join(first.pem, first.pem, first.pem);
    CLEANUP(gk_freep) char *many = join(four, four, four);

    (void)state;
    assert_refused(many, "more than 8 certificates");
}

static void refuses_a_damaged_certificate(void **state)
{
    static const char *const bodies[] = {
        "", "AAA", "A===", "AAAA=A", "AA\xc3\xa4", "MAA=", "Proc-Type: 4,ENCRYPTED"
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        char block[256];
        CLEANUP(gk_freep) char *text = NULL;

        snprintf(block, sizeof(block),
                 "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n", bodies[i]);
        text = join(first.pem, block, second.pem);
        assert_refused(text, "certificate 2 of it.pem is damaged");
    }
}

static void refuses_every_truncation(void **state)
{
    size_t whole = strlen(first.pem) - 1; /* the last line feed may be missing */

    (void)state;
    for (size_t size = strlen("-----BEGIN C"); size < whole; size++) {
        struct p11_chain chain = { 0 };

        assert_int_equal(parse(first.pem, size, &chain, NULL), GK_BAD_FILE);
    }
}

static void refuses_an_end_of_another_label(void **state)
{
    (void)state;
    assert_refused("-----BEGIN X-----\nAAAA\n-----END Y-----\n", "has no end");
    assert_refused("-----BEGIN X----\nAAAA\n-----END X-----\n", "has no end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),
        cmocka_unit_test(holds_none),
        cmocka_unit_test(passes_over_text_and_other_blocks),
        cmocka_unit_test(reads_windows_line_ends_and_trailing_blanks),
        cmocka_unit_test(reads_a_last_line_without_end),
        cmocka_unit_test(refuses_a_private_key),
        cmocka_unit_test(refuses_too_many),
        cmocka_unit_test(refuses_a_damaged_certificate),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_an_end_of_another_label),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
