/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of provider/tss2.c and its side of decoder.c: key files of other tools, as libssl and as
 * the openssl command read them. That files real tools wrote are read is another test's.
 */
#include "cleanup.h"
#include "tests/provider/fixture.h"
#include "tests/provider/tss2.h"

#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LABEL "TSS2 PRIVATE KEY"
#define PARENT_SIGNED "\x81\x00\x00\x01"
#define PARENT_PERSISTENT "\x00\x81\x00\x00\x01"
#define PARENT_OWNER "\x40\x00\x00\x01"

static struct fixture fixture;
static struct tss2 sample; /* under the persistent parent, without a password */
static struct tss2 elliptic;

typedef EVP_PKEY *reader(struct fixture *fixture, const char *path, const char *password);
static reader *const readers[] = { fixture_read_pem, fixture_read_uri };
#define READERS (sizeof(readers) / sizeof(readers[0]))

static void run(const char *command)
{
    assert_int_equal(system(command), 0);
}

static void take_area(const char *name, const uint8_t **bytes, size_t *size)
{
    CLEANUP(gk_fclosep) FILE *file = fopen(name, "rb");
    uint8_t *area = malloc(1024);

    assert_non_null(file);
    assert_non_null(area);
    *size = fread(area, 1, 1024, file);
    *bytes = area;
}

static struct tss2 make(const char *algorithm)
{
    struct tss2 made = { .type = 3, .empty_auth = TSS2_TRUE, TSS2_PARENT(PARENT_PERSISTENT) };
    char command[256];

    snprintf(command, sizeof(command),
             "tpm2_create -Q -C 0x81000001 -G %s -u pub -r priv "
             "-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign' && "
             "tpm2_flushcontext -t",
             algorithm);
    run(command);
    take_area("pub", &made.public_area, &made.public_size);
    take_area("priv", &made.private_area, &made.private_size);
    return made;
}

static int set_up(void **state)
{
    (void)state;
    run("tpm2_createprimary -Q -C o -G ecc -c srk.ctx && "
        "tpm2_evictcontrol -Q -C o -c srk.ctx 0x81000001 && tpm2_flushcontext -t");
    sample = make("rsa2048:null");
    elliptic = make("ecc");
    fixture_load(&fixture);
    fixture_assert_silence();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free((void *)sample.public_area);
    free((void *)sample.private_area);
    free((void *)elliptic.public_area);
    free((void *)elliptic.private_area);
    fixture_unload(&fixture);
    return 0;
}

/* "key.pem" of it, in the test's folder; its path. */
static const char *write_pem(const struct tss2 *tss2)
{
    uint8_t der[TSS2_MAX_SIZE];
    char text[2 * TSS2_MAX_SIZE];

    tss2_pem(LABEL, der, tss2_der(tss2, der), text);
    fixture_write("key.pem", text, strlen(text));
    return fixture_path("key.pem");
}

static void assert_signs(EVP_PKEY *key)
{
    EVP_PKEY *public = fixture_public(&fixture, key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[256];
    size_t size = sizeof(signature);

    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, key, NULL),
                     1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"x", 1), 1);
    EVP_MD_CTX_reset(ctx);
    assert_int_equal(
        EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", fixture.libctx, NULL, public, NULL), 1);
    assert_int_equal(EVP_DigestVerify(ctx, signature, size, (const uint8_t *)"x", 1), 1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(public);
    fixture_assert_silence();
}

/* Read in both ways, by us, without a word, and asking for a password so many times. */
static void assert_taken(const char *path, int asked, bool signs)
{
    for (size_t i = 0; i < READERS; i++) {
        EVP_PKEY *key;

        (void)fixture_times_asked();
        key = readers[i](&fixture, path, "the password");
        assert_non_null(key);
        assert_ptr_equal(EVP_PKEY_get0_provider(key), fixture.gatekey);
        assert_int_equal(fixture_times_asked(), asked);
        if (signs) {
            assert_signs(key);
        }
        fixture_assert_silence();
        EVP_PKEY_free(key);
    }
}

static void assert_refused(const char *path, const char *says)
{
    for (size_t i = 0; i < READERS; i++) {
        ERR_clear_error();
        assert_null(readers[i](&fixture, path, NULL));
        assert_int_not_equal(ERR_GET_LIB(ERR_peek_error()), ERR_LIB_ASN1);
        fixture_assert_says(says);
    }
}

static void assert_refused_text(const char *text, size_t size, const char *says)
{
    fixture_write("text.pem", text, size);
    assert_refused(fixture_path("text.pem"), says);
}

static void signs_with_a_key_file(void **state)
{
    (void)state;
    assert_taken(write_pem(&sample), 0, true);
}

static void minds_no_field_that_changes_nothing(void **state)
{
    struct tss2 full = sample;

    (void)state;
    full.description = "the gateway's key, \xc3\xa4rgerlich";
    full.rsa_parent = TSS2_FALSE;
    full.policy = TSS2_EMPTY_LIST;
    full.auth_policy = TSS2_EMPTY_LIST;
    assert_taken(write_pem(&full), 0, true);
    full.rsa_parent = TSS2_TRUE; /* counts for hierarchies only */
    assert_taken(write_pem(&full), 0, true);
}

static void asks_for_a_password_unless_the_file_says_there_is_none(void **state)
{
    struct tss2 key = sample;

    (void)state;
    key.empty_auth = TSS2_ABSENT;
    assert_taken(write_pem(&key), 1, false);
    key.empty_auth = TSS2_FALSE;
    assert_taken(write_pem(&key), 1, false);
    key.empty_auth = TSS2_TRUE;
    assert_taken(write_pem(&key), 0, false);
}

/* As the files of tpm2_encodeobject 5.4 are wrong: what is there is the empty password. */
static void takes_an_empty_password_that_was_given(void **state)
{
    struct tss2 wrong = sample;
    EVP_PKEY *key;

    (void)state;
    wrong.empty_auth = TSS2_FALSE;
    key = fixture_read_pem(&fixture, write_pem(&wrong), "");
    assert_non_null(key);
    assert_signs(key);
    EVP_PKEY_free(key);
}

static void takes_every_way_to_write_a_parent(void **state)
{
    static const struct tss2 parents[] = {
        { TSS2_PARENT(PARENT_PERSISTENT) },  { TSS2_PARENT(PARENT_SIGNED) }, /* a negative number */
        { TSS2_PARENT(PARENT_OWNER) },       { TSS2_PARENT("\0") },
        { TSS2_PARENT("\x40\x00\x00\x0b") }, { TSS2_PARENT("\x40\x00\x00\x0c") },
        { TSS2_PARENT("\x40\x00\x00\x07") },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        struct tss2 key = sample;

        key.parent = parents[i].parent;
        key.parent_size = parents[i].parent_size;
        assert_taken(write_pem(&key), 0, i < 2);
    }
}

static void refuses_a_parent_that_can_be_none(void **state)
{
    static const struct {
        struct tss2 with;
        const char *says;
    } parents[] = {
        { { TSS2_PARENT("\x00\x80\x00\x00\x00") }, "its parent 0x80000000 is a transient handle" },
        { { TSS2_PARENT("\x80\x00\x00\x00") }, "its parent 0x80000000 is a transient handle" },
        { { TSS2_PARENT("\x01\x80\x00\x01") }, "its parent 0x01800001 is an NV index" },
        { { TSS2_PARENT("\x05") }, "is neither a persistent handle nor a hierarchy" },
        { { TSS2_PARENT("\x01\x00\x00\x00\x00") }, "its parent is no handle" },
        { { TSS2_PARENT("\xff\x00\x00\x00\x00") }, "its parent is no handle" },
        { { TSS2_PARENT("\x01\x00\x00\x00\x00\x00\x00\x00\x00") }, "its parent is no handle" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        struct tss2 key = sample;

        key.parent = parents[i].with.parent;
        key.parent_size = parents[i].with.parent_size;
        assert_refused(write_pem(&key), parents[i].says);
    }
}

static void refuses_by_name_what_it_cannot_honour(void **state)
{
    struct tss2 key = sample;

    (void)state;
    key.policy = TSS2_LIST;
    assert_refused(write_pem(&key), "cannot read the TSS2 private key: a key of this kind is not "
                                    "taken (its use is bound to a policy); use an unrestricted");
    key = sample;
    key.auth_policy = TSS2_LIST;
    assert_refused(write_pem(&key), "its use is bound to a policy");
    key = sample;
    key.type = 4;
    key.secret = "an encrypted seed";
    assert_refused(write_pem(&key), "it is importable");
    key.type = 3;
    assert_refused(write_pem(&key), "it has a secret, as importable keys only have");
    key = sample;
    key.type = 5;
    assert_refused(write_pem(&key), "it is sealed data, not a key");
    key.type = 6;
    assert_refused(write_pem(&key), "its type is one that this version of gatekey does not know");
    assert_refused(write_pem(&elliptic), "only RSA with 2048 bits is accepted");
}

static void refuses_the_old_format_by_name(void **state)
{
    struct tss2 old = sample;
    uint8_t der[TSS2_MAX_SIZE];
    char text[2 * TSS2_MAX_SIZE];

    (void)state;
    old.type = 0;
    assert_refused(write_pem(&old), "it is a \"TSS2 KEY BLOB\", the format before");
    tss2_pem("TSS2 KEY BLOB", der, tss2_der(&old, der), text);
    assert_refused_text(text, strlen(text), "it is a \"TSS2 KEY BLOB\", the format before");
}

static void says_that_a_file_is_garbled(void **state)
{
    uint8_t der[TSS2_MAX_SIZE];
    char text[2 * TSS2_MAX_SIZE];
    size_t size = tss2_der(&sample, der);

    (void)state;
    der[size] = 0;
    tss2_pem(LABEL, der, size + 1, text);
    assert_refused_text(text, strlen(text), "its ASN.1 is garbled");
    tss2_pem(LABEL, (const uint8_t *)"\x04\x02hi", 4, text);
    assert_refused_text(text, strlen(text), "it is no ASN.1 of a TPM key");
    tss2_pem(LABEL, der, size, text);
    strstr(text, "KEY-----\n")[20] = '*';
    assert_refused_text(text, strlen(text), "its PEM block is garbled");
    tss2_pem(LABEL, der, size, text);
    strstr(text, "-----END")[0] = '\0';
    assert_refused_text(text, strlen(text), "its PEM block is garbled");
    memset(text, 'A', sizeof(text));
    memcpy(text, "-----BEGIN " LABEL "-----\n", strlen("-----BEGIN " LABEL "-----\n"));
    assert_refused_text(text, sizeof(text), "the block is longer than 8192 bytes");
    tss2_pem(LABEL, (const uint8_t *)"", 0, text);
    assert_refused_text(text, strlen(text), "cannot read the TSS2 private key");
    memmove(der + 3, der + 2, size - 2);
    memcpy(der, "\x30\x83\x00", 3); /* a length in more bytes than it takes: BER, no DER */
    tss2_pem(LABEL, der, size + 1, text);
    assert_refused_text(text, strlen(text), "its ASN.1 is garbled");
}

/* No cut makes a key of it, and each one is told. */
static void refuses_every_truncation(void **state)
{
    uint8_t der[TSS2_MAX_SIZE];
    char text[2 * TSS2_MAX_SIZE];
    size_t size = tss2_der(&sample, der);

    (void)state;
    for (size_t cut = 0; cut < size; cut += cut < 40 ? 1 : 13) {
        tss2_pem(LABEL, der, cut, text);
        fixture_write("cut.pem", text, strlen(text));
        assert_null(fixture_read_pem(&fixture, fixture_path("cut.pem"), NULL));
        fixture_assert_says("cannot read the TSS2 private key: this is not a well-formed");
    }
}

/* Of the openssl command, and of libssl's SSL_FILETYPE_ASN1. */
static void signs_with_a_der_file(void **state)
{
    uint8_t der[TSS2_MAX_SIZE];
    size_t size = tss2_der(&sample, der);
    BIO *bio = BIO_new_mem_buf(der, (int)size);
    EVP_PKEY *key;

    (void)state;
    fixture_write("key.der", (const char *)der, size);
    key = fixture_read_uri(&fixture, fixture_path("key.der"), NULL);
    assert_non_null(key);
    assert_signs(key);
    EVP_PKEY_free(key);
    key = d2i_PrivateKey_ex_bio(bio, NULL, fixture.libctx, NULL);
    assert_non_null(key);
    assert_signs(key);
    EVP_PKEY_free(key);
    BIO_free(bio);
}

static void asks_for_the_password_of_a_der_file(void **state)
{
    struct tss2 locked = sample;
    uint8_t der[TSS2_MAX_SIZE];
    EVP_PKEY *key;

    (void)state;
    locked.empty_auth = TSS2_FALSE;
    fixture_write("locked.der", (const char *)der, tss2_der(&locked, der));
    (void)fixture_times_asked();
    key = fixture_read_uri(&fixture, fixture_path("locked.der"), "a password");
    assert_non_null(key);
    assert_int_equal(fixture_times_asked(), 1);
    EVP_PKEY_free(key);
}

static void takes_no_der_file_that_it_cannot_honour(void **state)
{
    struct tss2 sealed = sample;
    uint8_t der[TSS2_MAX_SIZE];

    sealed.type = 5;
    fixture_write("sealed.der", (const char *)der, tss2_der(&sealed, der));
    assert_null(fixture_read_uri(&fixture, fixture_path("sealed.der"), *state));
    ERR_clear_error();
}

/* A key of every kind that programs keep in DER; none is ours, and none is stopped by us. */
static void passes_over_der_files_of_others(void **state)
{
    static const struct {
        const char *type;
        const char *structure;
    } files[] = {
        { "RSA", "type-specific" }, { "RSA", "PrivateKeyInfo" },     { "EC", "type-specific" },
        { "EC", "PrivateKeyInfo" }, { "ED25519", "PrivateKeyInfo" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        bool is_elliptic = strcmp(files[i].type, "EC") == 0;
        EVP_PKEY *key = is_elliptic
                            ? EVP_PKEY_Q_keygen(fixture.libctx, NULL, "EC", "P-256")
                            : EVP_PKEY_Q_keygen(fixture.libctx, NULL, files[i].type, (size_t)2048);
        EVP_PKEY *again;
        OSSL_ENCODER_CTX *encoder;
        unsigned char *der = NULL;
        size_t size = 0;

        encoder =
            OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_KEYPAIR, "DER", files[i].structure, NULL);
        assert_int_equal(OSSL_ENCODER_to_data(encoder, &der, &size), 1);
        OSSL_ENCODER_CTX_free(encoder);
        fixture_write("foreign.der", (const char *)der, size);
        again = fixture_read_uri(&fixture, fixture_path("foreign.der"), NULL);
        assert_int_equal(EVP_PKEY_eq(key, again), 1);
        fixture_assert_silence();
        EVP_PKEY_free(again);
        EVP_PKEY_free(key);
        OPENSSL_free(der);
    }
}

/* As identity.pem holds both, in either order. */
static void reads_it_beside_a_certificate(void **state)
{
    CLEANUP(gk_freep) char *certificate = NULL;
    char text[2 * TSS2_MAX_SIZE], both[2 * TSS2_MAX_SIZE + 4096];
    uint8_t der[TSS2_MAX_SIZE];
    size_t size;

    (void)state;
    run("openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -subj /CN=x "
        "-out \"$GATEKEY_TEST_DIR/cert.pem\" 2>/dev/null");
    certificate = fixture_read("cert.pem", &size);
    tss2_pem(LABEL, der, tss2_der(&sample, der), text);
    snprintf(both, sizeof(both), "Words before it.\n%.4000s%s", certificate, text);
    fixture_write("both.pem", both, strlen(both));
    assert_taken(fixture_path("both.pem"), 0, false);
    snprintf(both, sizeof(both), "%s%.4000s", text, certificate);
    fixture_write("both.pem", both, strlen(both));
    assert_taken(fixture_path("both.pem"), 0, false);
}

static void reads_a_file_with_windows_line_ends(void **state)
{
    uint8_t der[TSS2_MAX_SIZE];
    char text[2 * TSS2_MAX_SIZE], windows[2 * TSS2_MAX_SIZE];
    size_t size = 0;

    (void)state;
    tss2_pem(LABEL, der, tss2_der(&sample, der), text);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\n') {
            windows[size++] = '\r';
        }
        windows[size++] = *c;
    }
    fixture_write("windows.pem", windows, size);
    assert_taken(fixture_path("windows.pem"), 0, false);
}

/* The TPM of this library context leads nowhere. */
static void reading_asks_no_tpm(void **state)
{
    CLEANUP(gk_freep) char *tcti = strdup(getenv("GATEKEY_TCTI"));
    struct fixture nowhere;
    EVP_PKEY *key;
    uint8_t out[256];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    (void)state;
    setenv("GATEKEY_TCTI", "device:/dev/none", 1);
    fixture_load(&nowhere);
    setenv("GATEKEY_TCTI", tcti, 1);
    key = fixture_read_uri(&nowhere, write_pem(&sample), NULL);
    assert_non_null(key);
    fixture_assert_silence();
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", nowhere.libctx, NULL, key, NULL),
                     1);
    assert_int_equal(EVP_DigestSign(ctx, out, &(size_t){ 256 }, (const uint8_t *)"x", 1), 0);
    fixture_assert_says("no TPM answered");
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    fixture_unload(&nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_with_a_key_file),
        cmocka_unit_test(minds_no_field_that_changes_nothing),
        cmocka_unit_test(asks_for_a_password_unless_the_file_says_there_is_none),
        cmocka_unit_test(takes_an_empty_password_that_was_given),
        cmocka_unit_test(takes_every_way_to_write_a_parent),
        cmocka_unit_test(refuses_a_parent_that_can_be_none),
        cmocka_unit_test(refuses_by_name_what_it_cannot_honour),
        cmocka_unit_test(refuses_the_old_format_by_name),
        cmocka_unit_test(says_that_a_file_is_garbled),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(signs_with_a_der_file),
        cmocka_unit_test(asks_for_the_password_of_a_der_file),
        cmocka_unit_test(takes_no_der_file_that_it_cannot_honour),
        cmocka_unit_test(passes_over_der_files_of_others),
        cmocka_unit_test(reads_it_beside_a_certificate),
        cmocka_unit_test(reads_a_file_with_windows_line_ends),
        cmocka_unit_test(reading_asks_no_tpm),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
