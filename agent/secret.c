/* SPDX-License-Identifier: Apache-2.0 */
/* Reads secrets from files that only their owner may read, and keeps one sealed to the TPM. */
#include "agent/secret.h"

#include "agent/file.h"
#include "identity/identity.h"

static const char credential[] = "credential:";

void agent_secret_clear(struct agent_secret *secret)
{
    explicit_bzero(secret, sizeof(*secret));
}

/* Where the file is: "credential:NAME" lies where systemd says. */
static enum gk_status locate(const char *path, char **located, struct gk_error *err)
{
    const char *directory = secure_getenv("CREDENTIALS_DIRECTORY");

    if (strncmp(path, credential, sizeof(credential) - 1) != 0) {
        *located = strdup(path);
        return *located != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, "%s", path);
    }
    if (directory == NULL) {
        gk_fail(err, GK_NO_FILE, "%s", path);
        gk_advise(err, "start it from a unit with LoadCredential=%s:...",
                  path + sizeof(credential) - 1);
        return GK_NO_FILE;
    }
    if (asprintf(located, "%s/%s", directory, path + sizeof(credential) - 1) < 0) {
        *located = NULL;
        return gk_fail(err, GK_NO_MEMORY, "%s", path);
    }
    return GK_OK;
}

enum gk_status agent_secret_read_file(const char *path, struct agent_secret *secret,
                                      struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(gk_freep) char *located = NULL;
    enum gk_status status = locate(path, &located, err);

    if (status == GK_OK) {
        status = gk_secret_read(located, GK_SECRET_MAX_SIZE, &content, err);
    }
    if (status != GK_OK) {
        return status;
    }
    memcpy(secret->text, content.data, content.size);
    secret->text[content.size] = '\0';
    secret->size = content.size;
    return GK_OK;
}

enum gk_status agent_auth_read_file(const char *path, struct gk_auth *auth, struct gk_error *err)
{
    CLEANUP(agent_secret_clear) struct agent_secret secret = { 0 };
    enum gk_status status;

    if (path == NULL) {
        auth->size = 0;
        return GK_OK;
    }
    status = agent_secret_read_file(path, &secret, err);
    if (status != GK_OK) {
        return status;
    }
    if (secret.size > sizeof(auth->bytes)) {
        return gk_fail(err, GK_BAD_FILE, "%s: a TPM password has at most %d bytes", path,
                       GK_AUTH_MAX_SIZE);
    }
    memcpy(auth->bytes, secret.text, secret.size);
    auth->size = secret.size;
    return GK_OK;
}

enum gk_status agent_admin_open(const struct agent_config *config, struct gk_admin **admin,
                                struct gk_error *err)
{
    CLEANUP(gk_auth_clear) struct gk_auth owner = { 0 };
    enum gk_status status = agent_auth_read_file(config->owner_auth_file, &owner, err);

    return status == GK_OK ? gk_admin_open(config->tcti, &owner, admin, err) : status;
}

enum gk_status agent_secret_store(const struct agent_config *config, const char *text, size_t size,
                                  struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    CLEANUP(gk_freep) char *sealed = NULL;
    enum gk_status status = agent_admin_open(config, &admin, err);

    if (status == GK_OK) {
        status = gk_admin_seal(admin, (const uint8_t *)text, size, config->seal_pcrs, &sealed, err);
    }
    if (status != GK_OK) {
        return status;
    }
    return agent_file_replace(config->directory, GK_FILE_SECRET, sealed, strlen(sealed),
                              AGENT_FOR_GROUP, err);
}

enum gk_status agent_secret_load(const struct agent_config *config, struct agent_secret *secret,
                                 struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content sealed = { 0 };
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    enum gk_status status = gk_identity_read(config->directory, GK_FILE_SECRET, &sealed, err);

    if (status == GK_NO_FILE) {
        return gk_fail(err, GK_NOT_ENROLLED, "no %s in %s", GK_FILE_SECRET, config->directory);
    }
    if (status == GK_OK) {
        status = agent_admin_open(config, &admin, err);
    }
    if (status == GK_OK) {
        status = gk_admin_unseal(admin, sealed.data, sealed.size, (uint8_t *)secret->text,
                                 &secret->size, err);
    }
    if (status == GK_OK) {
        secret->text[secret->size] = '\0';
    }
    return status;
}

bool agent_secret_is_sealed_as_set(const struct agent_config *config)
{
    CLEANUP(gk_content_clear) struct gk_content sealed = { 0 };

    return gk_identity_read(config->directory, GK_FILE_SECRET, &sealed, NULL) == GK_OK &&
           gk_sealed_to(sealed.data, sealed.size, config->seal_pcrs);
}
