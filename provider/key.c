/* SPDX-License-Identifier: Apache-2.0 */
/* The key object that key management, decoder, store and signatures share. */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/err.h>
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
        gk_key_free(key->reference);
        gk_auth_clear(&key->auth);
        free(key);
    }
}

enum gk_status prov_key_ask(struct prov_key *key, OSSL_PASSPHRASE_CALLBACK *ask, void *argument,
                            struct gk_error *err)
{
    char what[] = "the device key";
    char phrase[1024]; /* as much as OpenSSL's own prompts take */
    size_t size = 0;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PASSPHRASE_PARAM_INFO, what, 0),
        OSSL_PARAM_construct_end(),
    };
    enum gk_status status = GK_OK;

    if (!gk_key_needs_auth(key->reference) || ask == NULL) {
        return GK_OK;
    }
    /* No answer is no failure of ours, so what OpenSSL says of it must not outlive the call. */
    ERR_set_mark();
    if (ask(phrase, sizeof(phrase), &size, params, argument) == 1) {
        ERR_clear_last_mark();
    } else {
        ERR_pop_to_mark();
        size = 0;
    }
    if (size <= GK_AUTH_MAX_SIZE) {
        memcpy(key->auth.bytes, phrase, size);
        key->auth.size = size;
    } else {
        status = gk_fail(err, GK_BAD_AUTH, "it is longer than %d bytes", GK_AUTH_MAX_SIZE);
    }
    explicit_bzero(phrase, sizeof(phrase));
    return status;
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
