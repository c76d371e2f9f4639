/* SPDX-License-Identifier: Apache-2.0 */
/* clock.json, which a disk may have garbled: no content makes the time go back. */
#include "tests/fuzz/target.h"

#include "agent/clock-file.h"
#include "tests/fuzz/scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_scene *scene = fuzz_scene();
    static int64_t build;
    struct agent_clock_record record, again;
    struct gk_error err = { 0 };

    if (build == 0) {
        build = agent_clock_floor(&scene->config);
    }
    fuzz_write(AGENT_CLOCK_FILE, data, size);
    if (agent_clock_read(scene->directory, &record, &err) == GK_OK) {
        CLEANUP(gk_freep) char *text = agent_clock_format(&record);

        (void)strlen(agent_clock_source_name(record.source));
        (void)strlen(agent_clock_source_name(record.refused_source));
        /* What was taken comes back the same. */
        memset(&again, 0, sizeof(again));
        if (text == NULL || !agent_clock_parse(text, strlen(text), &again) ||
            again.floor != record.floor || again.source != record.source) {
            abort();
        }
    }
    if (agent_clock_floor(&scene->config) < build || agent_clock_now(&scene->config) < build) {
        abort();
    }
    return 0;
}
