/* SPDX-License-Identifier: Apache-2.0 */
/* What a proxy says of the way to the hub: the head of an HTTP answer, the last bytes of SOCKS5. */
#include "tests/fuzz/target.h"

#include "agent/proxy.h"
#include "cleanup.h"

/* Nothing of what it said gets into the log but numbers. */
static void check(const struct gk_error *err)
{
    char sentence[1024];

    gk_error_sentence(err, "connect to the hub", sentence, sizeof(sentence));
    for (const char *byte = sentence; *byte != '\0'; byte++) {
        if (*byte < ' ' || *byte > '~') {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct agent_proxy proxy = { .host = (char *)"proxy",
                                       .port = 3128,
                                       .user = size % 2 != 0 ? (char *)"user" : NULL };
    CLEANUP(gk_freep) char *head = strndup((const char *)data, size);
    struct gk_error err = { 0 };

    if (head == NULL) {
        return 0;
    }
    if (agent_proxy_judge(&proxy, head, "hub", &err) != GK_OK) {
        check(&err);
    } else if (strncmp(head, "HTTP/1.", 7) != 0) {
        abort();
    }
    if (agent_proxy_explain_socks(&proxy, data, size, "hub", &err) != GK_OK) {
        check(&err);
    }
    return 0;
}
