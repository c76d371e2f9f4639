/* SPDX-License-Identifier: Apache-2.0 */
/* device.pem from somewhere else. */
#include "tests/fuzz/target.h"

#include "tpm/devkey.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    CLEANUP(gk_key_freep) struct gk_key *again = NULL;
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };

    if (gk_key_parse(data, size, &key, &err) != GK_OK) {
        return 0;
    }
    /* What was taken is written and taken again, and is the same. */
    if (gk_key_format(key, &text, &err) != GK_OK ||
        gk_key_parse(text, strlen(text), &again, &err) != GK_OK || !gk_key_identical(key, again)) {
        abort();
    }
    return 0;
}
