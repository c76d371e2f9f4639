/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey mosquitto-config: options files by which stock mosquitto_pub and mosquitto_sub are this
 * device.
 *
 * Files, because a password on a command line is everybody's to read; mosquitto 2.0.11 has no other
 * way. Each line is one option and, after one blank, its value.
 */
#include "agent/command/command.h"
#include "agent/command/service.h"
#include "agent/enos/connect.h"
#include "agent/file.h"
#include "agent/roots.h"
#include "agent/secret.h"
#include "identity/identity.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#define ROOTS "hub-roots.pem"

static void free_wiped(char **text)
{
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        free(*text);
    }
}

static void clear_connect(struct enos_connect *connect)
{
    explicit_bzero(connect, sizeof(*connect));
}

/* The hub keeps one connection per device: two programs would end each other's. */
static enum gk_status refuse_beside_service(struct run *run, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *reply = NULL;
    struct gk_error why = { 0 };
    enum gk_status status = service_call(run->config, "status", 5, &reply, &why);

    if (status == GK_NO_SERVICE) {
        return GK_OK;
    }
    return gk_fail(err, status == GK_NO_MEMORY ? status : GK_SERVICE_RUNS,
                   "the hub keeps one connection per device");
}

static enum gk_status sign_connect(struct run *run, struct enos_connect *connect,
                                   struct gk_error *err)
{
    CLEANUP(agent_secret_clear) struct agent_secret secret = { 0 };
    struct agent_openssl *openssl;
    struct timespec now;
    char stamp[24];
    enum gk_status status = agent_secret_load(run->config, &secret, err);

    if (status == GK_OK) {
        status = run_openssl(run, &openssl, err);
    }
    if (status != GK_OK) {
        return status;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(stamp, sizeof(stamp), "%" PRId64, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    return enos_connect_sign(agent_openssl_context(openssl), agent_openssl_propquery(openssl),
                             &(struct enos_connect_input){ .mode = ENOS_STATIC,
                                                           .method = "sha256",
                                                           .cid = run->config->device_key,
                                                           .device_key = run->config->device_key,
                                                           .product_key = run->config->product_key,
                                                           .timestamp = stamp,
                                                           .secret = secret.text },
                             connect, err);
}

/* mosquitto cuts a line at its blanks, and knows the host by one name only. */
static enum gk_status check_config(const struct agent_config *c, struct gk_error *err)
{
    enum gk_status status = agent_config_need(c, c->product_key, "[device] product_key", err);

    if (status == GK_OK) {
        status = agent_config_need(c, c->device_key, "[device] device_key", err);
    }
    if (status == GK_OK) {
        status = agent_config_need(c, c->host, "[hub] host", err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (strchr(c->directory, ' ') != NULL) {
        gk_fail(err, GK_BAD_CONFIG, "mosquitto takes no path with a blank in it");
        gk_advise(err, "move the identity directory");
        return GK_BAD_CONFIG;
    }
    if (c->server_name != NULL && strcmp(c->server_name, c->host) != 0) {
        gk_fail(err, GK_BAD_CONFIG, "mosquitto cannot expect another name than the host's");
        gk_advise(err, "set [hub] host to %s and let it resolve", c->server_name);
        return GK_BAD_CONFIG;
    }
    return GK_OK;
}

static enum gk_status make_folder(const char *directory, struct gk_error *err)
{
    return mkdir(directory, 0700) == 0 || errno == EEXIST ? GK_OK
                                                          : gk_fail_file(err, errno, directory);
}

/* mosquitto takes one file: the owner's and ours as they are now, or none for the system's. */
static enum gk_status write_roots(const struct agent_config *c, const char *directory, char **path,
                                  struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content roots = { 0 };
    CLEANUP(gk_freep) char *folder = NULL;
    enum gk_status status = agent_roots_pem(c, AGENT_TRUST_HUB, &roots, err);

    *path = NULL;
    if (status != GK_OK || roots.data == NULL) {
        return status;
    }
    status = make_folder(directory, err);
    if (status == GK_OK) {
        status = agent_file_replace(directory, ROOTS, roots.data, roots.size, AGENT_FOR_ALL, err);
    }
    if (status != GK_OK) {
        return status;
    }
    folder = realpath(directory, NULL);
    if (folder == NULL || asprintf(path, "%s/" ROOTS, folder) < 0) {
        *path = NULL;
        return gk_fail(err, GK_NO_MEMORY, "%s", directory);
    }
    if (strchr(*path, ' ') != NULL) {
        gk_fail(err, GK_USAGE, "mosquitto takes no path with a blank in it");
        gk_advise(err, "name another folder");
        return GK_USAGE;
    }
    return GK_OK;
}

static char *format_options(const struct agent_config *c, const char *roots,
                            const struct enos_connect *connect)
{
    char *text = NULL;

    if (asprintf(&text,
                 "-h %s\n-p %u\n-V mqttv311\n-k %u\n-q 1\n%s%s\n--cert %s/%s\n--key %s/%s\n"
                 "--tls-version tlsv1.2\n-i %s\n-u %s\n-P %s\n",
                 c->host, (unsigned)c->port, c->keepalive_s,
                 roots != NULL ? "--cafile " : "--tls-use-os-certs", roots != NULL ? roots : "",
                 c->directory, GK_FILE_CERTIFICATE, c->directory, GK_FILE_DEVICE,
                 connect->client_id, connect->user_name, connect->password) < 0) {
        return NULL;
    }
    return text;
}

static enum gk_status write_files(const char *directory, const char *text, struct gk_error *err)
{
    static const char *const names[] = { "mosquitto_pub", "mosquitto_sub" };
    enum gk_status status = make_folder(directory, err);

    for (size_t i = 0; status == GK_OK && i < sizeof(names) / sizeof(names[0]); i++) {
        status = agent_file_replace(directory, names[i], text, strlen(text), AGENT_FOR_OWNER, err);
    }
    return status;
}

enum gk_status command_mosquitto_config(struct run *run, int argc, char **argv,
                                        struct gk_error *err)
{
    CLEANUP(clear_connect) struct enos_connect connect = { 0 };
    CLEANUP(free_wiped) char *text = NULL;
    CLEANUP(gk_freep) char *roots = NULL;
    char **rest;
    enum gk_status status = words_read(run, argc, argv, NULL, 1, 1, &rest, err);

    if (status == GK_OK) {
        status = check_config(run->config, err);
    }
    if (status == GK_OK) {
        status = refuse_beside_service(run, err);
    }
    if (status == GK_OK) {
        status = sign_connect(run, &connect, err);
    }
    if (status != GK_OK) {
        return status;
    }
    status = write_roots(run->config, rest[0], &roots, err);
    if (status != GK_OK) {
        return status;
    }
    text = format_options(run->config, roots, &connect);
    if (text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = write_files(rest[0], text, err);
    if (status != GK_OK) {
        return status;
    }
    say_step(run, "options written for mosquitto_pub and mosquitto_sub: XDG_CONFIG_HOME=%s",
             rest[0]);
    say_note(
        run,
        "the password in them stays valid as long as the device secret: remove them after use");
    say_note(run, "topics begin with /sys/%s/%s/", run->config->product_key,
             run->config->device_key);
    say_text(run, "directory", rest[0]);
    return GK_OK;
}
