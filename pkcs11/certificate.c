/* SPDX-License-Identifier: Apache-2.0 */
/* DER: takes X.509 certificates apart and writes RSA public keys. */
#include "pkcs11/internal.h"

#include <libtasn1.h>
#include <limits.h>
#include <string.h>

/* The identifier octets met here (X.690, 8.1.2): class, form and a tag below 31. */
#define INTEGER ASN1_TAG_INTEGER
#define BIT_STRING ASN1_TAG_BIT_STRING
#define SEQUENCE (ASN1_CLASS_STRUCTURED | ASN1_TAG_SEQUENCE)
#define VERSION (ASN1_CLASS_CONTEXT_SPECIFIC | ASN1_CLASS_STRUCTURED | 0)

/* Split the first element off a piece of DER: all of it, and its content. Sizes fit an int. */
static bool take(struct p11_bytes *from, uint8_t identifier, struct p11_bytes *element,
                 struct p11_bytes *content)
{
    unsigned char minimal[ASN1_MAX_LENGTH_SIZE];
    int length_size, minimal_size;
    size_t header;
    long length;

    if (from->size < 2 || from->data[0] != identifier) {
        return false;
    }
    length = asn1_get_length_der(from->data + 1, (int)from->size - 1, &length_size);
    if (length < 0) {
        return false;
    }
    /* DER has one way to write a length only (X.690, 10.1). */
    asn1_length_der((unsigned long)length, minimal, &minimal_size);
    header = 1 + (size_t)length_size;
    if (length_size != minimal_size || (size_t)length > from->size - header) {
        return false;
    }
    *content = (struct p11_bytes){ from->data + header, (size_t)length };
    *element = (struct p11_bytes){ from->data, header + (size_t)length };
    from->data += element->size;
    from->size -= element->size;
    return true;
}

/* SubjectPublicKeyInfo (RFC 5280, 4.1): an algorithm and a BIT STRING of whole bytes. */
static bool take_public_bits(struct p11_bytes info, struct p11_bytes *bits)
{
    struct p11_bytes element, inside, ignored;

    if (!take(&info, SEQUENCE, &element, &inside) || !take(&inside, SEQUENCE, &element, &ignored) ||
        !take(&inside, BIT_STRING, &element, bits) || inside.size != 0 || bits->size < 1 ||
        bits->data[0] != 0) {
        return false;
    }
    bits->data++;
    bits->size--;
    return true;
}

/* TBSCertificate as far as its public key (RFC 5280, 4.1). */
static bool take_fields(struct p11_bytes tbs, struct p11_certificate *certificate)
{
    struct p11_bytes ignored, content;
    const struct {
        uint8_t identifier;
        struct p11_bytes *field;
    } fields[] = {
        { INTEGER, &certificate->serial },   { SEQUENCE, &ignored }, /* signature */
        { SEQUENCE, &certificate->issuer },  { SEQUENCE, &ignored }, /* validity */
        { SEQUENCE, &certificate->subject }, { SEQUENCE, &certificate->public_info },
    };

    if (tbs.size > 0 && tbs.data[0] == VERSION && !take(&tbs, VERSION, &ignored, &content)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!take(&tbs, fields[i].identifier, fields[i].field, &content)) {
            return false;
        }
    }
    return take_public_bits(certificate->public_info, &certificate->public_bits);
}

bool p11_certificate_parse(const uint8_t *der, size_t size, struct p11_certificate *certificate)
{
    struct p11_certificate parsed = { .der = { der, size } };
    struct p11_bytes left = parsed.der, element, inside, tbs, ignored;

    if (size > INT_MAX || !take(&left, SEQUENCE, &element, &inside) || left.size != 0 ||
        !take(&inside, SEQUENCE, &element, &tbs) || !take(&inside, SEQUENCE, &element, &ignored) ||
        !take(&inside, BIT_STRING, &element, &ignored) || inside.size != 0 ||
        !take_fields(tbs, &parsed)) {
        return false;
    }
    *certificate = parsed;
    return true;
}

/* Write an element and say where it ends. */
static uint8_t *put(uint8_t *at, uint8_t identifier, const void *content, size_t size)
{
    int length_size = 0;

    *at++ = identifier;
    asn1_length_der(size, at, &length_size);
    at += length_size;
    memcpy(at, content, size);
    return at + size;
}

/* A positive INTEGER: as short as possible, with a zero byte before a first bit that is set. */
static uint8_t *put_integer(uint8_t *at, const uint8_t *number, size_t size)
{
    uint8_t content[1 + GK_RSA2048_SIZE] = { 0 };

    while (size > 1 && number[0] == 0) {
        number++;
        size--;
    }
    if (number[0] < 0x80) {
        return put(at, INTEGER, number, size);
    }
    memcpy(content + 1, number, size);
    return put(at, INTEGER, content, size + 1);
}

size_t p11_public_bits(const struct gk_public *public, uint8_t bits[static P11_PUBLIC_BITS_MAX])
{
    const uint32_t e = public->exponent;
    const uint8_t exponent[] = { (uint8_t)(e >> 24), (uint8_t)(e >> 16), (uint8_t)(e >> 8),
                                 (uint8_t)e };
    uint8_t content[P11_PUBLIC_BITS_MAX];
    uint8_t *end = put_integer(content, public->modulus, sizeof(public->modulus));

    end = put_integer(end, exponent, sizeof(exponent));
    return (size_t)(put(bits, SEQUENCE, content, (size_t)(end - content)) - bits);
}

size_t p11_public_info(const struct gk_public *public, uint8_t info[static P11_PUBLIC_INFO_MAX])
{
    /* AlgorithmIdentifier of rsaEncryption (RFC 8017, A.1). */
    static const uint8_t algorithm[] = { SEQUENCE, 13,   0x06, 9,    0x2a, 0x86, 0x48, 0x86,
                                         0xf7,     0x0d, 0x01, 0x01, 0x01, 0x05, 0 };
    uint8_t bits[1 + P11_PUBLIC_BITS_MAX] = { 0 }; /* no unused bits */
    size_t size = 1 + p11_public_bits(public, bits + 1);
    uint8_t content[P11_PUBLIC_INFO_MAX];
    uint8_t *end;

    memcpy(content, algorithm, sizeof(algorithm));
    end = put(content + sizeof(algorithm), BIT_STRING, bits, size);
    return (size_t)(put(info, SEQUENCE, content, (size_t)(end - content)) - info);
}
