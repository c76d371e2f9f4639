/* SPDX-License-Identifier: Apache-2.0 */
/* Objects (provider-object(7)) as the store hands them on: a key, a public key, a certificate. */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/pem.h>

#define OPERATION "load the device key"

struct encoded {
    unsigned char *der;
    size_t size;
};

static void encoded_clear(struct encoded *encoded)
{
    OPENSSL_free(encoded->der);
}

static enum gk_status read_identity(struct prov_context *context, struct gk_key **reference,
                                    struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { NULL, 0 };
    const char *directory;
    enum gk_status status = prov_context_directory(context, &directory, err);

    if (status == GK_OK) {
        status = gk_identity_read(directory, GK_FILE_DEVICE, &content, err);
    }
    if (status == GK_NO_FILE) {
        gk_advise(err,
                  "run gatekey enroll, or say in openssl.cnf by identity-directory where it is");
    }
    return status == GK_OK ? gk_key_parse(content.data, content.size, reference, err) : status;
}

static enum gk_status read_handle(struct prov_context *context, uint32_t handle,
                                  struct gk_key **reference, struct gk_error *err)
{
    struct gk_tpm *tpm;
    enum gk_status status = prov_context_tpm(context, &tpm, err);

    if (status != GK_OK) {
        return status;
    }
    prov_fork_enter();
    status = gk_key_read(tpm, handle, reference, err);
    prov_fork_leave();
    return status;
}

static enum gk_status read_reference(struct prov_context *context, const struct prov_uri *uri,
                                     struct gk_key **reference, struct gk_error *err)
{
    enum gk_status status = uri->content == PROV_HANDLE
                                ? read_handle(context, uri->handle, reference, err)
                                : read_identity(context, reference, err);

    if (status == GK_OK && uri->has_password) {
        gk_key_set_needs_auth(*reference);
    }
    return status;
}

static enum gk_status make_key(struct prov_context *context, const struct prov_uri *uri,
                               struct prov_key **key, struct gk_error *err)
{
    struct gk_key *reference;
    enum gk_status status = read_reference(context, uri, &reference, err);

    if (status != GK_OK) {
        return status;
    }
    *key = prov_key_new(context, reference);
    if (*key == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    (*key)->by_handle = uri->content == PROV_HANDLE;
    return GK_OK;
}

int prov_object_key(struct prov_context *context, const struct prov_uri *uri,
                    OSSL_CALLBACK *deliver, void *argument, OSSL_PASSPHRASE_CALLBACK *ask,
                    void *ask_argument)
{
    CLEANUP(prov_key_freep) struct prov_key *key = NULL;
    struct gk_error err = { 0 };
    enum gk_status status = make_key(context, uri, &key, &err);

    if (status == GK_OK) {
        prov_key_find_password(key, ask, ask_argument);
    }
    return PROV_ANSWER(context, status, &err, OPERATION) &&
           prov_key_deliver(&key, deliver, argument);
}

static enum gk_status encode_public(struct prov_context *context, const struct gk_key *reference,
                                    struct encoded *public, struct gk_error *err)
{
    struct prov_software *software;
    enum gk_status status = prov_context_software(context, &software, err);

    if (status != GK_OK) {
        return status;
    }
    public->size = prov_crypto_encode(&software->where, gk_key_public(reference), &public->der);
    return public->size > 0 ? GK_OK
                            : gk_fail(err, GK_CRYPTO_FAILED, "the public key cannot be encoded");
}

int prov_object_public_part(struct prov_context *context, const struct gk_key *reference,
                            OSSL_CALLBACK *deliver, void *argument)
{
    CLEANUP(encoded_clear) struct encoded public = { NULL, 0 };
    struct gk_error err = { 0 };
    enum gk_status status = encode_public(context, reference, &public, &err);
    int type = OSSL_OBJECT_PKEY;
    char name[] = "RSA";
    char structure[] = "SubjectPublicKeyInfo";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, name, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, public.der, public.size),
        OSSL_PARAM_construct_end(),
    };

    return PROV_ANSWER(context, status, &err, OPERATION) && deliver(params, argument);
}

int prov_object_public(struct prov_context *context, const struct prov_uri *uri,
                       OSSL_CALLBACK *deliver, void *argument)
{
    CLEANUP(gk_key_freep) struct gk_key *reference = NULL;
    struct gk_error err = { 0 };
    enum gk_status status = read_reference(context, uri, &reference, &err);

    return PROV_ANSWER(context, status, &err, OPERATION) &&
           prov_object_public_part(context, reference, deliver, argument);
}

int prov_object_certificate(X509 *certificate, OSSL_CALLBACK *deliver, void *argument)
{
    CLEANUP(encoded_clear) struct encoded encoded = { NULL, 0 };
    int size = i2d_X509(certificate, &encoded.der);
    int type = OSSL_OBJECT_CERT;
    char name[] = PEM_STRING_X509;

    if (size < 0) {
        return 0;
    }
    encoded.size = (size_t)size;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, encoded.der, encoded.size),
        OSSL_PARAM_construct_end(),
    };
    return deliver(params, argument);
}
