/* SPDX-License-Identifier: Apache-2.0 */
/* state.json, which a disk may have garbled. */
#include "tests/fuzz/target.h"

#include "agent/state.h"
#include "identity/identity.h"
#include "tests/fuzz/scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *directory = fuzz_scene()->directory;
    struct agent_state state, again;
    struct gk_error err = { 0 };

    memset(&state, 0, sizeof(state));
    fuzz_write(GK_FILE_STATE, data, size);
    if (agent_state_read(directory, &state, &err) != GK_OK) {
        return 0;
    }
    (void)strlen(agent_stage_name(state.stage));
    (void)strlen(agent_renewal_name(state.renewal));
    (void)agent_state_knows_other(&state, "1");
    /* What was taken comes back the same. */
    memset(&again, 0, sizeof(again));
    if (agent_state_write(directory, &state, &err) != GK_OK ||
        agent_state_read(directory, &again, &err) != GK_OK || again.stage != state.stage ||
        again.renewal != state.renewal || strcmp(again.others, state.others) != 0 ||
        strcmp(again.certificate_sn, state.certificate_sn) != 0 || again.forced != state.forced) {
        abort();
    }
    return 0;
}
