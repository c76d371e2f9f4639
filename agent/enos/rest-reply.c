/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the replies of EnOS's REST API apart and says in our words what its codes mean. */
#include "agent/enos/rest.h"

#include "cleanup.h"

#include <strings.h>

/* What a code of the hub is to us (DOC: "Connection API", "Token API", error codes). */
struct verdict {
    long code;
    enum gk_status status;
    bool expired;
    const char *advice; /* NULL: the table's */
};

static const struct verdict verdicts[] = {
    { 1001, GK_HUB_CREDENTIALS, false, "run it again; the hub saw this time stamp before" },
    { 1002, GK_HUB_CREDENTIALS, false, "check [api] app_key" },
    { 1003, GK_HUB_CREDENTIALS, false, "check [api] app_secret_file" },
    { 1005, GK_HUB_REFUSED, false, "the hub's token service failed; run it again later" },
    { 1203, GK_HUB_CREDENTIALS, true, NULL },
    { 1204, GK_HUB_CREDENTIALS, true, NULL },
    { 11404, GK_HUB_REFUSED, false,
      "check [device] product_key and device_key; a new device is made with gatekey provision" },
    { 11702, GK_HUB_REFUSED, false,
      "this device is at the hub already; choose another device_key" },
    { 11714, GK_HUB_REFUSED, false, "the hub could make no device key; set [device] device_key" },
    { 11739, GK_HUB_REFUSED, false,
      "the product is full; ask the hub's operator for another [device] product_key" },
    { 11794, GK_HUB_REFUSED, false,
      "the device's state at the hub forbids it; ask the hub's operator to enable it" },
    { 11833, GK_BOUND_ELSEWHERE, false, NULL },
    { 99403, GK_HUB_CREDENTIALS, false,
      "the application needs the right to manage devices and certificates of this product" },
    { 99404, GK_HUB_REFUSED, false, "check [api] organization_id and [device] product_key" },
    { 99500, GK_HUB_REFUSED, false,
      "the hub failed inside; run it again later, and tell its operator if that does not help" },
};

/* EnOS has one code for a dozen reasons; they are told apart by the words of its message alone. */
#define CODE_BAD_CALL 99400

static const struct {
    const char *word, *other; /* both stand in it, in any case of letters */
    struct verdict verdict;
} reasons[] = {
    { "subject", "duplicate", { CODE_BAD_CALL, GK_DUPLICATE_SUBJECT, false, NULL } },
    { "subject", "exist", { CODE_BAD_CALL, GK_DUPLICATE_SUBJECT, false, NULL } },
    { "revoked", "renew", { CODE_BAD_CALL, GK_REVOKED, false, NULL } },
    { "expired", "renew", { CODE_BAD_CALL, GK_EXPIRED, false, NULL } },
    { "validDay",
      "exceed",
      { CODE_BAD_CALL, GK_HUB_REFUSED, false,
        "lower [api] valid_days to what the hub's product allows" } },
    { "authentication",
      "product",
      { CODE_BAD_CALL, GK_HUB_REFUSED, false,
        "ask the hub's operator to switch on certificates (biDirectionalAuth) for this product" } },
    { "CA",
      "failed",
      { CODE_BAD_CALL, GK_HUB_REFUSED, false,
        "the hub's CA did not answer it; run it again later, or ask the hub's operator" } },
    { "not bound",
      "certificate",
      { CODE_BAD_CALL, GK_HUB_REFUSED, false,
        "the hub does not know this certificate as this device's; compare gatekey status with the "
        "hub's list" } },
    { "invalid",
      "request",
      { CODE_BAD_CALL, GK_HUB_REFUSED, false,
        "check the subject and the extensions of the request ([device] common_name, "
        "csr_extensions)" } },
};

/* The same for an HTTP status that came without a reply of EnOS's own. */
static const struct verdict http_verdicts[] = {
    { 401, GK_HUB_CREDENTIALS, true, NULL },
    { 403, GK_HUB_CREDENTIALS, false, NULL },
    { 429, GK_THROTTLED, false,
      "the hub asks for fewer requests; wait a minute, then run it again" },
    { 502, GK_UNREACHABLE, false, NULL },
    { 503, GK_UNREACHABLE, false, NULL },
    { 504, GK_UNREACHABLE, false, NULL },
};

static const struct verdict *find(const struct verdict *rows, size_t count, long code)
{
    static const struct verdict refused = { 0, GK_HUB_REFUSED, false, NULL };

    for (size_t i = 0; i < count; i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return &refused;
}

static bool contains(const char *text, const char *word)
{
    return strcasestr(text, word) != NULL;
}

static const struct verdict *find_reason(const struct verdict *otherwise, const char *message)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (contains(message, reasons[i].word) && contains(message, reasons[i].other)) {
            return &reasons[i].verdict;
        }
    }
    return otherwise;
}

#define FIND(rows, code) find(rows, sizeof(rows) / sizeof((rows)[0]), code)

/* U+0080 to U+009F are control characters too, and terminals obey them. */
static bool is_control(const unsigned char *text)
{
    return *text < 0x20 || *text == 0x7f || (*text == 0xc2 && text[1] < 0xa0);
}

bool enos_text_is_clean(const char *text)
{
    for (const unsigned char *next = (const unsigned char *)text; *next != '\0'; next++) {
        if (is_control(next)) {
            return false;
        }
    }
    return true;
}

void enos_text_clean(const char *text, char *clean, size_t size)
{
    size_t used = 0;

    while (*text != '\0' && used + 1 < size) {
        const unsigned char *next = (const unsigned char *)text;
        size_t width = *next < 0x80 ? 1 : *next < 0xe0 ? 2 : *next < 0xf0 ? 3 : 4;

        if (strnlen(text, width) < width || used + width >= size) {
            break;
        }
        if (!is_control(next)) {
            memcpy(clean + used, text, width);
            used += width;
        }
        text += width;
    }
    clean[used] = '\0';
}

static enum gk_status refuse(const struct verdict *verdict, long code, const char *message,
                             bool *expired, struct gk_error *err)
{
    char clean[161];

    enos_text_clean(message, clean, sizeof(clean));
    if (code == CODE_BAD_CALL) {
        verdict = find_reason(verdict, message);
    }
    if (expired != NULL) {
        *expired = verdict->expired;
    }
    gk_fail(err, verdict->status, "code %ld%s%s", code, clean[0] != '\0' ? ": " : "", clean);
    if (verdict->advice != NULL) {
        gk_advise(err, "%s", verdict->advice);
    }
    return verdict->status;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

enum gk_status enos_rest_reply_parse(long http_status, const char *body, size_t size, json_t **data,
                                     bool *expired, struct gk_error *err)
{
    json_error_t why;
    json_t *reply = json_loadb(body, size, JSON_REJECT_DUPLICATES, &why);
    const json_t *code = json_object_get(reply, "code");
    enum gk_status status;

    if (expired != NULL) {
        *expired = false;
    }
    /* Token replies say "status", and one page of EnOS's documents misspells it. */
    code = code != NULL ? code : json_object_get(reply, "status");
    code = code != NULL ? code : json_object_get(reply, "stauts");
    if (json_is_integer(code) && json_integer_value(code) != 0) {
        const char *message = text_of(reply, "msg");

        status =
            refuse(FIND(verdicts, (long)json_integer_value(code)), (long)json_integer_value(code),
                   message[0] != '\0' ? message : text_of(reply, "message"), expired, err);
    } else if (http_status != 200) {
        char text[24];

        snprintf(text, sizeof(text), "HTTP %ld", http_status);
        status = refuse(FIND(http_verdicts, http_status), http_status, text, expired, err);
    } else if (!json_is_integer(code)) {
        status = gk_fail(err, GK_HUB_GARBLED, "%s", reply == NULL ? why.text : "no code in it");
    } else {
        json_t *found = json_object_get(reply, "data");

        *data = found != NULL ? json_incref(found) : json_null();
        status = GK_OK;
    }
    json_decref(reply);
    return status;
}

/* Copy a member of text type; a missing or null one is empty. None of them is more than one line.
 */
static bool copy_text(const json_t *data, const char *name, char *text, size_t size)
{
    const json_t *member = json_object_get(data, name);

    text[0] = '\0';
    if (member == NULL || json_is_null(member)) {
        return true;
    }
    if (!json_is_string(member) || json_string_length(member) >= size ||
        strlen(json_string_value(member)) != json_string_length(member) ||
        !enos_text_is_clean(json_string_value(member))) {
        return false;
    }
    memcpy(text, json_string_value(member), json_string_length(member) + 1);
    return true;
}

enum gk_status enos_token_parse(const json_t *data, char *token, size_t size, struct gk_error *err)
{
    if (!copy_text(data, "accessToken", token, size) || token[0] == '\0') {
        return gk_fail(err, GK_HUB_GARBLED, "no accessToken in the token reply");
    }
    return GK_OK;
}

enum gk_status enos_device_parse(const json_t *data, struct enos_device *device,
                                 struct gk_error *err)
{
    struct enos_device d;
    bool fine = json_is_object(data) &&
                copy_text(data, "assetId", d.asset_id, sizeof(d.asset_id)) &&
                copy_text(data, "productKey", d.product_key, sizeof(d.product_key)) &&
                copy_text(data, "deviceKey", d.device_key, sizeof(d.device_key)) &&
                copy_text(data, "deviceSecret", d.device_secret, sizeof(d.device_secret)) &&
                copy_text(data, "status", d.status, sizeof(d.status));

    if (fine) {
        *device = d;
    }
    explicit_bzero(&d, sizeof(d));
    return fine ? GK_OK : gk_fail(err, GK_HUB_GARBLED, "the device in the reply");
}

/* certSN or certSn, text or number: EnOS's editions differ. Decimal digits without a leading zero.
 */
static bool copy_serial(const json_t *record, char serial[static 49])
{
    const json_t *member = json_object_get(record, "certSN");

    member = member != NULL ? member : json_object_get(record, "certSn");
    if (json_is_integer(member) && json_integer_value(member) > 0) {
        snprintf(serial, 49, "%" JSON_INTEGER_FORMAT, json_integer_value(member));
        return true;
    }
    if (!json_is_string(member) || json_string_length(member) == 0 ||
        json_string_length(member) > 48 || json_string_value(member)[0] == '0' ||
        strspn(json_string_value(member), "0123456789") != json_string_length(member)) {
        return false;
    }
    memcpy(serial, json_string_value(member), json_string_length(member) + 1);
    return true;
}

enum gk_status enos_certificate_parse(const json_t *data, struct enos_certificate *certificate,
                                      struct gk_error *err)
{
    struct enos_certificate c = {
        .certificate = json_string_value(json_object_get(data, "cert")),
        .issuer = json_string_value(json_object_get(data, "caCert")),
        .chain_url = json_string_value(json_object_get(data, "certChainURL")),
    };

    if (c.certificate == NULL || c.issuer == NULL || !copy_serial(data, c.serial)) {
        return gk_fail(err, GK_HUB_GARBLED, "cert, caCert or certSN in the reply");
    }
    /* An address nobody could show or use is as good as none; it is optional. */
    if (c.chain_url != NULL && !enos_text_is_clean(c.chain_url)) {
        c.chain_url = NULL;
    }
    *certificate = c;
    return GK_OK;
}

enum gk_status enos_list_parse(const json_t *data, struct enos_record *records, size_t max,
                               size_t *count, struct gk_error *err)
{
    size_t size = json_array_size(data);

    if (!json_is_array(data) || size > max) {
        return gk_fail(err, GK_HUB_GARBLED, "the list of certificates%s",
                       json_is_array(data) ? ": too long" : "");
    }
    for (size_t i = 0; i < size; i++) {
        const json_t *record = json_array_get(data, i);
        const json_t *state = json_object_get(record, "certStatus");

        if (!copy_serial(record, records[i].serial) || !json_is_integer(state)) {
            return gk_fail(err, GK_HUB_GARBLED, "entry %zu of the list of certificates", i + 1);
        }
        records[i].valid = json_integer_value(state) == 0;
        records[i].revoked = json_integer_value(state) == 1;
    }
    *count = size;
    return GK_OK;
}
