/* SPDX-License-Identifier: Apache-2.0 */
/* The key object that key management, decoder, store and signatures share. */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>

struct prov_key *prov_key_new(struct prov_context *context, struct gk_key *reference)
{
    struct prov_key *key = calloc(1, sizeof(*key));

    if (key == NULL) {
        gk_key_free(reference);
        return NULL;
    }
    key->context = context;
    key->reference = reference;
    atomic_init(&key->holders, 1);
    prov_lifetime_hold(context);
    return key;
}

struct prov_key *prov_key_hold(struct prov_key *key)
{
    atomic_fetch_add(&key->holders, 1);
    return key;
}

void prov_key_free(struct prov_key *key)
{
    if (key != NULL && atomic_fetch_sub(&key->holders, 1) == 1) {
        if (!prov_lifetime_is_over()) {
            EVP_PKEY_CTX_free(atomic_load(&key->checker));
        }
        gk_key_free(key->reference);
        gk_auth_clear(&key->auth);
        prov_lifetime_release(key->context);
        free(key);
    }
}

/* Two threads may make one at once; the first to finish is heard. */
static EVP_PKEY_CTX *checker_of(struct prov_key *key, const struct prov_crypto *where)
{
    EVP_PKEY_CTX *checker = atomic_load(&key->checker);
    EVP_PKEY_CTX *made = NULL;

    if (checker == NULL) {
        made = prov_crypto_checker(where, gk_key_public(key->reference));
        if (atomic_compare_exchange_strong(&key->checker, &checker, made)) {
            return made;
        }
        EVP_PKEY_CTX_free(made);
    }
    return checker;
}

enum gk_status prov_key_software(struct prov_key *key, struct prov_crypto *where,
                                 struct gk_error *err)
{
    struct prov_software *software;
    enum gk_status status = prov_context_software(key->context, &software, err);
    EVP_PKEY_CTX *checker;

    if (status != GK_OK) {
        return status;
    }
    checker = checker_of(key, &software->where);
    if (checker == NULL) {
        return gk_fail(err, GK_CRYPTO_FAILED, "the public key cannot be taken in");
    }
    *where = software->where;
    where->known = gk_key_public(key->reference);
    where->known_checker = checker;
    return GK_OK;
}

enum gk_status prov_key_refuse_export(struct gk_error *err)
{
    (void)gk_fail(err, GK_NOT_OFFERED, "the private part of the device key cannot leave the TPM");
    gk_advise(err, "use its reference, " GK_FILE_DEVICE ", as the key file");
    return GK_NOT_OFFERED;
}

int prov_key_deliver(struct prov_key **key, OSSL_CALLBACK *deliver, void *argument)
{
    int type = OSSL_OBJECT_PKEY;
    char name[] = "RSA";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, key, sizeof(*key)),
        OSSL_PARAM_construct_end(),
    };

    return deliver(params, argument);
}
