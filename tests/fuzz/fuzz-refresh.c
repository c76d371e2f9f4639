/* SPDX-License-Identifier: Apache-2.0 */
/* refresh.json, which a disk may have garbled: when to ask again follows from it. */
#include "tests/fuzz/target.h"

#include "agent/command/refresh.h"
#include "identity/identity.h"
#include "tests/fuzz/scene.h"

#define NOW INT64_C(1795400000)

static void ask_again(const struct agent_config *config, struct refresh_item *item)
{
    (void)refresh_is_due(item, "https://localhost/", NOW);
    refresh_note_failure(config, item, NOW, "cannot reach it");
    if (item->next < NOW || item->next > NOW + (int64_t)config->refresh_s) {
        abort();
    }
    refresh_note_success(config, item, NOW, NULL);
    if (refresh_is_due(item, item->url, NOW)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_scene *scene = fuzz_scene();
    static struct refresh_memory memory, again;
    struct gk_error err = { 0 };

    fuzz_write(GK_FILE_REFRESH, data, size);
    if (refresh_memory_read(&scene->config, &memory, &err) != GK_OK) {
        return 0;
    }
    for (int kind = 0; kind < REFRESH_KINDS; kind++) {
        ask_again(&scene->config, &memory.items[kind]);
    }
    /* What was taken comes back the same. */
    if (refresh_memory_write(&scene->config, &memory, &err) != GK_OK ||
        refresh_memory_read(&scene->config, &again, &err) != GK_OK ||
        again.removed_count != memory.removed_count ||
        strcmp(again.items[REFRESH_CRL].url, memory.items[REFRESH_CRL].url) != 0 ||
        strcmp(again.items[REFRESH_CRL].etag, memory.items[REFRESH_CRL].etag) != 0) {
        abort();
    }
    return 0;
}
