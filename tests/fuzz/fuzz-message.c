/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub sends over MQTT: commands and replies. */
#include "tests/fuzz/target.h"

#include "agent/enos/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct enos_request request = { 0 };
    struct enos_reply reply = { 0 };
    struct gk_error err = { 0 };

    if (enos_request_parse(data, size, &request, &err) == GK_OK) {
        CLEANUP(gk_freep) char *text = NULL;
        size_t text_size = 0;

        /* A command that was taken can be answered with its own id. */
        if (enos_reply_format(request.id, ENOS_CODE_OK, NULL, NULL, &text, &text_size, &err) !=
            GK_OK) {
            abort();
        }
        enos_request_clear(&request);
    }
    if (enos_reply_parse(data, size, &reply, &err) == GK_OK) {
        enos_reply_clear(&reply);
    }
    return 0;
}
