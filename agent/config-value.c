/* SPDX-License-Identifier: Apache-2.0 */
/* Checks single values of gatekey.conf, so that a typing error is met when it is read and not when
 * it is used. */
#include "agent/config-value.h"

#include "agent/config.h"
#include "cleanup.h"
#include "tpm/devkey.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

const char AGENT_NO_MEMORY[] = "out of memory";

static const char *store(void *field, const char *value, size_t size)
{
    char *copy = strndup(value, size);

    if (copy == NULL) {
        return AGENT_NO_MEMORY;
    }
    free(*(char **)field);
    *(char **)field = copy;
    return NULL;
}

/* True when every byte is printable (UTF-8 included) and none is in refused. */
static bool is_clean(const char *value, const char *refused)
{
    for (; *value != '\0'; value++) {
        if ((unsigned char)*value < 0x20 || *value == 0x7f || strchr(refused, *value) != NULL) {
            return false;
        }
    }
    return true;
}

const char *agent_value_text(void *field, const char *value, const struct agent_bounds *bounds)
{
    size_t size = strlen(value);

    if (!is_clean(value, "")) {
        return "must not hold control characters";
    }
    if (size < bounds->min || size > bounds->max) {
        return bounds->problem;
    }
    return store(field, value, size);
}

const char *agent_value_name(void *field, const char *value, const struct agent_bounds *bounds)
{
    /* '/', '+' and '#' belong to topics, '|' ends the client identifier, '&' parts the user name.
     */
    if (!is_clean(value, " /+#|&%\"\\")) {
        return "must not hold blanks or any of / + # | & % \" \\";
    }
    return agent_value_text(field, value, bounds);
}

const char *agent_value_host(void *field, const char *value, const struct agent_bounds *bounds)
{
    size_t size = strlen(value);

    (void)bounds;
    if (size == 0 || size > 253 || !is_clean(value, " /@?#[]\"\\")) {
        return "must be a host name or an address";
    }
    return store(field, value, size);
}

/* [hub] fallback: what follows the first. */
const char *agent_value_hosts(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char problem[] = "must be one to three host names or addresses, parted by blanks";
    const char *at = value;
    unsigned count = 0;

    while (*(at += strspn(at, " ")) != '\0') {
        CLEANUP(gk_freep) char *host = strndup(at, strcspn(at, " "));
        CLEANUP(gk_freep) char *checked = NULL;

        if (host == NULL) {
            return AGENT_NO_MEMORY;
        }
        if (++count > 3 || agent_value_host(&checked, host, bounds) != NULL) {
            return problem;
        }
        at += strlen(host);
    }
    return count > 0 ? store(field, value, strlen(value)) : problem;
}

const char *agent_value_proxy(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char problem[] = "must be socks5://[USER@]HOST:PORT or http://[USER@]HOST:PORT";
    size_t scheme = strncmp(value, "socks5://", 9) == 0 ? 9
                    : strncmp(value, "http://", 7) == 0 ? 7
                                                        : 0;
    const char *place = value + scheme, *port = strrchr(place, ':');
    char *end;

    (void)bounds;
    if (scheme == 0 || strlen(value) > 512 || !is_clean(place, " /?#\"\\") || port == NULL ||
        port == place || port[-1] == '@' || !isdigit((unsigned char)port[1]) ||
        strtoul(port + 1, &end, 10) - 1 > 65534 || *end != '\0') {
        return problem;
    }
    return store(field, value, strlen(value));
}

const char *agent_value_path(void *field, const char *value, const struct agent_bounds *bounds)
{
    (void)bounds;
    if (value[0] != '/' || strlen(value) >= PATH_MAX || !is_clean(value, "")) {
        return "must be an absolute path";
    }
    return store(field, value, strlen(value));
}

const char *agent_value_path_or_none(void *field, const char *value,
                                     const struct agent_bounds *bounds)
{
    return value[0] == '\0' ? store(field, "", 0) : agent_value_path(field, value, bounds);
}

const char *agent_value_secret(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char prefix[] = "credential:";

    if (strncmp(value, prefix, sizeof(prefix) - 1) == 0) {
        const char *name = value + sizeof(prefix) - 1;

        if (*name == '\0' || *name == '.' || !is_clean(name, "/ ")) {
            return "must name a systemd credential after credential:";
        }
        return store(field, value, strlen(value));
    }
    if (agent_value_path(field, value, bounds) == AGENT_NO_MEMORY) {
        return AGENT_NO_MEMORY;
    }
    return value[0] == '/' ? NULL
                           : "must be an absolute path or credential:NAME, never the secret itself";
}

const char *agent_value_ca(void *field, const char *value, const struct agent_bounds *bounds)
{
    if (strcmp(value, "system") == 0) {
        free(*(char **)field);
        *(char **)field = NULL;
        return NULL;
    }
    if (value[0] != '/') {
        return "must be an absolute path, or system";
    }
    return agent_value_path(field, value, bounds);
}

const char *agent_value_url(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char scheme[] = "https://";
    size_t size = strlen(value);

    (void)bounds;
    if (strncmp(value, scheme, sizeof(scheme) - 1) != 0 || !is_clean(value, " @?#\"\\")) {
        return "must be https://HOST[:PORT][/PATH]";
    }
    while (size > sizeof(scheme) - 1 && value[size - 1] == '/') {
        size--;
    }
    if (size == sizeof(scheme) - 1 || value[sizeof(scheme) - 1] == '/' || size > 1024) {
        return "must be https://HOST[:PORT][/PATH]";
    }
    return store(field, value, size);
}

/* A revocation list proves itself by its signature, so it may come by plain HTTP. */
const char *agent_value_any_url(void *field, const char *value, const struct agent_bounds *bounds)
{
    size_t size = strlen(value);
    size_t host = strncmp(value, "https://", 8) == 0  ? 8
                  : strncmp(value, "http://", 7) == 0 ? 7
                                                      : size;

    (void)bounds;
    if (host >= size || value[host] == '/' || size > 1024 || !is_clean(value, " @#\"\\")) {
        return "must be http:// or https://, a host and a path";
    }
    return store(field, value, size);
}

const char *agent_value_pcrs(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char problem[] = "must be a bank and its PCRs, as sha256:0,2,7";
    const char *at = strchr(value, ':');

    (void)bounds;
    if (at == NULL || (strncmp(value, "sha256:", 7) != 0 && strncmp(value, "sha384:", 7) != 0)) {
        return problem;
    }
    do {
        char *end;

        at++;
        if (!isdigit((unsigned char)*at) || strtoul(at, &end, 10) > 23) {
            return problem;
        }
        at = end;
    } while (*at == ',');
    return *at == '\0' ? store(field, value, strlen(value)) : problem;
}

/* Where value stands among names, -1 where it does not. */
static int choose(const char *value, const char *const *names)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], value) == 0) {
            return i;
        }
    }
    return -1;
}

const char *agent_value_bool(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char *const names[] = { "no", "yes", NULL };
    int chosen = choose(value, names);

    (void)bounds;
    if (chosen < 0) {
        return "must be yes or no";
    }
    *(bool *)field = chosen == 1;
    return NULL;
}

const char *agent_value_renew_by(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char *const names[] = { "api", "event", "hand", NULL };
    int chosen = choose(value, names);

    (void)bounds;
    if (chosen < 0) {
        return "must be api, event or hand";
    }
    *(enum agent_renew_by *)field = (enum agent_renew_by)(chosen + AGENT_RENEW_API);
    return NULL;
}

const char *agent_value_expired(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char *const names[] = { "apply", "stop", NULL };
    int chosen = choose(value, names);

    (void)bounds;
    if (chosen < 0) {
        return "must be apply or stop";
    }
    *(enum agent_renew_expired *)field = (enum agent_renew_expired)chosen;
    return NULL;
}

const char *agent_value_policy(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char *const names[] = { "warn", "stop", NULL };
    int chosen = choose(value, names);

    (void)bounds;
    if (chosen < 0) {
        return "must be warn or stop";
    }
    *(enum agent_policy *)field = (enum agent_policy)chosen;
    return NULL;
}

const char *agent_value_provider(void *field, const char *value, const struct agent_bounds *bounds)
{
    if (value[0] != '/' && (value[0] == '\0' || strchr(value, '/') != NULL)) {
        return "must be a provider's name, or the absolute path of a module";
    }
    return agent_value_text(field, value, bounds);
}

const char *agent_value_tcti(void *field, const char *value, const struct agent_bounds *bounds)
{
    const char *colon = strchr(value, ':');

    /* A bare name would leave the rest to the TSS, which must never look for a TPM by itself. */
    if (colon == NULL || colon == value || colon[1] == '\0') {
        return "must be a TPM connection: device:/dev/tpmrm0, or NAME:SETTINGS";
    }
    return agent_value_text(field, value, bounds);
}

static bool read_number(const char *value, int base, const struct agent_bounds *bounds,
                        unsigned long *number)
{
    char *end;

    if (!isxdigit((unsigned char)value[0])) {
        return false; /* strtoul would take blanks and signs */
    }
    errno = 0;
    *number = strtoul(value, &end, base);
    return errno == 0 && *end == '\0' && *number >= bounds->min && *number <= bounds->max;
}

const char *agent_value_unsigned(void *field, const char *value, const struct agent_bounds *bounds)
{
    unsigned long number;

    if (!read_number(value, 10, bounds, &number)) {
        return bounds->problem;
    }
    *(unsigned *)field = (unsigned)number;
    return NULL;
}

const char *agent_value_port(void *field, const char *value, const struct agent_bounds *bounds)
{
    unsigned long number;

    (void)bounds;
    if (!read_number(value, 10, &(struct agent_bounds){ 1, 65535, NULL }, &number)) {
        return "must be a port, 1 to 65535";
    }
    *(uint16_t *)field = (uint16_t)number;
    return NULL;
}

const char *agent_value_handle(void *field, const char *value, const struct agent_bounds *bounds)
{
    unsigned long number;

    (void)bounds;
    if (strncasecmp(value, "0x", 2) != 0 ||
        !read_number(value + 2, 16, &(struct agent_bounds){ GK_HANDLE_FIRST, GK_HANDLE_LAST, NULL },
                     &number)) {
        return "must be a persistent handle, 0x81000000 to 0x817fffff";
    }
    *(uint32_t *)field = (uint32_t)number;
    return NULL;
}

const char *agent_value_seconds(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const struct {
        const char *unit;
        unsigned long seconds;
    } units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
    unsigned long number;
    char *unit;

    if (!isdigit((unsigned char)value[0])) {
        return bounds->problem;
    }
    errno = 0;
    number = strtoul(value, &unit, 10);
    if (errno != 0) {
        return bounds->problem;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].unit) == 0) {
            if (number > bounds->max / units[i].seconds ||
                number * units[i].seconds < bounds->min) {
                return bounds->problem;
            }
            *(unsigned *)field = (unsigned)(number * units[i].seconds);
            return NULL;
        }
    }
    return bounds->problem;
}

const char *agent_value_size(void *field, const char *value, const struct agent_bounds *bounds)
{
    static const char units[] = "KMG";
    unsigned long number;
    unsigned shift = 0;
    char *end;

    if (!isdigit((unsigned char)value[0])) {
        return bounds->problem;
    }
    errno = 0;
    number = strtoul(value, &end, 10);
    if (*end != '\0') {
        const char *unit = strchr(units, *end);

        if (unit == NULL || end[1] != '\0') {
            return bounds->problem;
        }
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (errno != 0 || number > (bounds->max >> shift) || number << shift < bounds->min) {
        return bounds->problem;
    }
    *(uint64_t *)field = (uint64_t)number << shift;
    return NULL;
}
