/* SPDX-License-Identifier: Apache-2.0 */
/* What the C tests of the provider share: a library context with it, a device key, sentences. */
#ifndef GATEKEY_TESTS_PROVIDER_FIXTURE_H
#define GATEKEY_TESTS_PROVIDER_FIXTURE_H

#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/types.h>
#include <stddef.h>

#define FIXTURE_HANDLE 0x81000100
#define FIXTURE_PASSWORD_HANDLE 0x81000101
#define FIXTURE_PASSWORD "a password"

/*
 * A library context with default and gatekey, in this order, from the build tree. The identity
 * directory is the test's own folder (GATEKEY_TEST_DIR), where fixture_make_key() puts device.pem.
 */
struct fixture {
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *base;
    OSSL_PROVIDER *gatekey;
};

void fixture_load(struct fixture *fixture);
void fixture_unload(struct fixture *fixture);

/* Make a key in the test's TPM and write its reference to a file in the test's folder. */
void fixture_make_key(unsigned handle, const char *password, const char *name);

/* A name in the test's folder as a path, in a buffer that its thread's next call overwrites. */
const char *fixture_path(const char *name);

/* Put a file into the test's folder. */
void fixture_write(const char *name, const char *text, size_t size);
char *fixture_read(const char *name, size_t *size);

/* Load a private key as libssl does (PEM decoder) and as the openssl command does (store). */
EVP_PKEY *fixture_read_pem(struct fixture *fixture, const char *path, const char *password);
EVP_PKEY *fixture_read_uri(struct fixture *fixture, const char *uri, const char *password);

/* How often the two above were asked for a password since the last call. */
int fixture_times_asked(void);

/* The public half in the default provider, to verify with. */
EVP_PKEY *fixture_public(struct fixture *fixture, EVP_PKEY *key);

/* Fail the test unless one of the errors queued says this; the queue is then empty. */
void fixture_assert_says(const char *text);
/* Fail the test unless the error queue is empty. */
void fixture_assert_silence(void);

#endif
