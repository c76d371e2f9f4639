/* SPDX-License-Identifier: Apache-2.0 */
/* Counts signatures and the time they take, for a program that wants to tell its owner. */
#include "provider/internal.h"

#include <openssl/params.h>
#include <time.h>

uint64_t prov_tally_now_us(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void prov_tally_note(struct prov_context *context, bool is_signed, uint64_t spent_us)
{
    struct prov_tally *tally = &context->tally;

    pthread_mutex_lock(&context->lock);
    if (is_signed) {
        tally->signatures++;
        tally->total_us += spent_us;
        tally->last_us = spent_us;
    } else {
        tally->failures++;
    }
    pthread_mutex_unlock(&context->lock);
}

/* One that was not asked for is none. */
static int set(OSSL_PARAM params[], const char *name, uint64_t value)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, name);

    return param == NULL || OSSL_PARAM_set_uint64(param, value);
}

int prov_tally_get(struct prov_context *context, OSSL_PARAM params[])
{
    struct prov_tally tally;

    /* All of one moment; OpenSSL is called without the lock. */
    pthread_mutex_lock(&context->lock);
    tally = context->tally;
    pthread_mutex_unlock(&context->lock);
    return set(params, "gatekey-signatures", tally.signatures) &&
           set(params, "gatekey-signature-us", tally.total_us) &&
           set(params, "gatekey-signature-last-us", tally.last_us) &&
           set(params, "gatekey-signature-failures", tally.failures);
}
