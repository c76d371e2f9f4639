/* SPDX-License-Identifier: Apache-2.0 */
/* A revocation list from the network, PEM or DER: parsed, verified by a CA it is not of, read. */
#include "tests/fuzz/target.h"

#include "agent/crl.h"
#include "tests/fuzz/scene.h"

static X509 *own_certificate(void)
{
    static X509 *x509;

    if (x509 == NULL) {
        x509 = X509_new();
        ASN1_INTEGER_set(X509_get_serialNumber(x509), 4711);
    }
    return x509;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_scene *scene = fuzz_scene();
    CLEANUP(agent_crl_freep) struct agent_crl *crl = NULL;
    CLEANUP(agent_crl_freep) struct agent_crl *again = NULL;
    CLEANUP(gk_freep) char *text = NULL;
    X509_STORE *store = X509_STORE_new();
    struct gk_error err = { 0 };

    if (agent_crl_parse(scene->openssl, data, size, &crl, &err) == GK_OK) {
        int64_t now = agent_crl_this_update(crl);

        /* Nobody is trusted here. */
        if (agent_crl_verify(scene->openssl, crl, store, "here", now, &err) == GK_OK) {
            abort();
        }
        (void)agent_crl_age(&scene->config, crl, now);
        (void)agent_crl_lists(crl, own_certificate());
        (void)agent_crl_is_about(crl, own_certificate());
        (void)!agent_crl_follow(crl, crl, &err);
        /* What was taken comes back the same from the file it is written to. */
        text = agent_crl_format(crl);
        if (text == NULL ||
            agent_crl_parse(scene->openssl, text, strlen(text), &again, &err) != GK_OK ||
            !agent_crl_identical(crl, again)) {
            abort();
        }
    }
    X509_STORE_free(store);
    return 0;
}
