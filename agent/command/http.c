/* SPDX-License-Identifier: Apache-2.0 */
/* Speaks HTTPS by libcurl, with every default that could surprise turned off. */
#include "agent/command/http.h"

#include "agent/clock.h"
#include "agent/enos/rest.h"

#include <curl/curl.h>
#include <openssl/ssl.h>

#define CONNECT_TIMEOUT_S 10L
#define TIMEOUT_S 30L

/* A file may be large and the line slow, but what crawls is given up. */
#define FILE_TIMEOUT_S 120L
#define FILE_SLOW_S 15L
#define FILE_SLOW_BYTES 64L /* a second */

struct http {
    CURL *curl;
    const struct agent_config *config;
    struct gk_content roots; /* PEM; empty: the system's */
    char where[160];         /* they stand, for errors */
    char why[CURL_ERROR_SIZE];
};

static void free_listp(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

void http_reply_clear(struct http_reply *reply)
{
    if (reply->body != NULL) {
        explicit_bzero(reply->body, reply->capacity);
    }
    free(reply->body);
    *reply = (struct http_reply){ 0 };
}

enum gk_status http_new(const struct agent_config *config, enum agent_trust trust,
                        struct http **http, struct gk_error *err)
{
    CLEANUP(http_freep) struct http *h = calloc(1, sizeof(*h));
    enum gk_status status;

    if (h == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    /* libcurl would write the keys of every connection into that file. */
    unsetenv("SSLKEYLOGFILE");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return gk_fail(err, GK_INTERNAL, "libcurl does not start");
    }
    h->config = config;
    agent_roots_describe(config, trust, h->where, sizeof(h->where));
    status = agent_roots_pem(config, trust, &h->roots, err);
    if (status != GK_OK) {
        return status;
    }
    h->curl = curl_easy_init();
    if (h->curl == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *http = TAKE(h);
    return GK_OK;
}

void http_free(struct http *http)
{
    if (http != NULL) {
        curl_easy_cleanup(http->curl);
        gk_content_clear(&http->roots);
        free(http);
    }
}

/* libcurl's write callback: a reply that grows beyond the limit ends the transfer. */
static size_t collect(char *data, size_t one, size_t size, void *context)
{
    struct http_reply *reply = context;
    size_t wanted = reply->size + size + 1;

    (void)one;
    if (size > reply->max || wanted > reply->max + 1) {
        return 0;
    }
    if (wanted > reply->capacity) {
        /* Grown by hand, because realloc(3) would leave copies of a device secret behind. */
        size_t capacity = wanted < 4096 ? 4096 : 2 * wanted;
        char *grown = malloc(capacity);

        if (grown == NULL) {
            return 0;
        }
        if (reply->body != NULL) {
            memcpy(grown, reply->body, reply->size);
            explicit_bzero(reply->body, reply->capacity);
            free(reply->body);
        }
        reply->body = grown;
        reply->capacity = capacity;
    }
    memcpy(reply->body + reply->size, data, size);
    reply->size += size;
    reply->body[reply->size] = '\0';
    return size;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 9110, 5.5: what is kept is sent back some day, so nothing that ends a line is among it. */
static bool is_field_value(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return size < HTTP_FIELD_SIZE;
}

void http_field_note(struct http_reply *reply, const char *line, size_t size)
{
    const struct {
        const char *name;
        char *value;
    } fields[] = {
        { "etag:", reply->etag },
        { "last-modified:", reply->last_modified },
        { "date:", reply->date },
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        size_t begin = strlen(fields[i].name), end = size;

        if (end < begin || strncasecmp(line, fields[i].name, begin) != 0) {
            continue;
        }
        while (begin < end && is_blank(line[begin])) {
            begin++;
        }
        while (end > begin && is_blank(line[end - 1])) {
            end--;
        }
        if (is_field_value(line + begin, end - begin)) {
            memcpy(fields[i].value, line + begin, end - begin);
            fields[i].value[end - begin] = '\0';
        }
    }
}

/* libcurl's header callback. */
static size_t note_field(char *line, size_t one, size_t size, void *context)
{
    http_field_note(context, line, size * one);
    return size * one;
}

/* Judge the peer by the time that certainly has come, as everywhere. */
static CURLcode set_time(CURL *curl, void *context, void *http)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);

    (void)curl;
    X509_VERIFY_PARAM_set_time(param, (time_t)agent_clock_now(((const struct http *)http)->config));
    return CURLE_OK;
}

static bool set_up_trust(struct http *http, bool plain)
{
    CURL *curl = http->curl;
    struct curl_blob roots = { http->roots.data, http->roots.size, CURL_BLOB_NOCOPY };
    bool fine =
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, plain ? "http,https" : "https") == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, set_time) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, http) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK;

    if (fine && http->roots.data != NULL) {
        /* Without the second call the distribution's folder of roots would be trusted beside
         * ours. */
        fine = curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &roots) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
    }
    return fine;
}

static void set_up_limits(CURL *curl, const struct http_request *request,
                          const struct http_reply *reply)
{
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)reply->max);
    if (request->file_max == 0) {
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
        return;
    }
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, FILE_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, FILE_SLOW_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, FILE_SLOW_BYTES);
}

static bool set_up(struct http *http, const struct http_request *request,
                   const struct curl_slist *headers, struct http_reply *reply)
{
    CURL *curl = http->curl;

    curl_easy_reset(curl);
    if (!set_up_trust(http, request->plain) ||
        curl_easy_setopt(curl, CURLOPT_URL, request->url) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, note_field) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) != CURLE_OK) {
        return false;
    }
    if (request->body != NULL &&
        (curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(request->body)) != CURLE_OK ||
         curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body) != CURLE_OK)) {
        return false;
    }
    /* On a connection that is used again libcurl repeats a request whose answer never came; what
     * was asked for would be done twice. */
    if (curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L) != CURLE_OK) {
        return false;
    }
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->why);
    set_up_limits(curl, request, reply);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "gatekey");
    return true;
}

/* A failed handshake is the network's fault when the socket broke, the peer's when it answered
 * wrongly. */
static enum gk_status judge_handshake(CURL *curl)
{
    long error_number = 0;

    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error_number);
    return error_number != 0 ? GK_UNREACHABLE : GK_HUB_GARBLED;
}

static enum gk_status judge(CURL *curl, CURLcode code)
{
    /* Everything that is not named here is libcurl's way of saying that the network failed. */
    switch ((int)code) {
    case CURLE_OK:
        return GK_OK;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return GK_UNTRUSTED;
    case CURLE_SSL_CACERT_BADFILE:
        return GK_BAD_FILE;
    case CURLE_SSL_CONNECT_ERROR:
        return judge_handshake(curl);
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
        return GK_HUB_GARBLED;
    case CURLE_OUT_OF_MEMORY:
        return GK_NO_MEMORY;
    case CURLE_URL_MALFORMAT:
        return GK_BAD_CONFIG;
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_NOT_BUILT_IN:
    case CURLE_FAILED_INIT:
        return GK_INTERNAL;
    default:
        return GK_UNREACHABLE;
    }
}

/* The request's host for the error, without its query, which says more than it needs to. */
static int host_size(const char *url)
{
    const char *host = strstr(url, "://");

    host = host != NULL ? host + 3 : url;
    return (int)(host - url + (long)strcspn(host, "/?"));
}

static enum gk_status fail(struct http *http, const struct http_request *request, CURLcode code,
                           const struct http_reply *reply, struct gk_error *err)
{
    char why[121];

    if (code == CURLE_SSL_CACERT_BADFILE) {
        gk_fail(err, GK_BAD_FILE, "%s holds no root, or a broken one", http->where);
        gk_advise(err, "put the root certificate there, in PEM");
        return GK_BAD_FILE;
    }
    enos_text_clean(http->why[0] != '\0' ? http->why : curl_easy_strerror(code), why, sizeof(why));
    if (code == CURLE_FILESIZE_EXCEEDED ||
        (code == CURLE_WRITE_ERROR && reply->size + CURL_MAX_WRITE_SIZE > reply->max)) {
        snprintf(why, sizeof(why), "a reply of more than %zu MiB", reply->max >> 20);
    }
    return gk_fail(err, judge(http->curl, code), "%.*s: %s", host_size(request->url), request->url,
                   why);
}

/* Who proved who he is says what time it is; that moment has passed. What cannot be noted is no
 * reason to fail. */
static void raise_floor(const struct http *http, const struct http_request *request,
                        const struct http_reply *reply)
{
    time_t date = reply->date[0] != '\0' ? curl_getdate(reply->date, NULL) : -1;

    if (date > 0 && strncmp(request->url, "https://", 8) == 0) {
        (void)!agent_clock_raise(http->config, AGENT_CLOCK_HTTPS, date, NULL);
    }
}

enum gk_status http_call(struct http *http, const struct http_request *request,
                         struct http_reply *reply, struct gk_error *err)
{
    CLEANUP(http_reply_clear)
    struct http_reply r = { .max = request->file_max != 0 ? request->file_max : ENOS_REPLY_MAX };
    CLEANUP(free_listp) struct curl_slist *headers = NULL;
    CURLcode code;

    for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++) {
        struct curl_slist *longer = curl_slist_append(headers, request->headers[i]);

        if (longer == NULL) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
        headers = longer;
    }
    http->why[0] = '\0';
    if (!set_up(http, request, headers, &r)) {
        return gk_fail(err, GK_INTERNAL, "libcurl refuses an option");
    }
    code = curl_easy_perform(http->curl);
    if (code != CURLE_OK) {
        return fail(http, request, code, &r, err);
    }
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &r.status);
    raise_floor(http, request, &r);
    *reply = r;
    r = (struct http_reply){ 0 };
    return GK_OK;
}
