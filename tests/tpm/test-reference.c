/* SPDX-License-Identifier: Apache-2.0 */
/* device.pem: written, read back, and refused in every way it can be wrong. No TPM. */
#include "tests/tpm/fixture.h"

#include "tpm/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LABEL "GATEKEY DEVICE KEY"

/* A reference as a TPM would give it, with a modulus of our own. */
static struct gk_key *sample(void)
{
    TPM2B_PUBLIC area = {
        .publicArea = {
            .type = TPM2_ALG_RSA,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_FIXEDTPM,
            .parameters.rsaDetail = {
                .symmetric.algorithm = TPM2_ALG_NULL,
                .scheme.scheme = TPM2_ALG_NULL,
                .keyBits = 2048,
            },
            .unique.rsa.size = GK_RSA2048_SIZE,
        },
    };
    struct gk_key *key = NULL;

    memset(area.publicArea.unique.rsa.buffer, 0xc5, GK_RSA2048_SIZE);
    assert_int_equal(key_from_area(0x81000123, REFERENCE_HAS_PASSWORD, &area, "sample", &key, NULL),
                     GK_OK);
    return key;
}

static char *sample_text(void)
{
    CLEANUP(gk_key_freep) struct gk_key *key = sample();
    char *text = NULL;

    assert_int_equal(gk_key_format(key, &text, NULL), GK_OK);
    return text;
}

/* The sample's binary form, for a test to spoil. */
static size_t sample_binary(uint8_t binary[1024])
{
    CLEANUP(gk_freep) char *text = sample_text();
    size_t size = 0;

    assert_true(armour_decode(LABEL, text, strlen(text), binary, 1024, &size));
    return size;
}

static void assert_refused(const uint8_t *binary, size_t size, enum gk_status status,
                           const char *says)
{
    CLEANUP(gk_freep) char *text = armour_encode("", LABEL, binary, size);
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct gk_error err = { 0 };

    assert_int_equal(gk_key_parse(text, strlen(text), &key, &err), status);
    assert_null(key);
    fixture_assert_says(&err, says);
}

static void reads_back_what_it_wrote(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = sample(), *again = NULL;
    CLEANUP(gk_freep) char *text = sample_text();

    (void)state;
    assert_true(gk_key_is_reference(text, strlen(text)));
    assert_int_equal(gk_key_parse(text, strlen(text), &again, NULL), GK_OK);
    assert_true(gk_key_identical(key, again));
    assert_int_equal(gk_key_handle(again), 0x81000123);
    assert_true(gk_key_needs_auth(again));
    assert_false(gk_key_pads_in_software(again));
}

static void says_in_plain_words_what_the_file_is(void **state)
{
    CLEANUP(gk_freep) char *text = sample_text();

    (void)state;
    assert_non_null(strstr(text, "holds no secret"));
    assert_non_null(strstr(text, "persistent handle 0x81000123"));
    assert_non_null(strstr(text, "password: yes"));
}

static void passes_over_other_pem_blocks_and_windows_line_ends(void **state)
{
    CLEANUP(gk_freep) char *text = sample_text();
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    char around[8192] = "-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n";
    size_t length = strlen(around);

    (void)state;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '\n') {
            around[length++] = '\r';
        }
        around[length++] = *from;
    }
    assert_int_equal(gk_key_parse(around, length, &key, NULL), GK_OK);
}

static void is_not_fooled_by_a_label_inside_a_line(void **state)
{
    static const char text[] = "see -----BEGIN " LABEL "----- for this\n";
    struct gk_error err = { 0 };
    struct gk_key *key = NULL;

    (void)state;
    assert_int_equal(gk_key_parse(text, strlen(text), &key, &err), GK_BAD_REFERENCE);
    fixture_assert_says(&err, "it holds no PEM block");
}

/* Every truncation and every flipped first byte is refused, none is read beyond its end. */
static void refuses_every_truncation(void **state)
{
    uint8_t binary[1024];
    size_t size = sample_binary(binary);

    (void)state;
    for (size_t cut = 0; cut < size; cut++) {
        CLEANUP(gk_freep) char *text = armour_encode("", LABEL, binary, cut);
        struct gk_key *key = NULL;

        assert_int_equal(gk_key_parse(text, strlen(text), &key, NULL), GK_BAD_REFERENCE);
    }
}

static void refuses_what_follows_the_public_area(void **state)
{
    uint8_t binary[1024];
    size_t size = sample_binary(binary);

    (void)state;
    binary[size] = 0;
    assert_refused(binary, size + 1, GK_BAD_REFERENCE, "something follows its public area");
}

static void refuses_an_unknown_version(void **state)
{
    uint8_t binary[1024];
    size_t size = sample_binary(binary);

    (void)state;
    binary[1] = 2;
    assert_refused(binary, size, GK_BAD_REFERENCE, "another version of gatekey");
}

static void refuses_an_unknown_flag(void **state)
{
    uint8_t binary[1024];
    size_t size = sample_binary(binary);

    (void)state;
    binary[2] = 0x80;
    assert_refused(binary, size, GK_BAD_REFERENCE, "flags that this version");
}

static void refuses_a_handle_that_is_not_persistent(void **state)
{
    uint8_t binary[1024];
    size_t size = sample_binary(binary);

    (void)state;
    binary[6] = 0x80;
    assert_refused(binary, size, GK_BAD_REFERENCE, "not a persistent handle");
}

static void refuses_a_key_that_is_not_rsa_2048(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = sample(), *other = NULL;
    struct gk_error err = { 0 };
    TPM2B_PUBLIC area = key->area;

    (void)state;
    area.publicArea.parameters.rsaDetail.keyBits = 3072;
    assert_int_equal(key_from_area(0x81000123, 0, &area, "it", &other, &err), GK_NOT_RSA2048);
    area = key->area;
    area.publicArea.type = TPM2_ALG_ECC;
    assert_int_equal(key_from_area(0x81000123, 0, &area, "it", &other, &err), GK_NOT_RSA2048);
    area = key->area;
    area.publicArea.objectAttributes |= TPMA_OBJECT_RESTRICTED;
    assert_int_equal(key_from_area(0x81000123, 0, &area, "it", &other, &err), GK_WRONG_KIND);
    fixture_assert_says(&err, "it is restricted");
    area = key->area;
    area.publicArea.objectAttributes &= ~TPMA_OBJECT_USERWITHAUTH;
    assert_int_equal(key_from_area(0x81000123, 0, &area, "it", &other, &err), GK_WRONG_KIND);
    fixture_assert_says(&err, "it is used by a policy only");
    area = key->area;
    area.publicArea.objectAttributes &= ~TPMA_OBJECT_SIGN_ENCRYPT;
    assert_int_equal(key_from_area(0x81000123, 0, &area, "it", &other, &err), GK_WRONG_KIND);
    fixture_assert_says(&err, "it is not for signing");
}

static void refuses_garbled_base64(void **state)
{
    static const char *const bodies[] = { "AAA", "A===", "AA=A", "AA\xc3\xa4", "A AA" };

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct gk_error err = { 0 };
        struct gk_key *key = NULL;
        char text[256];

        snprintf(text, sizeof(text), "-----BEGIN %s-----\n%s\n-----END %s-----\n", LABEL, bodies[i],
                 LABEL);
        assert_int_equal(gk_key_parse(text, strlen(text), &key, &err), GK_BAD_REFERENCE);
        fixture_assert_says(&err, "its PEM block is garbled");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(says_in_plain_words_what_the_file_is),
        cmocka_unit_test(passes_over_other_pem_blocks_and_windows_line_ends),
        cmocka_unit_test(is_not_fooled_by_a_label_inside_a_line),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_what_follows_the_public_area),
        cmocka_unit_test(refuses_an_unknown_version),
        cmocka_unit_test(refuses_an_unknown_flag),
        cmocka_unit_test(refuses_a_handle_that_is_not_persistent),
        cmocka_unit_test(refuses_a_key_that_is_not_rsa_2048),
        cmocka_unit_test(refuses_garbled_base64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
