/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks into a local hub and makes it act: shows what its database holds (whether it runs or not),
 * and asks the running hub through its control socket, which takes EnOS's calls unsigned and a few
 * of its own.
 */
#include "tests/hub/hubctl.h"

#include "tests/hub/file.h"
#include "tests/hub/keeping.h"
#include "tests/hub/store.h"
#include "tests/hub/table.h"
#include "tests/hub/text.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdarg.h>

#define DEVICES "/connect-service/v2.1/devices"
#define COMMANDS "/connect-service/v2.1/commands"
#define CERTIFICATES "/connect-service/v2.0/certificates"

int hubctl_fail(const char *format, ...)
{
    va_list arguments;

    fputs("hubctl: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return 1;
}

static int show(struct run *run, const char *query)
{
    CLEANUP(hub_store_closep) struct hub_store *store = NULL;
    CLEANUP(json_decrefp) json_t *rows = NULL;
    struct gk_error err = { 0 };

    if (access(HUB_DATABASE_FILE, F_OK) != 0 ||
        hub_store_open(HUB_DATABASE_FILE, &store, &err) != GK_OK) {
        return hubctl_fail("there is no hub in %s", run->directory);
    }
    rows = hub_store_rows(store, query, "");
    if (rows == NULL) {
        return 1;
    }
    if (run->json) {
        hub_json_print(rows);
    } else {
        hub_table_print(rows);
    }
    return 0;
}

struct text {
    char *bytes;
    size_t size;
};

static size_t take(char *bytes, size_t one, size_t count, void *user)
{
    struct text *text = user;
    char *larger = realloc(text->bytes, text->size + count + 1);

    (void)one;
    if (larger == NULL) {
        return 0;
    }
    memcpy(larger + text->size, bytes, count);
    text->bytes = larger;
    text->size += count;
    text->bytes[text->size] = '\0';
    return count;
}

static void curl_freep(CURL **curl)
{
    curl_easy_cleanup(*curl);
}

json_t *hubctl_ask(const char *path, const json_t *body)
{
    CLEANUP(curl_freep) CURL *curl = curl_easy_init();
    CLEANUP(gk_freep) char *url = hub_print("http://hub%s", path);
    CLEANUP(gk_freep) char *request = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct text text = { 0 };
    json_t *answer = NULL;

    if (curl == NULL || url == NULL) {
        return NULL;
    }
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, HUB_CONTROL_SOCKET);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &text);
    if (request != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request);
    }
    if (curl_easy_perform(curl) == CURLE_OK && text.bytes != NULL) {
        answer = json_loads(text.bytes, 0, NULL);
    }
    free(text.bytes);
    return answer;
}

/* The path of a call about the device PRODUCT DEVICE, with one more parameter where name is given.
 */
static char *device_path(const char *path, const char *action, char **words, const char *name,
                         const char *value)
{
    char *product = curl_easy_escape(NULL, words[0], 0);
    char *device = curl_easy_escape(NULL, words[1], 0);
    char *more = curl_easy_escape(NULL, value != NULL ? value : "", 0);
    char *whole =
        hub_print("%s?action=%s&productKey=%s&deviceKey=%s%s%s%s%s", path, action, product, device,
                  name != NULL ? "&" : "", name != NULL ? name : "", name != NULL ? "=" : "", more);

    curl_free(product);
    curl_free(device);
    curl_free(more);
    return whole;
}

int hubctl_conclude(struct run *run, json_t *answer, const char *wanted)
{
    const json_t *data = json_object_get(answer, "data");

    if (answer == NULL) {
        return hubctl_fail("no hub runs in %s", run->directory);
    }
    if (hub_number(answer, "code") != 0) {
        return hubctl_fail("%" PRId64 " %s", hub_number(answer, "code"), hub_text(answer, "msg"));
    }
    if (run->json) {
        hub_json_print(data);
    } else if (wanted != NULL) {
        fputs(hub_text(data, wanted), stdout);
        putchar('\n');
    }
    return 0;
}

static int create(struct run *run)
{
    CLEANUP(json_decrefp)
    json_t *body =
        json_pack("{s:s,s:s,s:s,s:{s:s}}", "productKey", run->words[0], "deviceKey", run->words[1],
                  "timezone", "+00:00", "deviceName", "defaultValue", run->words[1]);
    CLEANUP(json_decrefp) json_t *answer = hubctl_ask(DEVICES "?action=create", body);

    return hubctl_conclude(run, answer, "deviceSecret");
}

static int sign(struct run *run)
{
    CLEANUP(gk_freep)
    char *path = device_path(CERTIFICATES, "apply", run->words, NULL, NULL);
    CLEANUP(gk_freep) char *csr = NULL;
    CLEANUP(json_decrefp) json_t *body = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    struct gk_error err = { 0 };

    if (hub_file_read(run->words[2], &csr, &err) != GK_OK) {
        return hubctl_fail("cannot read %s", run->words[2]);
    }
    body = json_pack("{s:s}", "csr", csr);
    if (run->count > 3) {
        json_object_set_new(body, "validDay", json_integer(strtol(run->words[3], NULL, 10)));
    }
    answer = hubctl_ask(path, body);
    return hubctl_conclude(run, answer, "cert");
}

static json_t *owner_of(const char *serial)
{
    CLEANUP(hub_store_closep) struct hub_store *store = NULL;
    struct gk_error err = { 0 };

    if (access(HUB_DATABASE_FILE, F_OK) != 0 ||
        hub_store_open(HUB_DATABASE_FILE, &store, &err) != GK_OK) {
        return NULL;
    }
    return hub_store_row(store,
                         "SELECT productKey, deviceKey FROM certificate JOIN device USING (assetId)"
                         " WHERE serial = ?",
                         "i", strtoll(serial, NULL, 10));
}

static int revoke_serial(struct run *run)
{
    CLEANUP(json_decrefp) json_t *owner = owner_of(run->words[0]);
    CLEANUP(gk_freep) char *product = strdup(hub_text(owner, "productKey"));
    CLEANUP(gk_freep) char *device = strdup(hub_text(owner, "deviceKey"));
    CLEANUP(gk_freep)
    char *path = device_path(CERTIFICATES, "revoke", (char *[]){ product, device }, NULL, NULL);
    CLEANUP(json_decrefp)
    json_t *body = json_pack("{s:I,s:i}", "certSn", (json_int_t)strtoll(run->words[0], NULL, 10),
                             "reason", run->count > 1 ? (int)strtol(run->words[1], NULL, 10) : 0);
    CLEANUP(json_decrefp) json_t *answer = NULL;

    if (owner == NULL) {
        return hubctl_fail("no device has a certificate %s", run->words[0]);
    }
    answer = hubctl_ask(path, body);
    return hubctl_conclude(run, answer, NULL);
}

/* Print the device's reply to a command, whatever its code; only 200 is success. */
static int conclude_command(struct run *run, json_t *answer)
{
    json_t *reply = json_object_get(json_object_get(answer, "data"), "reply");

    if (reply == NULL) {
        return hubctl_conclude(run, answer, NULL);
    }
    hub_json_print(reply);
    return hub_number(reply, "code") == 200 ? 0 : 1;
}

static int set_point(struct run *run)
{
    char *split = strchr(run->words[2], '=');
    CLEANUP(json_decrefp)
    json_t *value = split != NULL ? json_loads(split + 1, JSON_DECODE_ANY, NULL) : NULL;
    CLEANUP(json_decrefp) json_t *body = value != NULL ? json_pack("{s:O}", "value", value) : NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(gk_freep) char *path = NULL;

    if (body == NULL) {
        return hubctl_fail("what to set must be POINT=JSON, not %s", run->words[2]);
    }
    *split = '\0';
    path = device_path(COMMANDS, "setMeasurepoint", run->words, "measurepointId", run->words[2]);
    answer = hubctl_ask(path, body);
    return conclude_command(run, answer);
}

static int call_service(struct run *run)
{
    CLEANUP(json_decrefp) json_t *input = json_loads(run->words[3], 0, NULL);
    CLEANUP(json_decrefp)
    json_t *body = json_is_object(input) ? json_pack("{s:O}", "inputData", input) : NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(gk_freep) char *path = NULL;

    if (body == NULL) {
        return hubctl_fail("the service's parameters must be a JSON object, not %s", run->words[3]);
    }
    path = device_path(COMMANDS, "invokeService", run->words, "serviceId", run->words[2]);
    answer = hubctl_ask(path, body);
    return conclude_command(run, answer);
}

static int tell(struct run *run, const char *service, const char *action)
{
    CLEANUP(gk_freep) char *path = device_path(service, action, run->words, NULL, NULL);
    CLEANUP(json_decrefp) json_t *body = json_object();
    CLEANUP(json_decrefp) json_t *answer = hubctl_ask(path, body);

    return hubctl_conclude(run, answer, NULL);
}

static int enable(struct run *run)
{
    return tell(run, DEVICES, "enable");
}

static int disable(struct run *run)
{
    return tell(run, DEVICES, "disable");
}

static int drop(struct run *run)
{
    return tell(run, "/drop", "");
}

static int fault(struct run *run)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;

    if (run->clear != NULL) {
        body = json_pack("{s:s}", "clear", run->clear);
    } else if (run->count > 0) {
        body = json_pack("{s:s,s:i}", "set", run->words[0], "times", run->times);
    }
    answer = hubctl_ask(body != NULL ? "/fault" : "/faults", body);
    if (answer != NULL && body == NULL && !run->json) {
        hub_table_print(json_object_get(answer, "data"));
        return 0;
    }
    return hubctl_conclude(run, answer, NULL);
}

/* What the showing commands show; times are UTC. */
static const char devices[] =
    "SELECT productKey, deviceKey, assetId, CASE WHEN disabled THEN 'disabled'"
    " WHEN activatedMs IS NULL THEN 'inactive' WHEN online THEN 'online' ELSE 'offline' END"
    " AS status, (SELECT count(*) FROM certificate c WHERE c.assetId = d.assetId"
    " AND revokedMs IS NULL) AS certificates FROM device d ORDER BY createdMs";

static const char telemetry[] =
    "SELECT productKey, deviceKey, kind,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', timeMs / 1000.0, 'unixepoch') AS time, point, value, quality"
    " FROM telemetry JOIN device USING (assetId) ORDER BY id";

static const char certificates[] =
    "SELECT serial, coalesce(productKey, '-') AS productKey,"
    " coalesce(deviceKey, '(the hub)') AS deviceKey, commonName,"
    " strftime('%Y-%m-%dT%H:%M:%SZ', signMs / 1000, 'unixepoch') AS signed,"
    " strftime('%Y-%m-%dT%H:%M:%SZ', expireMs / 1000, 'unixepoch') AS expires,"
    " CASE WHEN revokedMs IS NULL THEN 'valid' ELSE 'revoked' END AS status, reason"
    " FROM certificate LEFT JOIN device USING (assetId) ORDER BY serial";

static const char attributes[] =
    "SELECT productKey, deviceKey, kind, name, value FROM attribute JOIN device USING (assetId)"
    " ORDER BY productKey, deviceKey, kind, name";

static const char connects[] =
    "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', timeMs / 1000.0, 'unixepoch') AS time, timeMs,"
    " productKey, deviceKey, connack, code, reason FROM connect ORDER BY id";

static const char incidents[] =
    "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', timeMs / 1000.0, 'unixepoch') AS time,"
    " productKey, deviceKey, code, reason FROM incident ORDER BY id";

static const struct verb verbs[] = {
    { "devices", "", 0, 0, "the devices there are", NULL, devices },
    { "telemetry", "", 0, 0, "what the devices posted, oldest first", NULL, telemetry },
    { "certificates", "", 0, 0, "what the CA issued, the hub's own among them", NULL,
      certificates },
    { "attributes", "", 0, 0, "the devices' attributes and tags", NULL, attributes },
    { "connects", "", 0, 0, "every CONNECT, and why it was refused", NULL, connects },
    { "incidents", "", 0, 0, "what the devices did wrong once connected", NULL, incidents },
    { "create", "PRODUCT DEVICE", 2, 2, "create a device; prints its secret", create, NULL },
    { "sign", "PRODUCT DEVICE CSR-FILE [DAYS]", 3, 4, "issue a certificate; prints it", sign,
      NULL },
    { "revoke", "SERIAL [REASON]", 1, 2, "revoke a certificate and cut its session", revoke_serial,
      NULL },
    { "set", "PRODUCT DEVICE POINT=JSON", 3, 3, "set a measurepoint; prints the reply", set_point,
      NULL },
    { "call", "PRODUCT DEVICE SERVICE JSON", 4, 4, "call a service; prints the reply", call_service,
      NULL },
    { "enable", "PRODUCT DEVICE", 2, 2, "let a disabled device connect again", enable, NULL },
    { "disable", "PRODUCT DEVICE", 2, 2, "cut a device and let it connect no more", disable, NULL },
    { "drop", "PRODUCT DEVICE", 2, 2, "cut a device's connection", drop, NULL },
    { "fault", "[NAME[=VALUE] [--times N] | --clear [NAME]]", 0, 1,
      "list the faults, switch one on, or off", fault, NULL },
    HUBCTL_CA_VERBS,
};

static void print_usage(FILE *file)
{
    fputs("usage: hubctl DIR COMMAND [WORD...] [--json]\n\n"
          "Looks into the local hub that keeps its files in DIR, and makes it act.\n\n",
          file);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        fprintf(file, "  %s%s%s\n      %s\n", verbs[i].name, *verbs[i].words != '\0' ? " " : "",
                verbs[i].words, verbs[i].help);
    }
    fputs("\nExit: 0 done, 1 failed (for set and call: the device's reply was not 200), 2 usage.\n",
          file);
}

/* Take the options out of the words, wherever they stand. */
static bool take_options(struct run *run, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--json") == 0) {
            run->json = true;
        } else if (strcmp(arguments[i], "--times") == 0 && i + 1 < count) {
            run->times = (int)strtol(arguments[++i], NULL, 10);
        } else if (strcmp(arguments[i], "--clear") == 0) {
            run->clear = i + 1 < count && arguments[i + 1][0] != '-' ? arguments[++i] : "";
        } else if (strncmp(arguments[i], "--", 2) == 0) {
            return false;
        } else {
            run->words[run->count++] = arguments[i];
        }
    }
    return true;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

int main(int count, char **arguments)
{
    CLEANUP(gk_freep) char **words = calloc((size_t)count + 1, sizeof(*words));
    struct run run = { .words = words, .directory = count > 1 ? arguments[1] : NULL };
    const struct verb *verb = count > 2 ? find_verb(arguments[2]) : NULL;

    if (count > 1 && strcmp(arguments[1], "--help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (words == NULL || verb == NULL || !take_options(&run, count - 3, arguments + 3) ||
        run.count < verb->least || run.count > verb->most) {
        print_usage(stderr);
        return 2;
    }
    /* A file named by the caller is found from where the caller stands. */
    if (verb->run == sign && (words[2] = realpath(words[2], NULL)) == NULL) {
        return hubctl_fail("cannot read the request");
    }
    /* The socket's whole path may be too long for an address; from inside, its name is short. */
    if (chdir(run.directory) != 0) {
        return hubctl_fail("there is no hub in %s", run.directory);
    }
    return verb->query != NULL ? show(&run, verb->query) : verb->run(&run);
}
