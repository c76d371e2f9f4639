/* SPDX-License-Identifier: Apache-2.0 */
/* A "TSS2 PRIVATE KEY" from somewhere else, as DER or in PEM, without OpenSSL's decoders around it.
 */
#include "tests/fuzz/target.h"

#include "provider/internal.h"

#include <openssl/err.h>

static void parse(const uint8_t *der, size_t size)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    CLEANUP(gk_key_freep) struct gk_key *copy = NULL;
    char about[GK_KEY_ABOUT_SIZE];
    struct gk_error err = { 0 };

    if (prov_tss2_parse(der, size, &key, &err) == GK_OK) {
        /* What was taken is whole: it is loaded under something, and can be handed on. */
        copy = gk_key_copy(key);
        gk_key_describe(key, about);
        if (!gk_key_is_loadable(key) || gk_key_parent(key) == 0 || copy == NULL ||
            !gk_key_identical(key, copy)) {
            abort();
        }
    } else if (key != NULL || err.status == GK_OK) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t der[8192];
    size_t der_size = 0;
    struct gk_error err = { 0 };

    if (size >= PROV_TSS2_FIRST_SIZE) {
        (void)prov_tss2_begins(data);
    }
    if (size > 0 && data[0] == '-') {
        if (prov_tss2_dearmour((const char *)data, size, der, sizeof(der), &der_size, &err) ==
            GK_OK) {
            parse(der, der_size);
        }
    } else {
        parse(data, size);
    }
    /* Foreign bytes leave no errors of OpenSSL's behind. */
    if (ERR_peek_error() != 0) {
        abort();
    }
    return 0;
}
