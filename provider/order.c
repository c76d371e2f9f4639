/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps back behind the other providers where gatekey was listed before them by mistake.
 *
 * Without a property query OpenSSL takes the RSA of whoever it visited first, and asks nobody else
 * to make a key or to build one from numbers. So, when it comes to us for key management, it is
 * sent to the others first. That is after all a fetch on behalf of a program that is fetching the
 * very same; it is done once for each library context, and never while we are loaded.
 */
#include "provider/internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

/* Set while this thread is on its way to the others: it comes by here again. */
static _Thread_local bool stepping_back;

/*
 * The core's library context is of use only to the libcrypto that made it. The core hands its own
 * CRYPTO_malloc() to providers; where that is not the one we are linked with, so may be the rest.
 */
static bool is_our_libcrypto(const struct prov_upcalls *core)
{
    return core->get_libctx != NULL && core->crypto_malloc == CRYPTO_malloc;
}

/* What the others have is kept by OpenSSL, whether or not there is an RSA among it. */
static void visit_others(OSSL_LIB_CTX *libctx, int operation)
{
    switch (operation) {
    case OSSL_OP_KEYMGMT:
        EVP_KEYMGMT_free(EVP_KEYMGMT_fetch(libctx, "RSA", PROV_CRYPTO_NOT_OURS));
        break;
    case OSSL_OP_SIGNATURE:
        EVP_SIGNATURE_free(EVP_SIGNATURE_fetch(libctx, "RSA", PROV_CRYPTO_NOT_OURS));
        break;
    case OSSL_OP_ASYM_CIPHER:
        EVP_ASYM_CIPHER_free(EVP_ASYM_CIPHER_fetch(libctx, "RSA", PROV_CRYPTO_NOT_OURS));
        break;
    default:
        break;
    }
}

bool prov_order_step_back(struct prov_context *context, int operation)
{
    const struct prov_upcalls *core = &context->upcalls;

    if (operation != OSSL_OP_KEYMGMT && operation != OSSL_OP_SIGNATURE &&
        operation != OSSL_OP_ASYM_CIPHER) {
        return true;
    }
    if (stepping_back) {
        return false;
    }
    if (is_our_libcrypto(core)) {
        stepping_back = true;
        ERR_set_mark();
        visit_others((OSSL_LIB_CTX *)core->get_libctx(context->core), operation);
        ERR_pop_to_mark();
        stepping_back = false;
    }
    return true;
}
