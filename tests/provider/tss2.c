/* SPDX-License-Identifier: Apache-2.0 */
/* Writes "TSS2 PRIVATE KEY" files by hand. */
#include "tests/provider/tss2.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TAG_BOOLEAN 0x01
#define TAG_INTEGER 0x02
#define TAG_OCTETS 0x04
#define TAG_OBJECT 0x06
#define TAG_UTF8 0x0c
#define TAG_SEQUENCE 0x30
#define TAG_EXPLICIT 0xa0

/* Built from its end to its beginning, so that lengths are known when they are written. */
struct der {
    uint8_t bytes[TSS2_MAX_SIZE];
    size_t at;
};

static void prepend(struct der *der, const void *bytes, size_t size)
{
    assert_true(size <= der->at);
    der->at -= size;
    if (size > 0) {
        memcpy(der->bytes + der->at, bytes, size);
    }
}

/* What lies from here to end becomes the content of an element. */
static void wrap(struct der *der, uint8_t tag, size_t end)
{
    size_t size = end - der->at;
    uint8_t head[] = { tag, 0x82, (uint8_t)(size >> 8), (uint8_t)size };

    if (size < 0x80) {
        head[1] = (uint8_t)size;
        prepend(der, head, 2);
    } else if (size < 0x100) {
        head[1] = 0x81;
        head[2] = (uint8_t)size;
        prepend(der, head, 3);
    } else {
        prepend(der, head, 4);
    }
}

static void element(struct der *der, uint8_t tag, const void *content, size_t size)
{
    size_t end = der->at;

    prepend(der, content, size);
    wrap(der, tag, end);
}

static void explicit_element(struct der *der, unsigned number, uint8_t tag, const void *content,
                             size_t size)
{
    size_t end = der->at;

    element(der, tag, content, size);
    wrap(der, (uint8_t)(TAG_EXPLICIT + number), end);
}

static void flag(struct der *der, unsigned number, enum tss2_flag value)
{
    if (value != TSS2_ABSENT) {
        explicit_element(der, number, TAG_BOOLEAN, value == TSS2_TRUE ? "\xff" : "\0", 1);
    }
}

/* SEQUENCE OF TPMPolicy, with one in it: TPM2_PolicyPCR. */
static void policy(struct der *der, unsigned number, enum tss2_list list)
{
    size_t end = der->at;
    size_t policy_end = der->at;

    if (list == TSS2_LIST) {
        explicit_element(der, 1, TAG_OCTETS, "parameters", 10);
        explicit_element(der, 0, TAG_INTEGER, "\x01\x7f", 2);
        wrap(der, TAG_SEQUENCE, policy_end);
    }
    wrap(der, TAG_SEQUENCE, end);
    wrap(der, (uint8_t)(TAG_EXPLICIT + number), end);
}

static void auth_policy(struct der *der, enum tss2_list list)
{
    size_t end = der->at;

    if (list == TSS2_LIST) {
        policy(der, 1, TSS2_LIST);
        explicit_element(der, 0, TAG_UTF8, "a name", 6);
        wrap(der, TAG_SEQUENCE, end);
    }
    wrap(der, TAG_SEQUENCE, end);
    wrap(der, TAG_EXPLICIT + 3, end);
}

static void options(struct der *der, const struct tss2 *tss2)
{
    flag(der, 5, tss2->rsa_parent);
    if (tss2->description != NULL) {
        explicit_element(der, 4, TAG_UTF8, tss2->description, strlen(tss2->description));
    }
    if (tss2->auth_policy != TSS2_NO_LIST) {
        auth_policy(der, tss2->auth_policy);
    }
    if (tss2->secret != NULL) {
        explicit_element(der, 2, TAG_OCTETS, tss2->secret, strlen(tss2->secret));
    }
    if (tss2->policy != TSS2_NO_LIST) {
        policy(der, 1, tss2->policy);
    }
    flag(der, 0, tss2->empty_auth);
}

size_t tss2_der(const struct tss2 *tss2, uint8_t out[TSS2_MAX_SIZE])
{
    const uint8_t type[] = { 0x67, 0x81, 0x05, 0x0a, 0x01, tss2->type };
    static const uint8_t old_type[] = { 0x67, 0x81, 0x05, 0x0a, 0x02 };
    static struct der der;
    size_t size;

    der.at = sizeof(der.bytes);
    element(&der, TAG_OCTETS, tss2->private_area, tss2->private_size);
    element(&der, TAG_OCTETS, tss2->public_area, tss2->public_size);
    element(&der, TAG_INTEGER, tss2->parent, tss2->parent_size);
    options(&der, tss2);
    if (tss2->type != 0) {
        element(&der, TAG_OBJECT, type, sizeof(type));
    } else {
        element(&der, TAG_OBJECT, old_type, sizeof(old_type));
    }
    wrap(&der, TAG_SEQUENCE, sizeof(der.bytes));
    size = sizeof(der.bytes) - der.at;
    memcpy(out, der.bytes + der.at, size);
    return size;
}

void tss2_pem(const char *label, const uint8_t *der, size_t size, char text[2 * TSS2_MAX_SIZE])
{
    char *at = text + sprintf(text, "-----BEGIN %s-----\n", label);

    for (size_t done = 0; done < size; done += 48) {
        size_t part = size - done < 48 ? size - done : 48;

        at += EVP_EncodeBlock((unsigned char *)at, der + done, (int)part);
        *at++ = '\n';
    }
    sprintf(at, "-----END %s-----\n", label);
}
