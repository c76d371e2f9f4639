/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of the fault matrix: what tpm/ does with a TPM. */
#include "tests/tpm/direct.h"
#include "tests/tpm/faults.h"
#include "tests/tpm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HANDLE 0x81000100U
#define RAW_HANDLE 0x81000101U
#define ROOT_HANDLE 0x81000001U

static const char secret[] = "a device secret of EnOS";
static const uint8_t digest[GK_HASH_MAX_SIZE] = { 3, 1, 4 };

static struct gk_key *signs, *decrypts;
static struct direct_file file; /* a loadable key, as files hold it, and as it is read from there */
static struct gk_key *fresh, *used;
static char *sealed; /* with the storage root that is made on the spot, and with a persistent one */
static char *sealed_under_root, *sealed_to_pcrs;

/* What the last run handed out. */
static uint8_t signature[GK_RSA2048_SIZE];
static struct gk_key *found;
static char *made_text;
static uint8_t opened[GK_SECRET_MAX_SIZE];
static size_t opened_size;

/* --- the scenes ---------------------------------------------------------------------------------
 */

static bool is_our_key; /* at HANDLE, and not one that a test has made there */

static void put_no_key(void)
{
    is_our_key = false;
    direct_evict(HANDLE);
    direct_evict(ROOT_HANDLE);
}

static void put_key(void)
{
    direct_evict(ROOT_HANDLE);
    if (!is_our_key || !direct_has(HANDLE)) {
        direct_evict(HANDLE);
        direct_put(DIRECT_SIGNS, HANDLE);
        is_our_key = true;
    }
}

static void put_root(void)
{
    if (!direct_has(ROOT_HANDLE)) {
        direct_put(DIRECT_ROOT, ROOT_HANDLE);
    }
}

static void put_no_root(void)
{
    direct_evict(ROOT_HANDLE);
}

/* --- on the system API --------------------------------------------------------------------------
 */

static enum gk_status sign_with(const char *tcti, const struct gk_key *key, enum gk_scheme scheme,
                                struct gk_error *err)
{
    CLEANUP(gk_tpm_freep) struct gk_tpm *tpm = NULL;

    assert_int_equal(gk_tpm_new(tcti, &tpm, err), GK_OK);
    memset(signature, 0, sizeof(signature));
    return gk_key_sign(tpm, key, NULL, fixture_crypto(), scheme, GK_SHA256, digest, 32, signature,
                       err);
}

static bool verifies(const struct gk_key *key, enum gk_scheme scheme)
{
    return fixture_crypto()->verify(fixture_crypto()->context, gk_key_public(key), scheme,
                                    GK_SHA256, 32, digest, signature) == 1;
}

static enum gk_status sign(const char *tcti, struct gk_error *err)
{
    return sign_with(tcti, signs, GK_RSASSA, err);
}

static bool has_signed(void)
{
    return verifies(signs, GK_RSASSA);
}

static enum gk_status sign_raw(const char *tcti, struct gk_error *err)
{
    return sign_with(tcti, decrypts, GK_RSAPSS, err);
}

static bool has_signed_raw(void)
{
    return verifies(decrypts, GK_RSAPSS);
}

static enum gk_status read_key(const char *tcti, struct gk_error *err)
{
    CLEANUP(gk_tpm_freep) struct gk_tpm *tpm = NULL;

    gk_key_free(TAKE(found));
    assert_int_equal(gk_tpm_new(tcti, &tpm, err), GK_OK);
    return gk_key_read(tpm, HANDLE, &found, err);
}

static bool has_found_the_key(void)
{
    return gk_key_identical(found, signs);
}

static struct gk_key *read_file(uint32_t parent)
{
    const struct gk_loadable loadable = {
        .parent = parent,
        .public_area = file.public_area,
        .public_size = file.public_size,
        .private_area = file.private_area,
        .private_size = file.private_size,
    };
    struct gk_key *key = NULL;

    assert_int_equal(gk_key_from_loadable(&loadable, &key, NULL), GK_OK);
    return key;
}

static void take_fresh_key(void)
{
    gk_key_free(TAKE(fresh));
    fresh = read_file(0);
}

static void take_used_key(void)
{
    gk_key_free(TAKE(used));
    used = read_file(0);
    assert_int_equal(sign_with(fixture_tcti(), used, GK_RSASSA, NULL), GK_OK);
}

static void take_key_under_root(void)
{
    put_root();
    gk_key_free(TAKE(fresh));
    fresh = read_file(ROOT_HANDLE);
}

static enum gk_status sign_fresh(const char *tcti, struct gk_error *err)
{
    return sign_with(tcti, fresh, GK_RSASSA, err);
}

static enum gk_status sign_used(const char *tcti, struct gk_error *err)
{
    return sign_with(tcti, used, GK_RSASSA, err);
}

static bool has_signed_by_file(void)
{
    return verifies(fresh != NULL ? fresh : used, GK_RSASSA);
}

/* --- on the enhanced system API -----------------------------------------------------------------
 */

static enum gk_status describe(const char *tcti, struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = gk_admin_open(tcti, NULL, &admin, err);

    gk_key_free(TAKE(found));
    return status == GK_OK ? gk_admin_key_describe(admin, HANDLE, &found, err) : status;
}

static enum gk_status remember_nothing(void *context, const struct gk_key *key,
                                       struct gk_error *err)
{
    (void)context;
    (void)key;
    (void)err;
    return GK_OK;
}

static enum gk_status create_with(const char *tcti, const struct gk_crypto *crypto,
                                  struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = gk_admin_open(tcti, NULL, &admin, err);

    gk_key_free(TAKE(found));
    return status == GK_OK ? gk_admin_key_create(admin, HANDLE, NULL, crypto, remember_nothing,
                                                 NULL, &found, err)
                           : status;
}

static enum gk_status create(const char *tcti, struct gk_error *err)
{
    return create_with(tcti, fixture_crypto(), err);
}

/*
 * A TPM that always makes the longest salt, played by the verification: it finds one in what the
 * first key of a run signs, which is the one without decrypt.
 */
static const struct gk_public *first_key(const struct gk_public *key)
{
    static struct gk_public first;

    if (key == NULL || first.exponent == 0) {
        first = key != NULL ? *key : (struct gk_public){ .exponent = 0 };
    }
    return &first;
}

static int find_longest_salt(void *context, const struct gk_public *public, enum gk_scheme scheme,
                             enum gk_hash hash, size_t salt_size, const uint8_t *d,
                             const uint8_t made[GK_RSA2048_SIZE])
{
    if (memcmp(public, first_key(public), sizeof(*public)) == 0) {
        return salt_size != gk_hash_size(hash);
    }
    return fixture_crypto()->verify(context, public, scheme, hash, salt_size, d, made);
}

static enum gk_status create_raw(const char *tcti, struct gk_error *err)
{
    struct gk_crypto crypto = *fixture_crypto();

    (void)first_key(NULL);
    crypto.verify = find_longest_salt;
    return create_with(tcti, &crypto, err);
}

static bool has_created(void)
{
    CLEANUP(gk_key_freep) struct gk_key *made = TAKE(found);

    return read_key(fixture_tcti(), NULL) == GK_OK && gk_key_identical(found, made) &&
           sign_with(fixture_tcti(), made, GK_RSAPSS, NULL) == GK_OK;
}

static enum gk_status evict(const char *tcti, struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = gk_admin_open(tcti, NULL, &admin, err);

    return status == GK_OK ? gk_admin_key_evict(admin, signs, err) : status;
}

static bool has_evicted(void)
{
    return !direct_has(HANDLE);
}

static enum gk_status seal_to(const char *tcti, const char *pcrs, struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = gk_admin_open(tcti, NULL, &admin, err);

    free(TAKE(made_text));
    return status == GK_OK ? gk_admin_seal(admin, (const uint8_t *)secret, strlen(secret), pcrs,
                                           &made_text, err)
                           : status;
}

static enum gk_status seal(const char *tcti, struct gk_error *err)
{
    return seal_to(tcti, NULL, err);
}

static enum gk_status seal_to_pcrs(const char *tcti, struct gk_error *err)
{
    return seal_to(tcti, "sha256:7", err);
}

static enum gk_status unseal_text(const char *tcti, const char *text, struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = gk_admin_open(tcti, NULL, &admin, err);

    opened_size = 0;
    return status == GK_OK ? gk_admin_unseal(admin, text, strlen(text), opened, &opened_size, err)
                           : status;
}

static bool has_unsealed(void)
{
    return opened_size == strlen(secret) && memcmp(opened, secret, opened_size) == 0;
}

static bool has_sealed(void)
{
    return unseal_text(fixture_tcti(), made_text, NULL) == GK_OK && has_unsealed();
}

static enum gk_status unseal(const char *tcti, struct gk_error *err)
{
    return unseal_text(tcti, sealed, err);
}

static enum gk_status unseal_to_pcrs(const char *tcti, struct gk_error *err)
{
    return unseal_text(tcti, sealed_to_pcrs, err);
}

static enum gk_status unseal_under_root(const char *tcti, struct gk_error *err)
{
    return unseal_text(tcti, sealed_under_root, err);
}

static struct gk_clock ticks;

static enum gk_status read_clock(const char *tcti, struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = gk_admin_open(tcti, NULL, &admin, err);

    ticks = (struct gk_clock){ 0 };
    return status == GK_OK ? gk_admin_clock(admin, &ticks, err) : status;
}

static bool has_read_the_clock(void)
{
    return ticks.ms != 0 && ticks.up_ms != 0;
}

#define FILE_UNDER_ROOT "sign with a key from a file under a persistent root"

const struct operation operations[] = {
    { "sign", false, QUICK, put_key, sign, has_signed },
    { "sign with a key that pads in software", false, QUICK, NULL, sign_raw, has_signed_raw },
    { "read a key", false, QUICK, put_key, read_key, has_found_the_key },
    { "sign with a key from a file", false, QUICK, take_fresh_key, sign_fresh, has_signed_by_file },
    { "sign with it again", false, QUICK, take_used_key, sign_used, has_signed_by_file },
    { FILE_UNDER_ROOT, false, QUICK, take_key_under_root, sign_fresh, has_signed_by_file },
    { "describe a key", true, QUICK, put_key, describe, has_found_the_key },
    { "destroy a key", true, QUICK, put_key, evict, has_evicted },
    { "seal", true, QUICK, put_no_root, seal, has_sealed },
    { "unseal", true, QUICK, put_no_root, unseal, has_unsealed },
    { "seal to PCRs", true, QUICK, put_no_root, seal_to_pcrs, has_sealed },
    { "unseal with PCRs", true, QUICK, put_no_root, unseal_to_pcrs, has_unsealed },
    { "seal under a persistent root", true, QUICK, put_root, seal, has_sealed },
    { "unseal under a persistent root", true, QUICK, put_root, unseal_under_root, has_unsealed },
    { "read the clock", true, QUICK, NULL, read_clock, has_read_the_clock },
    { "make a key", true, SLOW, put_no_key, create, has_created },
    { "make a key that pads in software", true, SLOWEST, put_no_key, create_raw, has_created },
};

const size_t operation_total = sizeof(operations) / sizeof(operations[0]);

const struct exception exceptions[] = {
    /* A hierarchy or a parent with a password, and none was given. */
    { "sign with a key from a file", CC_CREATE_PRIMARY, 0, GK_BAD_AUTH, GK_NEED_AUTH, NULL },
    { "sign with a key from a file", CC_CREATE_PRIMARY, 0, GK_NEED_AUTH, GK_NEED_AUTH, NULL },
    { "sign with it again", CC_CREATE_PRIMARY, 0, GK_BAD_AUTH, GK_NEED_AUTH, NULL },
    { "sign with a key from a file", CC_LOAD, 0, GK_BAD_AUTH, GK_NEED_AUTH, NULL },
    { FILE_UNDER_ROOT, CC_LOAD, 0, GK_BAD_AUTH, GK_NEED_AUTH, NULL },
    /* The owner authorises these. */
    { NULL, CC_EVICT_CONTROL, 0, GK_BAD_AUTH, GK_BAD_OWNER_AUTH, NULL },
    { NULL, CC_EVICT_CONTROL, 0, GK_NEED_AUTH, GK_BAD_OWNER_AUTH, NULL },
    { NULL, CC_CREATE_PRIMARY, 0, GK_BAD_AUTH, GK_BAD_OWNER_AUTH, NULL },
    { NULL, CC_CREATE_PRIMARY, 0, GK_NEED_AUTH, GK_BAD_OWNER_AUTH, NULL },
    /* An empty handle is what is hoped for, */
    { "make a key", CC_READ_PUBLIC, 0, GK_NO_KEY, GK_OK, NULL },
    { "make a key that pads in software", CC_READ_PUBLIC, 0, GK_NO_KEY, GK_OK, NULL },
    { "destroy a key", CC_READ_PUBLIC, 3, GK_NO_KEY, GK_OK, NULL },
    /* and no persistent storage root means that one is made. */
    { "seal", CC_READ_PUBLIC, 1, GK_NO_KEY, GK_OK, NULL },
    { "seal to PCRs", CC_READ_PUBLIC, 1, GK_NO_KEY, GK_OK, NULL },
    { "seal under a persistent root", CC_READ_PUBLIC, 0, GK_NO_KEY, GK_OK, NULL },
    { "unseal under a persistent root", CC_READ_PUBLIC, 0, GK_NO_KEY, GK_SEAL_BROKEN, NULL },
    /* One with a password is none that we could use, and not this key's password that is wrong. */
    { "seal under a persistent root", CC_CREATE, 0, GK_BAD_AUTH, GK_TPM_FAILED, NULL },
    { "seal under a persistent root", CC_CREATE, 0, GK_NEED_AUTH, GK_TPM_FAILED, NULL },
    { "unseal under a persistent root", CC_LOAD, 0, GK_BAD_AUTH, GK_TPM_FAILED, NULL },
    { "unseal under a persistent root", CC_LOAD, 0, GK_NEED_AUTH, GK_TPM_FAILED, NULL },
    /* A slot may be free in a moment, and what somebody flushed is loaded once more. */
    { "sign", 0, 0, GK_TPM_MEMORY, GK_OK, NULL },
    { "sign with a key that pads in software", 0, 0, GK_TPM_MEMORY, GK_OK, NULL },
    { "read a key", 0, 0, GK_TPM_MEMORY, GK_OK, NULL },
    { "sign with a key from a file", 0, 0, GK_TPM_MEMORY, GK_OK, NULL },
    { "sign with it again", 0, 0, GK_TPM_MEMORY, GK_OK, NULL },
    { FILE_UNDER_ROOT, 0, 0, GK_TPM_MEMORY, GK_OK, NULL },
    { "sign with a key from a file", CC_SIGN, 0, GK_NO_KEY, GK_OK, NULL },
    { "sign with it again", CC_SIGN, 0, GK_NO_KEY, GK_OK, NULL },
    { FILE_UNDER_ROOT, CC_SIGN, 0, GK_NO_KEY, GK_OK, NULL },
    /* A saved context saves work, no more; but a TPM that says nothing is waited for once. */
    { NULL, CC_CONTEXT_SAVE, 0, GK_NO_TPM, GK_NO_TPM, "silence" },
    { NULL, CC_CONTEXT_LOAD, 0, GK_NO_TPM, GK_NO_TPM, "silence" },
    { NULL, CC_CONTEXT_SAVE, 0, ANY_STATUS, GK_OK, NULL },
    { NULL, CC_CONTEXT_LOAD, 0, ANY_STATUS, GK_OK, NULL },
    /* Not this parent's child. */
    { "sign with a key from a file", CC_LOAD, 0, GK_TPM_FAILED, GK_NOT_LOADED, "answer 0x1df" },
    { "sign with a key from a file", CC_CREATE_PRIMARY, 0, GK_TPM_FAILED, GK_NOT_LOADED,
      "answer 0x1df" },
    { "sign with it again", CC_LOAD, 0, GK_TPM_FAILED, GK_NOT_LOADED, "answer 0x1df" },
    { FILE_UNDER_ROOT, CC_LOAD, 0, GK_TPM_FAILED, GK_NOT_LOADED, "answer 0x1df" },
    { "unseal", CC_LOAD, 0, GK_TPM_FAILED, GK_SEAL_BROKEN, "answer 0x1df" },
    { "unseal with PCRs", CC_LOAD, 0, GK_TPM_FAILED, GK_SEAL_BROKEN, "answer 0x1df" },
    { "unseal under a persistent root", CC_LOAD, 0, GK_TPM_FAILED, GK_SEAL_BROKEN, "answer 0x1df" },
};

const size_t exception_total = sizeof(exceptions) / sizeof(exceptions[0]);

static char *seal_once(void)
{
    assert_int_equal(seal(fixture_tcti(), NULL), GK_OK);
    return TAKE(made_text);
}

void operations_open(void)
{
    CLEANUP(gk_tpm_freep) struct gk_tpm *tpm = NULL;

    direct_make_file(DIRECT_SIGNS, &file);
    direct_put(DIRECT_SIGNS, HANDLE);
    direct_put(DIRECT_SIGNS_AND_DECRYPTS, RAW_HANDLE);
    assert_int_equal(gk_tpm_new(fixture_tcti(), &tpm, NULL), GK_OK);
    assert_int_equal(gk_key_read(tpm, HANDLE, &signs, NULL), GK_OK);
    assert_int_equal(gk_key_read(tpm, RAW_HANDLE, &decrypts, NULL), GK_OK);
    sealed = seal_once();
    assert_int_equal(seal_to_pcrs(fixture_tcti(), NULL), GK_OK);
    sealed_to_pcrs = TAKE(made_text);
    put_root();
    sealed_under_root = seal_once();
}

void operations_close(void)
{
    gk_key_free(TAKE(signs));
    gk_key_free(TAKE(decrypts));
    gk_key_free(TAKE(found));
    gk_key_free(TAKE(fresh));
    gk_key_free(TAKE(used));
    free(TAKE(sealed));
    free(TAKE(sealed_to_pcrs));
    free(TAKE(sealed_under_root));
    free(TAKE(made_text));
}
