/* SPDX-License-Identifier: Apache-2.0 */
/* What the C tests of the provider share. */
#include "tests/provider/fixture.h"

#include "tests/tpm/device-key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int asked;

const char *fixture_path(const char *name)
{
    static _Thread_local char path[512];
    const char *folder = getenv("GATEKEY_TEST_DIR");

    assert_non_null(folder);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

void fixture_load(struct fixture *fixture)
{
    char modules[512];

    snprintf(modules, sizeof(modules), "%s/.libs", getenv("abs_top_builddir"));
    setenv("GATEKEY_IDENTITY", getenv("GATEKEY_TEST_DIR"), 1);
    fixture->libctx = OSSL_LIB_CTX_new();
    assert_int_equal(OSSL_PROVIDER_set_default_search_path(fixture->libctx, modules), 1);
    fixture->base = OSSL_PROVIDER_load(fixture->libctx, "default");
    assert_non_null(fixture->base);
    fixture->gatekey = OSSL_PROVIDER_load(fixture->libctx, "gatekey");
    assert_non_null(fixture->gatekey);
    fixture_assert_silence();
}

void fixture_unload(struct fixture *fixture)
{
    OSSL_PROVIDER_unload(fixture->gatekey);
    OSSL_PROVIDER_unload(fixture->base);
    OSSL_LIB_CTX_free(fixture->libctx);
}

void fixture_make_key(unsigned handle, const char *password, const char *name)
{
    CLEANUP(gk_freep) char *text = fixture_key_file(handle, password);

    fixture_write(name, text, strlen(text));
}

void fixture_write(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(fixture_path(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

char *fixture_read(const char *name, size_t *size)
{
    enum { MOST = 1024 * 1024 };
    FILE *file = fopen(fixture_path(name), "r");
    char *text = malloc(MOST);

    assert_non_null(file);
    assert_non_null(text);
    *size = fread(text, 1, MOST - 1, file);
    text[*size] = '\0';
    fclose(file);
    return text;
}

static int give_password(char *buffer, int size, int writing, void *password)
{
    (void)writing;
    asked++;
    if (password == NULL || (int)strlen(password) > size) {
        return -1;
    }
    memcpy(buffer, password, strlen(password));
    return (int)strlen(password);
}

int fixture_times_asked(void)
{
    int times = asked;

    asked = 0;
    return times;
}

EVP_PKEY *fixture_read_pem(struct fixture *fixture, const char *path, const char *password)
{
    BIO *bio = BIO_new_file(path, "r");
    EVP_PKEY *key;

    assert_non_null(bio);
    key = PEM_read_bio_PrivateKey_ex(bio, NULL, give_password, (void *)password, fixture->libctx,
                                     NULL);
    BIO_free(bio);
    return key;
}

EVP_PKEY *fixture_read_uri(struct fixture *fixture, const char *uri, const char *password)
{
    UI_METHOD *method = UI_UTIL_wrap_read_pem_callback(give_password, 0);
    OSSL_STORE_CTX *store =
        OSSL_STORE_open_ex(uri, fixture->libctx, NULL, method, (void *)password, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;

    while (store != NULL && key == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY) {
            key = OSSL_STORE_INFO_get1_PKEY(info);
        }
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    UI_destroy_method(method);
    return key;
}

EVP_PKEY *fixture_public(struct fixture *fixture, EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(fixture->libctx, "RSA", "provider=default");
    EVP_PKEY *public = NULL;
    OSSL_PARAM *params = NULL;

    assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params), 1);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &public, EVP_PKEY_PUBLIC_KEY, params), 1);
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    return public;
}

void fixture_assert_says(const char *text)
{
    char said[4096] = "";
    const char *data = NULL;
    int flags = 0;

    while (ERR_get_error_all(NULL, NULL, NULL, &data, &flags) != 0) {
        size_t used = strlen(said);

        if ((flags & ERR_TXT_STRING) != 0) {
            snprintf(said + used, sizeof(said) - used, "%s\n", data);
        }
    }
    if (strstr(said, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", said, text);
    }
}

void fixture_assert_silence(void)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);

    if (code != 0) {
        fail_msg("left on the error queue: %s %s", ERR_reason_error_string(code), data);
    }
}
