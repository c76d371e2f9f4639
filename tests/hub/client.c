/* SPDX-License-Identifier: Apache-2.0 */
/* Signs calls of the REST API and makes them with libcurl. */
#include "tests/hub/client.h"

#include "tests/hub/store.h"
#include "tests/hub/text.h"

#include <curl/curl.h>
#include <inttypes.h>

#define TOKEN_SIZE 256
#define STAMP_SIZE 24
#define TIMEOUT_S 60
#define EXPIRED 1203

struct hub_client {
    const struct hub_client_options *options;
    CURL *curl;
    char token[TOKEN_SIZE]; /* empty until it was fetched */
    int64_t last_stamp;
};

size_t hub_body_take(char *bytes, size_t one, size_t count, void *user)
{
    struct hub_body *body = user;
    char *larger = realloc(body->bytes, body->size + count + 1);

    (void)one;
    if (larger == NULL) {
        return 0;
    }
    memcpy(larger + body->size, bytes, count);
    body->bytes = larger;
    body->size += count;
    body->bytes[body->size] = '\0';
    return count;
}

static void slist_freep(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

struct hub_client *hub_client_new(const struct hub_client_options *options)
{
    struct hub_client *client = calloc(1, sizeof(*client));

    if (client != NULL) {
        client->options = options;
        client->curl = curl_easy_init();
    }
    return client;
}

void hub_client_free(struct hub_client *client)
{
    if (client != NULL) {
        curl_easy_cleanup(client->curl);
        free(client);
    }
}

/* Send and read the answer, NULL when none comes or it is no JSON. */
static json_t *exchange(struct hub_client *client, const char *url, const char *body,
                        struct curl_slist *headers, long *http)
{
    struct hub_body text = { 0 };
    json_t *answer = NULL;

    if (client->curl == NULL) {
        return NULL;
    }
    curl_easy_reset(client->curl);
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
    curl_easy_setopt(client->curl, CURLOPT_CAINFO, client->options->ca_file);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(client->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, hub_body_take);
    curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &text);
    if (body != NULL) {
        curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body);
    }
    if (curl_easy_perform(client->curl) == CURLE_OK && text.bytes != NULL) {
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, http);
        answer = json_loads(text.bytes, 0, NULL);
    }
    free(text.bytes);
    return answer;
}

/* Never the same twice: the hub takes a repeated stamp for a replay. */
static void stamp_now(struct hub_client *client, char text[static STAMP_SIZE])
{
    int64_t now_ms = hub_now_ms();

    client->last_stamp = now_ms > client->last_stamp ? now_ms : client->last_stamp + 1;
    snprintf(text, STAMP_SIZE, "%" PRId64, client->last_stamp);
}

static bool fetch_token(struct hub_client *client)
{
    const struct hub_client_options *o = client->options;
    CLEANUP(gk_freep) char *url = hub_print("%s/apim-token-service/v2.0/token/get", o->url);
    CLEANUP(json_decrefp) json_t *body = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(gk_freep) char *text = NULL;
    char stamp[STAMP_SIZE];
    char encryption[HUB_SIGNATURE_SIZE];
    long http;

    stamp_now(client, stamp);
    if (url == NULL || !hub_signature_token(o->app_key, stamp, o->app_secret, encryption)) {
        return false;
    }
    body = json_pack("{s:s,s:s,s:s}", "appKey", o->app_key, "encryption", encryption, "timestamp",
                     stamp);
    text = json_dumps(body, JSON_COMPACT);
    answer = exchange(client, url, text, NULL, &http);
    snprintf(client->token, sizeof(client->token), "%s",
             hub_text(json_object_get(answer, "data"), "accessToken"));
    return client->token[0] != '\0';
}

static char *format_url(const struct hub_client *client, const struct hub_client_call *call,
                        const struct hub_parameter *query, size_t count)
{
    char *url = hub_print("%s%s", client->options->url, call->path);

    for (size_t i = 0; url != NULL && i < count; i++) {
        char *value = curl_easy_escape(NULL, query[i].value, 0);
        char *longer = hub_print("%s%c%s=%s", url, i == 0 ? '?' : '&', query[i].name,
                                 value != NULL ? value : "");

        curl_free(value);
        free(url);
        url = longer;
    }
    return url;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
    CLEANUP(gk_freep) char *line = hub_print("%s: %s", name, value);

    return line != NULL ? curl_slist_append(list, line) : list;
}

static json_t *send_signed(struct hub_client *client, const struct hub_client_call *call,
                           long *http)
{
    struct hub_parameter query[HUB_CLIENT_PARAMETERS + 1];
    size_t count = call->query_count;
    CLEANUP(gk_freep) char *body = call->body != NULL ? json_dumps(call->body, JSON_COMPACT) : NULL;
    CLEANUP(gk_freep) char *url = NULL;
    CLEANUP(slist_freep) struct curl_slist *headers = NULL;
    char stamp[STAMP_SIZE];
    char signature[HUB_SIGNATURE_SIZE];

    memcpy(query, call->query, count * sizeof(*query));
    query[count++] = (struct hub_parameter){ "orgId", client->options->org_id };
    url = format_url(client, call, query, count);
    stamp_now(client, stamp);
    if (url == NULL ||
        !hub_signature_request(client->token, query, count, body, body != NULL ? strlen(body) : 0,
                               stamp, client->options->app_secret, signature)) {
        return NULL;
    }
    headers = add_header(headers, "apim-accesstoken", client->token);
    headers = add_header(headers, "apim-timestamp", stamp);
    headers = add_header(headers, "apim-signature", signature);
    headers = add_header(headers, "Content-Type", "application/json;charset=UTF-8");
    return exchange(client, url, body, headers, http);
}

int hub_client_call(struct hub_client *client, const struct hub_client_call *call, json_t **answer)
{
    *answer = NULL;
    for (int attempt = 1;; attempt++) {
        CLEANUP(json_decrefp) json_t *got = NULL;
        long http = 0;

        if (client->token[0] == '\0' && !fetch_token(client)) {
            return HUB_CLIENT_UNREACHABLE;
        }
        got = send_signed(client, call, &http);
        if (got == NULL) {
            return HUB_CLIENT_UNREACHABLE;
        }
        if ((http == 401 || hub_number(got, "code") == EXPIRED) && attempt == 1) {
            client->token[0] = '\0';
            continue;
        }
        *answer = TAKE(got);
        return http == 200 ? (int)hub_number(*answer, "code") : HUB_CLIENT_UNREACHABLE;
    }
}
