/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoders (provider-encoder(7)): the device key as text for people, and for its private part a
 * refusal with a reason. Public output needs nothing of ours: OpenSSL exports the key to the
 * default provider.
 */
#include "provider/internal.h"

#include <inttypes.h>
#include <openssl/core_names.h>

#define BYTES_PER_LINE 15 /* as OpenSSL's own text has it */

static OSSL_FUNC_encoder_newctx_fn newctx;
static OSSL_FUNC_encoder_freectx_fn freectx;
static OSSL_FUNC_encoder_does_selection_fn selects_any;
static OSSL_FUNC_encoder_does_selection_fn selects_private;
static OSSL_FUNC_encoder_encode_fn write_text;
static OSSL_FUNC_encoder_encode_fn refuse;

static void *newctx(void *provctx)
{
    return provctx;
}

static void freectx(void *ctx)
{
    (void)ctx;
}

static int selects_any(void *provctx, int selection)
{
    (void)provctx;
    return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
}

static int selects_private(void *provctx, int selection)
{
    (void)provctx;
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

/* No word where it is not known: that is told when the key is used. */
static void write_tpm(FILE *out, struct prov_context *context)
{
    const char *tcti;

    if (prov_context_tcti(context, &tcti, NULL) == GK_OK) {
        fprintf(out, "TPM: %s\n", tcti);
    }
}

static void write_head(FILE *out, struct prov_context *context, const struct gk_key *key,
                       int selection)
{
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0) {
        fprintf(out, "Public-Key: (%d bit)\n", GK_RSA2048_SIZE * 8);
        return;
    }
    fprintf(out, "Private-Key: (%d bit, kept in the TPM)\n", GK_RSA2048_SIZE * 8);
    write_tpm(out, context);
    if (gk_key_is_loadable(key)) {
        fprintf(out, "Parent: 0x%08" PRIx32 ", loaded under it for each signature\n",
                gk_key_parent(key));
    } else {
        fprintf(out, "Handle: 0x%08" PRIx32 "\n", gk_key_handle(key));
    }
    fprintf(out, "Password: %s\n", gk_key_needs_auth(key) ? "needed" : "none");
    fprintf(out, "PSS padding: %s\n", gk_key_pads_in_software(key) ? "in software" : "by the TPM");
}

/* As OpenSSL prints a public key, leading zero included, so that the two can be compared. */
static void write_public(FILE *out, const struct gk_public *public)
{
    fprintf(out, "Modulus:");
    for (size_t i = 0; i <= sizeof(public->modulus); i++) {
        fprintf(out, "%s%02x%s", i % BYTES_PER_LINE == 0 ? "\n    " : "",
                i == 0 ? 0 : public->modulus[i - 1], i < sizeof(public->modulus) ? ":" : "\n");
    }
    fprintf(out, "Exponent: %" PRIu32 " (0x%" PRIx32 ")\n", public->exponent, public->exponent);
}

static int write_text(void *ctx, OSSL_CORE_BIO *bio, const void *object,
                      const OSSL_PARAM abstract[], int selection, OSSL_PASSPHRASE_CALLBACK *ask,
                      void *argument)
{
    struct prov_context *context = ctx;
    const struct prov_key *key = object;
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(gk_fclosep) FILE *out = NULL;
    size_t size = 0;
    size_t written = 0;

    (void)ask;
    (void)argument;
    if (key == NULL || key->reference == NULL || abstract != NULL ||
        context->upcalls.bio_write_ex == NULL) {
        return 0;
    }
    out = open_memstream(&text, &size);
    if (out == NULL) {
        return 0;
    }
    write_head(out, context, key->reference, selection);
    write_public(out, gk_key_public(key->reference));
    return fflush(out) == 0 && context->upcalls.bio_write_ex(bio, text, size, &written) == 1 &&
           written == size;
}

static int refuse(void *ctx, OSSL_CORE_BIO *bio, const void *object, const OSSL_PARAM abstract[],
                  int selection, OSSL_PASSPHRASE_CALLBACK *ask, void *argument)
{
    struct gk_error err = { 0 };
    enum gk_status status;

    (void)bio;
    (void)selection;
    (void)ask;
    (void)argument;
    if (object == NULL || abstract != NULL) {
        return 0;
    }
    status = prov_key_refuse_export(&err);
    return PROV_ANSWER(ctx, status, &err, "write the private key");
}

static const OSSL_DISPATCH text[] = {
    { OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))newctx },
    { OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))freectx },
    { OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))selects_any },
    { OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))write_text },
    { 0, NULL },
};

static const OSSL_DISPATCH refusal[] = {
    { OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))newctx },
    { OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))freectx },
    { OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))selects_private },
    { OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))refuse },
    { 0, NULL },
};

#define REFUSED(settings)                                                             \
    {                                                                                 \
        PROV_RSA_NAMES, PROV_PROPERTIES "," settings, refusal, "refuses, and says so" \
    }

const OSSL_ALGORITHM prov_encoder[] = {
    { PROV_RSA_NAMES, PROV_PROPERTIES ",output=text", text, "the device key as text" },
    REFUSED("output=pem,structure=PrivateKeyInfo"),
    REFUSED("output=der,structure=PrivateKeyInfo"),
    REFUSED("output=pem,structure=EncryptedPrivateKeyInfo"),
    REFUSED("output=der,structure=EncryptedPrivateKeyInfo"),
    REFUSED("output=pem,structure=type-specific"),
    REFUSED("output=der,structure=type-specific"),
    REFUSED("output=pem,structure=pkcs1"),
    REFUSED("output=der,structure=pkcs1"),
    REFUSED("output=pem,structure=rsa"),
    REFUSED("output=der,structure=rsa"),
    REFUSED("output=msblob"),
    REFUSED("output=pvk"),
    { NULL, NULL, NULL, NULL },
};
