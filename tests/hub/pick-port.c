/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that are scripts: prints a free port of 127.0.0.1. */
#include "tests/hub/free-port.h"

#include <stdio.h>

int main(void)
{
    int port = hub_port_pick();

    if (port == 0) {
        fputs("pick-port: no port is free\n", stderr);
        return 1;
    }
    printf("%d\n", port);
    return 0;
}
