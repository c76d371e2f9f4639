/* SPDX-License-Identifier: Apache-2.0 */
/* hubctl's commands about devices: what there is of them, and their certificates. */
#include "tests/hub/hubctl.h"

#include "tests/hub/file.h"
#include "tests/hub/table.h"
#include "tests/hub/text.h"

#include <inttypes.h>

static void add_text(json_t *body, const char *name, const char *text)
{
    if (text != NULL) {
        json_object_set_new(body, name, json_string(text));
    }
}

static int create(struct run *run)
{
    CLEANUP(json_decrefp)
    json_t *body = json_pack("{s:s,s:s,s:s,s:{s:s},s:{}}", "productKey", run->words[0], "deviceKey",
                             run->words[1], "timezone", "+00:00", "deviceName", "defaultValue",
                             run->words[1], "deviceAttributes");
    json_t *attributes = json_object_get(body, "deviceAttributes");
    CLEANUP(json_decrefp) json_t *answer = NULL;

    add_text(attributes, "serialNumber", hubctl_option(run, "--serial-number"));
    add_text(attributes, "licence", hubctl_option(run, "--licence"));
    add_text(body, "deviceSecret", hubctl_option(run, "--secret"));
    answer = hubctl_ask(HUBCTL_DEVICES "?action=create", body);
    return hubctl_conclude(run, answer, "deviceSecret");
}

static int sign(struct run *run)
{
    CLEANUP(gk_freep)
    char *path = hubctl_device_path(HUBCTL_CERTIFICATES, "apply", run->words, NULL, NULL);
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

static json_t *owner_of(const struct run *run, const char *serial)
{
    CLEANUP(hub_store_closep) struct hub_store *store = hubctl_store(run);

    return store == NULL ? NULL
                         : hub_store_row(store,
                                         "SELECT productKey, deviceKey FROM certificate JOIN device"
                                         " USING (assetId) WHERE serial = ?",
                                         "i", strtoll(serial, NULL, 10));
}

static int revoke_serial(struct run *run)
{
    CLEANUP(json_decrefp) json_t *owner = owner_of(run, run->words[0]);
    CLEANUP(gk_freep) char *product = strdup(hub_text(owner, "productKey"));
    CLEANUP(gk_freep) char *device = strdup(hub_text(owner, "deviceKey"));
    CLEANUP(gk_freep)
    char *path = hubctl_device_path(HUBCTL_CERTIFICATES, "revoke", (char *[]){ product, device },
                                    NULL, NULL);
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

static int tell(struct run *run, const char *service, const char *action)
{
    CLEANUP(gk_freep) char *path = hubctl_device_path(service, action, run->words, NULL, NULL);
    CLEANUP(json_decrefp) json_t *body = json_object();
    CLEANUP(json_decrefp) json_t *answer = hubctl_ask(path, body);

    return hubctl_conclude(run, answer, NULL);
}

static int enable(struct run *run)
{
    return tell(run, HUBCTL_DEVICES, "enable");
}

static int disable(struct run *run)
{
    return tell(run, HUBCTL_DEVICES, "disable");
}

static int drop(struct run *run)
{
    return tell(run, "/drop", "");
}

static int renew(struct run *run)
{
    CLEANUP(json_decrefp) json_t *owner = owner_of(run, run->words[0]);
    CLEANUP(gk_freep) char *product = strdup(hub_text(owner, "productKey"));
    CLEANUP(gk_freep) char *device = strdup(hub_text(owner, "deviceKey"));
    CLEANUP(gk_freep)
    char *path =
        hubctl_device_path(HUBCTL_CERTIFICATES, "renew", (char *[]){ product, device }, NULL, NULL);
    CLEANUP(json_decrefp)
    json_t *body = json_pack("{s:I}", "certSn", (json_int_t)strtoll(run->words[0], NULL, 10));
    CLEANUP(gk_freep) char *csr = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    struct gk_error err = { 0 };

    if (owner == NULL) {
        return hubctl_fail("no device has a certificate %s", run->words[0]);
    }
    if (run->count > 1 && hub_file_read(run->words[1], &csr, &err) != GK_OK) {
        return hubctl_fail("cannot read %s", run->words[1]);
    }
    add_text(body, "csr", csr);
    answer = hubctl_ask(path, body);
    return hubctl_conclude(run, answer, "cert");
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
    " CASE WHEN revokedMs IS NOT NULL THEN 'revoked'"
    " WHEN expireMs <= 1000 * strftime('%s', 'now') THEN 'expired' ELSE 'valid' END AS status,"
    " reason"
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

/* What the devices told, oldest first; what is measured is telemetry. */
static const char events[] =
    "SELECT t.id AS id, productKey, deviceKey, point AS event,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', receivedMs / 1000.0, 'unixepoch') AS received, value"
    " FROM telemetry t JOIN device USING (assetId) WHERE kind = 'event' ORDER BY t.id";

#define SHOW(name, help, query)                    \
    {                                              \
        name, "", 0, 0, help, NULL, query, NULL, 0 \
    }

const struct verb hubctl_device_verbs[] = {
    SHOW("devices", "the devices there are", devices),
    SHOW("telemetry", "what the devices posted, oldest first", telemetry),
    SHOW("events", "the events among it", events),
    SHOW("certificates", "what the CA issued, the hub's own among them", certificates),
    SHOW("attributes", "the devices' attributes and tags", attributes),
    SHOW("connects", "every CONNECT, and why it was refused", connects),
    SHOW("incidents", "what the devices did wrong once connected", incidents),
    { "create", "PRODUCT DEVICE [--serial-number TEXT] [--licence TEXT] [--secret TEXT]", 2, 2,
      "create a device; prints its secret, which is the one given if one is", create, NULL,
      "--serial-number= --licence= --secret=", 0 },
    { "sign", "PRODUCT DEVICE CSR-FILE [DAYS]", 3, 4, "issue a certificate; prints it", sign, NULL,
      NULL, 3 },
    { "renew", "SERIAL [CSR-FILE]", 1, 2, "renew a certificate; prints the new one", renew, NULL,
      NULL, 2 },
    { "revoke", "SERIAL [REASON]", 1, 2, "revoke a certificate and cut its session", revoke_serial,
      NULL, NULL, 0 },
    { "enable", "PRODUCT DEVICE", 2, 2, "let a disabled device connect again", enable, NULL, NULL,
      0 },
    { "disable", "PRODUCT DEVICE", 2, 2, "cut a device and let it connect no more", disable, NULL,
      NULL, 0 },
    { "drop", "PRODUCT DEVICE", 2, 2, "cut a device's connection", drop, NULL, NULL, 0 },
    { 0 },
};
