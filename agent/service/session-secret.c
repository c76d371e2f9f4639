/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device secret between two connections: opened by the TPM once for as long as the identity is
 * the same, in memory that is neither swapped nor dumped nor inherited by the programs that answer
 * commands.
 */
#include "agent/service/session-internal.h"

#include "agent/secret.h"
#include "agent/service/log.h"

#include <sys/mman.h>

struct session_secret {
    struct mark mark; /* of the identity that it belongs to */
    struct agent_secret secret;
};

/* Where the limits do not allow to lock it, it may be swapped; nothing else is lost by that. */
static struct session_secret *make(void)
{
    struct session_secret *made =
        mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (made == MAP_FAILED) {
        return NULL;
    }
    (void)!mlock(made, sizeof(*made));
    (void)!madvise(made, sizeof(*made), MADV_DONTDUMP);
    (void)!madvise(made, sizeof(*made), MADV_WIPEONFORK);
    return made;
}

void session_forget_secret(struct session *session)
{
    if (session->secret != NULL) {
        explicit_bzero(session->secret, sizeof(*session->secret));
        munmap(session->secret, sizeof(*session->secret));
        session->secret = NULL;
    }
}

enum gk_status session_open_secret(struct session *session, const char **text, struct gk_error *err)
{
    const struct mark *mark = &session->identity.current;
    enum gk_status status;

    if (session->secret != NULL && mark_equal(&session->secret->mark, mark)) {
        *text = session->secret->secret.text;
        return GK_OK;
    }
    session_forget_secret(session);
    session->secret = make();
    if (session->secret == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = agent_secret_load(session->service->config, &session->secret->secret, err);
    if (status != GK_OK) {
        session_forget_secret(session);
        return status;
    }
    session->secret->mark = *mark;
    *text = session->secret->secret.text;
    return GK_OK;
}
