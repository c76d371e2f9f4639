/* SPDX-License-Identifier: Apache-2.0 */
/* Scope-bound ownership for every folder: what is acquired in a function is declared CLEANUP. */
#ifndef GATEKEY_CLEANUP_H
#define GATEKEY_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Run function(&variable) when the variable goes out of scope. */
#define CLEANUP(function) __attribute__((cleanup(function)))

/* Hand a pointer on: its value, and NULL left behind so that CLEANUP has nothing to do. */
#define TAKE(pointer)                             \
    __extension__({                               \
        __typeof__(pointer) gk_taken = (pointer); \
        (pointer) = NULL;                         \
        gk_taken;                                 \
    })

/* Define name##p(type **), the CLEANUP form of a function that frees and takes NULL. */
#define GK_DEFINE_CLEANUP(type, function)         \
    static inline void function##p(type **object) \
    {                                             \
        function(*object);                        \
        *object = NULL;                           \
    }

/* For memory from malloc: works on any pointer variable. */
static inline void gk_freep(void *object)
{
    void *memory;

    memcpy(&memory, object, sizeof(memory));
    free(memory);
}

static inline void gk_closep(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static inline void gk_fclosep(FILE **file)
{
    if (*file != NULL) {
        fclose(*file);
    }
}

#endif
