/* SPDX-License-Identifier: Apache-2.0 */
/* Keys in a TPM that always makes the longest RSA-PSS salt, which TLS does not take. */
#include "tests/tpm/direct.h"
#include "tests/tpm/fault.h"
#include "tests/tpm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HANDLE 0x81000100U
#define SIGN_ONLY_HANDLE 0x81000101U
#define CC_RSA_DECRYPT 0x159U
#define LONGEST 222U /* with SHA-256 */

static const uint8_t digest[GK_HASH_MAX_SIZE] = { 7 };
static struct gk_tpm *tpm;

static int set_up(void **state)
{
    (void)state;
    direct_open();
    fault_plan("%s", "");
    return gk_tpm_new(fault_tcti(), &tpm, NULL) == GK_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gk_tpm_free(tpm);
    direct_close();
    return 0;
}

static enum gk_status sign(const struct gk_key *key, enum gk_scheme scheme, enum gk_hash hash,
                           size_t salt_size, struct gk_error *err)
{
    const struct gk_crypto *crypto = fixture_crypto();
    uint8_t signature[GK_RSA2048_SIZE] = { 42 };
    enum gk_status status =
        gk_key_sign(tpm, key, NULL, crypto, scheme, hash, digest, salt_size, signature, err);

    if (status != GK_OK) {
        assert_int_equal(signature[0], 42);
    } else {
        assert_int_equal(crypto->verify(crypto->context, gk_key_public(key), scheme, hash,
                                        salt_size, digest, signature),
                         1);
    }
    assert_int_equal(direct_loaded(), 0);
    return status;
}

/* One command each, and every salt there is. */
static void signs_with_any_salt(const struct gk_key *key)
{
    static const enum gk_hash hashes[] = { GK_SHA256, GK_SHA384, GK_SHA512 };
    uint32_t command = 0;

    for (size_t i = 0; i < 3; i++) {
        size_t longest = GK_RSA2048_SIZE - gk_hash_size(hashes[i]) - 2;

        assert_int_equal(sign(key, GK_RSAPSS, hashes[i], gk_hash_size(hashes[i]), NULL), GK_OK);
        assert_int_equal(sign(key, GK_RSAPSS, hashes[i], 0, NULL), GK_OK);
        assert_int_equal(sign(key, GK_RSAPSS, hashes[i], longest, NULL), GK_OK);
        assert_int_equal(sign(key, GK_RSAPSS, hashes[i], longest + 1, NULL), GK_BAD_SALT);
        assert_int_equal(sign(key, GK_RSASSA, hashes[i], 0, NULL), GK_OK);
    }
    if (!gk_key_is_loadable(key)) {
        fault_plan("%s", "");
        assert_int_equal(sign(key, GK_RSAPSS, GK_SHA256, 32, NULL), GK_OK);
        assert_int_equal(fault_commands(&command, 1), 1);
        assert_int_equal(command, CC_RSA_DECRYPT);
    }
}

/* What the TPM would not do, and RSA-PKCS1, which knows no salt. */
static void signs_with_the_longest_salt_only(const struct gk_key *key)
{
    struct gk_error err = { 0 };

    assert_int_equal(sign(key, GK_RSAPSS, GK_SHA256, 32, &err), GK_BAD_SALT);
    fixture_assert_says(&err, "this TPM always makes the longest salt); make the key anew with "
                              "gatekey key create, which then pads in software, or use RSA-PKCS1");
    assert_int_equal(sign(key, GK_RSAPSS, GK_SHA256, 20, &err), GK_BAD_SALT);
    assert_int_equal(sign(key, GK_RSAPSS, GK_SHA256, LONGEST, NULL), GK_OK);
    assert_int_equal(sign(key, GK_RSASSA, GK_SHA256, 0, NULL), GK_OK);
    assert_int_equal(sign(key, GK_RSASSA, GK_SHA512, 0, NULL), GK_OK);
}

static enum gk_status remember_once(void *context, const struct gk_key *key, struct gk_error *err)
{
    (void)err;
    ++*(unsigned *)context;
    assert_true(gk_key_pads_in_software(key));
    return GK_OK;
}

static void the_key_is_made_anew_to_be_padded_in_software(void **state)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    CLEANUP(gk_key_freep) struct gk_key *key = NULL, *there = NULL;
    struct gk_error err = { 0 };
    unsigned remembered = 0;

    (void)state;
    assert_int_equal(gk_admin_open(fixture_tcti(), NULL, &admin, &err), GK_OK);
    assert_int_equal(gk_admin_key_create(admin, HANDLE, NULL, fixture_crypto(), remember_once,
                                         &remembered, &key, &err),
                     GK_OK);
    assert_int_equal(remembered, 1);
    assert_int_equal(gk_admin_key_describe(admin, HANDLE, &there, &err), GK_OK);
    assert_true(gk_key_identical(key, there));
    gk_admin_close(TAKE(admin));
    signs_with_any_salt(key);
}

static void a_key_that_only_signs_says_what_it_cannot_do(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;

    (void)state;
    direct_put(DIRECT_SIGNS, SIGN_ONLY_HANDLE);
    assert_int_equal(gk_key_read(tpm, SIGN_ONLY_HANDLE, &key, NULL), GK_OK);
    signs_with_the_longest_salt_only(key);
}

static struct gk_key *key_of_file(enum direct_key which)
{
    struct direct_file file;
    struct gk_loadable loadable = { .public_area = file.public_area,
                                    .private_area = file.private_area };
    struct gk_key *key = NULL;

    direct_make_file(which, &file);
    loadable.public_size = file.public_size;
    loadable.private_size = file.private_size;
    assert_int_equal(gk_key_from_loadable(&loadable, &key, NULL), GK_OK);
    return key;
}

static void keys_from_files_do_the_same(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *signs = key_of_file(DIRECT_SIGNS);
    CLEANUP(gk_key_freep) struct gk_key *decrypts = key_of_file(DIRECT_SIGNS_AND_DECRYPTS);

    (void)state;
    signs_with_the_longest_salt_only(signs);
    signs_with_any_salt(decrypts);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_is_made_anew_to_be_padded_in_software),
        cmocka_unit_test(a_key_that_only_signs_says_what_it_cannot_do),
        cmocka_unit_test(keys_from_files_do_the_same),
    };

    (void)argc;
    if (getenv("GATEKEY_MAX_SALT") == NULL) {
        char with_swtpm[4096];

        snprintf(with_swtpm, sizeof(with_swtpm), "%s/tests/with-swtpm", getenv("abs_top_srcdir"));
        execl(with_swtpm, with_swtpm, "--max-salt", argv[0], NULL);
        perror(with_swtpm);
        return 99;
    }
    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
