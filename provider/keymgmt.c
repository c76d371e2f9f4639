/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key management (provider-keymgmt(7)): what OpenSSL may know of the device key.
 *
 * IMPORT takes nothing, so keys of others never come here. OpenSSL wants to see it, and a NEW for
 * it, before it compares two keys by MATCH; what NEW makes is empty, and no function here minds.
 * EXPORT refuses, without a word, as soon as the private part is among what is asked for: OpenSSL
 * tries that first for every signature, and only the refusal brings it back to our own signature
 * functions.
 */
#include "provider/internal.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

GK_DEFINE_CLEANUP(BIGNUM, BN_free)

static OSSL_FUNC_keymgmt_new_fn new_empty;
static OSSL_FUNC_keymgmt_load_fn load;
static OSSL_FUNC_keymgmt_free_fn release;
static OSSL_FUNC_keymgmt_dup_fn duplicate;
static OSSL_FUNC_keymgmt_has_fn has;
static OSSL_FUNC_keymgmt_get_params_fn get_params;
static OSSL_FUNC_keymgmt_gettable_params_fn gettable_params;
static OSSL_FUNC_keymgmt_match_fn match;
static OSSL_FUNC_keymgmt_import_fn import;
static OSSL_FUNC_keymgmt_import_types_fn import_types;
static OSSL_FUNC_keymgmt_export_fn export_public;
static OSSL_FUNC_keymgmt_export_types_fn export_types;
static OSSL_FUNC_keymgmt_query_operation_name_fn operation_name;
static OSSL_FUNC_keymgmt_gen_init_fn gen_init;
static OSSL_FUNC_keymgmt_gen_fn gen;
static OSSL_FUNC_keymgmt_gen_cleanup_fn gen_cleanup;

static void *new_empty(void *provctx)
{
    return prov_key_new(provctx, NULL);
}

/* Takes the object over from the decoder or store that made it. */
static void *load(const void *reference, size_t size)
{
    struct prov_key **offered = (struct prov_key **)reference;

    return size == sizeof(*offered) ? TAKE(*offered) : NULL;
}

static void release(void *key)
{
    prov_key_free(key);
}

/* Keys never change, so a copy is one holder more; half a key is not to be had. */
static void *duplicate(const void *from, int selection)
{
    struct prov_key *key = (struct prov_key *)from;

    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? prov_key_hold(key) : NULL;
}

/* The private part counts as ours whether the TPM is there or not: signing will tell. */
static int has(const void *object, int selection)
{
    const struct prov_key *key = object;

    (void)selection;
    return key != NULL && key->reference != NULL;
}

/* Whatever part is compared: the private one is the same where the public one is. */
static int match(const void *one, const void *other, int selection)
{
    const struct prov_key *a = one;
    const struct prov_key *b = other;

    (void)selection;
    return a->reference != NULL && b->reference != NULL && gk_key_equal(a->reference, b->reference);
}

static int import(void *key, int selection, const OSSL_PARAM params[])
{
    (void)key;
    (void)selection;
    (void)params;
    return 0;
}

static const OSSL_PARAM *import_types(int selection)
{
    (void)selection;
    return NULL;
}

static int set_number(OSSL_PARAM params[], const char *name, int number)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, name);

    return param == NULL || OSSL_PARAM_set_int(param, number);
}

static int set_modulus(OSSL_PARAM params[], const struct gk_public *public)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_RSA_N);
    CLEANUP(BN_freep) BIGNUM *n = NULL;

    if (param == NULL) {
        return 1;
    }
    n = BN_bin2bn(public->modulus, sizeof(public->modulus), NULL);
    return n != NULL && OSSL_PARAM_set_BN(param, n);
}

static int set_exponent(OSSL_PARAM params[], const struct gk_public *public)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_RSA_E);
    CLEANUP(BN_freep) BIGNUM *e = NULL;

    if (param == NULL) {
        return 1;
    }
    e = BN_new();
    return e != NULL && BN_set_word(e, public->exponent) && OSSL_PARAM_set_BN(param, e);
}

/* Nobody asks for these by the way, as OpenSSL does by EXPORT, so here there is something to say.
 */
static int refuse_private(const struct prov_key *key, const OSSL_PARAM params[])
{
    static const char *const names[] = {
        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    struct gk_error err = { 0 };
    enum gk_status status;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (OSSL_PARAM_locate_const(params, names[i]) != NULL) {
            status = prov_key_refuse_export(&err);
            return PROV_ANSWER(key->context, status, &err, "read the private key");
        }
    }
    return 1;
}

static int get_params(void *object, OSSL_PARAM params[])
{
    const struct prov_key *key = object;
    OSSL_PARAM *digest = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST);
    const struct gk_public *public;

    if (key->reference == NULL || !refuse_private(key, params)) {
        return 0;
    }
    public = gk_key_public(key->reference);
    /* NIST SP 800-57 Part 1, table 2: RSA-2048 has 112 bits of security. */
    return set_number(params, OSSL_PKEY_PARAM_BITS, GK_RSA2048_SIZE * 8) &&
           set_number(params, OSSL_PKEY_PARAM_SECURITY_BITS, 112) &&
           set_number(params, OSSL_PKEY_PARAM_MAX_SIZE, GK_RSA2048_SIZE) &&
           (digest == NULL || OSSL_PARAM_set_utf8_string(digest, "SHA256")) &&
           set_modulus(params, public) && set_exponent(params, public);
}

static const OSSL_PARAM *gettable_params(void *provctx)
{
    static const OSSL_PARAM table[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)provctx;
    return table;
}

static int export_public(void *object, int selection, OSSL_CALLBACK *deliver, void *argument)
{
    const struct prov_key *key = object;
    struct prov_crypto_public exported;

    if (key->reference == NULL || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ||
        (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0) {
        return 0;
    }
    return prov_crypto_export(gk_key_public(key->reference), &exported) &&
           deliver(exported.params, argument);
}

static const OSSL_PARAM *export_types(int selection)
{
    static const OSSL_PARAM table[] = {
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };

    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? table : NULL;
}

static const char *operation_name(int operation)
{
    (void)operation;
    return "RSA";
}

/*
 * Reached only where no other provider makes RSA keys (order.c). Without it OpenSSL would say
 * "operation not supported for this keytype", and nobody would know what to mend.
 */
static void *gen_init(void *provctx, int selection, const OSSL_PARAM params[])
{
    struct gk_error err = { 0 };
    enum gk_status status;

    (void)selection;
    (void)params;
    status = gk_fail(&err, GK_NOT_OFFERED, "software RSA keys come from the default provider");
    gk_advise(&err, "list the default provider before gatekey in openssl.cnf");
    (void)PROV_ANSWER(provctx, status, &err, "make an RSA key");
    return NULL;
}

static void *gen(void *genctx, OSSL_CALLBACK *progress, void *argument)
{
    (void)genctx;
    (void)progress;
    (void)argument;
    return NULL;
}

static void gen_cleanup(void *genctx)
{
    (void)genctx;
}

static const OSSL_DISPATCH functions[] = {
    { OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))new_empty },
    { OSSL_FUNC_KEYMGMT_GEN_INIT, (void (*)(void))gen_init },
    { OSSL_FUNC_KEYMGMT_GEN, (void (*)(void))gen },
    { OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (void (*)(void))gen_cleanup },
    { OSSL_FUNC_KEYMGMT_LOAD, (void (*)(void))load },
    { OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))release },
    { OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))get_params },
    { OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))gettable_params },
    { OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))operation_name },
    { OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))has },
    { OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))match },
    { OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))import },
    { OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))import_types },
    { OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void))export_public },
    { OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))export_types },
    { OSSL_FUNC_KEYMGMT_DUP, (void (*)(void))duplicate },
    { 0, NULL },
};

const OSSL_ALGORITHM prov_keymgmt[] = {
    { PROV_RSA_NAMES, PROV_PROPERTIES, functions, "the device key in the TPM" },
    { NULL, NULL, NULL, NULL },
};
