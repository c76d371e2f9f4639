/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher of the local hub: starts the CA as a process of its own, makes what a hub needs in
 * its folder (server certificate, CRL, database, broker configuration) and becomes mosquitto with
 * our plugin. SIGTERM ends it, and the CA with it.
 */
#include "tests/hub/hub.h"

#include "tests/hub/application.h"
#include "tests/hub/ca-process.h"
#include "tests/hub/file.h"
#include "tests/hub/keeping.h"
#include "tests/hub/port.h"
#include "tests/hub/setting.h"
#include "tests/hub/text.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>

#define MOST_FAULTS 8
#define MOST_SETTINGS 16
#define ROOT_DAYS 3650
#define RIGHT_NAMES "DNS:localhost,IP:127.0.0.1"

static const char usage[] =
    "usage: hub [OPTION...] DIR\n"
    "\n"
    "Runs a local hub that speaks as EnOS does, with everything it keeps in DIR, until SIGTERM.\n"
    "DIR/hub.env says where it listens; it appears when the hub is ready.\n"
    "Mind: " HUB_WARNING ".\n"
    "\n"
    "  --port-mqtts N        MQTT over mutual TLS (default: a free one, kept in DIR)\n"
    "  --port-activation N   MQTT over server-authenticated TLS\n"
    "  --port-api N          HTTPS\n"
    "  --port-http N         HTTP, for roots and revocation list alone\n"
    "  --server-name NAME    one more DNS name for the server's certificate; may be repeated\n"
    "  --root-days N         the CA's life when it is made (default 3650)\n"
    "  --set NAME=VALUE      a setting, which stays; may be repeated; hubctl DIR setting lists "
    "them\n"
    "  --profile P           of devices' certificates: enos, or modern; stays, as --set\n"
    "  --enforce-limits      EnOS's connect limits: 1 a second; 5 in 2 minutes lock out for 5\n"
    "  --weak-digests        accept sha1 and md5 in a CONNECT\n"
    "  --journal             write all that devices post into DIR/journal (journal.h), and keep\n"
    "                        no table of measurepoints; for those who count many\n"
    "  --fault NAME[=VALUE]  start with a fault; may be repeated; hubctl DIR fault lists them\n"
    "  --verbose             have mosquitto say everything in DIR/mosquitto.log\n"
    "  --help\n";

struct launch {
    struct hub hub;
    const char *directory;
    const char *faults[MOST_FAULTS];
    size_t fault_count;
    struct {
        char name[32];
        const char *value;
    } settings[MOST_SETTINGS];
    size_t setting_count;
    int root_days;
    bool verbose;
};

static void add_name(struct hub_options *options, const char *name)
{
    size_t length = strlen(options->server_names);

    snprintf(options->server_names + length, sizeof(options->server_names) - length, ",DNS:%s",
             name);
}

/* Kept when the store is open. name ends at '=' or with the text. */
static bool add_setting(struct launch *launch, const char *name, const char *value)
{
    if (launch->setting_count == MOST_SETTINGS || value == NULL) {
        return false;
    }
    snprintf(launch->settings[launch->setting_count].name, sizeof(launch->settings[0].name), "%.*s",
             (int)strcspn(name, "="), name);
    launch->settings[launch->setting_count++].value = value;
    return true;
}

static bool take_setting(struct launch *launch, const char *setting)
{
    const char *split = strchr(setting, '=');

    return split != NULL && add_setting(launch, setting, split + 1);
}

static bool take_option(struct launch *launch, int option, const char *value)
{
    struct hub_options *options = &launch->hub.options;

    switch (option) {
    case 'm':
        options->mqtts_port = (int)strtol(value, NULL, 10);
        return true;
    case 'a':
        options->activation_port = (int)strtol(value, NULL, 10);
        return true;
    case 'p':
        options->api_port = (int)strtol(value, NULL, 10);
        return true;
    case 'n':
        add_name(options, value);
        return true;
    case 'r':
        launch->root_days = (int)strtol(value, NULL, 10);
        return true;
    case 'l':
        return add_setting(launch, "enforceLimits", "yes");
    case 'P':
        return add_setting(launch, "profile", value);
    case 's':
        return take_setting(launch, value);
    case 'H':
        options->http_port = (int)strtol(value, NULL, 10);
        return true;
    case 'w':
        options->weak_digests = true;
        return true;
    case 'j':
        options->journal = true;
        return true;
    case 'v':
        launch->verbose = true;
        return true;
    case 'f':
        if (launch->fault_count == MOST_FAULTS || !hub_fault_set(launch->hub.faults, value, 0)) {
            fprintf(stderr, "hub: there is no fault \"%s\", or there are too many\n", value);
            return false;
        }
        launch->faults[launch->fault_count++] = value;
        return true;
    default:
        return false;
    }
}

static bool parse(struct launch *launch, int count, char **arguments)
{
    static const struct option known[] = {
        { "port-mqtts", required_argument, NULL, 'm' },
        { "port-activation", required_argument, NULL, 'a' },
        { "port-api", required_argument, NULL, 'p' },
        { "port-http", required_argument, NULL, 'H' },
        { "server-name", required_argument, NULL, 'n' },
        { "set", required_argument, NULL, 's' },
        { "profile", required_argument, NULL, 'P' },
        { "root-days", required_argument, NULL, 'r' },
        { "enforce-limits", no_argument, NULL, 'l' },
        { "weak-digests", no_argument, NULL, 'w' },
        { "journal", no_argument, NULL, 'j' },
        { "verbose", no_argument, NULL, 'v' },
        { "fault", required_argument, NULL, 'f' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int option;

    while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        if (!take_option(launch, option, optarg)) {
            return false;
        }
    }
    launch->directory = arguments[optind];
    /* The path goes between single quotes into hub.env. */
    return optind == count - 1 && strchr(launch->directory, '\'') == NULL;
}

static enum gk_status enter(const char *directory, struct gk_error *err)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        return gk_fail_file(err, errno, directory);
    }
    if (chdir(directory) != 0) {
        return gk_fail_file(err, errno, directory);
    }
    return GK_OK;
}

/* Held for as long as the process lives, through exec: two hubs in one folder would spoil each
 * other's files. */
static enum gk_status lock(const char *directory, struct gk_error *err)
{
    int fd = open("hub.lock", O_RDWR | O_CREAT, 0600);

    if (fd < 0) {
        return gk_fail_file(err, errno, "hub.lock");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        gk_fail(err, GK_REFUSED, "another hub runs in %s", directory);
        gk_advise(err, "end it first, or choose another folder");
        return GK_REFUSED;
    }
    return GK_OK;
}

/* A setting as it was, or a new one that stays. */
static char *keep_setting(struct hub_store *store, const char *name, const char *value)
{
    char *had = hub_store_setting(store, name);

    if (had == NULL && hub_store_set(store, name, value)) {
        had = strdup(value);
    }
    return had;
}

static enum gk_status keep_secret(struct hub_store *store, const char *name, const char *path,
                                  char **secret, struct gk_error *err)
{
    char value[33];

    hub_random_name(value, sizeof(value) - 1);
    *secret = keep_setting(store, name, value);
    return *secret != NULL ? hub_file_write(path, *secret, 0600, err)
                           : gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
}

/* One organisation, one application, one product that wants certificates and allows dynamic
 * activation. */
static enum gk_status keep_names(struct hub_store *store, struct gk_error *err)
{
    CLEANUP(gk_freep) char *org = keep_setting(store, "orgId", "o1690000000001");
    CLEANUP(gk_freep) char *application = keep_setting(store, "appKey", HUB_APPLICATION_FIRST);
    CLEANUP(gk_freep) char *product = keep_setting(store, "productKey", "gateways");
    CLEANUP(gk_freep) char *app_secret = NULL;
    CLEANUP(gk_freep) char *product_secret = NULL;
    enum gk_status status = keep_secret(store, "appSecret", "app-secret", &app_secret, err);

    if (status == GK_OK) {
        status = keep_secret(store, "productSecret", "product-secret", &product_secret, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (org == NULL || application == NULL || product == NULL ||
        hub_store_run(store, "INSERT OR IGNORE INTO application VALUES (?1, ?1, ?2, '*', '*')",
                      "ss", application, app_secret) < 0 ||
        hub_store_run(store,
                      "INSERT OR IGNORE INTO product (productKey, productSecret,"
                      " biDirectionalAuth, dynamicActivateEnabled, defaultValidDay, maxValidDay)"
                      " VALUES (?, ?, 1, 1, 730, 1095)",
                      "ss", product, product_secret) < 0) {
        return gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    return GK_OK;
}

static enum gk_status keep_settings(struct launch *launch, struct gk_error *err)
{
    for (size_t i = 0; i < launch->setting_count; i++) {
        if (!hub_setting_change(launch->hub.store, launch->settings[i].name,
                                launch->settings[i].value)) {
            gk_fail(err, GK_USAGE, "setting %s=%s", launch->settings[i].name,
                    launch->settings[i].value);
            gk_advise(err, "see hubctl DIR setting");
            return GK_USAGE;
        }
    }
    return GK_OK;
}

static const char *plugin_path(void)
{
    const char *given = getenv("GATEKEY_HUB_PLUGIN");

    return given != NULL ? given : HUB_PLUGIN;
}

/* What the plugin is told. */
static void write_options(FILE *file, const struct launch *launch)
{
    const struct hub_options *options = &launch->hub.options;

    fprintf(file, "plugin %s\n", plugin_path());
    fprintf(file, "plugin_opt_mqtts_port %d\n", options->mqtts_port);
    fprintf(file, "plugin_opt_activation_port %d\n", options->activation_port);
    fprintf(file, "plugin_opt_api_port %d\n", options->api_port);
    fprintf(file, "plugin_opt_http_port %d\n", options->http_port);
    fprintf(file, "plugin_opt_ca_pid %d\n", (int)options->ca_pid);
    fprintf(file, "plugin_opt_server_names %s\n", options->server_names);
    if (options->weak_digests) {
        fputs("plugin_opt_weak_digests true\n", file);
    }
    if (options->journal) {
        fputs("plugin_opt_journal true\n", file);
    }
    for (size_t i = 0; i < launch->fault_count; i++) {
        fprintf(file, "plugin_opt_fault%zu %s\n", i, launch->faults[i]);
    }
}

static void write_listener(FILE *file, int port)
{
    fprintf(file, "listener %d 127.0.0.1\n", port);
    fputs("certfile " HUB_SERVER_CERTIFICATE_FILE "\nkeyfile " HUB_SERVER_KEY_FILE "\n", file);
    fputs("tls_version tlsv1.2\n", file);
}

static enum gk_status write_configuration(const struct launch *launch, struct gk_error *err)
{
    const struct passwd *user = getpwuid(geteuid());
    CLEANUP(gk_freep) char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    if (file == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    fputs("# Written by the local hub on every start.\n"
          "per_listener_settings false\n"
          "allow_anonymous false\n"
          "persistence false\n"
          "persistent_client_expiration 1h\n"
          "max_packet_size 4194304\n"
          "set_tcp_nodelay true\n"
          "log_dest file mosquitto.log\n"
          "log_timestamp_format %FT%T\n",
          file);
    fputs(launch->verbose ? "log_type all\n" : "log_type error\nlog_type warning\n", file);
    fputs(launch->verbose ? "" : "log_dest stderr\n", file);
    /* Started by root, mosquitto would become a user who cannot read our keys. */
    fprintf(file, "user %s\n", user != NULL ? user->pw_name : "root");
    write_options(file, launch);
    write_listener(file, launch->hub.options.mqtts_port);
    fputs("cafile " HUB_ROOTS_FILE "\ncrlfile " HUB_CRLS_FILE "\nrequire_certificate true\n", file);
    write_listener(file, launch->hub.options.activation_port);
    if (fclose(file) != 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return hub_file_write("mosquitto.conf", text, 0600, err);
}

/* What the broker cannot start without. */
static enum gk_status take_from_ca(struct hub *hub, struct gk_error *err)
{
    enum gk_status status = hub_ca_open(HUB_CA_SOCKET, HUB_CA_TOKEN_FILE, &hub->ca, err);
    bool changed;

    if (status == GK_OK) {
        status = hub_ca_set_list_life(hub->ca,
                                      hub_setting_number(hub->store, HUB_SETTING_CRL_SECONDS), err);
    }
    if (status == GK_OK) {
        status = hub_keep_roots(hub, err);
    }
    if (status == GK_OK) {
        status = hub_keep_server_certificate(hub, &changed, err);
    }
    return status == GK_OK ? hub_keep_crl(hub, err) : status;
}

static enum gk_status prepare(struct launch *launch, struct gk_error *err)
{
    struct hub *hub = &launch->hub;
    enum gk_status status = enter(launch->directory, err);

    if (status == GK_OK) {
        status = lock(launch->directory, err);
    }
    if (status == GK_OK) {
        unlink(HUB_ENVIRONMENT_FILE);
        status = hub_store_open(HUB_DATABASE_FILE, &hub->store, err);
    }
    if (status == GK_OK) {
        status = keep_names(hub->store, err);
    }
    if (status == GK_OK) {
        status = keep_settings(launch, err);
    }
    if (status == GK_OK) {
        status = hub_keep_ports(hub, err);
    }
    if (status == GK_OK) {
        status = hub_ca_process_start(launch->root_days, &hub->options.ca_pid, err);
    }
    if (status == GK_OK) {
        status = take_from_ca(hub, err);
    }
    return status == GK_OK ? write_configuration(launch, err) : status;
}

#if defined(__SANITIZE_ADDRESS__)
void __asan_init(void);
#define SANITIZER __asan_init
#elif defined(__SANITIZE_THREAD__)
void __tsan_init(void);
#define SANITIZER __tsan_init
#endif

#ifdef SANITIZER
/* The broker must have the sanitizer's runtime before it loads our plugin; what it leaks itself is
 * not ours. */
static void preload_sanitizer(void)
{
    struct gk_error err = { 0 };
    Dl_info runtime;

    if (dladdr((void *)(uintptr_t)SANITIZER, &runtime) != 0 &&
        hub_file_write("leaks", "leak:mosquitto__calloc\n", 0600, &err) == GK_OK) {
        setenv("LD_PRELOAD", runtime.dli_fname, 1);
        setenv("LSAN_OPTIONS", "suppressions=leaks:print_suppressions=0", 1);
    }
}
#else
static void preload_sanitizer(void)
{
}
#endif

static int become_broker(struct gk_error *err)
{
    preload_sanitizer();
    execl(MOSQUITTO_BROKER_PATH, "mosquitto", "-c", "mosquitto.conf", (char *)NULL);
    gk_fail_file(err, errno, MOSQUITTO_BROKER_PATH);
    gk_advise(err, "install mosquitto");
    return 1;
}

int main(int count, char **arguments)
{
    struct launch launch = {
        .hub.options.server_names = RIGHT_NAMES,
        .hub.faults = hub_faults_new(),
        .root_days = ROOT_DAYS,
    };
    struct gk_error err = { 0 };
    char sentence[800];
    enum gk_status status;

    if (launch.hub.faults == NULL || !parse(&launch, count, arguments)) {
        fputs(usage, stderr);
        return 2;
    }
    fprintf(stderr, "hub: %s\n", HUB_WARNING);
    status = prepare(&launch, &err);
    hub_ca_close(launch.hub.ca);
    hub_store_close(launch.hub.store);
    hub_faults_free(launch.hub.faults);
    if (status == GK_OK) {
        become_broker(&err);
    }
    hub_ca_process_end(launch.hub.options.ca_pid);
    gk_error_sentence(&err, "start the local hub", sentence, sizeof(sentence));
    fprintf(stderr, "hub: %s\n", sentence);
    return 1;
}
