/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Response codes in words: the name by which the specifications know one, what it means where the
 * status does not say it already, and a next step where there is a better one than the status's.
 *
 * The codes that making, loading and using a signing key can meet (TPM 2.0 Library Part 3 lists
 * them per command, Part 2, "TPM_RC", says what they mean); the others are shown in hex alone.
 */
#include "tpm/internal.h"

#include <stdio.h>
#include <tss2/tss2_common.h>
#include <tss2/tss2_tpm2_types.h>

struct word {
    TSS2_RC code;
    const char *name;
    const char *meaning; /* NULL: the status says it */
    const char *advice;  /* NULL: the status's */
};

#define NAMED(name) TPM2_RC_##name, "TPM_RC_" #name

#define FREE_A_SESSION "free one with tpm2_flushcontext -l, or use /dev/tpmrm0"

static const struct word of_tpm[] = {
    { NAMED(INITIALIZE), "it was not started",
      "run tpm2_startup -c, or let the kernel's driver do it" },
    { NAMED(FAILURE), "it is in failure mode",
      "switch the machine off and on; if it stays, the "
      "TPM is broken" },
    { NAMED(DISABLED), "the command is switched off", "switch the TPM on in the firmware's setup" },
    { NAMED(UPGRADE), "it waits for the rest of a firmware update",
      "finish the TPM's firmware update" },
    { NAMED(REBOOT), "it wants a restart", "switch the machine off and on" },
    { NAMED(NEEDS_TEST), "it was not tested yet", "run tpm2_selftest" },
    { NAMED(AUTH_TYPE), "this handle is not authorised that way", NULL },
    { NAMED(AUTH_MISSING), NULL, NULL },
    { NAMED(AUTH_UNAVAILABLE), "this key takes no password, only a policy",
      "use a key made by gatekey key create" },
    { NAMED(AUTH_CONTEXT), NULL, NULL },
    { NAMED(AUTHSIZE), NULL, NULL },
    { NAMED(COMMAND_CODE), "it does not have that command", NULL },
    { NAMED(COMMAND_SIZE), NULL, NULL },
    { NAMED(NV_LOCKED), "its memory is locked", NULL },
    { NAMED(NV_SPACE), "its memory is full",
      "free a persistent object with tpm2_evictcontrol; tpm2_getcap handles-persistent lists "
      "them" },
    { NAMED(NV_DEFINED), NULL, NULL },
    { NAMED(NO_RESULT), "it could not work with what was sent", NULL },
    { NAMED(SENSITIVE), "the private part makes no sense to it", NULL },
    { NAMED(PARENT), "the parent is none", NULL },
    { NAMED(ASYMMETRIC), "it does not have that kind of key", NULL },
    { NAMED(ATTRIBUTES), "the key's attributes do not allow it",
      "use a key made by gatekey key create" },
    { NAMED(HASH), "it does not have that hash", "use SHA-256" },
    { NAMED(VALUE), "a value is out of range", NULL },
    { NAMED(HIERARCHY), "this hierarchy is switched off", "switch it on in the firmware's setup" },
    { NAMED(KEY_SIZE), "it does not have keys of that size", NULL },
    { NAMED(TYPE), "the object is of another type", NULL },
    { NAMED(HANDLE), NULL, NULL },
    { NAMED(AUTH_FAIL), "it counts as a failed attempt", NULL },
    { NAMED(SCHEME), "the key is bound to another scheme or hash, or the TPM lacks it",
      "use a key made by gatekey key create" },
    { NAMED(SIZE), "a size is wrong", NULL },
    { NAMED(SYMMETRIC), "it does not have that cipher", NULL },
    { NAMED(INSUFFICIENT), "the command came incomplete", NULL },
    { NAMED(KEY), "the key is not for this use", "use a key made by gatekey key create" },
    { NAMED(POLICY_FAIL), "the key's policy is not met", "use a key made by gatekey key create" },
    { NAMED(INTEGRITY), "the private part was made by another TPM or under another parent", NULL },
    { NAMED(TICKET), "the key signs only what this TPM hashed itself",
      "use a key made by gatekey key create" },
    { NAMED(BAD_AUTH), "it does not count as a failed attempt", NULL },
    { NAMED(BINDING), "public and private part do not belong together", NULL },
    { NAMED(CONTEXT_GAP), "too many saved contexts", "restart the resource manager" },
    { NAMED(OBJECT_MEMORY), NULL, NULL },
    { NAMED(SESSION_MEMORY), "of sessions", FREE_A_SESSION },
    { NAMED(MEMORY), NULL, NULL },
    { NAMED(SESSION_HANDLES), "of sessions", FREE_A_SESSION },
    { NAMED(OBJECT_HANDLES), NULL, NULL },
    { NAMED(LOCALITY), "not from this locality", NULL },
    { NAMED(YIELDED), NULL, NULL },
    { NAMED(CANCELED), "somebody cancelled the command", "run it again" },
    { NAMED(TESTING), NULL, NULL },
    { NAMED(REFERENCE_H0), NULL, NULL },
    { NAMED(REFERENCE_H1), NULL, NULL },
    { NAMED(REFERENCE_S0), NULL, NULL },
    { NAMED(NV_RATE), "it spares its memory", "wait a while, then run it again" },
    { NAMED(LOCKOUT), NULL, NULL },
    { NAMED(RETRY), NULL, NULL },
    { NAMED(NV_UNAVAILABLE), "its memory cannot be written now",
      "wait a while, then run it again" },
};

#define BASE(name) TSS2_BASE_RC_##name, #name

/* The TSS's own; the statuses say what there is to say. */
static const struct word of_tss[] = {
    { BASE(GENERAL_FAILURE), NULL, NULL },
    { BASE(NOT_IMPLEMENTED), NULL, NULL },
    { BASE(BAD_CONTEXT), NULL, NULL },
    { BASE(ABI_MISMATCH), NULL, NULL },
    { BASE(BAD_REFERENCE), NULL, NULL },
    { BASE(INSUFFICIENT_BUFFER), NULL, NULL },
    { BASE(BAD_SEQUENCE), NULL, NULL },
    { BASE(NO_CONNECTION), NULL, NULL },
    { BASE(TRY_AGAIN), NULL, NULL },
    { BASE(IO_ERROR), NULL, NULL },
    { BASE(BAD_VALUE), NULL, NULL },
    { BASE(NOT_PERMITTED), NULL, NULL },
    { BASE(BAD_SIZE), NULL, NULL },
    { BASE(MALFORMED_RESPONSE), NULL, NULL },
    { BASE(INSUFFICIENT_CONTEXT), NULL, NULL },
    { BASE(INSUFFICIENT_RESPONSE), NULL, NULL },
    { BASE(INCOMPATIBLE_TCTI), NULL, NULL },
    { BASE(NOT_SUPPORTED), NULL, NULL },
    { BASE(BAD_TCTI_STRUCTURE), NULL, NULL },
    { BASE(MEMORY), NULL, NULL },
    { BASE(RSP_AUTH_FAILED), NULL, NULL },
};

static const struct word *look_up(const struct word *table, size_t count, TSS2_RC code)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].code == code) {
            return &table[i];
        }
    }
    return NULL;
}

#define LOOK_UP(table, code) look_up((table), sizeof(table) / sizeof((table)[0]), (code))

/* How a layer's names begin; NULL for the TPM and for who answers in its place. */
static const char *layer_name(TSS2_RC code)
{
    switch (code & TSS2_RC_LAYER_MASK) {
    case TSS2_ESAPI_RC_LAYER:
        return "TSS2_ESYS_RC_";
    case TSS2_SYS_RC_LAYER:
        return "TSS2_SYS_RC_";
    case TSS2_MU_RC_LAYER:
        return "TSS2_MU_RC_";
    case TSS2_TCTI_RC_LAYER:
        return "TSS2_TCTI_RC_";
    case TSS2_RESMGR_RC_LAYER:
        return "TSS2_RESMGR_RC_";
    default:
        return NULL;
    }
}

void code_describe(struct gk_error *err)
{
    const char *layer;
    const struct word *word;

    if (err == NULL) {
        return;
    }
    layer = layer_name(err->tpm_code);
    word = layer == NULL ? LOOK_UP(of_tpm, code_base(err->tpm_code))
                         : LOOK_UP(of_tss, err->tpm_code & 0xffffU);
    if (word == NULL) {
        return;
    }
    snprintf(err->tpm_words, sizeof(err->tpm_words), "%s%s%s%s", layer != NULL ? layer : "",
             word->name, word->meaning != NULL ? ": " : "",
             word->meaning != NULL ? word->meaning : "");
    if (word->advice != NULL) {
        gk_advise(err, "%s", word->advice);
    }
}
