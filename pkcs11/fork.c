/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a fork from copying a signature in flight, and tells the child that it is another
 * application now (the standard's usage guide: it is to call C_Initialize by itself).
 *
 * The module is linked with -z nodelete, so the handlers never dangle.
 */
#include "pkcs11/internal.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int registration; /* what pthread_atfork said */

/*
 * Some TCTIs fork to reach their TPM ("cmd:" does), in the middle of an operation of this very
 * thread and with the TPM's lock held. Such a child only executes another program, so there is
 * nothing to hold still.
 */
static _Thread_local bool inside;

void p11_fork_enter(void)
{
    inside = true;
}

void p11_fork_leave(void)
{
    inside = false;
}

static void before_fork(void)
{
    if (!inside) {
        p11_library_before_fork();
    }
}

static void in_parent(void)
{
    if (!inside) {
        p11_library_after_fork(false);
    }
}

static void in_child(void)
{
    if (!inside) {
        p11_library_after_fork(true);
    }
}

static void register_handlers(void)
{
    registration = pthread_atfork(before_fork, in_parent, in_child);
}

enum gk_status p11_fork_watch(struct gk_error *err)
{
    pthread_once(&once, register_handlers);
    return registration == 0 ? GK_OK : gk_fail(err, GK_NO_MEMORY, "fork handlers");
}
