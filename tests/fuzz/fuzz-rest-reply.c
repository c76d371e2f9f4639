/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub's REST API answers, each kind of answer in turn. */
#include "tests/fuzz/target.h"

#include "agent/enos/rest.h"

#include "cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct enos_certificate certificate;
    struct enos_record records[4];
    struct enos_device device;
    struct gk_error err = { 0 };
    json_t *body = NULL;
    char token[64];
    size_t count;
    bool expired;

    if (enos_rest_reply_parse(200, (const char *)data, size, &body, &expired, &err) != GK_OK) {
        return 0;
    }
    (void)!enos_token_parse(body, token, sizeof(token), &err);
    (void)!enos_device_parse(body, &device, &err);
    (void)!enos_certificate_parse(body, &certificate, &err);
    (void)!enos_list_parse(body, records, 4, &count, &err);
    json_decref(body);
    return 0;
}
