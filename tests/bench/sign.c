/* SPDX-License-Identifier: Apache-2.0 */
/* Signing through EVP as any program does, from one thread or several; and loading a key. */
#include "tests/bench/worker.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sign {
    EVP_PKEY *key;
    int padding;
    unsigned threads;
    const char *properties;
};

/* Nobody is here to answer a prompt. */
static int no_password(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static EVP_PKEY *load_file(const char *path)
{
    BIO *bio = BIO_new_file(path, "r");
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;

    BIO_free(bio);
    return key;
}

static EVP_PKEY *load_uri(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;

    while (store != NULL && key == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY) {
            key = OSSL_STORE_INFO_get1_PKEY(info);
        }
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    return key;
}

EVP_PKEY *load_key(const char *name)
{
    EVP_PKEY *key = access(name, R_OK) == 0 ? load_file(name) : load_uri(name);

    if (key == NULL) {
        give_up("load the key");
    }
    return key;
}

static void *sign_open(char **arguments)
{
    struct sign *sign = calloc(1, sizeof(*sign));

    if (sign == NULL) {
        give_up("begin");
    }
    sign->padding = strcmp(arguments[1], "pss") == 0 ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
    sign->threads = read_threads(arguments[2]);
    sign->properties = arguments[3][0] != '\0' ? arguments[3] : NULL;
    sign->key = load_key(arguments[0]);
    return sign;
}

static void sign_once(void *state, unsigned thread)
{
    const struct sign *sign = state;
    static const unsigned char message[32] = "a message of thirty-two bytes..";
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey_ctx = NULL;
    unsigned char signature[512];
    size_t size = sizeof(signature);

    (void)thread;
    if (ctx == NULL ||
        EVP_DigestSignInit_ex(ctx, &pkey_ctx, "SHA256", NULL, sign->properties, sign->key, NULL) !=
            1 ||
        EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, sign->padding) != 1 ||
        (sign->padding == RSA_PKCS1_PSS_PADDING &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey_ctx, RSA_PSS_SALTLEN_DIGEST) != 1) ||
        EVP_DigestSign(ctx, signature, &size, message, sizeof(message)) != 1) {
        give_up("sign");
    }
    EVP_MD_CTX_free(ctx);
}

static void sign_run(void *state, unsigned count)
{
    const struct sign *sign = state;

    share_out(sign->threads, count, sign_once, state);
}

static void sign_close(void *state)
{
    struct sign *sign = state;

    EVP_PKEY_free(sign->key);
    free(sign);
}

const struct subject subject_sign = {
    "sign", "KEY pss|pkcs1 THREADS PROPERTIES", 4, sign_open, sign_run, sign_close,
};

/* Once beforehand: what a process does at its first key only is no part of a block. */
static void *load_open(char **arguments)
{
    EVP_PKEY_free(load_key(arguments[0]));
    return arguments[0];
}

static void load_run(void *state, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        EVP_PKEY_free(load_key(state));
    }
}

static void load_close(void *state)
{
    (void)state;
}

const struct subject subject_load = { "load", "KEY", 1, load_open, load_run, load_close };
