/* SPDX-License-Identifier: Apache-2.0 */
/* A revocation list from the network, PEM or DER: parsed, verified by a CA it is not of, read. */
#include "tests/fuzz/target.h"

#include "agent/crl.h"
#include "tests/fuzz/scene.h"

/* Of the CA that the lists of the corpus are of, and revoked by some of them. */
static X509 *own_certificate(void)
{
    static X509 *x509;

    if (x509 == NULL) {
        static const char *const parts[][2] = { { "C", "CN" },
                                                { "O", "EnOS" },
                                                { "CN", "fuzz CA" } };
        X509_NAME *name = X509_NAME_new();

        for (size_t i = 0; i < 3; i++) {
            X509_NAME_add_entry_by_txt(name, parts[i][0], MBSTRING_ASC,
                                       (const unsigned char *)parts[i][1], -1, -1, 0);
        }
        x509 = X509_new();
        X509_set_issuer_name(x509, name);
        ASN1_INTEGER_set(X509_get_serialNumber(x509), 0x1000);
        X509_NAME_free(name);
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
        (void)agent_crl_lists(crl, own_certificate(), NULL);
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
