/* SPDX-License-Identifier: Apache-2.0 */
/* getaddrinfo(3) in a thread of its own. */
#include "agent/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

/* Held by the caller and by the thread; whoever lets go last frees it. */
struct agent_resolve {
    atomic_uint holders;
    int done; /* eventfd: written by the thread when the rest is complete */
    char *host;
    int error; /* EAI_... */
    int system_error;
    size_t count;
    char addresses[AGENT_RESOLVE_MAX][AGENT_RESOLVE_TEXT];
};

void agent_resolve_free(struct agent_resolve *resolve)
{
    if (resolve == NULL || atomic_fetch_sub(&resolve->holders, 1) > 1) {
        return;
    }
    gk_closep(&resolve->done);
    free(resolve->host);
    free(resolve);
}

static void look_up(struct agent_resolve *resolve)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;

    resolve->error = getaddrinfo(resolve->host, NULL, &hints, &list);
    resolve->system_error = errno;
    if (resolve->error != 0) {
        return;
    }
    for (const struct addrinfo *a = list; a != NULL && resolve->count < AGENT_RESOLVE_MAX;
         a = a->ai_next) {
        if (getnameinfo(a->ai_addr, a->ai_addrlen, resolve->addresses[resolve->count],
                        AGENT_RESOLVE_TEXT, NULL, 0, NI_NUMERICHOST) == 0) {
            resolve->count++;
        }
    }
    freeaddrinfo(list);
}

static void *run(void *context)
{
    struct agent_resolve *resolve = context;

    look_up(resolve);
    /* Cannot fail: the counter is far from its end. */
    (void)!eventfd_write(resolve->done, 1);
    agent_resolve_free(resolve);
    return NULL;
}

/* The thread takes no signals: they are the event loop's. */
static int begin(struct agent_resolve *resolve)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    int error = pthread_attr_init(&attributes);

    if (error != 0) {
        return error;
    }
    sigfillset(&all);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_fetch_add(&resolve->holders, 1);
    error = pthread_create(&thread, &attributes, run, resolve);
    if (error != 0) {
        atomic_fetch_sub(&resolve->holders, 1);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

enum gk_status agent_resolve_start(const char *host, struct agent_resolve **resolve,
                                   struct gk_error *err)
{
    CLEANUP(agent_resolve_freep) struct agent_resolve *made = calloc(1, sizeof(*made));
    int error;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    atomic_init(&made->holders, 1);
    made->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    made->host = strdup(host);
    if (made->done < 0 || made->host == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    error = begin(made);
    if (error != 0) {
        return gk_fail(err, GK_INTERNAL, "starting a thread: %s", strerror(error));
    }
    *resolve = TAKE(made);
    return GK_OK;
}

int agent_resolve_fd(const struct agent_resolve *resolve)
{
    return resolve->done;
}

enum gk_status agent_resolve_take(struct agent_resolve *resolve,
                                  char addresses[static AGENT_RESOLVE_MAX][AGENT_RESOLVE_TEXT],
                                  size_t *count, struct gk_error *err)
{
    eventfd_t value;

    if (eventfd_read(resolve->done, &value) != 0) {
        return gk_fail(err, GK_INTERNAL, "the look-up of %s is not done", resolve->host);
    }
    if (resolve->error != 0 || resolve->count == 0) {
        return gk_fail(err, GK_UNREACHABLE, "looking up %s: %s", resolve->host,
                       resolve->error == EAI_SYSTEM ? strerror(resolve->system_error)
                                                    : gai_strerror(resolve->error));
    }
    memcpy(addresses, resolve->addresses, sizeof(resolve->addresses));
    *count = resolve->count;
    return GK_OK;
}
