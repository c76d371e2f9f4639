/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hubctl's commands about what devices are created in and by whom: products, licences,
 * applications. They write the hub's database, so they work whether it runs or not.
 */
#include "tests/hub/hubctl.h"

#include "tests/hub/application.h"
#include "tests/hub/file.h"
#include "tests/hub/text.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#define SECRET_LENGTH 32
#define DEFAULT_DAYS 730
#define DEFAULT_MOST_DAYS 1095
#define DEFAULT_MOST_DEVICES 10000

/* Keep a secret in a folder of the hub's, for its owner alone. The file's whole path, which the
 * caller frees; NULL, and said, when it cannot be. */
static char *keep_secret(const char *folder, const char *name, const char *secret)
{
    CLEANUP(gk_freep) char *path = hub_print("%s/%s.secret", folder, name);
    struct gk_error err = { 0 };

    if (path == NULL || (mkdir(folder, 0700) != 0 && errno != EEXIST) ||
        hub_file_write(path, secret, 0600, &err) != GK_OK) {
        hubctl_fail("cannot write %s", path != NULL ? path : folder);
        return NULL;
    }
    return realpath(path, NULL);
}

static void forget_secret(const char *folder, const char *name)
{
    CLEANUP(gk_freep) char *path = hub_print("%s/%s.secret", folder, name);

    if (path != NULL) {
        unlink(path);
    }
}

/* A number of at least 1, or the preset; 0 where it is none. */
static int64_t number_option(const struct run *run, const char *name, int64_t preset)
{
    const char *given = hubctl_option(run, name);
    char *end = NULL;
    long number;

    if (given == NULL) {
        return preset;
    }
    number = strtol(given, &end, 10);
    return *given != '\0' && *end == '\0' && number > 0 && number <= INT_MAX ? number : 0;
}

static int add_product(struct run *run)
{
    const char *key = run->words[0];
    int64_t most_days = number_option(run, "--max-valid-day", DEFAULT_MOST_DAYS);
    int64_t most_devices = number_option(run, "--max-devices", DEFAULT_MOST_DEVICES);
    CLEANUP(hub_store_closep) struct hub_store *store = hubctl_store(run);
    CLEANUP(gk_freep) char *path = NULL;
    char secret[SECRET_LENGTH + 1];

    if (store == NULL) {
        return 1;
    }
    if (!hub_is_key(key) || most_days == 0 || most_devices == 0) {
        return hubctl_fail("a product's key has letters, digits and -_.:@%% only; days and devices "
                           "are numbers from 1 on");
    }
    hub_random_name(secret, SECRET_LENGTH);
    if (hub_store_run(
            store,
            "INSERT INTO product (productKey, productSecret, biDirectionalAuth,"
            " dynamicActivateEnabled, defaultValidDay, maxValidDay, maxDevices)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            "ssiiiii", key, secret, (int64_t)(hubctl_option(run, "--no-certificates") == NULL),
            (int64_t)(hubctl_option(run, "--no-activation") == NULL),
            most_days < DEFAULT_DAYS ? most_days : DEFAULT_DAYS, most_days, most_devices) != 1) {
        return hubctl_fail("there is a product %s already", key);
    }
    path = keep_secret("products", key, secret);
    if (path != NULL) {
        printf("key         %s\nsecret_file %s\n", key, path);
    }
    return path != NULL ? 0 : 1;
}

/* One that holds devices stays: they could not be told apart from strangers any more. */
static int remove_product(struct run *run)
{
    CLEANUP(hub_store_closep) struct hub_store *store = hubctl_store(run);

    if (store == NULL) {
        return 1;
    }
    if (hub_store_run(store,
                      "DELETE FROM product WHERE productKey = ?1 AND NOT EXISTS"
                      " (SELECT 1 FROM device WHERE productKey = ?1)",
                      "s", run->words[0]) != 1) {
        return hubctl_fail("there is no product %s, or it has devices", run->words[0]);
    }
    forget_secret("products", run->words[0]);
    return 0;
}

static int add_licence(struct run *run)
{
    CLEANUP(hub_store_closep) struct hub_store *store = hubctl_store(run);
    CLEANUP(json_decrefp) json_t *product = NULL;
    int64_t uses = number_option(run, "--uses", 1);

    if (store == NULL) {
        return 1;
    }
    product =
        hub_store_row(store, "SELECT * FROM product WHERE productKey = ?", "s", run->words[0]);
    if (product == NULL || *run->words[1] == '\0' || uses == 0) {
        return hubctl_fail("there is no product %s, or --uses is no number from 1 on",
                           run->words[0]);
    }
    return hub_store_run(store,
                         "INSERT INTO licence (productKey, licence, uses, used)"
                         " VALUES (?, ?, ?, 0)",
                         "ssi", run->words[0], run->words[1], uses) == 1
               ? 0
               : hubctl_fail("the product has that licence already");
}

static int remove_licence(struct run *run)
{
    CLEANUP(hub_store_closep) struct hub_store *store = hubctl_store(run);

    if (store == NULL) {
        return 1;
    }
    return hub_store_run(store, "DELETE FROM licence WHERE productKey = ? AND licence = ?", "ss",
                         run->words[0], run->words[1]) == 1
               ? 0
               : hubctl_fail("the product %s has no such licence", run->words[0]);
}

static int add_application(struct run *run)
{
    const char *permissions = hubctl_option(run, "--permissions");
    const char *products = hubctl_option(run, "--products");
    CLEANUP(hub_store_closep) struct hub_store *store = hubctl_store(run);
    CLEANUP(gk_freep) char *key = hub_print("app-%s", run->words[0]);
    CLEANUP(gk_freep) char *path = NULL;
    char secret[HUB_APPLICATION_SECRET_LENGTH + 1];
    char why[120];

    if (store == NULL || key == NULL) {
        return 1;
    }
    hub_random_name(secret, HUB_APPLICATION_SECRET_LENGTH);
    if (!hub_application_add(store, run->words[0], key, secret,
                             permissions != NULL ? permissions : "",
                             products != NULL ? products : HUB_APPLICATION_ALL, why, sizeof(why))) {
        return hubctl_fail("%s", why);
    }
    path = keep_secret("applications", run->words[0], secret);
    if (path != NULL) {
        printf("key         %s\nsecret_file %s\n", key, path);
    }
    return path != NULL ? 0 : 1;
}

static int remove_application(struct run *run)
{
    CLEANUP(hub_store_closep) struct hub_store *store = hubctl_store(run);

    if (store == NULL) {
        return 1;
    }
    if (!hub_application_remove(store, run->words[0])) {
        return hubctl_fail("there is no application %s", run->words[0]);
    }
    forget_secret("applications", run->words[0]);
    return 0;
}

static const char products[] =
    "SELECT productKey, biDirectionalAuth AS certificates, dynamicActivateEnabled AS activation,"
    " defaultValidDay, maxValidDay, maxDevices, (SELECT count(*) FROM device d"
    " WHERE d.productKey = p.productKey) AS devices FROM product p ORDER BY productKey";

static const char licences[] =
    "SELECT productKey, licence, uses, used FROM licence ORDER BY productKey, licence";

static const char applications[] =
    "SELECT name, appKey, permissions, products FROM application ORDER BY name";

const struct verb hubctl_catalogue_verbs[] = {
    { "product list", "", 0, 0, "the products there are", NULL, products, NULL, 0 },
    { "product add",
      "KEY [--max-valid-day N] [--max-devices N] [--no-certificates] [--no-activation]", 1, 1,
      "make a product; prints its key and the file with its secret", add_product, NULL,
      "--max-valid-day= --max-devices= --no-certificates --no-activation", 0 },
    { "product remove", "KEY", 1, 1, "remove a product without devices", remove_product, NULL, NULL,
      0 },
    { "licence list", "", 0, 0, "the licences there are, and how often each was used", NULL,
      licences, NULL, 0 },
    { "licence add", "PRODUCT LICENCE [--uses N]", 2, 2,
      "a product that has licences wants one for each device", add_licence, NULL, "--uses=", 0 },
    { "licence remove", "PRODUCT LICENCE", 2, 2, "take a licence back", remove_licence, NULL, NULL,
      0 },
    { "application list", "", 0, 0, "the applications there are", NULL, applications, NULL, 0 },
    { "application add", "NAME [--permissions WORD,... | '*'] [--products KEY,... | '*']", 1, 1,
      "make an application that may do so much for so many products; prints its key and the file\n"
      "      with its secret. Permissions: device-create, device-read, device-update,\n"
      "      certificate-apply, certificate-renew, certificate-revoke, certificate-read,\n"
      "      command-invoke, event-read; none by default",
      add_application, NULL, "--permissions= --products=", 0 },
    { "application remove", "NAME", 1, 1, "remove an application; its tokens end",
      remove_application, NULL, NULL, 0 },
    { "application run", "[--app NAME] [--for SECONDS | --once]", 0, 0,
      "be the operator's program, which alone holds an application's secret: answer the devices'\n"
      "      events certificateRequest, certificateSuperseded and revokeMe",
      hubctl_operate, NULL, "--app= --for= --once", 0 },
    { 0 },
};
