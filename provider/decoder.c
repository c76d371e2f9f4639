/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders (provider-decoder(7)): from device.pem, or from any PEM file with that block in it, to a
 * key.
 *
 * Two stages, because both of OpenSSL's ways to a key file go that way: PEM to "DER", then that to
 * a key. Between them travels the whole PEM block, wrapped as one OCTET STRING for the DER reader
 * in the file store. What is wrong with a block is said by the first stage, as the store drops
 * errors of the second. What is not ours is passed over in silence. Parsing asks no TPM.
 */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>

#define OPERATION "read the device key's reference"
#define STRUCTURE "gatekey"
#define LABEL "-----BEGIN GATEKEY DEVICE KEY-----"
#define BLOCK_MAX 4096U /* a reference takes some 500 bytes */
#define HEAD_SIZE 4

static OSSL_FUNC_decoder_newctx_fn newctx;
static OSSL_FUNC_decoder_freectx_fn freectx;
static OSSL_FUNC_decoder_does_selection_fn does_selection;
static OSSL_FUNC_decoder_decode_fn decode_pem;
static OSSL_FUNC_decoder_decode_fn decode_der;

static void *newctx(void *provctx)
{
    return provctx;
}

static void freectx(void *ctx)
{
    (void)ctx;
}

static int does_selection(void *provctx, int selection)
{
    (void)provctx;
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
}

/* An OCTET STRING in the making: room for its head, then the block. */
struct block {
    uint8_t bytes[HEAD_SIZE + BLOCK_MAX];
    size_t size; /* of what follows the head */
    bool ours;
    bool too_long;
};

/* What was read may have been somebody's secret. */
static void block_clear(struct block *block)
{
    explicit_bzero(block, sizeof(*block));
}

static void block_append(struct block *block, const char *text, size_t size)
{
    if (size > BLOCK_MAX - block->size) {
        block->too_long = true;
        return;
    }
    memcpy(block->bytes + HEAD_SIZE + block->size, text, size);
    block->size += size;
}

static bool begins(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

/*
 * Read on to the end of the next PEM block and no further: OpenSSL comes again for the next one.
 * Only a block of ours is kept; the lines of another may be somebody's private key.
 */
static void read_block(const struct prov_context *context, OSSL_CORE_BIO *bio, struct block *block)
{
    char line[256];
    bool inside = false;
    bool at_start = true;
    bool done = false;
    int size;

    while (!done && (size = context->upcalls.bio_gets(bio, line, sizeof(line))) > 0) {
        if (at_start && !inside && begins(line, "-----BEGIN ")) {
            inside = true;
            block->ours = begins(line, LABEL);
        }
        if (block->ours) {
            block_append(block, line, (size_t)size);
        }
        done = inside && at_start && begins(line, "-----END ");
        at_start = line[size - 1] == '\n';
    }
    explicit_bzero(line, sizeof(line));
}

static enum gk_status check_block(const struct block *block, struct gk_error *err)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;

    if (block->too_long) {
        return gk_fail(err, GK_BAD_REFERENCE, "the block is longer than %u bytes", BLOCK_MAX);
    }
    return gk_key_parse(block->bytes + HEAD_SIZE, block->size, &key, err);
}

static int hand_on(struct block *block, OSSL_CALLBACK *deliver, void *argument)
{
    int type = OSSL_OBJECT_PKEY;
    char name[] = "RSA";
    char structure[] = STRUCTURE;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, name, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, block->bytes,
                                          HEAD_SIZE + block->size),
        OSSL_PARAM_construct_end(),
    };

    block->bytes[0] = 0x04; /* OCTET STRING, its length in the next two bytes */
    block->bytes[1] = 0x82;
    block->bytes[2] = (uint8_t)(block->size >> 8);
    block->bytes[3] = (uint8_t)block->size;
    return deliver(params, argument);
}

static int decode_pem(void *ctx, OSSL_CORE_BIO *bio, int selection, OSSL_CALLBACK *deliver,
                      void *argument, OSSL_PASSPHRASE_CALLBACK *ask, void *ask_argument)
{
    const struct prov_context *context = ctx;
    struct block block = { .size = 0 };
    struct gk_error err = { 0 };
    enum gk_status status;

    (void)selection;
    (void)ask;
    (void)ask_argument;
    if (context->upcalls.bio_gets == NULL) {
        return 0;
    }
    read_block(context, bio, &block);
    if (!block.ours) {
        return 1;
    }
    status = check_block(&block, &err);
    return PROV_ANSWER(context, status, &err, OPERATION) && hand_on(&block, deliver, argument);
}

/* Up to size bytes; how many there were. */
static size_t read_bytes(const struct prov_context *context, OSSL_CORE_BIO *bio, uint8_t *bytes,
                         size_t size)
{
    size_t total = 0;
    size_t got = 0;

    while (total < size &&
           context->upcalls.bio_read_ex(bio, bytes + total, size - total, &got) == 1) {
        total += got;
    }
    return total;
}

/*
 * One OCTET STRING as hand_on() made it, whole; anything else is not for us. Most often it is
 * somebody's private key (a SEQUENCE), so nothing but the head is copied before that is known.
 */
static bool read_octets(const struct prov_context *context, OSSL_CORE_BIO *bio, struct block *block)
{
    if (read_bytes(context, bio, block->bytes, HEAD_SIZE) < HEAD_SIZE || block->bytes[0] != 0x04 ||
        block->bytes[1] != 0x82) {
        return false;
    }
    block->size = (size_t)block->bytes[2] << 8 | block->bytes[3];
    return block->size == read_bytes(context, bio, block->bytes + HEAD_SIZE, BLOCK_MAX) &&
           gk_key_is_reference(block->bytes + HEAD_SIZE, block->size);
}

static enum gk_status make_key(struct prov_context *context, const struct block *block,
                               struct prov_key **key, struct gk_error *err)
{
    struct gk_key *reference;
    enum gk_status status = gk_key_parse(block->bytes + HEAD_SIZE, block->size, &reference, err);

    if (status != GK_OK) {
        return status;
    }
    *key = prov_key_new(context, reference);
    return *key != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

static int decode_der(void *ctx, OSSL_CORE_BIO *bio, int selection, OSSL_CALLBACK *deliver,
                      void *argument, OSSL_PASSPHRASE_CALLBACK *ask, void *ask_argument)
{
    struct prov_context *context = ctx;
    CLEANUP(block_clear) struct block block = { .size = 0 };
    CLEANUP(prov_key_freep) struct prov_key *key = NULL;
    struct gk_error err = { 0 };
    bool for_public = selection != 0 && (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0;
    enum gk_status status;

    if (context->upcalls.bio_read_ex == NULL) {
        return 0;
    }
    if (!read_octets(context, bio, &block)) {
        return 1;
    }
    status = make_key(context, &block, &key, &err);
    if (status == GK_OK && !for_public) {
        prov_key_find_password(key, ask, ask_argument);
    }
    return PROV_ANSWER(context, status, &err, OPERATION) &&
           prov_key_deliver(&key, deliver, argument);
}

static const OSSL_DISPATCH pem[] = {
    { OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))newctx },
    { OSSL_FUNC_DECODER_FREECTX, (void (*)(void))freectx },
    { OSSL_FUNC_DECODER_DECODE, (void (*)(void))decode_pem },
    { 0, NULL },
};

static const OSSL_DISPATCH der[] = {
    { OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))newctx },
    { OSSL_FUNC_DECODER_FREECTX, (void (*)(void))freectx },
    { OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))does_selection },
    { OSSL_FUNC_DECODER_DECODE, (void (*)(void))decode_der },
    { 0, NULL },
};

const OSSL_ALGORITHM prov_decoder[] = {
    { "DER", PROV_PROPERTIES ",input=pem", pem, "device.pem, the PEM block in it" },
    { PROV_RSA_NAMES, PROV_PROPERTIES ",input=der,structure=" STRUCTURE, der,
      "device.pem, the reference in it" },
    { NULL, NULL, NULL, NULL },
};
