/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into gatekeyd by tests: says whether the kernel counts its clock as synchronised, which
 * no test may change on the machine that it runs on. The file named by KERNEL_CLOCK decides: where
 * there is one, the clock is synchronised.
 */
#include <stdlib.h>
#include <sys/timex.h>
#include <unistd.h>

int adjtimex(struct timex *kernel)
{
    const char *path = getenv("KERNEL_CLOCK");

    if (path == NULL || kernel->modes != 0) {
        abort();
    }
    kernel->status = access(path, F_OK) == 0 ? STA_PLL : STA_UNSYNC;
    return kernel->status == STA_UNSYNC ? TIME_ERROR : TIME_OK;
}
