/* SPDX-License-Identifier: Apache-2.0 */
/* Calls EnOS's REST API: one function per call, one place that signs. */
#include "agent/command/hub.h"

#include "agent/command/command.h"
#include "agent/command/http.h"
#include "agent/secret.h"

#include <inttypes.h>
#include <time.h>

#define TOKEN_PATH "/apim-token-service/v2.0/token/get"
#define DEVICES_PATH "/connect-service/v2.1/devices"
#define CERTIFICATES_PATH "/connect-service/v2.0/certificates"

#define TOKEN_SIZE 2049
#define STAMP_SIZE 24

struct hub {
    const struct agent_config *config;
    OSSL_LIB_CTX *libctx;
    struct http *http;
    struct agent_secret secret; /* the application's */
    char token[TOKEN_SIZE];     /* empty until it was fetched */
    int64_t last_stamp;
};

static void wipe_textp(char **text)
{
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        free(*text);
    }
}

bool hub_is_configured(const struct agent_config *config)
{
    return config->api_url != NULL;
}

static enum gk_status check_config(const struct agent_config *config, struct gk_error *err)
{
    const struct {
        const char *value, *name;
    } needed[] = {
        { config->api_url, "[api] url" },
        { config->app_key, "[api] app_key" },
        { config->app_secret_file, "[api] app_secret_file" },
        { config->organization_id, "[api] organization_id" },
        { config->product_key, "[device] product_key" },
        { config->device_key, "[device] device_key" },
    };

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        enum gk_status status = agent_config_need(config, needed[i].value, needed[i].name, err);

        if (status != GK_OK) {
            return status;
        }
    }
    return GK_OK;
}

enum gk_status hub_new(const struct agent_config *config, struct agent_openssl *openssl,
                       struct hub **hub, struct gk_error *err)
{
    CLEANUP(hub_freep) struct hub *h = NULL;
    enum gk_status status = check_config(config, err);

    if (status != GK_OK) {
        return status;
    }
    h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    h->config = config;
    h->libctx = agent_openssl_context(openssl);
    status = agent_secret_read_file(config->app_secret_file, &h->secret, err);
    if (status == GK_OK) {
        status = http_new(config, AGENT_TRUST_API, &h->http, err);
    }
    if (status == GK_OK) {
        *hub = TAKE(h);
    }
    return status;
}

void hub_free(struct hub *hub)
{
    if (hub == NULL) {
        return;
    }
    http_free(hub->http);
    explicit_bzero(hub, sizeof(*hub));
    free(hub);
}

/* Milliseconds since 1970. Never the same twice: the hub takes a repeated stamp for a replay. */
static void stamp_now(struct hub *hub, char text[static STAMP_SIZE])
{
    struct timespec now;
    int64_t stamp;

    clock_gettime(CLOCK_REALTIME, &now);
    stamp = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    hub->last_stamp = stamp > hub->last_stamp ? stamp : hub->last_stamp + 1;
    snprintf(text, STAMP_SIZE, "%" PRId64, hub->last_stamp);
}

/* Send, and take the reply apart. path is for the error: which of the calls it was. */
static enum gk_status exchange(struct hub *hub, const struct http_request *request, json_t **data,
                               bool *expired, struct gk_error *err)
{
    CLEANUP(http_reply_clear) struct http_reply reply = { 0 };
    enum gk_status status = http_call(hub->http, request, &reply, err);

    *expired = false;
    if (status != GK_OK) {
        return status;
    }
    return enos_rest_reply_parse(reply.status, reply.body != NULL ? reply.body : "", reply.size,
                                 data, expired, err);
}

static enum gk_status fetch_token(struct hub *hub, struct gk_error *err)
{
    static const char *const headers[] = { "Content-Type: application/json;charset=UTF-8", NULL };
    CLEANUP(json_freep) json_t *body = NULL;
    CLEANUP(json_freep) json_t *data = NULL;
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(gk_freep) char *url = NULL;
    char stamp[STAMP_SIZE], encryption[ENOS_HEX_SIZE];
    enum gk_status status;
    bool expired;

    stamp_now(hub, stamp);
    status = enos_token_encrypt(hub->libctx, hub->config->app_key, stamp, hub->secret.text,
                                encryption, err);
    if (status != GK_OK) {
        return status;
    }
    body = json_pack("{ss ss sI}", "appKey", hub->config->app_key, "encryption", encryption,
                     "timestamp", (json_int_t)hub->last_stamp);
    text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    if (text == NULL || asprintf(&url, "%s" TOKEN_PATH, hub->config->api_url) < 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = exchange(hub, &(struct http_request){ .url = url, .body = text, .headers = headers },
                      &data, &expired, err);
    return status == GK_OK ? enos_token_parse(data, hub->token, sizeof(hub->token), err) : status;
}

/* What a call is made of; the organisation is added to the parameters. */
struct call {
    const char *path, *action;
    bool names_device; /* the device goes into the query */
    const char *body;  /* NULL: GET */
};

static size_t fill_parameters(const struct hub *hub, const struct call *call,
                              struct enos_parameter parameters[static 4])
{
    parameters[0] = (struct enos_parameter){ "action", call->action };
    parameters[1] = (struct enos_parameter){ "orgId", hub->config->organization_id };
    parameters[2] = (struct enos_parameter){ "productKey", hub->config->product_key };
    parameters[3] = (struct enos_parameter){ "deviceKey", hub->config->device_key };
    return call->names_device ? 4 : 2;
}

static enum gk_status send_signed(struct hub *hub, const struct call *call, json_t **data,
                                  bool *expired, struct gk_error *err)
{
    struct enos_parameter parameters[4];
    size_t count = fill_parameters(hub, call, parameters);
    CLEANUP(gk_freep) char *query = enos_query_format(parameters, count);
    CLEANUP(gk_freep) char *url = NULL;
    CLEANUP(wipe_textp) char *token = NULL;
    char stamp[STAMP_SIZE], signature[ENOS_HEX_SIZE], when[64], signed_by[96];
    const char *headers[] = { "Content-Type: application/json;charset=UTF-8", NULL, when, signed_by,
                              NULL };
    enum gk_status status;

    stamp_now(hub, stamp);
    status = enos_request_sign(hub->libctx, hub->token, parameters, count, call->body, stamp,
                               hub->secret.text, signature, err);
    if (status != GK_OK) {
        return status;
    }
    if (query == NULL || asprintf(&url, "%s%s?%s", hub->config->api_url, call->path, query) < 0 ||
        asprintf(&token, "apim-accesstoken: %s", hub->token) < 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    snprintf(when, sizeof(when), "apim-timestamp: %s", stamp);
    snprintf(signed_by, sizeof(signed_by), "apim-signature: %s", signature);
    headers[1] = token;
    return exchange(hub,
                    &(struct http_request){ .url = url, .body = call->body, .headers = headers },
                    data, expired, err);
}

static enum gk_status make_call(struct hub *hub, const struct call *call, json_t **data,
                                struct gk_error *err)
{
    for (int attempt = 1;; attempt++) {
        enum gk_status status = hub->token[0] == '\0' ? fetch_token(hub, err) : GK_OK;
        bool expired = false;

        if (status == GK_OK) {
            status = send_signed(hub, call, data, &expired, err);
        }
        if (!expired || attempt == 2) {
            return status;
        }
        /* Refused before it was acted on, so the call is safe to repeat with a new token. */
        explicit_bzero(hub->token, sizeof(hub->token));
    }
}

static enum gk_status call_device(struct hub *hub, const struct call *call,
                                  struct enos_device *device, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *data = NULL;
    enum gk_status status = make_call(hub, call, &data, err);

    return status == GK_OK ? enos_device_parse(data, device, err) : status;
}

enum gk_status hub_device_create(struct hub *hub, const char *serial_number, const char *licence,
                                 struct enos_device *device, struct gk_error *err)
{
    CLEANUP(json_freep)
    json_t *body = json_pack("{ss ss ss s{ss s{}}}", "productKey", hub->config->product_key,
                             "deviceKey", hub->config->device_key, "timezone", "+00:00",
                             "deviceName", "defaultValue", hub->config->device_key, "i18nValue");
    json_t *attributes = json_pack("{ss* ss*}", "serialNumber", serial_number, "licence", licence);
    CLEANUP(wipe_textp) char *text = NULL;

    if (json_object_size(attributes) > 0) {
        json_object_set(body, "deviceAttributes", attributes);
    }
    json_decref(attributes);
    text = body != NULL && attributes != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    if (text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return call_device(hub, &(struct call){ DEVICES_PATH, "create", false, text }, device, err);
}

enum gk_status hub_device_get(struct hub *hub, struct enos_device *device, struct gk_error *err)
{
    return call_device(hub, &(struct call){ DEVICES_PATH, "get", true, NULL }, device, err);
}

/* The body of apply, or of renew where a serial is given. The serial is written by hand: certSn is
 * a JSON number, and a serial may be longer than a C integer. */
static char *format_application(const struct hub *hub, const char *serial, const char *csr)
{
    CLEANUP(json_freep)
    json_t *body = json_pack("{ss* sI ss}", "csr", csr, "validDay",
                             (json_int_t)hub->config->valid_days, "issueAuthority", "RSA");
    CLEANUP(gk_freep) char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    char *whole;

    if (text == NULL || serial == NULL) {
        return TAKE(text);
    }
    return asprintf(&whole, "{\"certSn\":%s,%s", serial, text + 1) >= 0 ? whole : NULL;
}

static enum gk_status ask_certificate(struct hub *hub, const char *action, const char *body,
                                      json_t **data, struct enos_certificate *certificate,
                                      struct gk_error *err)
{
    CLEANUP(json_freep) json_t *got = NULL;
    enum gk_status status;

    if (body == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = make_call(hub, &(struct call){ CERTIFICATES_PATH, action, true, body }, &got, err);
    if (status == GK_OK) {
        status = enos_certificate_parse(got, certificate, err);
    }
    if (status == GK_OK) {
        *data = TAKE(got);
    }
    return status;
}

enum gk_status hub_certificate_apply(struct hub *hub, const char *csr, json_t **data,
                                     struct enos_certificate *certificate, struct gk_error *err)
{
    CLEANUP(gk_freep) char *body = format_application(hub, NULL, csr);

    return ask_certificate(hub, "apply", body, data, certificate, err);
}

enum gk_status hub_certificate_renew(struct hub *hub, const char *serial, const char *csr,
                                     json_t **data, struct enos_certificate *certificate,
                                     struct gk_error *err)
{
    CLEANUP(gk_freep) char *body = format_application(hub, serial, csr);

    return ask_certificate(hub, "renew", body, data, certificate, err);
}

enum gk_status hub_certificate_list(struct hub *hub, struct enos_record records[HUB_RECORDS_MAX],
                                    size_t *count, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *data = NULL;
    enum gk_status status =
        make_call(hub, &(struct call){ CERTIFICATES_PATH, "list", true, NULL }, &data, err);

    return status == GK_OK ? enos_list_parse(data, records, HUB_RECORDS_MAX, count, err) : status;
}

enum gk_status hub_certificate_revoke(struct hub *hub, const char *serial, enum enos_reason reason,
                                      struct gk_error *err)
{
    CLEANUP(json_freep) json_t *data = NULL;
    char body[128];

    /* Written by hand: certSn is a JSON number, and a serial may be longer than a C integer. */
    snprintf(body, sizeof(body), "{\"certSn\":%s,\"reason\":%d}", serial, (int)reason);
    return make_call(hub, &(struct call){ CERTIFICATES_PATH, "revoke", true, body }, &data, err);
}
