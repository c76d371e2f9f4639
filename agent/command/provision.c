/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey provision: the provisioner's side, which makes a device at the hub before its gateway
 * enrols. */
#include "agent/command/command.h"
#include "agent/command/hub.h"
#include "agent/file.h"
#include "agent/secret.h"

static void wipe_device(struct enos_device *device)
{
    explicit_bzero(device, sizeof(*device));
}

/* The file is made, empty, before the device is: what stops us then must be met before there is a
 * secret. */
static enum gk_status reserve(const char *path, struct gk_error *err)
{
    enum gk_status status = agent_file_create(path, "", 0, AGENT_FOR_OWNER, err);

    if (status == GK_FILE_FAILED && access(path, F_OK) == 0) {
        gk_advise(err, "name a file that does not exist yet; nothing was created");
    }
    return status;
}

static enum gk_status hand_over(const char *path, const struct enos_device *device,
                                struct gk_error *err)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(gk_freep)
    char *directory = slash == NULL   ? strdup(".")
                      : slash == path ? strdup("/")
                                      : strndup(path, (size_t)(slash - path));
    char line[sizeof(device->device_secret) + 1];
    enum gk_status status;

    if (directory == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    snprintf(line, sizeof(line), "%s\n", device->device_secret);
    status = agent_file_replace(directory, slash == NULL ? path : slash + 1, line, strlen(line),
                                AGENT_FOR_OWNER, err);
    explicit_bzero(line, sizeof(line));
    if (status != GK_OK) {
        gk_advise(err,
                  "the device exists at the hub, but its secret was not written; read it there");
    }
    return status;
}

static enum gk_status create(struct run *run, const char *serial_number, const char *licence_file,
                             struct enos_device *device, struct gk_error *err)
{
    CLEANUP(agent_secret_clear) struct agent_secret licence = { 0 };
    CLEANUP(hub_freep) struct hub *hub = NULL;
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(run, &openssl, err);

    if (status == GK_OK) {
        status = hub_new(run->config, openssl, &hub, err);
    }
    if (status == GK_OK && licence_file != NULL) {
        status = agent_secret_read_file(licence_file, &licence, err);
    }
    if (status == GK_OK) {
        status = hub_device_create(hub, serial_number, licence_file != NULL ? licence.text : NULL,
                                   device, err);
    }
    if (status == GK_OK && (device->device_secret[0] == '\0' || device->asset_id[0] == '\0')) {
        status = gk_fail(err, GK_HUB_GARBLED, "no assetId or deviceSecret in the reply");
    }
    return status;
}

enum gk_status command_provision(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(wipe_device) struct enos_device device = { 0 };
    const char *secret_file = NULL;
    const char *serial_number = NULL;
    const char *licence_file = NULL;
    const struct word words[] = { { "secret-file", &secret_file, NULL },
                                  { "serial-number", &serial_number, NULL },
                                  { "licence-file", &licence_file, NULL },
                                  { 0 } };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK && secret_file == NULL) {
        return gk_fail(err, GK_USAGE, "--secret-file is missing");
    }
    if (status == GK_OK) {
        status = reserve(secret_file, err);
    }
    if (status != GK_OK) {
        return status;
    }
    status = create(run, serial_number, licence_file, &device, err);
    if (status != GK_OK) {
        unlink(secret_file);
        return status;
    }
    status = hand_over(secret_file, &device, err);
    if (status != GK_OK) {
        return status;
    }
    say_step(run, "device %s created at the hub; its secret is in %s", run->config->device_key,
             secret_file);
    say_line(run, "%s", device.asset_id);
    say_text(run, "assetId", device.asset_id);
    return GK_OK;
}
