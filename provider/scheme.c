/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of signature the application asks for: padding, hash, salt, in all of OpenSSL's
 * spellings. */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <strings.h>

#define SALT_AUTO_DIGEST_MAX (-4) /* RSA_PSS_SALTLEN_AUTO_DIGEST_MAX of OpenSSL 3.1 and later */
#define TEXT_SIZE 64

struct name {
    const char *text;
    int value;
};

/* The first name of each value is the one we give back. */
static const struct name hashes[] = {
    { "SHA256", GK_SHA256 },
    { "SHA2-256", GK_SHA256 },
    { "SHA-256", GK_SHA256 },
    { "2.16.840.1.101.3.4.2.1", GK_SHA256 },
    { "SHA384", GK_SHA384 },
    { "SHA2-384", GK_SHA384 },
    { "SHA-384", GK_SHA384 },
    { "2.16.840.1.101.3.4.2.2", GK_SHA384 },
    { "SHA512", GK_SHA512 },
    { "SHA2-512", GK_SHA512 },
    { "SHA-512", GK_SHA512 },
    { "2.16.840.1.101.3.4.2.3", GK_SHA512 },
    { NULL, 0 },
};
static const struct name paddings[] = {
    { OSSL_PKEY_RSA_PAD_MODE_PKCSV15, RSA_PKCS1_PADDING },
    { OSSL_PKEY_RSA_PAD_MODE_PSS, RSA_PKCS1_PSS_PADDING },
    { NULL, 0 },
};
static const struct name salts[] = {
    { OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST, RSA_PSS_SALTLEN_DIGEST },
    { OSSL_PKEY_RSA_PSS_SALT_LEN_MAX, RSA_PSS_SALTLEN_MAX },
    { OSSL_PKEY_RSA_PSS_SALT_LEN_AUTO, RSA_PSS_SALTLEN_AUTO },
    { "auto-digestmax", SALT_AUTO_DIGEST_MAX },
    { NULL, 0 },
};

static const struct name *by_text(const struct name *names, const char *text)
{
    for (; names->text != NULL; names++) {
        if (strcasecmp(names->text, text) == 0) {
            return names;
        }
    }
    return NULL;
}

static const struct name *by_value(const struct name *names, int value)
{
    for (; names->text != NULL; names++) {
        if (names->value == value) {
            return names;
        }
    }
    return NULL;
}

static bool get_text(const OSSL_PARAM *param, char text[TEXT_SIZE])
{
    return param->data_type == OSSL_PARAM_UTF8_STRING &&
           OSSL_PARAM_get_utf8_string(param, &text, TEXT_SIZE);
}

/* Asked for the type first: since OpenSSL 3.2 a getter of the wrong one leaves an error behind. */
static bool get_int(const OSSL_PARAM *param, int *number)
{
    return (param->data_type == OSSL_PARAM_INTEGER ||
            param->data_type == OSSL_PARAM_UNSIGNED_INTEGER) &&
           OSSL_PARAM_get_int(param, number);
}

static enum gk_status refuse_hash(const char *name, struct gk_error *err)
{
    (void)gk_fail(err, GK_NOT_OFFERED, "hash %.40s", name);
    gk_advise(err, "use SHA-256, SHA-384 or SHA-512");
    return GK_NOT_OFFERED;
}

enum gk_status prov_scheme_hash(struct prov_scheme *scheme, const char *name, struct gk_error *err)
{
    const struct name *known = by_text(hashes, name);

    if (known == NULL) {
        return refuse_hash(name, err);
    }
    scheme->hash = (enum gk_hash)known->value;
    scheme->hash_named = true;
    return GK_OK;
}

static enum gk_status set_hash(struct prov_scheme *scheme, const OSSL_PARAM *param,
                               struct gk_error *err)
{
    char text[TEXT_SIZE];

    return get_text(param, text) ? prov_scheme_hash(scheme, text, err)
                                 : refuse_hash("not given as text", err);
}

static enum gk_status set_mgf1(struct prov_scheme *scheme, const OSSL_PARAM *param,
                               struct gk_error *err)
{
    struct prov_scheme read = *scheme;
    enum gk_status status = set_hash(&read, param, err);

    if (status == GK_OK) {
        scheme->mgf1 = read.hash;
        scheme->mgf1_named = true;
    }
    return status;
}

static enum gk_status set_padding(struct prov_scheme *scheme, const OSSL_PARAM *param,
                                  struct gk_error *err)
{
    char text[TEXT_SIZE] = "?";
    int number = -1;
    const struct name *known;

    if (get_int(param, &number)) {
        snprintf(text, sizeof(text), "%d", number);
        known = by_value(paddings, number);
    } else {
        known = get_text(param, text) ? by_text(paddings, text) : NULL;
    }
    if (known == NULL) {
        (void)gk_fail(err, GK_NOT_OFFERED, "padding %s", text);
        gk_advise(err, "use pkcs1 or pss");
        return GK_NOT_OFFERED;
    }
    scheme->padding = known->value == RSA_PKCS1_PSS_PADDING ? GK_RSAPSS : GK_RSASSA;
    return GK_OK;
}

static bool get_number(const char *text, int *number)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end != '\0' || value < SALT_AUTO_DIGEST_MAX || value > GK_RSA2048_SIZE) {
        return false;
    }
    *number = (int)value;
    return true;
}

static enum gk_status set_salt(struct prov_scheme *scheme, const OSSL_PARAM *param,
                               struct gk_error *err)
{
    char text[TEXT_SIZE] = "?";
    const struct name *known;
    int number;

    if (get_int(param, &number)) {
        snprintf(text, sizeof(text), "%d", number);
    } else if (get_text(param, text) && (known = by_text(salts, text)) != NULL) {
        snprintf(text, sizeof(text), "%d", known->value);
    }
    if (!get_number(text, &number)) {
        return gk_fail(err, GK_BAD_SALT, "salt length %s", text);
    }
    scheme->salt = number;
    return GK_OK;
}

static const struct {
    const char *name;
    enum gk_status (*set)(struct prov_scheme *scheme, const OSSL_PARAM *param,
                          struct gk_error *err);
} setters[] = {
    { OSSL_SIGNATURE_PARAM_DIGEST, set_hash },
    { OSSL_SIGNATURE_PARAM_PAD_MODE, set_padding },
    { OSSL_SIGNATURE_PARAM_PSS_SALTLEN, set_salt },
    { OSSL_SIGNATURE_PARAM_MGF1_DIGEST, set_mgf1 },
};

enum gk_status prov_scheme_set(struct prov_scheme *scheme, const OSSL_PARAM params[],
                               struct gk_error *err)
{
    struct prov_scheme set = *scheme;

    for (size_t i = 0; params != NULL && i < sizeof(setters) / sizeof(setters[0]); i++) {
        const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, setters[i].name);
        enum gk_status status = param != NULL ? setters[i].set(&set, param, err) : GK_OK;

        if (status != GK_OK) {
            return status;
        }
    }
    *scheme = set;
    return GK_OK;
}

/* The property queries are taken and not looked at: where we hash is our own choice. */
const OSSL_PARAM *prov_scheme_settable(void)
{
    static const OSSL_PARAM table[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_PROPERTIES, NULL, 0),
#ifdef OSSL_SIGNATURE_PARAM_SIGNATURE
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_SIGNATURE, NULL, 0),
#endif
        OSSL_PARAM_END,
    };

    return table;
}

/* A value that OpenSSL takes as a number or as text, whichever the caller made room for. */
static int give(OSSL_PARAM *param, const struct name *names, int value)
{
    const struct name *known = by_value(names, value);
    char decimal[16];

    if (param == NULL) {
        return 1;
    }
    if (param->data_type == OSSL_PARAM_INTEGER) {
        return OSSL_PARAM_set_int(param, value);
    }
    snprintf(decimal, sizeof(decimal), "%d", value);
    return OSSL_PARAM_set_utf8_string(param, known != NULL ? known->text : decimal);
}

static int give_algorithm_id(OSSL_PARAM *param, const struct prov_scheme *scheme)
{
    uint8_t der[PROV_ALGORITHM_ID_MAX];
    size_t salt_size;

    if (param == NULL) {
        return 1;
    }
    if (prov_scheme_settle(scheme, &salt_size, NULL) != GK_OK) {
        return 0;
    }
    return OSSL_PARAM_set_octet_string(param, der, prov_algorithm_id(scheme, salt_size, der));
}

int prov_scheme_get(const struct prov_scheme *scheme, OSSL_PARAM params[])
{
    enum gk_hash mgf1 = scheme->mgf1_named ? scheme->mgf1 : scheme->hash;
    int padding = scheme->padding == GK_RSAPSS ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;

    return give_algorithm_id(OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID),
                             scheme) &&
           give(OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PAD_MODE), paddings, padding) &&
           give(OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST), hashes, scheme->hash) &&
           give(OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST), hashes, mgf1) &&
           give(OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN), salts, scheme->salt);
}

const OSSL_PARAM *prov_scheme_gettable(void)
{
    static const OSSL_PARAM table[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_END,
    };

    return table;
}

/*
 * "auto" means the longest salt when signing (EVP_PKEY_CTX_set_rsa_pss_saltlen(3)); it is not bent
 * to what a TPM can do, so that nobody gets another signature than the one asked for.
 */
enum gk_status prov_scheme_settle(const struct prov_scheme *scheme, size_t *salt_size,
                                  struct gk_error *err)
{
    size_t hash_size = gk_hash_size(scheme->hash);

    if (scheme->padding == GK_RSASSA) {
        *salt_size = 0;
        return GK_OK;
    }
    if (scheme->mgf1_named && scheme->mgf1 != scheme->hash) {
        (void)gk_fail(err, GK_NOT_OFFERED, "MGF1 with another hash than the signature's");
        gk_advise(err, "use the same hash for both");
        return GK_NOT_OFFERED;
    }
    if (scheme->salt >= 0) {
        *salt_size = (size_t)scheme->salt;
    } else if (scheme->salt == RSA_PSS_SALTLEN_AUTO || scheme->salt == RSA_PSS_SALTLEN_MAX) {
        *salt_size = GK_RSA2048_SIZE - hash_size - 2;
    } else {
        *salt_size = hash_size;
    }
    return GK_OK;
}
