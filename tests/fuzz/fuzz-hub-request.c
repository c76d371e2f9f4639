/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate request as it comes to the local hub, PEM. */
#include "tests/fuzz/target.h"

#include "tests/hub/authority.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(gk_freep) char *pem = strndup((const char *)data, size);
    CLEANUP(hub_request_clear) struct hub_request request = { 0 };
    struct gk_error err = { 0 };

    if (pem != NULL) {
        (void)!hub_request_read(pem, &request, &err);
    }
    return 0;
}
