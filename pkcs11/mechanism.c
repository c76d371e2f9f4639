/* SPDX-License-Identifier: Apache-2.0 */
/* The mechanisms: one table that everything reads which asks about one. */
#include "pkcs11/internal.h"

/*
 * CKF_HW although messages are hashed and signatures verified in software: what it is looked at for
 * is where the private key works.
 */
#define SIGNING_INFO                                                             \
    {                                                                            \
        GK_RSA2048_SIZE * 8, GK_RSA2048_SIZE * 8, CKF_HW | CKF_SIGN | CKF_VERIFY \
    }
#define SIGNS(type, input, scheme, any_hash, hash)        \
    {                                                     \
        type, SIGNING_INFO, input, scheme, any_hash, hash \
    }
#define DIGESTS(type, hash)                                             \
    {                                                                   \
        type, { 0, 0, CKF_DIGEST }, P11_MESSAGE, GK_RSASSA, false, hash \
    }

const struct p11_mechanism p11_mechanisms[] = {
    SIGNS(CKM_RSA_PKCS, P11_DIGEST_INFO, GK_RSASSA, true, GK_SHA256),
    SIGNS(CKM_RSA_PKCS_PSS, P11_HASHED, GK_RSAPSS, true, GK_SHA256),
    SIGNS(CKM_SHA256_RSA_PKCS, P11_MESSAGE, GK_RSASSA, false, GK_SHA256),
    SIGNS(CKM_SHA384_RSA_PKCS, P11_MESSAGE, GK_RSASSA, false, GK_SHA384),
    SIGNS(CKM_SHA512_RSA_PKCS, P11_MESSAGE, GK_RSASSA, false, GK_SHA512),
    SIGNS(CKM_SHA256_RSA_PKCS_PSS, P11_MESSAGE, GK_RSAPSS, false, GK_SHA256),
    SIGNS(CKM_SHA384_RSA_PKCS_PSS, P11_MESSAGE, GK_RSAPSS, false, GK_SHA384),
    SIGNS(CKM_SHA512_RSA_PKCS_PSS, P11_MESSAGE, GK_RSAPSS, false, GK_SHA512),
    DIGESTS(CKM_SHA256, GK_SHA256),
    DIGESTS(CKM_SHA384, GK_SHA384),
    DIGESTS(CKM_SHA512, GK_SHA512),
};
const size_t p11_mechanism_count = sizeof(p11_mechanisms) / sizeof(p11_mechanisms[0]);

/* A mechanism without a hash of its own is offered for whatever hash the key takes. */
static bool is_for_key(const struct p11_mechanism *mechanism, const struct gk_key *key)
{
    static const enum gk_hash hashes[] = { GK_SHA256, GK_SHA384, GK_SHA512 };

    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        if ((mechanism->any_hash || mechanism->hash == hashes[i]) &&
            gk_key_offers(key, mechanism->scheme, hashes[i])) {
            return true;
        }
    }
    return false;
}

/*
 * Whether a TPM makes PSS salts as long as the hash only a signature can tell. gatekey makes that
 * one when it makes a key, and where the TPM does not, the key is made such that it pads in
 * software. Of a key that came to be in another way it is learnt when one fails: no signature with
 * another salt than was asked for is ever handed out.
 */
bool p11_mechanism_is_offered(const struct p11_mechanism *mechanism, const struct p11_token *token)
{
    if (mechanism->info.flags == CKF_DIGEST || token->key == NULL) {
        return true;
    }
    return !(mechanism->scheme == GK_RSAPSS && token->lacks_pss) &&
           is_for_key(mechanism, token->key);
}

static CK_FLAGS flag_of(enum p11_use use)
{
    switch (use) {
    case P11_DIGEST:
        return CKF_DIGEST;
    case P11_SIGN:
        return CKF_SIGN;
    case P11_VERIFY:
        return CKF_VERIFY;
    }
    return 0;
}

const struct p11_mechanism *p11_mechanism_find(CK_MECHANISM_TYPE type, enum p11_use use,
                                               const struct p11_token *token)
{
    for (size_t i = 0; i < p11_mechanism_count; i++) {
        const struct p11_mechanism *mechanism = &p11_mechanisms[i];

        if (mechanism->type == type && (mechanism->info.flags & flag_of(use)) != 0) {
            return p11_mechanism_is_offered(mechanism, token) ? mechanism : NULL;
        }
    }
    return NULL;
}
