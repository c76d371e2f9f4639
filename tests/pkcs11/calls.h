/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function of both lists as a row: how to call it well, how to call it with NULL wherever a
 * pointer is taken, and what the standard wants it to answer in a session where nothing was begun.
 */
#ifndef GATEKEY_TESTS_PKCS11_CALLS_H
#define GATEKEY_TESTS_PKCS11_CALLS_H

#include "pkcs11/cryptoki.h"

#include <stddef.h>

enum calls_takes {
    CALLS_ALWAYS,  /* works without C_Initialize */
    CALLS_LIBRARY, /* takes neither slot nor session */
    CALLS_SLOT,
    CALLS_SESSION,
};

struct calls_row {
    const char *name;
    enum calls_takes takes;
    /* which is a slot or a session where it takes one; key an object's handle. */
    CK_RV (*well)(CK_ULONG which, CK_OBJECT_HANDLE key);
    CK_RV well_rv;
    CK_RV (*with_nulls)(CK_ULONG which, CK_OBJECT_HANDLE key);
    CK_RV with_nulls_rv;
};

/* All 92, in the order of the list. */
extern const struct calls_row calls_rows[];
extern const size_t calls_count;

#endif
