/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program for beside-other-tokens-both-keys-sign: two-tokens engine|store device.pem pkcs11-URI
 *
 * It signs with both keys in turn, the other one found by libp11's engine or by a URI.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(int good, const char *what)
{
    if (!good) {
        printf("%s\n", what);
        ERR_print_errors_fp(stdout);
        exit(1);
    }
}

static EVP_PKEY *load_file(const char *path)
{
    BIO *bio = BIO_new_file(path, "r");
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return key;
}

static EVP_PKEY *load_by_engine(const char *uri)
{
    ENGINE *engine = ENGINE_by_id("pkcs11");
    EVP_PKEY *key;

    expect(engine != NULL && ENGINE_init(engine), "no engine");
    key = ENGINE_load_private_key(engine, uri, NULL, NULL);
    ENGINE_finish(engine);
    ENGINE_free(engine);
    return key;
}

static EVP_PKEY *load_by_store(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;

    while (store != NULL && key == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    return key;
}

/* The public half alone, in the default provider. */
static EVP_PKEY *public_of(EVP_PKEY *key)
{
    unsigned char *der = NULL;
    const unsigned char *from;
    int size = i2d_PUBKEY(key, &der);
    EVP_PKEY *public;

    from = der;
    public = size > 0 ? d2i_PUBKEY(NULL, &from, size) : NULL;
    OPENSSL_free(der);
    return public;
}

static int signs(EVP_PKEY *key, EVP_PKEY *public, int padding)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_MD_CTX *check = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options;
    unsigned char signature[512];
    size_t size = sizeof(signature);
    const unsigned char *data = (const unsigned char *)"x";
    int done = EVP_DigestSignInit(ctx, &options, EVP_sha256(), NULL, key) == 1 &&
               EVP_PKEY_CTX_set_rsa_padding(options, padding) == 1 &&
               EVP_DigestSign(ctx, signature, &size, data, 1) == 1 &&
               EVP_DigestVerifyInit(check, &options, EVP_sha256(), NULL, public) == 1 &&
               EVP_PKEY_CTX_set_rsa_padding(options, padding) == 1 &&
               EVP_DigestVerify(check, signature, size, data, 1) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_MD_CTX_free(check);
    return done;
}

int main(int argc, char **argv)
{
    EVP_PKEY *device, *other, *device_public, *other_public;
    int by_engine = argc == 4 && strcmp(argv[1], "engine") == 0;

    expect(argc == 4, "usage: two-tokens engine|store device.pem pkcs11-URI");
    device = load_file(argv[2]);
    expect(device != NULL, "no device key");
    other = by_engine ? load_by_engine(argv[3]) : load_by_store(argv[3]);
    expect(other != NULL, "no other key");
    device_public = public_of(device);
    other_public = public_of(other);
    expect(device_public != NULL && other_public != NULL, "no public key");
    for (int i = 0; i < 3; i++) {
        expect(signs(device, device_public, RSA_PKCS1_PADDING), "device key, PKCS #1");
        expect(signs(other, other_public, RSA_PKCS1_PADDING), "other key, PKCS #1");
        expect(signs(device, device_public, RSA_PKCS1_PSS_PADDING), "device key, PSS");
        expect(signs(other, other_public, RSA_PKCS1_PSS_PADDING), "other key, PSS");
    }
    EVP_PKEY_free(other);
    expect(signs(device, device_public, RSA_PKCS1_PADDING), "device key, the other being gone");
    EVP_PKEY_free(device);
    EVP_PKEY_free(device_public);
    EVP_PKEY_free(other_public);
    return 0;
}
