/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments for fuzz-pkcs11, and the calls that many functions have in common.
 *
 * Sizes may be wild, memory never is: what is read has as many bytes as is said, and what is
 * written has as much room as the longest answer needs even where more is claimed. Behind each
 * block lie bytes that nobody may touch.
 */
#include "tests/fuzz/pkcs11.h"

#include <stdlib.h>
#include <string.h>

#define CANARY_SIZE 32
#define CANARY 0xc5
#define BLOCK_MAX 8192 /* no value of the module's is longer */

/* --- memory -------------------------------------------------------------------------------------
 */

void *scope_block(struct scope *scope, size_t size)
{
    struct block *block = &scope->blocks[scope->count];

    if (scope->count == sizeof(scope->blocks) / sizeof(scope->blocks[0])) {
        FOUND("too many blocks");
    }
    block->size = size < BLOCK_MAX ? size : BLOCK_MAX;
    block->data = malloc(block->size + CANARY_SIZE);
    if (block->data == NULL) {
        abort();
    }
    memset(block->data, 0, block->size);
    memset(block->data + block->size, CANARY, CANARY_SIZE);
    scope->count++;
    return block->data;
}

void scope_end(struct scope *scope)
{
    for (size_t i = 0; i < scope->count; i++) {
        const struct block *block = &scope->blocks[i];

        for (size_t j = 0; j < CANARY_SIZE; j++) {
            if (block->data[block->size + j] != CANARY) {
                FOUND("written %zu bytes behind a block of %zu", j, block->size);
            }
        }
        free(block->data);
    }
    scope->count = 0;
}

/* --- data ---------------------------------------------------------------------------------------
 */

/* RFC 8017, 9.2, note 1; without the digests. */
static const uint8_t infos[][19] = {
    { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
      0x05, 0x00, 0x04, 0x20 },
    { 0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02,
      0x05, 0x00, 0x04, 0x30 },
    { 0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03,
      0x05, 0x00, 0x04, 0x40 },
};

static CK_BYTE *block_of(struct scope *scope, const void *content, size_t size)
{
    return memcpy(scope_block(scope, size), content, size);
}

static CK_BYTE *a_digest_info(struct scope *scope, CK_ULONG *size)
{
    size_t which = take() % 3;
    CK_BYTE *data;

    *size = sizeof(infos[0]) + 32 + 16 * which;
    data = scope_block(scope, *size);
    memcpy(data, infos[which], sizeof(infos[0]));
    return data;
}

/* What is read: a DigestInfo, a digest, the last signature, a PIN, any bytes, and NULL. */
CK_BYTE *some_bytes(struct scope *scope, CK_ULONG *size)
{
    CK_BYTE *data;

    switch (take() % 8) {
    case 0:
        return a_digest_info(scope, size);
    case 1:
        *size = 32UL + 16UL * (take() % 3);
        return scope_block(scope, *size);
    case 2:
    case 3:
        *size = sizeof(seen.signature);
        return block_of(scope, seen.signature, sizeof(seen.signature));
    case 4:
        *size = 10;
        return block_of(scope, "a password", 10);
    case 5:
        *size = take_chance(4) ? take_number() : 0;
        return NULL;
    default:
        *size = take_number();
        *size = *size < BLOCK_MAX ? *size : *size % BLOCK_MAX;
        data = scope_block(scope, *size);
        if (*size > 0) {
            data[take() % *size] = take();
        }
        return data;
    }
}

/* Where something is written: any room, none, too much; and no place for its size. */
CK_BYTE *some_room(struct scope *scope, CK_ULONG **size)
{
    uint8_t choice = take();

    *size = NULL;
    if (choice % 16 != 15) {
        *size = scope_block(scope, sizeof(**size));
        **size = choice % 2 == 0 ? 256 : take_number();
    }
    return choice % 8 == 7 ? NULL : scope_block(scope, *size != NULL ? **size : 256);
}

void check_room(const struct row *row, CK_RV rv, const void *out, const CK_ULONG *size,
                CK_ULONG room)
{
    if (size == NULL || out == NULL) {
        return;
    }
    if (rv == CKR_OK && *size > room) {
        FOUND("%s: %lu bytes where there was room for %lu", row->name, *size, room);
    }
    if (rv == CKR_BUFFER_TOO_SMALL && *size <= room) {
        FOUND("%s: too little room for %lu bytes: %lu", row->name, *size, room);
    }
}

static CK_RSA_PKCS_PSS_PARAMS a_pss(void)
{
    static const CK_RSA_PKCS_PSS_PARAMS good[] = {
        { CKM_SHA256, CKG_MGF1_SHA256, 32 },
        { CKM_SHA384, CKG_MGF1_SHA384, 48 },
        { CKM_SHA512, CKG_MGF1_SHA512, 64 },
    };
    CK_RSA_PKCS_PSS_PARAMS pss = good[take() % 3];

    if (take_chance(6)) {
        pss.sLen = take_number();
    }
    if (take_chance(6)) {
        pss.mgf = take_number();
    }
    if (take_chance(6)) {
        pss.hashAlg = take_number();
    }
    return pss;
}

CK_MECHANISM *some_mechanism(struct scope *scope)
{
    static const CK_MECHANISM_TYPE types[] = {
        CKM_RSA_PKCS,
        CKM_RSA_PKCS_PSS,
        CKM_SHA256_RSA_PKCS,
        CKM_SHA384_RSA_PKCS,
        CKM_SHA512_RSA_PKCS,
        CKM_SHA256_RSA_PKCS_PSS,
        CKM_SHA384_RSA_PKCS_PSS,
        CKM_SHA512_RSA_PKCS_PSS,
        CKM_SHA256,
        CKM_SHA384,
        CKM_SHA512,
        CKM_RSA_X_509,
        CKM_SHA1_RSA_PKCS,
        CKM_RSA_PKCS_OAEP,
        CKM_SHA_1,
    };
    uint8_t choice = take();
    CK_MECHANISM *mechanism;
    bool wants_pss;

    if (choice % 16 == 15) {
        return NULL;
    }
    mechanism = scope_block(scope, sizeof(*mechanism));
    mechanism->mechanism =
        choice < 240 ? types[choice % (sizeof(types) / sizeof(types[0]))] : take_number();
    wants_pss = mechanism->mechanism == CKM_RSA_PKCS_PSS ||
                (mechanism->mechanism >= CKM_SHA256_RSA_PKCS_PSS &&
                 mechanism->mechanism <= CKM_SHA512_RSA_PKCS_PSS);
    if (wants_pss != take_chance(8)) {
        CK_RSA_PKCS_PSS_PARAMS pss = a_pss();

        mechanism->ulParameterLen = take_chance(8) ? take_number() % 512 : sizeof(pss);
        mechanism->pParameter = scope_block(scope, mechanism->ulParameterLen);
        memcpy(mechanism->pParameter, &pss,
               mechanism->ulParameterLen < sizeof(pss) ? mechanism->ulParameterLen : sizeof(pss));
    } else if (take_chance(16)) {
        mechanism->ulParameterLen = take_number();
    }
    return mechanism;
}

static CK_ATTRIBUTE some_attribute(struct scope *scope)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
        CKA_CLASS,
        CKA_TOKEN,
        CKA_PRIVATE,
        CKA_LABEL,
        CKA_ID,
        CKA_KEY_TYPE,
        CKA_MODULUS,
        CKA_MODULUS_BITS,
        CKA_PUBLIC_EXPONENT,
        CKA_SIGN,
        CKA_VERIFY,
        CKA_DECRYPT,
        CKA_SENSITIVE,
        CKA_EXTRACTABLE,
        CKA_PRIVATE_EXPONENT,
        CKA_PRIME_1,
        CKA_COEFFICIENT,
        CKA_VALUE,
        CKA_SUBJECT,
        CKA_ISSUER,
        CKA_SERIAL_NUMBER,
        CKA_CERTIFICATE_TYPE,
        CKA_TRUSTED,
        CKA_START_DATE,
        CKA_UNIQUE_ID,
        CKA_PROFILE_ID,
        CKA_ALLOWED_MECHANISMS,
        CKA_PUBLIC_KEY_INFO,
        CKA_EC_POINT,
        CKA_VENDOR_DEFINED,
    };
    uint8_t choice = take();
    CK_ATTRIBUTE attribute = { .type = choice < 240
                                           ? types[choice % (sizeof(types) / sizeof(types[0]))]
                                           : take_number() };
    CK_ULONG number = take() % 8;

    switch (take() % 5) {
    case 0: /* a class or type */
        attribute.ulValueLen = sizeof(number);
        attribute.pValue = block_of(scope, &number, sizeof(number));
        break;
    case 1: /* a flag */
        attribute.ulValueLen = 1;
        attribute.pValue = block_of(scope, number % 2 == 0 ? "\0" : "\1", 1);
        break;
    case 2:
        attribute.ulValueLen = 6;
        attribute.pValue = block_of(scope, number % 2 == 0 ? "device" : "issuer", 6);
        break;
    case 3:
        attribute.ulValueLen = take_number();
        attribute.pValue = scope_block(scope, attribute.ulValueLen);
        break;
    default:
        attribute.ulValueLen = take_chance(2) ? take_number() : 0;
        break;
    }
    return attribute;
}

CK_ATTRIBUTE *some_template(struct scope *scope, CK_ULONG *count)
{
    uint8_t choice = take();
    CK_ATTRIBUTE *template;

    *count = choice % 6;
    if (choice >= 250) {
        *count = take_number();
        return NULL;
    }
    template = scope_block(scope, *count * sizeof(*template));
    for (CK_ULONG i = 0; i < *count; i++) {
        template[i] = some_attribute(scope);
    }
    return template;
}

/* Mostly one that was found: the latest is asked for by 0. */
CK_OBJECT_HANDLE some_object(void)
{
    size_t most = sizeof(seen.objects) / sizeof(seen.objects[0]);
    size_t known = seen.object_count < most ? seen.object_count : most;
    uint8_t choice = take();

    return choice < 224 && known > 0 ? seen.objects[(seen.object_count - 1 - choice % known) % most]
                                     : take_number();
}

/* --- calls --------------------------------------------------------------------------------------
 */

/* A function with its own type again. */
#define AS(row, type) ((CK_RV(*) type)(row)->function)

CK_RV call_bare(const struct row *row, struct scope *scope, CK_ULONG which)
{
    (void)scope;
    return AS(row, (CK_ULONG))(which);
}

CK_RV call_init(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_MECHANISM *mechanism = some_mechanism(scope);

    return AS(row, (CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE))(which, mechanism,
                                                                          some_object());
}

CK_RV call_in_out(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_ULONG in_size, *out_size, room;
    CK_BYTE *in = some_bytes(scope, &in_size);
    CK_BYTE *out = some_room(scope, &out_size);
    CK_RV rv;

    /* In place, as the standard allows; what is read stays as long as what is there. */
    if (in != NULL && out != NULL && take_chance(8)) {
        in = out;
        in_size = out_size != NULL && *out_size < in_size ? *out_size : 0;
    }
    room = out_size != NULL ? *out_size : 0;
    rv = AS(row, (CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *))(
        which, in, in_size, out, out_size);
    check_room(row, rv, out, out_size, room);
    return rv;
}

CK_RV call_in(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_ULONG size;
    CK_BYTE *data = some_bytes(scope, &size);

    return AS(row, (CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG))(which, data, size);
}

CK_RV call_out(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_ULONG *size, room;
    CK_BYTE *out = some_room(scope, &size);
    CK_RV rv;

    room = size != NULL ? *size : 0;
    rv = AS(row, (CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG *))(which, out, size);
    check_room(row, rv, out, size, room);
    return rv;
}

CK_RV call_in_in(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_ULONG one_size, two_size;
    CK_BYTE *one = some_bytes(scope, &one_size), *two = some_bytes(scope, &two_size);

    return AS(row, (CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG))(
        which, one, one_size, two, two_size);
}

CK_RV call_object(const struct row *row, struct scope *scope, CK_ULONG which)
{
    (void)scope;
    return AS(row, (CK_SESSION_HANDLE, CK_OBJECT_HANDLE))(which, some_object());
}

/* Each entry of the template is answered by itself. */
CK_RV call_template(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_ULONG count, room[8] = { 0 };
    CK_OBJECT_HANDLE object = some_object();
    CK_ATTRIBUTE *template = some_template(scope, &count);
    CK_RV rv;

    for (CK_ULONG i = 0; template != NULL && i < count; i++) {
        room[i] = template[i].ulValueLen;
    }
    rv = AS(row, (CK_SESSION_HANDLE, CK_OBJECT_HANDLE, CK_ATTRIBUTE *, CK_ULONG))(which, object,
                                                                                  template, count);
    for (CK_ULONG i = 0; template != NULL && i < count; i++) {
        CK_ULONG now = template[i].ulValueLen;

        if (template[i].pValue != NULL && now != CK_UNAVAILABLE_INFORMATION && now > room[i]) {
            FOUND("%s: an attribute of %lu bytes where there was room for %lu", row->name, now,
                  room[i]);
        }
    }
    return rv;
}

/* The eighteen functions for messages look at no argument but the session. */
CK_RV call_message(const struct row *row, struct scope *scope, CK_ULONG which)
{
    CK_ULONG a_size, b_size, *out_size;
    CK_BYTE *a = some_bytes(scope, &a_size), *b = some_bytes(scope, &b_size);
    CK_BYTE *out = some_room(scope, &out_size);

    if (row->function == (void (*)(void))C_EncryptMessage ||
        row->function == (void (*)(void))C_DecryptMessage) {
        return AS(row, (CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *,
                        CK_ULONG, CK_BYTE *, CK_ULONG *))(which, a, a_size, b, b_size, a, a_size,
                                                          out, out_size);
    }
    if (row->function == (void (*)(void))C_EncryptMessageNext ||
        row->function == (void (*)(void))C_DecryptMessageNext) {
        return AS(row, (CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *,
                        CK_ULONG *, CK_FLAGS))(which, a, a_size, b, b_size, out, out_size, take());
    }
    if (row->function == (void (*)(void))C_SignMessage ||
        row->function == (void (*)(void))C_SignMessageNext) {
        return AS(row, (CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *,
                        CK_ULONG *))(which, a, a_size, b, b_size, out, out_size);
    }
    return AS(row, (CK_SESSION_HANDLE, void *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG))(
        which, a, a_size, b, b_size, out, out_size != NULL ? *out_size : 0);
}
