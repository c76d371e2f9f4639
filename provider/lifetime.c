/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets a key be freed after OPENSSL_cleanup(), as the destructors of C++ programs do.
 *
 * Whoever gives a provider back for the last time makes libcrypto drop our reason strings, and that
 * crashes once libcrypto has cleaned up (3.0 to 3.5). So each key holds the provider, and from
 * OPENSSL_cleanup() on nobody gives it back.
 */
#include "provider/internal.h"

#include <openssl/crypto.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool cleaned_up;

static void at_cleanup(void)
{
    atomic_store(&cleaned_up, true);
}

/* Without memory for it, an exit in that unusual order is as it would be without this file. */
static void watch(void)
{
    (void)OPENSSL_atexit(at_cleanup);
}

void prov_lifetime_hold(struct prov_context *context)
{
    const struct prov_upcalls *core = &context->upcalls;

    pthread_once(&once, watch);
    if (core->provider_up_ref != NULL && core->provider_free != NULL) {
        (void)core->provider_up_ref(context->core, 0);
    }
}

bool prov_lifetime_is_over(void)
{
    return atomic_load(&cleaned_up);
}

void prov_lifetime_release(struct prov_context *context)
{
    const struct prov_upcalls *core = &context->upcalls;

    if (core->provider_up_ref != NULL && core->provider_free != NULL && !prov_lifetime_is_over()) {
        (void)core->provider_free(context->core, 0);
    }
}
