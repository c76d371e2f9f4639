/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For scripts: activate CONFIG PRODUCT-SECRET [fail] activates a device and prints its secret and
 * asset id, or fails to store them.
 */
#include "agent/exit.h"
#include "agent/link.h"

static enum gk_status store(void *context, const char *device_secret, const char *asset_id,
                            struct gk_error *err)
{
    if (context != NULL) {
        return gk_fail(err, GK_DISK_FULL, "here");
    }
    printf("%s %s\n", device_secret, asset_id);
    return GK_OK;
}

int main(int argc, char **argv)
{
    CLEANUP(agent_config_freep) struct agent_config *config = NULL;
    CLEANUP(agent_openssl_freep) struct agent_openssl *openssl = NULL;
    struct gk_error err = { 0 };
    char text[1024];
    enum gk_status status;

    if (argc < 3) {
        return 99;
    }
    status = agent_config_read(argv[1], NULL, &config, &err);
    if (status == GK_OK) {
        status = agent_openssl_new(config, &openssl, &err);
    }
    if (status == GK_OK) {
        status = agent_link_init(&err);
    }
    if (status == GK_OK) {
        status =
            agent_link_activate(config, openssl, argv[2], store, argc > 3 ? argv[3] : NULL, &err);
    }
    if (status != GK_OK) {
        gk_error_sentence(&err, "activate", text, sizeof(text));
        puts(text);
    }
    return (int)agent_exit_code(status);
}
