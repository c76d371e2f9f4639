/* SPDX-License-Identifier: Apache-2.0 */
/* Our own certificate, as it lies in the identity directory. */
#include "agent/service/service.h"
#include "identity/identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>

GK_DEFINE_CLEANUP(X509, X509_free)

static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

X509 *certificate_read_own(const struct service *service)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(bio_freep) BIO *pem = NULL;
    CLEANUP(X509_freep)
    X509 *certificate = X509_new_ex(agent_openssl_context(service->openssl),
                                    agent_openssl_propquery(service->openssl));

    if (certificate == NULL || gk_identity_read(service->config->directory, GK_FILE_CERTIFICATE,
                                                &content, NULL) != GK_OK) {
        return NULL;
    }
    pem = BIO_new_mem_buf(content.data, (int)content.size);
    if (pem == NULL || PEM_read_bio_X509(pem, &certificate, NULL, NULL) == NULL) {
        ERR_clear_error();
        return NULL;
    }
    return TAKE(certificate);
}
