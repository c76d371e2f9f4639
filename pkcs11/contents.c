/* SPDX-License-Identifier: Apache-2.0 */
/* What lies on the token: the keys, the certificates and the profiles, with all their attributes.
 */
#include "pkcs11/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The standard's values of CKA_CERTIFICATE_CATEGORY. */
#define TOKEN_USER 1
#define AUTHORITY 2
#define OTHER_ENTITY 3

#define KEYS 2
#define PROFILES (sizeof(profiles) / sizeof(profiles[0]))

/* The labels are for listings, whose programs know the class less often than they show it. */
static const struct profile {
    CK_ULONG id;
    const char *label;
} profiles[] = {
    { CKP_BASELINE_PROVIDER, "profile: baseline provider" },
    { CKP_AUTHENTICATION_TOKEN, "profile: authentication token" },
    { CKP_PUBLIC_CERTIFICATES_TOKEN, "profile: public certificates token" },
};

/* --- attributes that are the same in all objects of a kind --- */

enum form { FLAG, NUMBER, EMPTY, SECRET };

struct constant {
    CK_ATTRIBUTE_TYPE type;
    enum form form;
    CK_ULONG value;
};

/* "Storage objects". Profiles get them too, as NSS looks for those with CKA_TOKEN. */
static const struct constant storage[] = {
    { CKA_TOKEN, FLAG, true },
    { CKA_MODIFIABLE, FLAG, false },
    { CKA_COPYABLE, FLAG, false },
    { CKA_DESTROYABLE, FLAG, false },
};

/* "Key objects", of either half. */
static const struct constant key[] = {
    { CKA_KEY_TYPE, NUMBER, CKK_RSA },
    { CKA_START_DATE, EMPTY, 0 },
    { CKA_END_DATE, EMPTY, 0 },
    { CKA_DERIVE, FLAG, false },
};

/* "Private key objects" and "RSA private key objects". */
static const struct constant private_key[] = {
    { CKA_SENSITIVE, FLAG, true },
    { CKA_EXTRACTABLE, FLAG, false },
    { CKA_SIGN, FLAG, true },
    { CKA_SIGN_RECOVER, FLAG, false },
    { CKA_DECRYPT, FLAG, false },
    { CKA_UNWRAP, FLAG, false },
    { CKA_UNWRAP_TEMPLATE, EMPTY, 0 },
    { CKA_DERIVE_TEMPLATE, EMPTY, 0 },
    { CKA_WRAP_WITH_TRUSTED, FLAG, false },
    { CKA_ALWAYS_AUTHENTICATE, FLAG, false },
    { CKA_PRIVATE_EXPONENT, SECRET, 0 },
    { CKA_PRIME_1, SECRET, 0 },
    { CKA_PRIME_2, SECRET, 0 },
    { CKA_EXPONENT_1, SECRET, 0 },
    { CKA_EXPONENT_2, SECRET, 0 },
    { CKA_COEFFICIENT, SECRET, 0 },
};

/* "Public key objects" and "RSA public key objects". */
static const struct constant public_key[] = {
    { CKA_VERIFY, FLAG, true },
    { CKA_VERIFY_RECOVER, FLAG, false },
    { CKA_ENCRYPT, FLAG, false },
    { CKA_WRAP, FLAG, false },
    { CKA_WRAP_TEMPLATE, EMPTY, 0 },
    { CKA_TRUSTED, FLAG, false },
    { CKA_MODULUS_BITS, NUMBER, GK_RSA2048_SIZE * 8 },
};

/* "Certificate objects" and "X.509 public key certificate objects". */
static const struct constant x509[] = {
    { CKA_CERTIFICATE_TYPE, NUMBER, CKC_X_509 },
    { CKA_TRUSTED, FLAG, false },
    { CKA_START_DATE, EMPTY, 0 },
    { CKA_END_DATE, EMPTY, 0 },
    { CKA_URL, EMPTY, 0 },
    { CKA_HASH_OF_SUBJECT_PUBLIC_KEY, EMPTY, 0 },
    { CKA_HASH_OF_ISSUER_PUBLIC_KEY, EMPTY, 0 },
    { CKA_NAME_HASH_ALGORITHM, NUMBER, CKM_SHA_1 },
    { CKA_JAVA_MIDP_SECURITY_DOMAIN, NUMBER, 0 },
};

static bool add_constants(struct p11_object *object, const struct constant *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool added = false;

        switch (rows[i].form) {
        case FLAG:
            added = p11_object_add_bool(object, rows[i].type, rows[i].value != 0);
            break;
        case NUMBER:
            added = p11_object_add_number(object, rows[i].type, rows[i].value);
            break;
        case EMPTY:
            added = p11_object_add(object, rows[i].type, NULL, 0);
            break;
        case SECRET:
            added = p11_object_add_sensitive(object, rows[i].type);
            break;
        }
        if (!added) {
            return false;
        }
    }
    return true;
}

#define ADD_CONSTANTS(object, rows) add_constants(object, rows, sizeof(rows) / sizeof((rows)[0]))

/* --- attributes that differ --- */

struct varying {
    CK_ATTRIBUTE_TYPE type;
    struct p11_bytes value;
};

static bool add_varying(struct p11_object *object, const struct varying *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!p11_object_add(object, rows[i].type, rows[i].value.data, rows[i].value.size)) {
            return false;
        }
    }
    return true;
}

#define ADD_VARYING(object, rows) add_varying(object, rows, sizeof(rows) / sizeof((rows)[0]))

static bool begin(struct p11_object *object, CK_OBJECT_CLASS class, bool private, const char *label)
{
    *object = (struct p11_object){ .class = class, .private = private };
    return p11_object_add_number(object, CKA_CLASS, class) &&
           p11_object_add_bool(object, CKA_PRIVATE, private) &&
           p11_object_add(object, CKA_LABEL, label, strlen(label)) &&
           ADD_CONSTANTS(object, storage);
}

/*
 * CKA_UNIQUE_ID: a hash of the attributes so far, so that it is the same in every process for as
 * long as the object is. What may change in the meantime comes after it.
 */
static bool finish(struct p11_object *object)
{
    struct sha256_ctx sha256;
    uint8_t hash[16];
    char id[2 * sizeof(hash) + 1];

    sha256_init(&sha256);
    for (size_t i = 0; i < object->count; i++) {
        const struct p11_attribute *attribute = &object->attributes[i];

        sha256_update(&sha256, sizeof(attribute->type), (const uint8_t *)&attribute->type);
        sha256_update(&sha256, sizeof(attribute->size), (const uint8_t *)&attribute->size);
        sha256_update(&sha256, attribute->size, attribute->value);
    }
    sha256_digest(&sha256, sizeof(hash), hash);
    for (size_t i = 0; i < sizeof(hash); i++) {
        snprintf(id + 2 * i, 3, "%02x", hash[i]);
    }
    return p11_object_add(object, CKA_UNIQUE_ID, id, sizeof(id) - 1);
}

void p11_key_id(struct p11_bytes public_bits, uint8_t id[static P11_ID_SIZE])
{
    struct sha256_ctx sha256;

    sha256_init(&sha256);
    sha256_update(&sha256, public_bits.size, public_bits.data);
    sha256_digest(&sha256, P11_ID_SIZE, id);
}

/* Those of the mechanisms that do what this half of the key is for. */
static bool add_mechanisms(struct p11_object *object, const struct p11_token *token, CK_FLAGS use)
{
    CLEANUP(gk_freep) CK_MECHANISM_TYPE *types = calloc(p11_mechanism_count, sizeof(*types));
    size_t count = 0;

    if (types == NULL) {
        return false;
    }
    for (size_t i = 0; i < p11_mechanism_count; i++) {
        const struct p11_mechanism *mechanism = &p11_mechanisms[i];

        if ((mechanism->info.flags & use) != 0 && p11_mechanism_is_offered(mechanism, token)) {
            types[count++] = mechanism->type;
        }
    }
    return p11_object_add(object, CKA_ALLOWED_MECHANISMS, types, count * sizeof(*types));
}

/* "Big integer": no leading zeros. */
static struct p11_bytes minimal(const uint8_t *number, size_t size)
{
    while (size > 1 && number[0] == 0) {
        number++;
        size--;
    }
    return (struct p11_bytes){ number, size };
}

/* A key that was imported into the TPM may still be somewhere else. */
static bool add_origin(struct p11_object *object, const struct gk_key *made)
{
    bool is_local = gk_key_is_local(made);

    return p11_object_add_bool(object, CKA_LOCAL, is_local) &&
           p11_object_add_number(object, CKA_KEY_GEN_MECHANISM,
                                 is_local ? CKM_RSA_PKCS_KEY_PAIR_GEN : CK_UNAVAILABLE_INFORMATION);
}

/* What both halves of the key say. */
static bool add_key(struct p11_object *object, const struct p11_token *token)
{
    const struct gk_public *public = gk_key_public(token->key);
    const uint32_t e = public->exponent;
    const uint8_t exponent[] = { (uint8_t)(e >> 24), (uint8_t)(e >> 16), (uint8_t)(e >> 8),
                                 (uint8_t)e };
    uint8_t info[P11_PUBLIC_INFO_MAX];
    const struct varying rows[] = {
        { CKA_ID, { token->id, sizeof(token->id) } },
        { CKA_MODULUS, { public->modulus, sizeof(public->modulus) } },
        { CKA_PUBLIC_EXPONENT, minimal(exponent, sizeof(exponent)) },
        { CKA_PUBLIC_KEY_INFO, { info, p11_public_info(public, info) } },
    };

    return ADD_CONSTANTS(object, key) && ADD_VARYING(object, rows) &&
           add_origin(object, token->key);
}

static bool make_private_key(struct p11_object *object, const struct p11_token *token,
                             struct p11_bytes subject)
{
    return begin(object, CKO_PRIVATE_KEY, gk_key_needs_auth(token->key), "device") &&
           add_key(object, token) && ADD_CONSTANTS(object, private_key) &&
           p11_object_add_bool(object, CKA_ALWAYS_SENSITIVE, gk_key_is_local(token->key)) &&
           p11_object_add_bool(object, CKA_NEVER_EXTRACTABLE, gk_key_is_local(token->key)) &&
           add_mechanisms(object, token, CKF_SIGN) && finish(object) &&
           p11_object_add(object, CKA_SUBJECT, subject.data, subject.size);
}

static bool make_public_key(struct p11_object *object, const struct p11_token *token,
                            struct p11_bytes subject)
{
    return begin(object, CKO_PUBLIC_KEY, false, "device") && add_key(object, token) &&
           ADD_CONSTANTS(object, public_key) && add_mechanisms(object, token, CKF_VERIFY) &&
           finish(object) && p11_object_add(object, CKA_SUBJECT, subject.data, subject.size);
}

static void sha1_of(struct p11_bytes bytes, uint8_t digest[static SHA1_DIGEST_SIZE])
{
    struct sha1_ctx sha1;

    sha1_init(&sha1);
    sha1_update(&sha1, bytes.size, bytes.data);
    sha1_digest(&sha1, SHA1_DIGEST_SIZE, digest);
}

/* place: in the chain, which the device's own begins. */
static bool make_certificate(struct p11_object *object, const struct p11_certificate *certificate,
                             size_t place, CK_ULONG category)
{
    uint8_t id[P11_ID_SIZE], sha1[SHA1_DIGEST_SIZE];
    char label[32] = "device";
    const struct varying rows[] = {
        { CKA_ID, { id, sizeof(id) } },
        { CKA_SUBJECT, certificate->subject },
        { CKA_ISSUER, certificate->issuer },
        { CKA_SERIAL_NUMBER, certificate->serial },
        { CKA_PUBLIC_KEY_INFO, certificate->public_info },
        { CKA_VALUE, certificate->der },
        { CKA_CHECK_VALUE, { sha1, 3 } },
    };

    if (place > 0) {
        snprintf(label, sizeof(label), place == 1 ? "issuer" : "issuer %zu", place);
    }
    p11_key_id(certificate->public_bits, id);
    sha1_of(certificate->der, sha1);
    return begin(object, CKO_CERTIFICATE, false, label) && ADD_CONSTANTS(object, x509) &&
           p11_object_add_number(object, CKA_CERTIFICATE_CATEGORY, category) &&
           ADD_VARYING(object, rows) && finish(object);
}

static bool make_profile(struct p11_object *object, const struct profile *profile)
{
    return begin(object, CKO_PROFILE, false, profile->label) &&
           p11_object_add_number(object, CKA_PROFILE_ID, profile->id) && finish(object);
}

/* --- all of them --- */

/* Counted before it is made, so that one half made is cleared with the others. */
static struct p11_object *next(struct p11_token *token)
{
    return &token->objects[token->count++];
}

bool p11_chain_fits(const struct p11_chain *chain, const uint8_t id[static P11_ID_SIZE])
{
    struct p11_certificate leaf;
    uint8_t leaf_id[P11_ID_SIZE];

    if (chain->count == 0 || !p11_certificate_parse(chain->der[0], chain->size[0], &leaf)) {
        return false;
    }
    p11_key_id(leaf.public_bits, leaf_id);
    return memcmp(leaf_id, id, P11_ID_SIZE) == 0;
}

static bool fill_certificates(struct p11_token *token, const struct p11_chain *chain, bool fits)
{
    for (size_t i = 0; i < chain->count; i++) {
        struct p11_certificate certificate;
        CK_ULONG category = i > 0 ? AUTHORITY : fits ? TOKEN_USER : OTHER_ENTITY;

        if (!p11_certificate_parse(chain->der[i], chain->size[i], &certificate) ||
            !make_certificate(next(token), &certificate, i, category)) {
            return false;
        }
    }
    return true;
}

bool p11_token_fill(struct p11_token *token, const struct p11_chain *chain)
{
    bool fits = p11_chain_fits(chain, token->id);
    struct p11_certificate leaf = { 0 };

    token->objects = calloc(KEYS + chain->count + PROFILES, sizeof(*token->objects));
    if (token->objects == NULL) {
        return false;
    }
    /* The keys have the subject of their certificate; that of another would mislead. */
    if (fits && !p11_certificate_parse(chain->der[0], chain->size[0], &leaf)) {
        return false;
    }
    if (!make_private_key(next(token), token, leaf.subject) ||
        !make_public_key(next(token), token, leaf.subject) ||
        !fill_certificates(token, chain, fits)) {
        return false;
    }
    for (size_t i = 0; i < PROFILES; i++) {
        if (!make_profile(next(token), &profiles[i])) {
            return false;
        }
    }
    return true;
}
