/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "TSS2 PRIVATE KEY" files of other tools (the Internet-Draft "ASN.1 Specification for TPM 2.0 Key
 * Files"): from bytes to a loadable key. What cannot be honoured is refused by name.
 */
#include "provider/internal.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pem.h>

GK_DEFINE_CLEANUP(BIO, BIO_free)

/* TPMPolicy ::= SEQUENCE { commandCode [0] EXPLICIT INTEGER,
 *                          commandPolicy [1] EXPLICIT OCTET STRING } */
struct policy {
    ASN1_INTEGER *command;
    ASN1_OCTET_STRING *parameters;
};

/* TPMAuthPolicy ::= SEQUENCE { name [0] EXPLICIT UTF8String OPTIONAL,
 *                              policy [1] EXPLICIT SEQUENCE OF TPMPolicy } */
struct auth_policy {
    ASN1_UTF8STRING *name;
    STACK_OF(ASN1_VALUE) * policy;
};

/*
 * TPMKey ::= SEQUENCE {
 *   type        OBJECT IDENTIFIER,
 *   emptyAuth   [0] EXPLICIT BOOLEAN OPTIONAL,
 *   policy      [1] EXPLICIT SEQUENCE OF TPMPolicy OPTIONAL,
 *   secret      [2] EXPLICIT OCTET STRING OPTIONAL,
 *   authPolicy  [3] EXPLICIT SEQUENCE OF TPMAuthPolicy OPTIONAL,
 *   description [4] EXPLICIT UTF8String OPTIONAL,
 *   rsaParent   [5] EXPLICIT BOOLEAN OPTIONAL,
 *   parent      INTEGER,
 *   pubkey      OCTET STRING,
 *   privkey     OCTET STRING }
 */
struct tss2_file {
    ASN1_OBJECT *type;
    ASN1_BOOLEAN empty_auth; /* -1 where it is absent */
    STACK_OF(ASN1_VALUE) * policy;
    ASN1_OCTET_STRING *secret;
    STACK_OF(ASN1_VALUE) * auth_policy;
    ASN1_UTF8STRING *description;
    ASN1_BOOLEAN rsa_parent; /* -1 where it is absent */
    ASN1_INTEGER *parent;
    ASN1_OCTET_STRING *public_area;
    ASN1_OCTET_STRING *private_area;
};

/* clang-format off */
ASN1_SEQUENCE(POLICY) = {
    ASN1_EXP(struct policy, command, ASN1_INTEGER, 0),
    ASN1_EXP(struct policy, parameters, ASN1_OCTET_STRING, 1),
} static_ASN1_SEQUENCE_END_name(struct policy, POLICY)

ASN1_SEQUENCE(AUTH_POLICY) = {
    ASN1_EXP_OPT(struct auth_policy, name, ASN1_UTF8STRING, 0),
    ASN1_EXP_SEQUENCE_OF(struct auth_policy, policy, POLICY, 1),
} static_ASN1_SEQUENCE_END_name(struct auth_policy, AUTH_POLICY)

ASN1_SEQUENCE(TSS2_FILE) = {
    ASN1_SIMPLE(struct tss2_file, type, ASN1_OBJECT),
    ASN1_EXP_OPT(struct tss2_file, empty_auth, ASN1_BOOLEAN, 0),
    ASN1_EXP_SEQUENCE_OF_OPT(struct tss2_file, policy, POLICY, 1),
    ASN1_EXP_OPT(struct tss2_file, secret, ASN1_OCTET_STRING, 2),
    ASN1_EXP_SEQUENCE_OF_OPT(struct tss2_file, auth_policy, AUTH_POLICY, 3),
    ASN1_EXP_OPT(struct tss2_file, description, ASN1_UTF8STRING, 4),
    ASN1_EXP_OPT(struct tss2_file, rsa_parent, ASN1_BOOLEAN, 5),
    ASN1_SIMPLE(struct tss2_file, parent, ASN1_INTEGER),
    ASN1_SIMPLE(struct tss2_file, public_area, ASN1_OCTET_STRING),
    ASN1_SIMPLE(struct tss2_file, private_area, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END_name(struct tss2_file, TSS2_FILE)
/* clang-format on */

static void tss2_file_freep(struct tss2_file **file)
{
    ASN1_item_free((ASN1_VALUE *)*file, ASN1_ITEM_rptr(TSS2_FILE));
}

/* What kind of file it is stands in its first element: 2.23.133.10.1.3 and so on. */
static const uint8_t kinds_arc[] = { 0x06, 0x06, 0x67, 0x81, 0x05, 0x0a, 0x01 };
static const uint8_t legacy_oid[] = { 0x06, 0x05, 0x67, 0x81, 0x05, 0x0a, 0x02 };
#define KIND_LOADABLE 3
#define KIND_IMPORTABLE 4
#define KIND_SEALED 5

bool prov_tss2_begins(const uint8_t first[static PROV_TSS2_FIRST_SIZE])
{
    return memcmp(first, kinds_arc, sizeof(kinds_arc)) == 0 ||
           memcmp(first, legacy_oid, sizeof(legacy_oid)) == 0;
}

static enum gk_status refuse(struct gk_error *err, const char *why)
{
    return gk_fail(err, GK_WRONG_KIND, "%s", why);
}

enum gk_status prov_tss2_refuse_legacy(struct gk_error *err)
{
    enum gk_status status =
        refuse(err, "it is a \"TSS2 KEY BLOB\", the format before \"TSS2 PRIVATE KEY\"");

    gk_advise(err, "write it anew with the tool that made it, or make a new key");
    return status;
}

/* By the object identifier alone, as the grammar behind it depends on it. */
static enum gk_status check_kind(const uint8_t *der, size_t size, struct gk_error *err)
{
    const uint8_t *inside = der;
    long length = 0;
    int tag = 0;
    int class = 0;

    if ((ASN1_get_object(&inside, &length, &tag, &class, (long)size) & 0x80) != 0 ||
        tag != V_ASN1_SEQUENCE || length < PROV_TSS2_FIRST_SIZE + 1) {
        return gk_fail(err, GK_BAD_REFERENCE, "it is no ASN.1 of a TPM key");
    }
    if (memcmp(inside, legacy_oid, sizeof(legacy_oid)) == 0) {
        return prov_tss2_refuse_legacy(err);
    }
    if (memcmp(inside, kinds_arc, sizeof(kinds_arc)) != 0) {
        return gk_fail(err, GK_BAD_REFERENCE, "it is no ASN.1 of a TPM key");
    }
    switch (inside[sizeof(kinds_arc)]) {
    case KIND_LOADABLE:
        return GK_OK;
    case KIND_IMPORTABLE:
        return refuse(err, "it is importable, so its private part was made outside of this TPM");
    case KIND_SEALED:
        return refuse(err, "it is sealed data, not a key");
    default:
        return refuse(err, "its type is one that this version of gatekey does not know");
    }
}

/* Parents were written as 32 bits with a sign by some tools, and by others as they are. */
static bool take_parent(const ASN1_INTEGER *number, uint32_t *parent)
{
    int64_t value = 0;

    if (!ASN1_INTEGER_get_int64(&value, number) || value < INT32_MIN || value > UINT32_MAX) {
        return false;
    }
    *parent = (uint32_t)value;
    return true;
}

static bool has_elements(const STACK_OF(ASN1_VALUE) * list)
{
    return OPENSSL_sk_num((const OPENSSL_STACK *)list) > 0;
}

static enum gk_status take(const struct tss2_file *file, struct gk_key **key, struct gk_error *err)
{
    struct gk_loadable loadable = {
        .rsa_parent = file->rsa_parent > 0,
        /* Absent and FALSE are the same: there is a password. */
        .needs_auth = file->empty_auth <= 0,
        .public_area = ASN1_STRING_get0_data(file->public_area),
        .public_size = (size_t)ASN1_STRING_length(file->public_area),
        .private_area = ASN1_STRING_get0_data(file->private_area),
        .private_size = (size_t)ASN1_STRING_length(file->private_area),
    };

    if (has_elements(file->policy) || has_elements(file->auth_policy)) {
        return refuse(err, "its use is bound to a policy");
    }
    if (file->secret != NULL) {
        return gk_fail(err, GK_BAD_REFERENCE, "it has a secret, as importable keys only have");
    }
    if (!take_parent(file->parent, &loadable.parent)) {
        return gk_fail(err, GK_BAD_REFERENCE, "its parent is no handle");
    }
    return gk_key_from_loadable(&loadable, key, err);
}

/*
 * OpenSSL takes BER as well. A file has 64 kB at most here, so a length of more than two bytes
 * (0x82) is not DER, and the decoder for DER files would pass over it without a word.
 */
static struct tss2_file *decode(const uint8_t *der, size_t size)
{
    const uint8_t *at = der;
    CLEANUP(tss2_file_freep)
    struct tss2_file *file =
        (struct tss2_file *)ASN1_item_d2i(NULL, &at, (long)size, ASN1_ITEM_rptr(TSS2_FILE));

    return file != NULL && at == der + size && der[1] <= 0x82 ? TAKE(file) : NULL;
}

enum gk_status prov_tss2_parse(const uint8_t *der, size_t size, struct gk_key **key,
                               struct gk_error *err)
{
    CLEANUP(tss2_file_freep) struct tss2_file *file = NULL;
    enum gk_status status;

    /* What OpenSSL says of foreign bytes is less than what we say. */
    ERR_set_mark();
    status = check_kind(der, size, err);
    if (status == GK_OK) {
        file = decode(der, size);
        status = file != NULL ? take(file, key, err)
                              : gk_fail(err, GK_BAD_REFERENCE, "its ASN.1 is garbled");
    }
    ERR_pop_to_mark();
    return status;
}

enum gk_status prov_tss2_dearmour(const char *text, size_t size, uint8_t *der, size_t room,
                                  size_t *der_size, struct gk_error *err)
{
    CLEANUP(BIO_freep) BIO *in = NULL;
    char *label = NULL;
    char *header = NULL;
    unsigned char *data = NULL;
    long length = 0;
    bool done;

    ERR_set_mark();
    in = BIO_new_mem_buf(text, (int)size);
    done = in != NULL && PEM_read_bio(in, &label, &header, &data, &length) == 1 &&
           header[0] == '\0' && (size_t)length <= room;
    if (done) {
        memcpy(der, data, (size_t)length);
        *der_size = (size_t)length;
    }
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_free(data);
    ERR_pop_to_mark();
    return done ? GK_OK : gk_fail(err, GK_BAD_REFERENCE, "its PEM block is garbled");
}
