/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program for a-program-may-hold-its-own-libcrypto, which builds it in several ways:
 * own-libcrypto device.pem
 *
 * Whatever libcrypto it has got, the device key signs, and what is said of it is said there.
 */
#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static EVP_PKEY *device;

static void expect(int good, const char *what)
{
    if (!good) {
        printf("%s\n", what);
        ERR_print_errors_fp(stdout);
        exit(1);
    }
}

static void expect_silence(const char *when)
{
    expect(ERR_peek_error() == 0, when);
}

static void expect_sentence(const char *sentence)
{
    const char *data = "";
    int flags = 0;

    expect(ERR_get_error_all(NULL, NULL, NULL, &data, &flags) != 0, sentence);
    if (strstr(data, sentence) == NULL) {
        printf("\"%s\" does not say \"%s\"\n", data, sentence);
        exit(1);
    }
    ERR_clear_error();
}

/* Where there is another libcrypto, loaded for the module alone, its queue must stay empty. */
static void expect_silence_elsewhere(void)
{
    void *other = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_NOLOAD);
    unsigned long (*peek)(void);

    if (other != NULL) {
        *(void **)&peek = dlsym(other, "ERR_peek_error");
        printf("%s\n", peek == ERR_peek_error ? "one libcrypto" : "two libcryptos");
        expect(peek() == 0, "an error went to the other libcrypto");
    }
}

static int no_answer(char *buffer, int size, int writing, void *argument)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)argument;
    return -1;
}

static EVP_PKEY *load_uri(OSSL_LIB_CTX *libctx, const char *uri)
{
    UI_METHOD *method = UI_UTIL_wrap_read_pem_callback(no_answer, 0);
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, NULL, method, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL ? OSSL_STORE_load(store) : NULL;
    EVP_PKEY *key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;

    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    UI_destroy_method(method);
    return key;
}

static EVP_PKEY *load_file(const char *path)
{
    BIO *bio = BIO_new_file(path, "r");
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_answer, NULL);

    BIO_free(bio);
    return key;
}

static int signs(OSSL_LIB_CTX *libctx, EVP_PKEY *key, const char *hash, int padding)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options;
    unsigned char signature[256];
    size_t size = sizeof(signature);
    int done = EVP_DigestSignInit_ex(ctx, &options, hash, libctx, NULL, key, NULL) == 1 &&
               EVP_PKEY_CTX_set_rsa_padding(options, padding) == 1 &&
               EVP_DigestSign(ctx, signature, &size, (const unsigned char *)"x", 1) == 1;

    EVP_MD_CTX_free(ctx);
    if (done) {
        ctx = EVP_MD_CTX_new();
        expect(EVP_DigestVerifyInit_ex(ctx, &options, hash, libctx, NULL, key, NULL) == 1 &&
                   EVP_PKEY_CTX_set_rsa_padding(options, padding) == 1 &&
                   EVP_DigestVerify(ctx, signature, size, (const unsigned char *)"x", 1) == 1,
               "a signature is wrong");
        EVP_MD_CTX_free(ctx);
    }
    return done;
}

/* The question goes unanswered. In a library context of its own, as the settings are others. */
static void check_password(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    EVP_PKEY *key;

    setenv("GATEKEY_IDENTITY", "with-password", 1);
    expect(OSSL_PROVIDER_load(libctx, "default") != NULL, "default");
    expect(OSSL_PROVIDER_load(libctx, "gatekey") != NULL, "gatekey");
    key = load_uri(libctx, "gatekey:");
    expect(key != NULL, "the key with a password");
    expect_silence("a question without an answer is no error");
    expect(!signs(libctx, key, "SHA256", RSA_PKCS1_PADDING), "no password, and it signs");
    expect_sentence("a password is needed and none was given");
    EVP_PKEY_free(key);
    OSSL_LIB_CTX_free(libctx);
}

static void free_device(void)
{
    EVP_PKEY_free(device);
}

int main(int argc, char **argv)
{
    EVP_PKEY *key;

    expect(argc == 2, "usage: own-libcrypto device.pem");
    atexit(free_device);
    device = load_uri(NULL, "gatekey:");
    expect(device != NULL && signs(NULL, device, "SHA256", RSA_PKCS1_PADDING), "gatekey:");
    key = load_file(argv[1]);
    expect(key != NULL && signs(NULL, key, "SHA384", RSA_PKCS1_PSS_PADDING), "device.pem");
    expect(EVP_PKEY_eq(key, device) == 1, "they are two keys");
    EVP_PKEY_free(key);
    expect_silence("something is left of a success");

    expect(!signs(NULL, device, "MD5", RSA_PKCS1_PADDING), "MD5 works");
    expect_sentence("use SHA-256, SHA-384 or SHA-512");
    expect(load_uri(NULL, "gatekey:handle=0x81000177") == NULL, "no key loads");
    expect_sentence("no key at that handle (0x81000177, TPM 0x18b");

    check_password();
    expect_silence_elsewhere();
    return 0;
}
