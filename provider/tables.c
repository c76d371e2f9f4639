/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables OpenSSL is given, and a copy of them with "fips=yes" for whoever says "assume-fips".
 *
 * With fips=yes among its default properties OpenSSL sees nothing that does not claim it. Whether
 * the TPM is validated only its owner can know, so nothing is claimed unless openssl.cnf says so.
 */
#include "provider/internal.h"

#define FIPS ",fips=yes"

static const OSSL_ALGORITHM *const tables[PROV_TABLE_COUNT] = {
    [OSSL_OP_KEYMGMT] = prov_keymgmt,    [OSSL_OP_SIGNATURE] = prov_signature,
    [OSSL_OP_ASYM_CIPHER] = prov_cipher, [OSSL_OP_ENCODER] = prov_encoder,
    [OSSL_OP_DECODER] = prov_decoder,    [OSSL_OP_STORE] = prov_store,
};

const OSSL_ALGORITHM *prov_table(const struct prov_context *context, int operation)
{
    if (operation < 0 || operation >= PROV_TABLE_COUNT) {
        return NULL;
    }
    return context->fips_tables != NULL ? context->fips_tables[operation] : tables[operation];
}

static OSSL_ALGORITHM *copy_table(const OSSL_ALGORITHM *from)
{
    size_t count = 0;
    OSSL_ALGORITHM *copy;

    while (from[count].algorithm_names != NULL) {
        count++;
    }
    copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < count; i++) {
        char *properties = NULL;

        copy[i] = from[i];
        if (asprintf(&properties, "%s" FIPS, from[i].property_definition) < 0) {
            properties = NULL;
            copy[i].algorithm_names =
                NULL; /* the table ends here; prov_tables_assume_fips() sees */
        }
        copy[i].property_definition = properties;
    }
    return copy;
}

static bool is_whole(const OSSL_ALGORITHM *copy, const OSSL_ALGORITHM *from)
{
    size_t i = 0;

    while (copy != NULL && copy[i].algorithm_names != NULL) {
        i++;
    }
    return copy != NULL && from[i].algorithm_names == NULL;
}

bool prov_tables_assume_fips(struct prov_context *context)
{
    bool done = true;

    context->fips_tables = calloc(PROV_TABLE_COUNT, sizeof(*context->fips_tables));
    for (size_t i = 0; context->fips_tables != NULL && i < PROV_TABLE_COUNT; i++) {
        if (tables[i] != NULL) {
            context->fips_tables[i] = copy_table(tables[i]);
            done = done && is_whole(context->fips_tables[i], tables[i]);
        }
    }
    return context->fips_tables != NULL && done;
}

void prov_tables_clear(struct prov_context *context)
{
    for (size_t i = 0; context->fips_tables != NULL && i < PROV_TABLE_COUNT; i++) {
        OSSL_ALGORITHM *table = context->fips_tables[i];

        for (size_t j = 0; table != NULL && table[j].algorithm_names != NULL; j++) {
            free((char *)table[j].property_definition);
        }
        free(table);
    }
    free(TAKE(context->fips_tables));
}
