/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders (provider-decoder(7)): from device.pem, from a "TSS2 PRIVATE KEY" of another tool, or
 * from any PEM file with such a block in it, to a key.
 *
 * Two stages, because both of OpenSSL's ways to a key file go that way: PEM to "DER", then that to
 * a key. Between them travels DER: of a reference the whole PEM block, wrapped as one OCTET STRING
 * for the DER reader in the file store, of a TSS2 key what it is anyway. What is wrong with a block
 * is said by the first stage, as the store drops errors of the second. What is not ours is passed
 * over in silence. Parsing asks no TPM.
 *
 * The second stage takes no structure, as OpenSSL hands a file that is DER already only to such a
 * decoder. A third decoder would do as well, but each one costs every program that reads a file by
 * OpenSSL's store time.
 */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>

#define BLOCK_MAX 8192U /* a reference takes some 500 bytes, a TSS2 key 800 */
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

/* True when something is asked for and no private key with it. */
static bool is_public_wanted(int selection)
{
    return selection != 0 && (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0;
}

/*
 * OpenSSL before 3.2 collects decoders anew for every certificate it reads, and each one that
 * would take the public key in it adds a millisecond to a program that reads the system's roots. So
 * the DER stage is for private keys alone; a public key leaves the PEM stage as one.
 */
static int does_selection(void *provctx, int selection)
{
    (void)provctx;
    return !is_public_wanted(selection);
}

enum kind { FOREIGN, REFERENCE, TSS2, TSS2_LEGACY };

/* What is ours in a PEM file, and what a failure to read it is called. */
static const struct {
    const char *begin;
    const char *operation;
} kinds[] = {
    [REFERENCE] = { "-----BEGIN GATEKEY DEVICE KEY-----", "read the device key's reference" },
    [TSS2] = { "-----BEGIN TSS2 PRIVATE KEY-----", "read the TSS2 private key" },
    [TSS2_LEGACY] = { "-----BEGIN TSS2 KEY BLOB-----", "read the TSS2 private key" },
};

/* DER in the making: room for the head of an OCTET STRING, then a PEM block or what was in it. */
struct block {
    uint8_t bytes[HEAD_SIZE + BLOCK_MAX];
    size_t size; /* of what follows the head */
    enum kind kind;
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

static enum kind kind_of(const char *line)
{
    for (enum kind kind = REFERENCE; kind <= TSS2_LEGACY; kind++) {
        if (begins(line, kinds[kind].begin)) {
            return kind;
        }
    }
    return FOREIGN;
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
            block->kind = kind_of(line);
        }
        if (block->kind != FOREIGN) {
            block_append(block, line, (size_t)size);
        }
        done = inside && at_start && begins(line, "-----END ");
        at_start = line[size - 1] == '\n';
    }
    explicit_bzero(line, sizeof(line));
}

static enum gk_status parse(const struct block *block, struct gk_key **key, struct gk_error *err)
{
    const uint8_t *content = block->bytes + HEAD_SIZE;

    return block->kind == TSS2 ? prov_tss2_parse(content, block->size, key, err)
                               : gk_key_parse(content, block->size, key, err);
}

static enum gk_status dearmour(struct block *block, struct gk_error *err)
{
    uint8_t der[BLOCK_MAX];
    size_t size = 0;
    enum gk_status status = prov_tss2_dearmour((const char *)block->bytes + HEAD_SIZE, block->size,
                                               der, sizeof(der), &size, err);

    if (status == GK_OK) {
        memcpy(block->bytes + HEAD_SIZE, der, size);
        block->size = size;
    }
    return status;
}

static enum gk_status parse_block(struct block *block, struct gk_key **key, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    if (block->kind == TSS2_LEGACY) {
        return prov_tss2_refuse_legacy(err);
    }
    if (block->too_long) {
        return gk_fail(err, GK_BAD_REFERENCE, "the block is longer than %u bytes", BLOCK_MAX);
    }
    if (block->kind == TSS2) {
        status = dearmour(block, err);
    }
    return status == GK_OK ? parse(block, key, err) : status;
}

static int hand_on(struct block *block, OSSL_CALLBACK *deliver, void *argument)
{
    int type = OSSL_OBJECT_PKEY;
    char name[] = "RSA";
    size_t head = block->kind == REFERENCE ? HEAD_SIZE : 0;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, block->bytes + HEAD_SIZE - head,
                                          head + block->size),
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
    struct prov_context *context = ctx;
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct block block = { .size = 0 };
    struct gk_error err = { 0 };
    enum gk_status status;

    (void)ask;
    (void)ask_argument;
    if (context->upcalls.bio_gets == NULL) {
        return 0;
    }
    read_block(context, bio, &block);
    if (block.kind == FOREIGN) {
        return 1;
    }
    status = parse_block(&block, &key, &err);
    return PROV_ANSWER(context, status, &err, kinds[block.kind].operation) &&
           (is_public_wanted(selection) ? prov_object_public_part(context, key, deliver, argument)
                                        : hand_on(&block, deliver, argument));
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

/* The content of an OCTET STRING as hand_on() made it, whole. */
static enum kind read_reference(const struct prov_context *context, OSSL_CORE_BIO *bio,
                                struct block *block, size_t size)
{
    block->size = read_bytes(context, bio, block->bytes + HEAD_SIZE, BLOCK_MAX);
    return block->size == size && gk_key_is_reference(block->bytes + HEAD_SIZE, block->size)
               ? REFERENCE
               : FOREIGN;
}

/*
 * A SEQUENCE whose head was read. Other people's private keys are SEQUENCEs too, but none of them
 * begins with the identifier of a TSS2 key, and what is read to see that is no secret of theirs.
 */
static enum kind read_tss2(const struct prov_context *context, OSSL_CORE_BIO *bio,
                           struct block *block, size_t size)
{
    uint8_t *der = block->bytes + HEAD_SIZE;
    uint8_t *first = der + HEAD_SIZE;

    /* A tag: private keys of others have an INTEGER here. */
    if (read_bytes(context, bio, first, 1) < 1 || first[0] != 0x06 ||
        read_bytes(context, bio, first + 1, PROV_TSS2_FIRST_SIZE - 1) < PROV_TSS2_FIRST_SIZE - 1 ||
        !prov_tss2_begins(first)) {
        return FOREIGN;
    }
    if (size < PROV_TSS2_FIRST_SIZE || size > BLOCK_MAX - HEAD_SIZE ||
        read_bytes(context, bio, first + PROV_TSS2_FIRST_SIZE, size - PROV_TSS2_FIRST_SIZE) <
            size - PROV_TSS2_FIRST_SIZE) {
        return FOREIGN;
    }
    memcpy(der, block->bytes, HEAD_SIZE);
    block->size = HEAD_SIZE + size;
    return TSS2;
}

/*
 * What hand_on() made, or a TSS2 key from a file that is DER; anything else is not for us. Most
 * often it is somebody's private key, so nothing but its head is copied before that is known.
 */
static enum kind read_der(const struct prov_context *context, OSSL_CORE_BIO *bio,
                          struct block *block)
{
    uint8_t *head = block->bytes;
    size_t size;

    if (read_bytes(context, bio, head, HEAD_SIZE) < HEAD_SIZE || head[1] != 0x82) {
        return FOREIGN;
    }
    size = (size_t)head[2] << 8 | head[3];
    switch (head[0]) {
    case 0x04:
        return read_reference(context, bio, block, size);
    case 0x30:
        return read_tss2(context, bio, block, size);
    default:
        return FOREIGN;
    }
}

static enum gk_status make_key(struct prov_context *context, const struct block *block,
                               struct prov_key **key, struct gk_error *err)
{
    struct gk_key *reference;
    enum gk_status status = parse(block, &reference, err);

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
    enum gk_status status;

    (void)selection;
    if (context->upcalls.bio_read_ex == NULL) {
        return 0;
    }
    block.kind = read_der(context, bio, &block);
    if (block.kind == FOREIGN) {
        return 1;
    }
    status = make_key(context, &block, &key, &err);
    if (status == GK_OK) {
        prov_key_find_password(key, ask, ask_argument);
        prov_key_find_parent_password(key);
    }
    return PROV_ANSWER(context, status, &err, kinds[block.kind].operation) &&
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
    { "DER", PROV_PROPERTIES ",input=pem", pem, "device.pem and TSS2 private keys in PEM" },
    { PROV_RSA_NAMES, PROV_PROPERTIES ",input=der", der, "device.pem and TSS2 private keys" },
    { NULL, NULL, NULL, NULL },
};
