/* SPDX-License-Identifier: Apache-2.0 */
/* For scripts: prove CONFIG SECRET [ROUNDS] makes a proving connection, says how it went, exits by
 * it. */
#include "agent/exit.h"
#include "agent/link.h"

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
    for (int i = 0; status == GK_OK && i < (argc > 3 ? atoi(argv[3]) : 1); i++) {
        status = agent_link_prove(config, openssl, AGENT_PAIR_CURRENT, argv[2], &err);
    }
    if (status == GK_OK) {
        puts("accepted");
    } else {
        gk_error_sentence(&err, "connect", text, sizeof(text));
        puts(text);
    }
    return (int)agent_exit_code(status);
}
