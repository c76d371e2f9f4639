/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps back behind the other providers where gatekey was listed before them by mistake.
 *
 * Without a property query OpenSSL takes the RSA of whoever it visited first, and asks nobody else
 * to make a key or to build one from numbers. So, when it comes to us for key management, it is
 * sent to the others first. That is after all a fetch on behalf of a program that is fetching the
 * very same, and never while we are loaded.
 *
 * Threads make the first visit one after the other. OpenSSL finds nothing here on the way, takes
 * us for one whose methods are not to be kept, and locks a temporary store instead of its own (3.0
 * to 3.5); so two visitors at once would both put there what the others have. Each time something
 * is put there OpenSSL forgets what it answered for that name. Where that happens while the device
 * key is being loaded, the next answer it remembers is our RSA, asked for from us alone, and 3.0
 * then gives it to whoever asks for RSA from anybody.
 */
#include "provider/internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <time.h>

enum {
    LONGEST_WAIT_MS = 1000,
    PAUSE_MS = 1,
};

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
static bool visit_others(OSSL_LIB_CTX *libctx, int operation)
{
    EVP_KEYMGMT *keymgmt = NULL;
    EVP_SIGNATURE *signature = NULL;
    EVP_ASYM_CIPHER *cipher = NULL;
    bool found;

    switch (operation) {
    case OSSL_OP_KEYMGMT:
        keymgmt = EVP_KEYMGMT_fetch(libctx, "RSA", PROV_CRYPTO_NOT_OURS);
        break;
    case OSSL_OP_SIGNATURE:
        signature = EVP_SIGNATURE_fetch(libctx, "RSA", PROV_CRYPTO_NOT_OURS);
        break;
    case OSSL_OP_ASYM_CIPHER:
        cipher = EVP_ASYM_CIPHER_fetch(libctx, "RSA", PROV_CRYPTO_NOT_OURS);
        break;
    default:
        break;
    }
    found = keymgmt != NULL || signature != NULL || cipher != NULL;
    EVP_KEYMGMT_free(keymgmt);
    EVP_SIGNATURE_free(signature);
    EVP_ASYM_CIPHER_free(cipher);
    return found;
}

static void pause_for(long pause_ms)
{
    struct timespec left = { .tv_nsec = pause_ms * 1000000L };

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/*
 * Not a lock, and not for ever: another provider may wait for somebody who waits for us, and after
 * a fork the thread that was there exists no more. Who has waited in vain goes on as if alone.
 */
static void wait_for_turn(struct prov_visit *visit)
{
    for (long waited_ms = 0; waited_ms < LONGEST_WAIT_MS; waited_ms += PAUSE_MS) {
        if (atomic_load(&visit->made) || !atomic_exchange(&visit->under_way, true)) {
            return;
        }
        pause_for(PAUSE_MS);
    }
}

static void make_visit(struct prov_context *context, int operation)
{
    const struct prov_upcalls *core = &context->upcalls;
    struct prov_visit *visit = &context->visits[operation];

    wait_for_turn(visit);
    stepping_back = true;
    ERR_set_mark();
    if (visit_others((OSSL_LIB_CTX *)core->get_libctx(context->core), operation)) {
        atomic_store(&visit->made, true);
    }
    ERR_pop_to_mark();
    stepping_back = false;
    atomic_store(&visit->under_way, false);
}

bool prov_order_step_back(struct prov_context *context, int operation)
{
    if (operation != OSSL_OP_KEYMGMT && operation != OSSL_OP_SIGNATURE &&
        operation != OSSL_OP_ASYM_CIPHER) {
        return true;
    }
    if (stepping_back) {
        return false;
    }
    if (is_our_libcrypto(&context->upcalls)) {
        make_visit(context, operation);
    }
    return true;
}
