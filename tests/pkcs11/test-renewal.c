/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of files that change while a program runs: they are looked at when it opens a session, and
 * what has not changed keeps its handle.
 */
#include "tests/pkcs11/fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OTHER_HANDLE 0x81000102

static EVP_PKEY *plain, *other, *with_pin;

static int set_up(void **state)
{
    fixture_set_up(state);
    fixture_make_key(OTHER_HANDLE, "", "other.pem");
    fixture_certify("other.pem", "device", "other-cert.pem");
    plain = fixture_public("plain.pem");
    other = fixture_public("other.pem");
    with_pin = fixture_public("pin.pem");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(plain);
    EVP_PKEY_free(other);
    EVP_PKEY_free(with_pin);
    return 0;
}

/* Before enrolment. */
static int begin_with_nothing(void **state)
{
    fixture_begin(state);
    fixture_remove("device.pem");
    fixture_remove("cert.pem");
    return 0;
}

static CK_OBJECT_HANDLE find_certificate(CK_SESSION_HANDLE session, const char *label)
{
    CK_OBJECT_CLASS class = CKO_CERTIFICATE;
    CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) },
                                { CKA_LABEL, (void *)label, strlen(label) } };
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];

    return fixture_find(session, template, 2, found) == 1 ? found[0] : CK_INVALID_HANDLE;
}

static CK_RV look_at(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    CK_ATTRIBUTE template = { CKA_CLASS, NULL, 0 };

    return p11->C_GetAttributeValue(session, object, &template, 1);
}

static void assert_signs(CK_SESSION_HANDLE session, EVP_PKEY *key)
{
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];

    assert_rv(fixture_sign(session, 0, "message", 7, signature), CKR_OK);
    assert_true(fixture_verifies(key, CKM_SHA256_RSA_PKCS, 0, "message", 7, signature));
}

static CK_RV open_session(CK_SESSION_HANDLE *session)
{
    return p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, session);
}

/* The key and the leaf have one CKA_ID. */
static bool are_joined(CK_SESSION_HANDLE session)
{
    uint8_t key[20] = { 0 }, leaf[20] = { 1 };

    assert_int_equal(fixture_attribute(session, fixture_find_class(session, CKO_PRIVATE_KEY),
                                       CKA_ID, key, sizeof(key)),
                     sizeof(key));
    assert_int_equal(
        fixture_attribute(session, find_certificate(session, "device"), CKA_ID, leaf, sizeof(leaf)),
        sizeof(leaf));
    return memcmp(key, leaf, sizeof(key)) == 0;
}

static void a_renewed_certificate_is_seen_by_the_next_session(void **state)
{
    CK_SESSION_HANDLE before = fixture_open(), after;
    CK_OBJECT_HANDLE old = find_certificate(before, "device");
    CK_OBJECT_HANDLE leaf;
    uint8_t value[4096];
    CK_ULONG size;
    X509 *certificate;
    unsigned char *der = NULL;

    (void)state;
    fixture_certify("plain.pem", "device", "cert.pem");
    assert_rv(look_at(before, old), CKR_OK);
    after = fixture_open();
    leaf = find_certificate(after, "device");
    assert_int_not_equal(leaf, old);
    certificate = fixture_certificate("cert.pem", 0);
    size = (CK_ULONG)i2d_X509(certificate, &der);
    assert_int_equal(fixture_attribute(after, leaf, CKA_VALUE, value, sizeof(value)), size);
    assert_memory_equal(value, der, size);
    assert_rv(look_at(before, old), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(look_at(after, old), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(look_at(before, leaf), CKR_OK);
    OPENSSL_free(der);
    X509_free(certificate);
}

static void what_stays_keeps_its_handle(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE private = fixture_find_class(session, CKO_PRIVATE_KEY);
    CK_OBJECT_HANDLE public = fixture_find_class(session, CKO_PUBLIC_KEY);
    CK_OBJECT_HANDLE issuer = find_certificate(session, "issuer");
    CK_OBJECT_HANDLE profile = fixture_find_class(session, CKO_PROFILE);

    (void)state;
    fixture_certify("plain.pem", "device", "cert.pem");
    session = fixture_open();
    assert_int_equal(fixture_find_class(session, CKO_PRIVATE_KEY), private);
    assert_int_equal(fixture_find_class(session, CKO_PUBLIC_KEY), public);
    assert_int_equal(find_certificate(session, "issuer"), issuer);
    assert_int_equal(fixture_find_class(session, CKO_PROFILE), profile);
}

/* Written again, with the same content. */
static void a_file_touched_changes_nothing(void **state)
{
    CK_OBJECT_HANDLE one[FIXTURE_OBJECTS_MAX], two[FIXTURE_OBJECTS_MAX];
    CK_ULONG count = fixture_find(fixture_open(), NULL, 0, one);

    (void)state;
    fixture_copy("plain.pem", "device.pem");
    fixture_copy("plain-cert.pem", "cert.pem");
    assert_int_equal(fixture_find(fixture_open(), NULL, 0, two), count);
    assert_memory_equal(one, two, count * sizeof(one[0]));
}

static void a_new_key_takes_the_place_of_the_old(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE before = fixture_open(), after;
    CK_OBJECT_HANDLE old = fixture_find_class(before, CKO_PRIVATE_KEY);
    CK_OBJECT_HANDLE old_public = fixture_find_class(before, CKO_PUBLIC_KEY);

    (void)state;
    assert_signs(before, plain);
    fixture_copy("other.pem", "device.pem");
    fixture_copy("other-cert.pem", "cert.pem");
    after = fixture_open();
    assert_rv(look_at(before, old), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(p11->C_SignInit(before, &mechanism, old), CKR_KEY_HANDLE_INVALID);
    assert_rv(p11->C_VerifyInit(before, &mechanism, old_public), CKR_KEY_HANDLE_INVALID);
    assert_signs(before, other);
    assert_signs(after, other);
    assert_true(are_joined(after));
}

/* Some programs keep one session, and the handle of the key, for as long as they run. */
static void the_first_certificate_finds_the_key_as_it_was(void **state)
{
    uint8_t before[64] = { 0 }, after[64] = { 1 };
    CK_ATTRIBUTE unique = { CKA_UNIQUE_ID, before, sizeof(before) };
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;

    (void)state;
    fixture_remove("cert.pem");
    session = fixture_open();
    key = fixture_find_class(session, CKO_PRIVATE_KEY);
    assert_rv(p11->C_GetAttributeValue(session, key, &unique, 1), CKR_OK);
    fixture_copy("plain-cert.pem", "cert.pem");
    assert_true(are_joined(session));
    assert_int_equal(fixture_find_class(session, CKO_PRIVATE_KEY), key);
    unique.pValue = after;
    unique.ulValueLen = sizeof(after);
    assert_rv(p11->C_GetAttributeValue(session, key, &unique, 1), CKR_OK);
    assert_memory_equal(before, after, unique.ulValueLen);
}

/* The one that C_SignInit was given. */
static void an_operation_begun_keeps_its_key(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE session = fixture_open();
    uint8_t signature[FIXTURE_SIGNATURE_SIZE];
    CK_ULONG size = sizeof(signature);

    (void)state;
    assert_rv(p11->C_SignInit(session, &mechanism, fixture_find_class(session, CKO_PRIVATE_KEY)),
              CKR_OK);
    fixture_copy("other.pem", "device.pem");
    fixture_open();
    assert_rv(p11->C_Sign(session, (CK_BYTE *)"message", 7, signature, &size), CKR_OK);
    assert_true(fixture_verifies(plain, CKM_SHA256_RSA_PKCS, 0, "message", 7, signature));
}

/* What was found by then is handed out as far as it is still there. */
static void a_search_begun_ends_well(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];
    CK_ULONG number;

    (void)state;
    assert_rv(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    fixture_copy("other.pem", "device.pem");
    fixture_remove("cert.pem");
    fixture_open();
    assert_rv(p11->C_FindObjects(session, found, FIXTURE_OBJECTS_MAX, &number), CKR_OK);
    for (CK_ULONG i = 0; i < number; i++) {
        assert_rv(look_at(session, found[i]), CKR_OK);
    }
    assert_rv(p11->C_FindObjectsFinal(session), CKR_OK);
}

/* A program that never asks for the key is not to notice that there is none. */
static void assert_uninitialized(void)
{
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];
    CK_SESSION_HANDLE session = 77;
    CK_SLOT_INFO slot;
    CK_TOKEN_INFO token;
    CK_SLOT_ID id = 77;
    CK_ULONG count = 1;

    assert_rv(p11->C_GetSlotList(CK_TRUE, &id, &count), CKR_OK);
    assert_int_equal(count, 1);
    assert_rv(p11->C_GetSlotInfo(0, &slot), CKR_OK);
    assert_true((slot.flags & CKF_TOKEN_PRESENT) != 0);
    assert_rv(p11->C_GetTokenInfo(0, &token), CKR_OK);
    assert_true((token.flags & CKF_TOKEN_INITIALIZED) == 0);
    assert_rv(p11->C_GetMechanismList(0, NULL, &count), CKR_OK);
    assert_rv(open_session(&session), CKR_OK);
    assert_int_equal(fixture_find(session, NULL, 0, found), 0);
    assert_rv(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"x", 1), CKR_USER_PIN_NOT_INITIALIZED);
    assert_rv(p11->C_CloseSession(session), CKR_OK);
}

static void enrolment_is_seen_without_a_restart(void **state)
{
    CK_TOKEN_INFO token;

    (void)state;
    assert_uninitialized();
    fixture_copy("plain.pem", "device.pem");
    assert_rv(p11->C_GetTokenInfo(0, &token), CKR_OK);
    assert_true((token.flags & CKF_TOKEN_INITIALIZED) != 0);
    assert_int_equal(find_certificate(fixture_open(), "device"), CK_INVALID_HANDLE);
    assert_signs(fixture_open(), plain);
    fixture_copy("plain-cert.pem", "cert.pem");
    assert_true(are_joined(fixture_open()));
}

static void a_missing_folder_is_not_enrolled(void **state)
{
    char folder[512], away[520];

    (void)state;
    snprintf(folder, sizeof(folder), "%s", fixture_path("device.pem"));
    *strrchr(folder, '/') = '\0';
    snprintf(away, sizeof(away), "%s-away", folder);
    assert_int_equal(rename(folder, away), 0);
    assert_uninitialized();
    assert_int_equal(rename(away, folder), 0);
    assert_signs(fixture_open(), plain);
}

/* As "gatekey reset" leaves it to programs that run. */
static void a_key_taken_away_is_gone(void **state)
{
    CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_SESSION_HANDLE session = fixture_open();
    CK_OBJECT_HANDLE key = fixture_find_class(session, CKO_PRIVATE_KEY);
    CK_OBJECT_HANDLE found[FIXTURE_OBJECTS_MAX];
    CK_SESSION_INFO info;

    (void)state;
    fixture_remove("device.pem");
    fixture_remove("cert.pem");
    assert_uninitialized();
    assert_rv(p11->C_GetSessionInfo(session, &info), CKR_OK);
    assert_int_equal(fixture_find(session, NULL, 0, found), 0);
    assert_rv(look_at(session, key), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(p11->C_SignInit(session, &mechanism, key), CKR_KEY_HANDLE_INVALID);
    assert_int_not_equal(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"x", 1), CKR_OK);
    fixture_copy("plain.pem", "device.pem");
    assert_signs(fixture_open(), plain);
    assert_signs(session, plain);
}

static void a_damaged_key_file_is_no_key_until_mended(void **state)
{
    size_t size;
    CLEANUP(gk_freep) char *text = fixture_read("plain.pem", &size);
    CLEANUP(gk_freep) char *large = calloc(1, 2 * 1024 * 1024);
    char *armour = strstr(text, "-----BEGIN");

    (void)state;
    assert_non_null(armour);
    assert_non_null(large);
    for (size_t cut = 0; cut < size - 1; cut += cut < 600 ? 97 : 31) {
        fixture_write("device.pem", text, cut);
        assert_uninitialized();
    }
    for (size_t at = (size_t)(armour - text) + 40; at < size - 40; at += 57) {
        char was = text[at];

        text[at] = '#';
        fixture_write("device.pem", text, size);
        assert_uninitialized();
        text[at] = was;
    }
    fixture_write("device.pem", large, 2 * 1024 * 1024);
    assert_uninitialized();
    fixture_write("device.pem", text, size);
    assert_signs(fixture_open(), plain);
}

static void what_is_no_file_is_told_too(void **state)
{
    (void)state;
    fixture_remove("device.pem");
    assert_int_equal(mkdir(fixture_path("device.pem"), 0755), 0);
    assert_uninitialized();
    assert_int_equal(rmdir(fixture_path("device.pem")), 0);
    assert_int_equal(symlink("plain.pem", fixture_path("device.pem")), 0);
    assert_uninitialized();
    assert_int_equal(mkfifo(fixture_path("fifo"), 0600), 0);
    assert_int_equal(rename(fixture_path("fifo"), strdupa(fixture_path("device.pem"))), 0);
    assert_uninitialized();
    fixture_copy("plain.pem", "device.pem");
    assert_signs(fixture_open(), plain);
}

/* The key works without. */
static void damaged_certificates_are_left_out(void **state)
{
    size_t size;
    CLEANUP(gk_freep) char *text = fixture_read("plain-cert.pem", &size);

    (void)state;
    for (size_t at = 40; at < size - 1; at += 111) {
        CK_SESSION_HANDLE session;

        fixture_write("cert.pem", text, at);
        session = fixture_open();
        assert_int_equal(find_certificate(session, "issuer"), CK_INVALID_HANDLE);
        assert_int_not_equal(fixture_find_class(session, CKO_PRIVATE_KEY), CK_INVALID_HANDLE);
    }
    fixture_write("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 59);
    assert_int_equal(find_certificate(fixture_open(), "device"), CK_INVALID_HANDLE);
    assert_signs(fixture_open(), plain);
    fixture_write("cert.pem", text, size);
    assert_true(are_joined(fixture_open()));
}

/* Two files cannot change at once; identity.pem does, and what is in it belongs together. */
static void write_identity(const char *key, const char *certificate)
{
    size_t key_size, size;
    CLEANUP(gk_freep) char *key_text = fixture_read(key, &key_size);
    CLEANUP(gk_freep) char *text = fixture_read(certificate, &size);
    CLEANUP(gk_freep) char *both = malloc(key_size + size);

    assert_non_null(both);
    memcpy(both, key_text, key_size);
    memcpy(both + key_size, text, size);
    fixture_write("identity.pem", both, key_size + size);
}

static void assert_pair(EVP_PKEY *key)
{
    CK_SESSION_HANDLE session = fixture_open();

    assert_true(are_joined(session));
    assert_signs(session, key);
}

/* Whichever of the files comes first. */
static void a_rotation_is_never_seen_half_done(void **state)
{
    (void)state;
    write_identity("plain.pem", "plain-cert.pem");
    assert_pair(plain);
    fixture_copy("other.pem", "device.pem");
    assert_pair(plain);
    write_identity("other.pem", "other-cert.pem");
    assert_pair(other);
    fixture_copy("other-cert.pem", "cert.pem");
    assert_pair(other);
    fixture_copy("plain-cert.pem", "cert.pem");
    assert_pair(other);
    write_identity("plain.pem", "plain-cert.pem");
    assert_pair(plain);
    fixture_copy("plain.pem", "device.pem");
    assert_pair(plain);
}

/* Without one that fits there is no pair, and nothing says that there is. */
static void an_identity_that_fits_no_better_is_not_taken(void **state)
{
    CK_SESSION_HANDLE session;

    (void)state;
    fixture_copy("other.pem", "device.pem");
    session = fixture_open();
    assert_false(are_joined(session));
    assert_signs(session, other);
    write_identity("other.pem", "plain-cert.pem");
    session = fixture_open();
    assert_false(are_joined(session));
    assert_signs(session, other);
    fixture_write("identity.pem", "damaged", 7);
    assert_signs(fixture_open(), other);
}

static CK_RV login(CK_SESSION_HANDLE session)
{
    return p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)FIXTURE_PIN, strlen(FIXTURE_PIN));
}

static CK_STATE state_of(CK_SESSION_HANDLE session)
{
    CK_SESSION_INFO info;

    assert_rv(p11->C_GetSessionInfo(session, &info), CKR_OK);
    return info.state;
}

static void a_login_outlives_a_new_certificate(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    assert_rv(login(session), CKR_OK);
    fixture_certify("pin.pem", "device", "cert.pem");
    assert_int_equal(state_of(fixture_open()), CKS_RO_USER_FUNCTIONS);
    assert_signs(session, with_pin);
}

/* A PIN is one key's, so nobody is logged in to another. */
static void a_login_ends_with_its_key(void **state)
{
    CK_SESSION_HANDLE session = fixture_open();

    (void)state;
    assert_rv(login(session), CKR_OK);
    fixture_copy("plain.pem", "device.pem");
    assert_int_equal(state_of(fixture_open()), CKS_RO_PUBLIC_SESSION);
    assert_signs(session, plain);
    assert_rv(login(session), CKR_OK);
    fixture_copy("pin.pem", "device.pem");
    assert_int_equal(state_of(fixture_open()), CKS_RO_PUBLIC_SESSION);
    assert_int_equal(fixture_find_class(session, CKO_PRIVATE_KEY), CK_INVALID_HANDLE);
    assert_rv(login(session), CKR_OK);
    assert_signs(session, with_pin);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_begin, fixture_end)
#define PIN(function) cmocka_unit_test_setup_teardown(function, fixture_begin_with_pin, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_renewed_certificate_is_seen_by_the_next_session),
        TEST(what_stays_keeps_its_handle),
        TEST(a_file_touched_changes_nothing),
        TEST(a_new_key_takes_the_place_of_the_old),
        TEST(the_first_certificate_finds_the_key_as_it_was),
        TEST(an_operation_begun_keeps_its_key),
        TEST(a_search_begun_ends_well),
        cmocka_unit_test_setup_teardown(enrolment_is_seen_without_a_restart, begin_with_nothing,
                                        fixture_end),
        TEST(a_missing_folder_is_not_enrolled),
        TEST(a_key_taken_away_is_gone),
        TEST(a_damaged_key_file_is_no_key_until_mended),
        TEST(what_is_no_file_is_told_too),
        TEST(damaged_certificates_are_left_out),
        TEST(a_rotation_is_never_seen_half_done),
        TEST(an_identity_that_fits_no_better_is_not_taken),
        PIN(a_login_outlives_a_new_certificate),
        PIN(a_login_ends_with_its_key),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
