/* SPDX-License-Identifier: Apache-2.0 */
/* Signs an EnOS CONNECT and spells a device's topics. */
#include "agent/enos/connect.h"

#include "cleanup.h"

#include <ctype.h>
#include <openssl/evp.h>

#define REST_MAX 128
#define SERVICE_PREFIX "thing/service/"
#define REPLY_SUFFIX "_reply"

bool enos_name_is_valid(const char *name)
{
    size_t length = name != NULL ? strlen(name) : 0;

    if (length == 0 || length > ENOS_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!isgraph((unsigned char)name[i]) || strchr("/+#|&\"\\", name[i]) != NULL) {
            return false;
        }
    }
    return true;
}

/* A client id may carry braces, commas and equal signs before its first bar, but no bar. */
static bool cid_is_valid(const char *cid)
{
    size_t length = strlen(cid);

    return length > 0 && length <= ENOS_CID_MAX && strchr(cid, '|') == NULL;
}

static enum gk_status check(const struct enos_connect_input *input, struct gk_error *err)
{
    if (!enos_name_is_valid(input->product_key)) {
        return gk_fail(err, GK_BAD_CONFIG, "[device] product_key is missing or not a valid key");
    }
    if (!enos_name_is_valid(input->device_key)) {
        return gk_fail(err, GK_BAD_CONFIG, "[device] device_key is missing or not a valid key");
    }
    if (!cid_is_valid(input->cid)) {
        return gk_fail(err, GK_BAD_CONFIG, "the client identifier is not valid");
    }
    return GK_OK;
}

/* EVP_MD_CTX gets the pieces one by one, so the secret is never copied into a buffer of ours. */
static bool digest(OSSL_LIB_CTX *libctx, const char *propquery,
                   const struct enos_connect_input *input, uint8_t *out, unsigned *size)
{
    const char *pieces[] = { "clientId",        input->cid,       "deviceKey",
                             input->device_key, "productKey",     input->product_key,
                             "timestamp",       input->timestamp, input->secret };
    EVP_MD *md = EVP_MD_fetch(libctx, input->method, propquery);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = md != NULL && context != NULL && EVP_DigestInit_ex2(context, md, NULL) == 1;

    for (size_t i = 0; ok && i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        ok = EVP_DigestUpdate(context, pieces[i], strlen(pieces[i])) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(context, out, size) == 1;
    EVP_MD_CTX_free(context);
    EVP_MD_free(md);
    return ok;
}

enum gk_status enos_connect_sign(OSSL_LIB_CTX *libctx, const char *propquery,
                                 const struct enos_connect_input *input,
                                 struct enos_connect *connect, struct gk_error *err)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    enum gk_status status = check(input, err);
    int length;

    if (status != GK_OK) {
        return status;
    }
    if (!digest(libctx, propquery, input, hash, &size)) {
        return gk_fail(err, GK_CRYPTO_FAILED, "hashing with %s", input->method);
    }
    length = snprintf(connect->client_id, sizeof(connect->client_id),
                      "%s|securemode=%d,signmethod=%s,timestamp=%s|", input->cid, (int)input->mode,
                      input->method, input->timestamp);
    if (length < 0 || (size_t)length >= sizeof(connect->client_id)) {
        return gk_fail(err, GK_BAD_CONFIG, "the client identifier is too long");
    }
    snprintf(connect->user_name, sizeof(connect->user_name), "%s&%s", input->device_key,
             input->product_key);
    for (unsigned i = 0; i < size; i++) {
        snprintf(connect->password + (size_t)2 * i, 3, "%02X", hash[i]);
    }
    explicit_bzero(hash, sizeof(hash));
    return GK_OK;
}

void enos_connect_clear(struct enos_connect *connect)
{
    explicit_bzero(connect, sizeof(*connect));
}

static bool spell(const char *prefix, const char *product_key, const char *device_key,
                  const char *rest, char *topic)
{
    int length;

    if (!enos_name_is_valid(product_key) || !enos_name_is_valid(device_key)) {
        return false;
    }
    length = snprintf(topic, ENOS_TOPIC_MAX, "%s/%s/%s/%s", prefix, product_key, device_key, rest);
    return length > 0 && length < ENOS_TOPIC_MAX;
}

bool enos_topic(const char *product_key, const char *device_key, const char *rest,
                char topic[static ENOS_TOPIC_MAX])
{
    return spell("/sys", product_key, device_key, rest, topic);
}

bool enos_session_topic(const char *product_key, const char *device_key, const char *rest,
                        char topic[static ENOS_TOPIC_MAX])
{
    return spell("/ext/session", product_key, device_key, rest, topic);
}

const char *enos_topic_rest(const char *product_key, const char *device_key, const char *topic)
{
    char prefix[ENOS_TOPIC_MAX];
    size_t length;

    if (!enos_topic(product_key, device_key, "", prefix)) {
        return NULL;
    }
    length = strlen(prefix);
    return strncmp(topic, prefix, length) == 0 ? topic + length : NULL;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text);
    size_t wanted = strlen(suffix);

    return length >= wanted && strcmp(text + length - wanted, suffix) == 0;
}

/* Levels of harmless characters, none of them empty. */
static bool levels_are_valid(const char *rest)
{
    size_t length = strlen(rest);

    if (length == 0 || length > REST_MAX || rest[0] == '/' || rest[length - 1] == '/') {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)rest[i]) && strchr("_-./", rest[i]) == NULL) {
            return false;
        }
    }
    return strstr(rest, "//") == NULL;
}

bool enos_rest_is_publishable(const char *rest)
{
    return levels_are_valid(rest) && !ends_with(rest, REPLY_SUFFIX);
}

const char *enos_service_of(const char *rest)
{
    const size_t prefix = strlen(SERVICE_PREFIX);

    if (strncmp(rest, SERVICE_PREFIX, prefix) != 0 || !levels_are_valid(rest) ||
        ends_with(rest, REPLY_SUFFIX)) {
        return NULL;
    }
    return rest + prefix;
}
