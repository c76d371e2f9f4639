/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the test wrapper (run.c) know of each other. */
#ifndef GATEKEY_TESTS_RUN_H
#define GATEKEY_TESTS_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Sockets open to the network, by inode. */
struct sockets {
    size_t count;
    unsigned long inode[512];
};

/* The test's first process, and the sockets that were there before it. */
struct test {
    pid_t pid;
    bool ended;
    int status; /* as waitpid gives it */
    struct sockets foreign;
};

/* Leave this process only folder and the build tree to write to, see cage.c; false if it went wrong
 * half-way. */
bool cage_enter(const char *folder);

/* Note which sockets are open to the network now. */
void listeners_note(struct sockets *sockets);

/* Whether a descendant of ours holds a socket open to the network that is not among foreign; says
 * which. */
bool listeners_found(const struct sockets *foreign);

/* Call visit for every process whose parent is this one, zombies excepted, until it returns false.
 */
void for_each_child(pid_t parent, bool (*visit)(pid_t pid, void *context), void *context);

/* Call visit for every descendant of ours, except those that another run watches. */
void for_each_descendant(bool (*visit)(pid_t pid, void *context), void *context);

/* A process's command line in printable form, "?" where it cannot be read. */
void process_command(pid_t pid, char *text, size_t size);

#endif
