/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that calls the PKCS#11 module in any order and with anything.
 *
 * The input is a sequence of steps: a function of the lists with arguments made of the bytes that
 * follow, or a file of the identity that changes. A finding is, besides what sanitizers see: a
 * return code that the standard does not give this function, a session handle or a library taken
 * for valid that is not, or the other way round, and a byte written where no room was given.
 * The number of steps is printed at the end.
 */
#include "tests/fuzz/pkcs11.h"
#include "tests/fuzz/target.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 3

struct seen seen;

static const uint8_t *bytes;
static size_t left;
static bool initialized;
static int depth;
static unsigned long steps;

void finding(const char *where, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "fuzz-pkcs11: %s: ", where);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

/* --- bytes --------------------------------------------------------------------------------------
 */

bool input_is_over(void)
{
    return left == 0;
}

uint8_t take(void)
{
    if (left == 0) {
        return 0;
    }
    left--;
    return *bytes++;
}

CK_ULONG take_number(void)
{
    static const CK_ULONG numbers[] = {
        0,   1,    2,         15,        16,        20,   31,        32,       33,
        35,  48,   51,        64,        67,        83,   100,       255,      256,
        257, 4096, 1UL << 16, 1UL << 31, 1UL << 32, ~0UL, ~0UL - 15, ~0UL / 2,
    };
    uint8_t choice = take();

    if (choice < sizeof(numbers) / sizeof(numbers[0])) {
        return numbers[choice];
    }
    return choice % 2 == 0 ? choice : choice * 256UL + take();
}

bool take_chance(unsigned in)
{
    return take() % in == in - 1;
}

/* --- what is known of the library's state -------------------------------------------------------
 */

static bool is_open(CK_SESSION_HANDLE session)
{
    for (size_t i = 0; i < seen.session_count; i++) {
        if (seen.sessions[i] == session) {
            return true;
        }
    }
    return false;
}

static void forget(CK_SESSION_HANDLE session)
{
    for (size_t i = 0; i < seen.session_count; i++) {
        if (seen.sessions[i] == session) {
            seen.sessions[i] = seen.sessions[--seen.session_count];
            return;
        }
    }
}

/* Mostly one that is open; also one that was, and any number. */
static CK_SESSION_HANDLE some_session(void)
{
    uint8_t choice = take();

    if (choice < 240 && seen.session_count > 0) {
        return seen.sessions[choice % seen.session_count];
    }
    return choice % 4 == 0   ? seen.sessions[choice % 256]
           : choice % 4 == 1 ? take_number()
           : choice % 4 == 2 ? seen.sessions[0] + (1UL << 16)
                             : 0;
}

static bool is_listed(const struct row *row, CK_RV rv)
{
    static const CK_RV common[] = { CKR_OK, CKR_HOST_MEMORY, CKR_ARGUMENTS_BAD };

    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++) {
        if (rv == common[i]) {
            return true;
        }
    }
    for (const CK_RV *code = row->codes; *code != CKR_OK; code++) {
        if (rv == *code) {
            return true;
        }
    }
    return false;
}

/* The order of checks that the standard demands: the library, then the session, then the rest. */
static void check_code(const struct row *row, CK_RV rv, bool was_initialized, bool was_valid)
{
    if (!was_initialized && row->takes != ALWAYS) {
        if (rv != CKR_CRYPTOKI_NOT_INITIALIZED) {
            FOUND("%s without C_Initialize: 0x%lx", row->name, rv);
        }
    } else if (!was_valid) {
        if (rv != (row->takes == SESSION ? CKR_SESSION_HANDLE_INVALID : CKR_SLOT_ID_INVALID)) {
            FOUND("%s with a wrong handle: 0x%lx", row->name, rv);
        }
    } else if (!is_listed(row, rv)) {
        FOUND("%s: 0x%lx", row->name, rv);
    }
}

static void note(const struct row *row, CK_RV rv, CK_ULONG which)
{
    if (rv != CKR_OK) {
        return;
    }
    if (strcmp(row->name, "C_Initialize") == 0) {
        initialized = true;
    } else if (strcmp(row->name, "C_Finalize") == 0) {
        initialized = false;
        seen.session_count = 0;
    } else if (strcmp(row->name, "C_CloseSession") == 0) {
        forget(which);
    } else if (strcmp(row->name, "C_CloseAllSessions") == 0) {
        seen.session_count = 0;
    }
}

/* --- steps --------------------------------------------------------------------------------------
 */

static void call(const struct row *row)
{
    struct scope scope = { .count = 0 };
    CK_ULONG which = row->takes == SESSION ? some_session()
                     : row->takes == SLOT  ? (take_chance(8) ? take_number() : 0)
                                           : 0;
    bool was_initialized = initialized;
    bool was_valid = row->takes == SESSION ? is_open(which)
                     : row->takes == SLOT  ? which == 0
                                           : true;
    CK_RV rv;

    /* It would wait for a signature in this very thread. */
    if (depth > 0 && strcmp(row->name, "C_Finalize") == 0) {
        return;
    }
    steps++;
    rv = row->call(row, &scope, which);
    check_code(row, rv, was_initialized, was_valid);
    note(row, rv, which);
    scope_end(&scope);
}

static void step(void)
{
    /* The ways to get anywhere are taken more often than a fuzzer would find them by itself. */
    static const char *const often[] = { "C_Initialize",       "C_OpenSession",
                                         "C_FindObjectsInit",  "C_FindObjects",
                                         "C_SignInit",         "C_Sign",
                                         "C_FindObjectsFinal", "C_Login",
                                         "C_VerifyInit",       "C_GetAttributeValue",
                                         "C_Verify",           "C_SignUpdate",
                                         "C_SignFinal",        "C_Logout" };
    size_t choice = take();

    if (choice < row_count) {
        call(&rows[choice]);
    } else if (choice >= 248) {
        steps++;
        scene_change();
    } else {
        const char *name = often[choice % (sizeof(often) / sizeof(often[0]))];

        for (size_t i = 0; i < row_count; i++) {
            if (strcmp(rows[i].name, name) == 0) {
                call(&rows[i]);
            }
        }
    }
}

void play_others(void)
{
    unsigned count = take() % 4;

    if (depth < DEPTH_MAX) {
        depth++;
        while (count-- > 0 && !input_is_over()) {
            step();
        }
        depth--;
    }
}

static void say_steps(void)
{
    fprintf(stderr, "fuzz-pkcs11: %lu steps\n", steps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready;

    if (!is_ready) {
        scene_open();
        atexit(say_steps);
        is_ready = true;
    }
    bytes = data;
    left = size;
    seen = (struct seen){ .session_count = 0 };
    scene_reset();
    /* So that short inputs get somewhere; others may end it and begin again. */
    initialized = !take_chance(8) && C_Initialize(NULL) == CKR_OK;
    while (!input_is_over()) {
        step();
    }
    if (initialized && C_Finalize(NULL) != CKR_OK) {
        FOUND("it cannot be ended");
    }
    initialized = false;
    return 0;
}
