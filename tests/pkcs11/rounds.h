/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that go the way of every application, round after round: open, find, sign, close. */
#ifndef GATEKEY_TESTS_PKCS11_ROUNDS_H
#define GATEKEY_TESTS_PKCS11_ROUNDS_H

#include "tests/pkcs11/fixture.h"

/* GATEKEY_ROUNDS, or else so few that make check stays quick. */
int rounds_wanted(int few);

/* One round, in any thread; the code of whatever failed first. CKR_SIGNATURE_INVALID: what came out
 * does not verify. handle receives the session's, where not NULL. */
CK_RV rounds_go(EVP_PKEY *public, int number, CK_SESSION_HANDLE *handle);

/* Threads that go so many rounds each; 0 is until the end. */
struct rounds;
struct rounds *rounds_start(EVP_PKEY *public, int threads, int each);
/* Until so many were gone since the start. */
void rounds_wait(struct rounds *rounds, int number);
/* Join them; fails the test when one round failed or two sessions had one handle. */
void rounds_end(struct rounds *rounds);

#endif
