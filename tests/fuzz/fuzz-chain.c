/* SPDX-License-Identifier: Apache-2.0 */
/* cert.pem from somewhere else: the text, and each certificate in it as DER. */
#include "tests/fuzz/target.h"

#include "pkcs11/internal.h"

#include <stdlib.h>

static void look_at(struct p11_bytes part, struct p11_bytes whole)
{
    if (part.data < whole.data || part.size > whole.size ||
        (size_t)(part.data - whole.data) > whole.size - part.size) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(p11_chain_clear) struct p11_chain chain = { 0 };
    const struct gk_content content = { (char *)(uintptr_t)data, size };
    struct p11_certificate bare;
    struct gk_error err = { 0 };

    (void)p11_certificate_parse(data, size, &bare);
    if (p11_chain_parse(&content, "it", &chain, &err) != GK_OK) {
        return 0;
    }
    /* What was taken parses, and every part of it lies inside. */
    for (size_t i = 0; i < chain.count; i++) {
        struct p11_certificate taken;

        if (!p11_certificate_parse(chain.der[i], chain.size[i], &taken)) {
            abort();
        }
        look_at(taken.subject, taken.der);
        look_at(taken.issuer, taken.der);
        look_at(taken.serial, taken.der);
        look_at(taken.public_info, taken.der);
        look_at(taken.public_bits, taken.public_info);
    }
    return 0;
}
