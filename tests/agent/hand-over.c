/* SPDX-License-Identifier: Apache-2.0 */
/* For scripts: hand-over CONFIG SECRET seals a device secret and notes that this gateway is
 * enrolled. */
#include "agent/config.h"
#include "agent/secret.h"
#include "agent/state.h"

int main(int argc, char **argv)
{
    CLEANUP(agent_config_freep) struct agent_config *config = NULL;
    struct agent_state state = { .stage = AGENT_STAGE_ENROLLED };
    struct gk_error err = { 0 };
    char text[1024];
    enum gk_status status;

    if (argc != 3) {
        return 99;
    }
    setenv("TSS2_LOG", "all+none", 0);
    status = agent_config_read(argv[1], NULL, &config, &err);
    if (status == GK_OK) {
        status = agent_secret_store(config, argv[2], strlen(argv[2]), &err);
    }
    if (status == GK_OK) {
        status = agent_state_write(config->directory, &state, &err);
    }
    if (status != GK_OK) {
        gk_error_sentence(&err, "hand over", text, sizeof(text));
        fprintf(stderr, "%s\n", text);
    }
    return status != GK_OK;
}
