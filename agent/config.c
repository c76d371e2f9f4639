/* SPDX-License-Identifier: Apache-2.0 */
/* Reads gatekey.conf: one table of settings, one loop, and a line number in every complaint. */
#include "agent/config.h"

#include "agent/config-value.h"
#include "agent/file.h"
#include "identity/identity.h"
#include "tpm/devkey.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>

/* The file read where no other is named. */
#define INSTALLED_CONFIG GK_SYSCONFDIR "/gatekey/gatekey.conf"

/* The largest gatekey.conf that is read, bytes. */
#define CONFIG_MAX ((size_t)64 * 1024)

#define DAY_S 86400

struct setting {
    const char *section, *name;
    agent_value_read *read;
    size_t offset;
    struct agent_bounds bounds;
};

#define FIELD(member) offsetof(struct agent_config, member)

/* gatekey.conf(5) lists them in the same order. */
static const struct setting settings[] = {
    { "tpm", "tcti", agent_value_tcti, FIELD(tcti), AGENT_CHARACTERS(1, 1024) },
    { "tpm", "handle", agent_value_handle, FIELD(handle), { 0 } },
    { "tpm", "owner_auth_file", agent_value_secret, FIELD(owner_auth_file), { 0 } },
    { "tpm", "key_auth_file", agent_value_secret, FIELD(key_auth_file), { 0 } },
    { "tpm", "seal_pcrs", agent_value_pcrs, FIELD(seal_pcrs), { 0 } },
    { "identity", "directory", agent_value_path, FIELD(directory), { 0 } },
    { "identity", "provider", agent_value_provider, FIELD(provider), AGENT_CHARACTERS(1, 1024) },
    { "identity", "key", agent_value_text, FIELD(key), AGENT_CHARACTERS(1, 190) },
    { "identity", "propquery", agent_value_text, FIELD(propquery), AGENT_CHARACTERS(0, 1024) },
    { "device", "product_key", agent_value_name, FIELD(product_key), AGENT_CHARACTERS(1, 64) },
    { "device", "device_key", agent_value_name, FIELD(device_key), AGENT_CHARACTERS(1, 64) },
    { "device", "product_secret_file", agent_value_secret, FIELD(product_secret_file), { 0 } },
    { "device", "common_name", agent_value_text, FIELD(common_name), AGENT_CHARACTERS(1, 64) },
    { "device", "csr_extensions", agent_value_bool, FIELD(csr_extensions), { 0 } },
    { "device", "country", agent_value_text, FIELD(country), { 2, 2, "must have 2 characters" } },
    { "device", "state", agent_value_text, FIELD(state), AGENT_CHARACTERS(1, 64) },
    { "device", "locality", agent_value_text, FIELD(locality), AGENT_CHARACTERS(1, 64) },
    { "device", "organization", agent_value_text, FIELD(organization), AGENT_CHARACTERS(1, 64) },
    { "device", "organizational_unit", agent_value_text, FIELD(organizational_unit),
      AGENT_CHARACTERS(1, 64) },
    { "hub", "host", agent_value_host, FIELD(host), { 0 } },
    { "hub", "port", agent_value_port, FIELD(port), { 0 } },
    { "hub", "activation_port", agent_value_port, FIELD(activation_port), { 0 } },
    { "hub", "ca_file", agent_value_ca, FIELD(hub_ca_file), { 0 } },
    { "hub", "server_name", agent_value_host, FIELD(server_name), { 0 } },
    { "hub", "keepalive", agent_value_unsigned, FIELD(keepalive_s), AGENT_NUMBER(60, 300) },
    { "hub", "spread", agent_value_unsigned, FIELD(spread_s), AGENT_NUMBER(0, 600) },
    { "hub", "fallback", agent_value_hosts, FIELD(fallback), { 0 } },
    { "hub", "resume", agent_value_bool, FIELD(resume), { 0 } },
    { "hub", "proxy", agent_value_proxy, FIELD(proxy), { 0 } },
    { "hub", "proxy_password_file", agent_value_secret, FIELD(proxy_password_file), { 0 } },
    { "hub", "crl_url", agent_value_any_url, FIELD(server_crl_url), { 0 } },
    { "api", "url", agent_value_url, FIELD(api_url), { 0 } },
    { "api", "ca_file", agent_value_ca, FIELD(api_ca_file), { 0 } },
    { "api", "app_key", agent_value_text, FIELD(app_key), AGENT_CHARACTERS(1, 64) },
    { "api", "app_secret_file", agent_value_secret, FIELD(app_secret_file), { 0 } },
    { "api", "organization_id", agent_value_text, FIELD(organization_id), AGENT_CHARACTERS(1, 64) },
    { "api", "valid_days", agent_value_unsigned, FIELD(valid_days), AGENT_NUMBER(1, 3650) },
    { "local", "socket", agent_value_path, FIELD(socket), { 0 } },
    { "local", "socket_group", agent_value_text, FIELD(socket_group), AGENT_CHARACTERS(0, 64) },
    { "local", "state_directory", agent_value_path, FIELD(state_directory), { 0 } },
    { "local", "broker", agent_value_path_or_none, FIELD(broker), { 0 } },
    { "local", "metrics_file", agent_value_path, FIELD(metrics_file), { 0 } },
    { "spool", "max_size", agent_value_size, FIELD(spool_bytes), AGENT_SIZE(1, M, 1024, G) },
    { "spool", "max_age", agent_value_seconds, FIELD(spool_age_s), AGENT_TIME(60, 3650, d) },
    { "spool", "resume_after", agent_value_seconds, FIELD(resume_after_s), AGENT_TIME(0, 1, d) },
    { "spool", "rate", agent_value_size, FIELD(uplink_rate), AGENT_SIZE(0, , 1, G) },
    { "renew", "by", agent_value_renew_by, FIELD(renew_by), { 0 } },
    { "renew", "rotate_key", agent_value_bool, FIELD(rotate_key), { 0 } },
    { "renew", "settle", agent_value_seconds, FIELD(settle_s), AGENT_TIME(0, 1, h) },
    { "renew", "overlap", agent_value_seconds, FIELD(overlap_s), AGENT_TIME(0, 90, d) },
    { "renew", "reloaded", agent_value_text, FIELD(reloaded), AGENT_CHARACTERS(1, 160) },
    { "renew", "expired", agent_value_expired, FIELD(renew_expired), { 0 } },
    { "trust", "crl_url", agent_value_any_url, FIELD(issuer_crl_url), { 0 } },
    { "trust", "root_url", agent_value_url, FIELD(root_url), { 0 } },
    { "trust", "refresh", agent_value_seconds, FIELD(refresh_s), AGENT_TIME(1, 90, d) },
    { "trust", "grace", agent_value_seconds, FIELD(grace_s), AGENT_TIME(0, 365, d) },
    { "trust", "stale", agent_value_policy, FIELD(stale), { 0 } },
    { "clock", "on_tamper", agent_value_policy, FIELD(on_tamper), { 0 } },
    { "clock", "tolerance", agent_value_seconds, FIELD(tolerance_s), AGENT_TIME(1, 1, d) },
};

#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

/* One reading of one file. inih asks for its lines one by one, which is how lines are counted. */
struct reading {
    const char *path, *next; /* next: the rest of the text */
    unsigned line;
    bool seen[SETTING_COUNT];
    struct agent_config *config;
    enum gk_status status; /* of the first failure; nothing is read after it */
    struct gk_error *err;
};

/* Always 0, which is how inih's callbacks say that something is wrong. */
static int complain(struct reading *reading, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int complain(struct reading *reading, const char *format, ...)
{
    char what[224];
    va_list arguments;

    if (reading->status == GK_OK) {
        va_start(arguments, format);
        vsnprintf(what, sizeof(what), format, arguments);
        va_end(arguments);
        reading->status =
            gk_fail(reading->err, GK_BAD_CONFIG, "%s:%u: %s", reading->path, reading->line, what);
    }
    return 0;
}

static bool section_is_known(const char *line)
{
    const char *end = strchr(line, ']');

    for (size_t i = 0; end != NULL && i < SETTING_COUNT; i++) {
        size_t size = strlen(settings[i].section);

        if ((size_t)(end - line - 1) == size && memcmp(line + 1, settings[i].section, size) == 0) {
            return true;
        }
    }
    return false;
}

/* What inih would let pass: sections nobody knows, continuation lines, lines cut in two. */
static void check_line(struct reading *reading, const char *line, size_t size, size_t limit)
{
    size_t start = strspn(line, " \t");

    if (size > limit) {
        complain(reading, "the line is longer than %zu characters", limit);
    } else if (line[start] == '[' && !section_is_known(line + start)) {
        complain(reading, "unknown section %.*s", (int)strcspn(line + start, " \t\r\n"),
                 line + start);
    } else if (start > 0 && strchr("[;#\r\n", line[start]) == NULL) {
        complain(reading, "a setting must start at the beginning of its line");
    }
}

/* fgets(3) for inih, from the text in memory. */
static char *next_line(char *buffer, int buffer_size, void *stream)
{
    struct reading *reading = stream;
    size_t size = strcspn(reading->next, "\n");

    if (reading->status != GK_OK || *reading->next == '\0') {
        return NULL;
    }
    reading->line++;
    size += reading->next[size] == '\n';
    check_line(reading, reading->next, size, (size_t)buffer_size - 3);
    if (reading->status != GK_OK) {
        return NULL;
    }
    memcpy(buffer, reading->next, size);
    buffer[size] = '\0';
    reading->next += size;
    return buffer;
}

static char **split_words(const char *text)
{
    size_t count = 0, limit = strlen(text) / 2 + 2;
    char **words = calloc(limit, sizeof(*words));

    while (words != NULL && *(text += strspn(text, " \t")) != '\0') {
        size_t size = strcspn(text, " \t");

        words[count] = strndup(text, size);
        if (words[count++] == NULL) {
            break;
        }
        text += size;
    }
    return words;
}

static void handler_clear(struct agent_handler *handler)
{
    for (size_t i = 0; handler->argv != NULL && handler->argv[i] != NULL; i++) {
        free(handler->argv[i]);
    }
    free(handler->argv);
    free(handler->service);
    *handler = (struct agent_handler){ 0 };
}

/* A service's identifier has no "/", so that these are mistaken for none. */
static bool service_is_valid(const char *service)
{
    static const char *const others[] = { "measurepoint/set", "measurepoint/get",
                                          "thing/enable",     "thing/disable",
                                          "thing/delete",     "thing/model/down_raw",
                                          "rrpc/request" };
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t size = strlen(service);

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(service, others[i]) == 0) {
            return true;
        }
    }
    return size > 0 && size <= 64 && strspn(service, letters) == size;
}

static int add_handler(struct reading *reading, const char *service, const char *value)
{
    struct agent_config *config = reading->config;
    struct agent_handler *grown;

    if (!service_is_valid(service)) {
        return complain(reading, "command. must be followed by a service's identifier, or by one "
                                 "of the other commands that gatekey.conf(5) lists");
    }
    if (strcmp(service, "installCertificate") == 0) {
        return complain(reading, "command.%s is gatekeyd's own and takes no program", service);
    }
    for (size_t i = 0; i < config->handler_count; i++) {
        if (strcmp(config->handlers[i].service, service) == 0) {
            return complain(reading, "command.%s stands there twice", service);
        }
    }
    if (value[0] != '/') {
        return complain(reading,
                        "command.%s must be the absolute path of a program and its "
                        "arguments",
                        service);
    }
    grown = reallocarray(config->handlers, config->handler_count + 1, sizeof(*grown));
    if (grown == NULL) {
        reading->status = gk_fail(reading->err, GK_NO_MEMORY, "%s", reading->path);
        return 0;
    }
    config->handlers = grown;
    grown += config->handler_count++;
    *grown = (struct agent_handler){ .service = strdup(service), .argv = split_words(value) };
    if (grown->service == NULL || grown->argv == NULL || grown->argv[0] == NULL) {
        reading->status = gk_fail(reading->err, GK_NO_MEMORY, "%s", reading->path);
        return 0;
    }
    return 1;
}

static int apply(struct reading *reading, size_t index, const char *value)
{
    const struct setting *setting = &settings[index];
    const char *problem;

    if (reading->seen[index]) {
        return complain(reading, "%s stands there twice", setting->name);
    }
    reading->seen[index] = true;
    problem = setting->read((char *)reading->config + setting->offset, value, &setting->bounds);
    if (problem == AGENT_NO_MEMORY) {
        reading->status = gk_fail(reading->err, GK_NO_MEMORY, "%s", reading->path);
        return 0;
    }
    /* The value itself is not shown: it may be a secret put where a path belongs. */
    return problem == NULL ? 1 : complain(reading, "%s %s", setting->name, problem);
}

static int on_setting(void *user, const char *section, const char *name, const char *value)
{
    static const char command[] = "command.";
    struct reading *reading = user;

    if (reading->status != GK_OK) {
        return 0;
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(settings[i].section, section) == 0 && strcmp(settings[i].name, name) == 0) {
            return apply(reading, i, value);
        }
    }
    if (strcmp(section, "local") == 0 && strncmp(name, command, sizeof(command) - 1) == 0) {
        return add_handler(reading, name + sizeof(command) - 1, value);
    }
    if (section[0] == '\0') {
        return complain(reading, "%.64s stands before any [section]", name);
    }
    return complain(reading, "unknown setting %.64s in [%s]", name, section);
}

static enum gk_status read_whole(const char *path, struct gk_content *content, struct gk_error *err)
{
    struct gk_error why = { 0 };
    enum gk_status status = agent_file_read(path, CONFIG_MAX, content, &why);

    if (status == GK_BAD_FILE) {
        return gk_fail(err, GK_BAD_CONFIG, "%s", why.object);
    }
    if (status != GK_OK) {
        return gk_fail(err, status, "%s", why.object);
    }
    if (memchr(content->data, '\0', content->size) != NULL) {
        return gk_fail(err, GK_BAD_CONFIG, "%s: holds a NUL byte", path);
    }
    return GK_OK;
}

static enum gk_status parse(struct agent_config *config, const char *path, const char *text,
                            struct gk_error *err)
{
    struct reading reading = { .path = path, .next = text, .config = config, .err = err };
    int line = ini_parse_stream(next_line, &reading, on_setting, &reading);

    if (reading.status == GK_OK && line != 0) {
        reading.line = line > 0 ? (unsigned)line : 0;
        complain(&reading, "neither [section], nor name = value, nor a comment");
    }
    return reading.status;
}

static bool set(char **field, const char *value)
{
    char *copy = strdup(value);

    if (copy == NULL) {
        return false;
    }
    free(*field);
    *field = copy;
    return true;
}

static bool set_defaults(struct agent_config *config)
{
    config->handle = GK_HANDLE_DEFAULT;
    config->port = 18883;
    config->keepalive_s = 60;
    config->spread_s = 30;
    config->valid_days = 365;
    config->csr_extensions = true;
    config->resume = true;
    config->spool_bytes = (uint64_t)256 * 1024 * 1024;
    config->spool_age_s = 30 * DAY_S;
    config->resume_after_s = 60;
    config->uplink_rate = (uint64_t)900 * 1024;
    config->settle_s = 60;
    config->overlap_s = DAY_S;
    config->refresh_s = DAY_S;
    config->grace_s = 7 * DAY_S;
    config->tolerance_s = 60;
    /* The subject EnOS's own SDK for C asks for; C, ST and O equal those of EnOS's root. */
    return set(&config->tcti, GK_DEFAULT_TCTI) && set(&config->directory, GK_DEFAULT_DIRECTORY) &&
           set(&config->provider, "gatekey") && set(&config->key, "gatekey:") &&
           set(&config->common_name, "{device_key}") && set(&config->country, "CN") &&
           set(&config->state, "Shanghai") && set(&config->locality, "Shanghai") &&
           set(&config->organization, "EnOS") && set(&config->organizational_unit, "EnOS Edge") &&
           set(&config->socket, "/run/gatekey/gatekeyd.sock") &&
           set(&config->socket_group, "gatekey-local") &&
           set(&config->broker, "/run/gatekey/local/broker.sock") &&
           set(&config->state_directory, "/var/lib/gatekeyd");
}

/* The environment and --identity go before the file. A relative --identity is meant from here. */
static enum gk_status override(struct agent_config *config, const char *identity,
                               struct gk_error *err)
{
    const char *tcti = secure_getenv("GATEKEY_TCTI");
    const char *directory = identity != NULL ? identity : secure_getenv("GATEKEY_IDENTITY");
    CLEANUP(gk_freep) char *here = NULL;
    CLEANUP(gk_freep) char *absolute = NULL;
    const struct agent_bounds bounds = AGENT_CHARACTERS(1, 1024);

    if (tcti != NULL && tcti[0] != '\0' && agent_value_tcti(&config->tcti, tcti, &bounds) != NULL) {
        return gk_fail(err, GK_BAD_TCTI, "GATEKEY_TCTI=%.200s", tcti);
    }
    if (directory == NULL || directory[0] == '\0') {
        return GK_OK;
    }
    if (directory[0] == '/') {
        return set(&config->directory, directory) ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
    }
    here = getcwd(NULL, 0);
    if (here == NULL || asprintf(&absolute, "%s/%s", here, directory) < 0) {
        return gk_fail_file(err, errno, directory);
    }
    return set(&config->directory, absolute) ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

enum gk_status agent_config_read(const char *path, const char *identity,
                                 struct agent_config **config, struct gk_error *err)
{
    CLEANUP(agent_config_freep) struct agent_config *c = calloc(1, sizeof(*c));
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    const char *file = path != NULL ? path : INSTALLED_CONFIG;
    enum gk_status status;

    if (c == NULL || !set_defaults(c)) {
        return gk_fail(err, GK_NO_MEMORY, "%s", file);
    }
    status = read_whole(file, &content, err);
    if (status == GK_OK) {
        status = set(&c->path, file) ? parse(c, file, content.data, err)
                                     : gk_fail(err, GK_NO_MEMORY, "%s", file);
    } else if (status == GK_NO_FILE && path == NULL) {
        status = GK_OK;
    }
    if (status == GK_OK) {
        status = override(c, identity, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (c->activation_port == 0) {
        c->activation_port = c->port;
    }
    if (c->renew_by == AGENT_RENEW_AUTO) {
        c->renew_by = c->api_url != NULL && c->app_key != NULL ? AGENT_RENEW_API : AGENT_RENEW_HAND;
    }
    if (c->rotate_key && strcmp(c->key, "gatekey:") != 0) {
        return gk_fail(err, GK_BAD_CONFIG,
                       "%s: [renew] rotate_key needs [identity] key = gatekey:", c->path);
    }
    *config = TAKE(c);
    return GK_OK;
}

/* Does it read into a field that owns no memory? */
static bool is_plain(agent_value_read *read)
{
    static agent_value_read *const plain[] = { agent_value_unsigned, agent_value_port,
                                               agent_value_handle,   agent_value_bool,
                                               agent_value_seconds,  agent_value_renew_by,
                                               agent_value_expired,  agent_value_policy,
                                               agent_value_size };

    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (plain[i] == read) {
            return true;
        }
    }
    return false;
}

void agent_config_free(struct agent_config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        agent_value_read *read = settings[i].read;

        if (!is_plain(read)) {
            free(*(char **)((char *)config + settings[i].offset));
        }
    }
    for (size_t i = 0; i < config->handler_count; i++) {
        handler_clear(&config->handlers[i]);
    }
    free(config->handlers);
    free(config->path);
    free(config);
}

enum gk_status agent_config_need(const struct agent_config *config, const void *value,
                                 const char *name, struct gk_error *err)
{
    const char *file = config->path != NULL ? config->path : INSTALLED_CONFIG;

    if (value != NULL) {
        return GK_OK;
    }
    gk_fail(err, GK_BAD_CONFIG, "%s is not set", name);
    gk_advise(err, "set it in %s; gatekey.conf(5) says what it means", file);
    return GK_BAD_CONFIG;
}
