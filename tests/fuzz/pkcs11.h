/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of fuzz-pkcs11 share: bytes that decide everything, calls made of them, the files
 * the module reads and what stands in for the TPM.
 */
#ifndef GATEKEY_TESTS_FUZZ_PKCS11_H
#define GATEKEY_TESTS_FUZZ_PKCS11_H

#include "pkcs11/cryptoki.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A finding: says what, and aborts. */
#define FOUND(...) finding(__func__, __VA_ARGS__)
_Noreturn void finding(const char *where, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- the fuzzer's bytes (fuzz-pkcs11.c) ---------------------------------------------------------
 */

bool input_is_over(void);
uint8_t take(void); /* 0 when it is over */
CK_ULONG take_number(void);
/* Once in so many times. */
bool take_chance(unsigned in);

/* --- calls (pkcs11-call.c) ----------------------------------------------------------------------
 */

/* What a call was given lives as long as it; the bytes behind each block must stay as they were. */
struct scope {
    struct block {
        uint8_t *data;
        size_t size;
    } blocks[40];
    size_t count;
};
void scope_end(struct scope *scope);

/* What has been seen so far, to be used again. */
struct seen {
    CK_SESSION_HANDLE sessions[256]; /* open */
    size_t session_count;
    CK_OBJECT_HANDLE objects[32]; /* found at some time, the latest ones */
    size_t object_count;
    uint8_t signature[256]; /* the last one made */
};
extern struct seen seen;

enum takes { ALWAYS, LIBRARY, SLOT, SESSION };

/* One function of the lists. */
struct row {
    const char *name;
    enum takes takes;
    /* Makes arguments and calls it; which is the slot or session. */
    CK_RV (*call)(const struct row *row, struct scope *scope, CK_ULONG which);
    void (*function)(void);
    CK_RV codes[16]; /* besides those that every function has; the first 0 ends it */
};

CK_RV call_bare(const struct row *row, struct scope *scope, CK_ULONG which);
CK_RV call_init(const struct row *row, struct scope *scope, CK_ULONG which);
CK_RV call_in_out(const struct row *row, struct scope *scope, CK_ULONG which);
CK_RV call_in(const struct row *row, struct scope *scope, CK_ULONG which);
CK_RV call_out(const struct row *row, struct scope *scope, CK_ULONG which);
CK_RV call_in_in(const struct row *row, struct scope *scope, CK_ULONG which);
CK_RV call_object(const struct row *row, struct scope *scope, CK_ULONG which);
CK_RV call_template(const struct row *row, struct scope *scope, CK_ULONG which);
CK_RV call_odd(const struct row *row, struct scope *scope, CK_ULONG which);
CK_RV call_message(const struct row *row, struct scope *scope, CK_ULONG which);

/* For those calls and the odd ones (pkcs11-odd.c). */
void *scope_block(struct scope *scope, size_t size);
CK_BYTE *some_bytes(struct scope *scope, CK_ULONG *size);
CK_BYTE *some_room(struct scope *scope, CK_ULONG **size);
void check_room(const struct row *row, CK_RV rv, const void *out, const CK_ULONG *size,
                CK_ULONG room);
CK_MECHANISM *some_mechanism(struct scope *scope);
CK_ATTRIBUTE *some_template(struct scope *scope, CK_ULONG *count);
CK_OBJECT_HANDLE some_object(void);

/* --- every function (pkcs11-table.c) ------------------------------------------------------------
 */

extern const struct row rows[];
extern const size_t row_count;

/* --- files and TPM (pkcs11-scene.c) -------------------------------------------------------------
 */

/* Keys, certificates, a folder for them; once. */
void scene_open(void);
/* The files as every input finds them, and those that one of them changes. */
void scene_reset(void);
void scene_change(void);

/* --- what happens next (fuzz-pkcs11.c) ----------------------------------------------------------
 */

/* While the "TPM" works the module's lock is open, and others make calls: some steps of the same
 * input, in the same thread so that every finding can be replayed. */
void play_others(void);

#endif
