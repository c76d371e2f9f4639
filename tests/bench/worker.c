/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process whose time the benchmark takes: worker SUBJECT [ARGUMENT...]
 *
 * It says "ready" when its subject is open. Then it reads numbers, one per line, does that many
 * runs, and answers with the nanoseconds they took. It ends with its input. What providers there
 * are is OPENSSL_CONF's to say, as in any other program.
 */
#include "tests/bench/worker.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct subject *const subjects[] = {
    &subject_bare,        &subject_handshake,    &subject_load,
    &subject_sign,        &subject_pkcs11_start, &subject_pkcs11_list,
    &subject_pkcs11_find, &subject_pkcs11_sign,  &subject_pkcs11_use,
};

#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

void give_up(const char *what)
{
    fprintf(stderr, "worker: cannot %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static const struct subject *find(int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < SUBJECTS; i++) {
        if (strcmp(argv[1], subjects[i]->name) == 0 && argc - 2 == subjects[i]->arguments) {
            return subjects[i];
        }
    }
    for (size_t i = 0; i < SUBJECTS; i++) {
        fprintf(stderr, "usage: worker %s %s\n", subjects[i]->name, subjects[i]->usage);
    }
    exit(2);
}

static long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv)
{
    const struct subject *subject = find(argc, argv);
    void *state = subject->open(argv + 2);
    char line[32];

    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        unsigned long count = strtoul(line, NULL, 10);
        long long begin = now_ns();

        subject->run(state, (unsigned)count);
        printf("%lld\n", now_ns() - begin);
        fflush(stdout);
    }
    subject->close(state);
    return 0;
}
