/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that sign: what the tests of threads, forks and programs started meanwhile share. */
#ifndef GATEKEY_TESTS_PROVIDER_SIGNING_H
#define GATEKEY_TESTS_PROVIDER_SIGNING_H

#include "tests/provider/fixture.h"

#include <stdbool.h>

/* A key with its public half in the default provider. */
struct signing_key {
    struct fixture *fixture;
    EVP_PKEY *private, *public;
};

/* Load what a URI names; fails the test when it cannot. */
struct signing_key signing_key_load(struct fixture *fixture, const char *uri);
void signing_key_free(struct signing_key *key);

/* Sign a number, and verify it with the public half. May be called in any thread. */
bool signing_works(const struct signing_key *key, int number);

/* Threads that sign so often each, the i-th with keys[i % key_count]; 0 times is until the end. */
struct signing;
struct signing *signing_start(const struct signing_key *keys, size_t key_count, size_t threads,
                              int times);

/* Until so many signatures were made since the start. */
void signing_wait(struct signing *signing, int number);

/* Join them; fails the test when one signature was bad. */
void signing_end(struct signing *signing);

#endif
