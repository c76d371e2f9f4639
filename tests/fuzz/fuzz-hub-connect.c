/* SPDX-License-Identifier: Apache-2.0 */
/* A client id, a line's end, a user name: what a CONNECT brings to the local hub. */
#include "tests/fuzz/target.h"

#include "tests/hub/connect.h"
#include "tests/hub/signature.h"
#include "tests/hub/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(gk_freep) char *text = strndup((const char *)data, size);
    CLEANUP(hub_connect_clear) struct hub_connect connect = { 0 };
    char signature[HUB_SIGNATURE_SIZE];
    const char *rest;
    char *user_name;

    if (text == NULL) {
        return 0;
    }
    user_name = strchr(text, '\n');
    if (user_name != NULL) {
        *user_name++ = '\0';
    }
    if (hub_connect_parse(text, user_name, &connect)) {
        (void)hub_signature_connect(connect.sign_method, connect.cid, connect.device_key,
                                    connect.product_key, connect.timestamp, "secret", signature);
        (void)hub_topic_tree(connect.cid, connect.product_key, connect.device_key, &rest);
    }
    return 0;
}
