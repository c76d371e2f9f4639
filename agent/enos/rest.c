/* SPDX-License-Identifier: Apache-2.0 */
/* Signs what EnOS's REST API is asked, by its published rule and test vectors. */
#include "agent/enos/rest.h"

#include "cleanup.h"

#include <openssl/evp.h>

static void free_digestp(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

static void free_md(EVP_MD **md)
{
    EVP_MD_free(*md);
}

/* Hash the texts one after the other, into lower-case hex. */
static enum gk_status hash_texts(OSSL_LIB_CTX *libctx, const char *const *texts, size_t count,
                                 char hex[static ENOS_HEX_SIZE], struct gk_error *err)
{
    CLEANUP(free_md) EVP_MD *md = EVP_MD_fetch(libctx, "SHA2-256", NULL);
    CLEANUP(free_digestp) EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    bool fine = md != NULL && context != NULL && EVP_DigestInit_ex2(context, md, NULL) == 1;

    for (size_t i = 0; fine && i < count; i++) {
        fine = EVP_DigestUpdate(context, texts[i], strlen(texts[i])) == 1;
    }
    if (!fine || EVP_DigestFinal_ex(context, digest, NULL) != 1) {
        return gk_fail(err, GK_CRYPTO_FAILED, "SHA-256");
    }
    for (size_t i = 0; i < (ENOS_HEX_SIZE - 1) / 2; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    return GK_OK;
}

enum gk_status enos_token_encrypt(OSSL_LIB_CTX *libctx, const char *app_key, const char *timestamp,
                                  const char *app_secret, char hex[static ENOS_HEX_SIZE],
                                  struct gk_error *err)
{
    const char *const texts[] = { app_key, timestamp, app_secret };

    return hash_texts(libctx, texts, 3, hex, err);
}

static int compare_names(const void *a, const void *b)
{
    const struct enos_parameter *left = a, *right = b;

    return strcmp(left->name, right->name);
}

enum gk_status enos_request_sign(OSSL_LIB_CTX *libctx, const char *token,
                                 const struct enos_parameter *parameters, size_t count,
                                 const char *body, const char *timestamp, const char *app_secret,
                                 char hex[static ENOS_HEX_SIZE], struct gk_error *err)
{
    struct enos_parameter sorted[ENOS_PARAMETER_MAX];
    const char *texts[2 * ENOS_PARAMETER_MAX + 4];
    size_t used = 0;

    if (count > ENOS_PARAMETER_MAX) {
        return gk_fail(err, GK_INTERNAL, "%zu parameters in one query", count);
    }
    memcpy(sorted, parameters, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_names);
    texts[used++] = token;
    for (size_t i = 0; i < count; i++) {
        texts[used++] = sorted[i].name;
        texts[used++] = sorted[i].value;
    }
    texts[used++] = body != NULL ? body : "";
    texts[used++] = timestamp;
    texts[used++] = app_secret;
    return hash_texts(libctx, texts, used, hex, err);
}

static char *encode(char *out, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    static const char digits[] = "0123456789ABCDEF";

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL) {
            *out++ = *text;
        } else {
            *out++ = '%';
            *out++ = digits[(unsigned char)*text >> 4];
            *out++ = digits[*text & 0x0f];
        }
    }
    return out;
}

char *enos_query_format(const struct enos_parameter *parameters, size_t count)
{
    size_t size = 1;
    char *query, *end;

    for (size_t i = 0; i < count; i++) {
        size += 3 * (strlen(parameters[i].name) + strlen(parameters[i].value)) + 2;
    }
    query = malloc(size);
    if (query == NULL) {
        return NULL;
    }
    end = query;
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            *end++ = '&';
        }
        end = encode(end, parameters[i].name);
        *end++ = '=';
        end = encode(end, parameters[i].value);
    }
    *end = '\0';
    return query;
}
