/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the benchmark's worker share.
 *
 * A subject is something whose time is taken: it is opened once and then run in blocks. Whoever
 * measures has several workers, one subject each, and lets them run in turn, so that whatever else
 * the machine does hits all of them alike. Failures end the process with a word on stderr.
 */
#ifndef GATEKEY_TESTS_BENCH_WORKER_H
#define GATEKEY_TESTS_BENCH_WORKER_H

#include <openssl/evp.h>

struct subject {
    const char *name;
    const char *usage; /* its arguments */
    int arguments;
    void *(*open)(char **arguments);
    void (*run)(void *state, unsigned count); /* count times what the subject is about */
    void (*close)(void *state);
};

extern const struct subject subject_bare;      /* bare.c */
extern const struct subject subject_handshake; /* handshake.c */
extern const struct subject subject_load;      /* sign.c */
extern const struct subject subject_sign;
extern const struct subject subject_pkcs11_start; /* pkcs11.c */
extern const struct subject subject_pkcs11_list;
extern const struct subject subject_pkcs11_find;
extern const struct subject subject_pkcs11_sign;
extern const struct subject subject_pkcs11_use;

/* A private key by its file, as libssl reads it, or by any other URI, as the openssl command does.
 */
EVP_PKEY *load_key(const char *name);

/* One run, in the thread of that number. */
typedef void work_on(void *state, unsigned thread);

/* Count runs, shared out among threads as well as it goes; back when all are done. (threads.c) */
void share_out(unsigned threads, unsigned count, work_on *work, void *state);

/* How many threads an argument asks for. */
unsigned read_threads(const char *argument);

/* End the process: what could not be done, and what OpenSSL says of it. */
void give_up(const char *what) __attribute__((noreturn));

#endif
