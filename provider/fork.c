/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a fork from copying a signature in flight: a child that inherits the connection of one
 * holds the TPM against everybody, itself included.
 *
 * The module is linked with -z nodelete, so the handlers never dangle.
 */
#include "provider/internal.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct prov_context *list;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int registration; /* what pthread_atfork said */

/*
 * Some TCTIs fork to reach their TPM ("cmd:" does), in the middle of an operation of this very
 * thread and with the TPM's lock held. Such a child only executes another program, so there is
 * nothing to hold still.
 */
static _Thread_local bool inside;

void prov_fork_enter(void)
{
    inside = true;
}

void prov_fork_leave(void)
{
    inside = false;
}

/* Every lock a child might need is held across the fork, so that none is copied in somebody's
 * hands. */
static void before_fork(void)
{
    if (inside) {
        return;
    }
    pthread_mutex_lock(&list_lock);
    for (struct prov_context *context = list; context != NULL; context = context->next) {
        pthread_mutex_lock(&context->lock);
        if (context->tpm != NULL) {
            gk_tpm_before_fork(context->tpm);
        }
    }
}

static void after_fork(bool child)
{
    if (inside) {
        return;
    }
    for (struct prov_context *context = list; context != NULL; context = context->next) {
        if (context->tpm != NULL) {
            gk_tpm_after_fork(context->tpm, child);
        }
        pthread_mutex_unlock(&context->lock);
    }
    pthread_mutex_unlock(&list_lock);
}

static void in_parent(void)
{
    after_fork(false);
}

static void in_child(void)
{
    after_fork(true);
}

static void register_handlers(void)
{
    registration = pthread_atfork(before_fork, in_parent, in_child);
}

enum gk_status prov_fork_watch(struct prov_context *context, struct gk_error *err)
{
    pthread_once(&once, register_handlers);
    if (registration != 0) {
        return gk_fail(err, GK_NO_MEMORY, "fork handlers");
    }
    pthread_mutex_lock(&list_lock);
    if (!context->watched) {
        context->watched = true;
        context->next = list;
        list = context;
    }
    pthread_mutex_unlock(&list_lock);
    return GK_OK;
}

void prov_fork_unwatch(struct prov_context *context)
{
    pthread_mutex_lock(&list_lock);
    for (struct prov_context **link = &list; *link != NULL; link = &(*link)->next) {
        if (*link == context) {
            *link = context->next;
            break;
        }
    }
    pthread_mutex_unlock(&list_lock);
}
