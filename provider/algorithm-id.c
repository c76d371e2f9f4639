/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the AlgorithmIdentifier of a signature. */
#include "provider/internal.h"

#define SALT_DEFAULT 20 /* RFC 4055: DER leaves a salt length of 20 out */

struct writer {
    uint8_t *at;
};

static void put(struct writer *out, const void *bytes, size_t size)
{
    memcpy(out->at, bytes, size);
    out->at += size;
}

/* Last arcs of 1.2.840.113549.1.1 (sha256WithRSAEncryption and so on). */
static uint8_t with_rsa(enum gk_hash hash)
{
    switch (hash) {
    case GK_SHA256:
        return 11;
    case GK_SHA384:
        return 12;
    case GK_SHA512:
        return 13;
    case GK_SHA1:
        break; /* scheme.c knows no name for it */
    }
    return 0;
}

/* Last arcs of 2.16.840.1.101.3.4.2 (id-sha256 and so on). */
static uint8_t hash_arc(enum gk_hash hash)
{
    switch (hash) {
    case GK_SHA256:
        return 1;
    case GK_SHA384:
        return 2;
    case GK_SHA512:
        return 3;
    case GK_SHA1:
        break;
    }
    return 0;
}

/* SEQUENCE { 1.2.840.113549.1.1.arc, NULL } */
static size_t pkcs1_id(enum gk_hash hash, uint8_t *der)
{
    const uint8_t id[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a,           0x86, 0x48, 0x86,
                           0xf7, 0x0d, 0x01, 0x01, with_rsa(hash), 0x05, 0x00 };

    memcpy(der, id, sizeof(id));
    return sizeof(id);
}

/* SEQUENCE { 2.16.840.1.101.3.4.2.arc, NULL } */
static void put_hash(struct writer *out, enum gk_hash hash)
{
    const uint8_t id[] = { 0x30, 0x0d, 0x06, 0x09, 0x60,           0x86, 0x48, 0x01,
                           0x65, 0x03, 0x04, 0x02, hash_arc(hash), 0x05, 0x00 };

    put(out, id, sizeof(id));
}

/* [2] INTEGER; two bytes of it from 128 on, so that it stays positive. */
static void put_salt(struct writer *out, size_t salt_size)
{
    const uint8_t one[] = { 0xa2, 0x03, 0x02, 0x01, (uint8_t)salt_size };
    const uint8_t two[] = { 0xa2, 0x04, 0x02, 0x02, (uint8_t)(salt_size >> 8), (uint8_t)salt_size };

    if (salt_size < 128 && salt_size != SALT_DEFAULT) {
        put(out, one, sizeof(one));
    } else if (salt_size >= 128) {
        put(out, two, sizeof(two));
    }
}

/* SEQUENCE { id-RSASSA-PSS, SEQUENCE { [0] hash, [1] { id-mgf1, hash }, [2] salt } } */
static size_t pss_id(enum gk_hash hash, size_t salt_size, uint8_t *der)
{
    static const uint8_t start[] = { 0x30, 0,    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                     0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0 };
    static const uint8_t tag_hash[] = { 0xa0, 0x0f };
    static const uint8_t mgf1[] = { 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86,
                                    0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08 };
    struct writer out = { der };
    size_t size;

    put(&out, start, sizeof(start));
    put(&out, tag_hash, sizeof(tag_hash));
    put_hash(&out, hash);
    put(&out, mgf1, sizeof(mgf1));
    put_hash(&out, hash);
    put_salt(&out, salt_size);

    size = (size_t)(out.at - der);
    der[1] = (uint8_t)(size - 2);
    der[sizeof(start) - 1] = (uint8_t)(size - sizeof(start));
    return size;
}

size_t prov_algorithm_id(const struct prov_scheme *scheme, size_t salt_size,
                         uint8_t der[PROV_ALGORITHM_ID_MAX])
{
    switch (scheme->padding) {
    case GK_RSASSA:
        return pkcs1_id(scheme->hash, der);
    case GK_RSAPSS:
        return pss_id(scheme->hash, salt_size, der);
    }
    return 0;
}
