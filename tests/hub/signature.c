/* SPDX-License-Identifier: Apache-2.0 */
/* EnOS's signatures: joins names and values in the order EnOS wants them and hashes the lot. */
#include "tests/hub/signature.h"

#include "cleanup.h"
#include "tests/hub/text.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <strings.h>

GK_DEFINE_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free)

static const struct method {
    const char *name;
    const char *digest;
    bool weak;
} methods[] = {
    { "sha256", "SHA256", false },
    { "sha1", "SHA1", true },
    { "md5", "MD5", true },
};

static const struct method *find_method(const char *name)
{
    if (strncasecmp(name, "hmac", 4) == 0) {
        name += 4;
    }
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcasecmp(name, methods[i].name) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

static bool add(EVP_MD_CTX *hash, const char *text)
{
    return EVP_DigestUpdate(hash, text, strlen(text)) == 1;
}

static EVP_MD_CTX *begin(const char *digest)
{
    CLEANUP(EVP_MD_CTX_freep) EVP_MD_CTX *hash = EVP_MD_CTX_new();

    if (hash == NULL || EVP_DigestInit_ex(hash, EVP_get_digestbyname(digest), NULL) != 1) {
        return NULL;
    }
    return TAKE(hash);
}

static bool finish(EVP_MD_CTX *hash, char hex[static HUB_SIGNATURE_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned int size;

    if (EVP_DigestFinal_ex(hash, digest, &size) != 1 || HUB_HEX_SIZE(size) > HUB_SIGNATURE_SIZE) {
        return false;
    }
    hub_hex(digest, size, hex);
    return true;
}

/* Parameters are joined in the order of their names, each name directly to its value. */
static int compare(const void *left, const void *right)
{
    const struct hub_parameter *a = left;
    const struct hub_parameter *b = right;

    return strcmp(a->name, b->name);
}

static bool add_sorted(EVP_MD_CTX *hash, struct hub_parameter *parameters, size_t count)
{
    if (count > 0) {
        qsort(parameters, count, sizeof(*parameters), compare);
    }
    for (size_t i = 0; i < count; i++) {
        if (!add(hash, parameters[i].name) || !add(hash, parameters[i].value)) {
            return false;
        }
    }
    return true;
}

bool hub_signature_connect(const char *method, const char *cid, const char *device_key,
                           const char *product_key, const char *timestamp, const char *secret,
                           char hex[static HUB_SIGNATURE_SIZE])
{
    struct hub_parameter parameters[] = {
        { "clientId", cid },
        { "deviceKey", device_key },
        { "productKey", product_key },
        { "timestamp", timestamp },
    };
    const struct method *found = find_method(method);
    CLEANUP(EVP_MD_CTX_freep) EVP_MD_CTX *hash = found != NULL ? begin(found->digest) : NULL;

    return hash != NULL &&
           add_sorted(hash, parameters, sizeof(parameters) / sizeof(parameters[0])) &&
           add(hash, secret) && finish(hash, hex);
}

bool hub_signature_is_weak(const char *method)
{
    const struct method *found = find_method(method);

    return found != NULL && found->weak;
}

bool hub_signature_token(const char *app_key, const char *timestamp, const char *secret,
                         char hex[static HUB_SIGNATURE_SIZE])
{
    CLEANUP(EVP_MD_CTX_freep) EVP_MD_CTX *hash = begin("SHA256");

    return hash != NULL && add(hash, app_key) && add(hash, timestamp) && add(hash, secret) &&
           finish(hash, hex);
}

bool hub_signature_request(const char *token, struct hub_parameter *query, size_t query_count,
                           const void *body, size_t body_size, const char *timestamp,
                           const char *secret, char hex[static HUB_SIGNATURE_SIZE])
{
    CLEANUP(EVP_MD_CTX_freep) EVP_MD_CTX *hash = begin("SHA256");

    return hash != NULL && add(hash, token) && add_sorted(hash, query, query_count) &&
           EVP_DigestUpdate(hash, body, body_size) == 1 && add(hash, timestamp) &&
           add(hash, secret) && finish(hash, hex);
}

bool hub_signature_equal(const char *expected, const char *given)
{
    char lower[HUB_SIGNATURE_SIZE] = "";
    size_t length = strlen(expected);

    if (length >= sizeof(lower) || strlen(given) != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        lower[i] = (char)tolower((unsigned char)given[i]);
    }
    return CRYPTO_memcmp(expected, lower, length) == 0;
}
