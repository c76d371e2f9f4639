/* SPDX-License-Identifier: Apache-2.0 */
/* Writes down what devices posted, one system call for each. */
#include "tests/hub/journal.h"

#include "cleanup.h"
#include "tests/hub/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/uio.h>
#include <time.h>

struct hub_journal {
    int fd;
};

enum gk_status hub_journal_open(const char *path, struct hub_journal **journal,
                                struct gk_error *err)
{
    struct hub_journal *j = calloc(1, sizeof(*j));

    if (j == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    j->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (j->fd < 0) {
        free(j);
        return gk_fail_file(err, errno, path);
    }
    *journal = j;
    return GK_OK;
}

void hub_journal_close(struct hub_journal *journal)
{
    if (journal != NULL) {
        close(journal->fd);
        free(journal);
    }
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

bool hub_journal_write(struct hub_journal *journal, const struct hub_session *session, int code,
                       const char *rest, const void *payload, size_t size)
{
    CLEANUP(gk_freep)
    char *head =
        hub_print("%" PRId64 " %d %s %s %zu\n", now_us(), code, session->device_key, rest, size);
    struct iovec parts[] = {
        { .iov_base = head, .iov_len = head != NULL ? strlen(head) : 0 },
        { .iov_base = (void *)(uintptr_t)payload, .iov_len = size },
        { .iov_base = (void *)(uintptr_t) "\n", .iov_len = 1 },
    };

    if (head == NULL || writev(journal->fd, parts, 3) != (ssize_t)(parts[0].iov_len + size + 1)) {
        hub_say("could not write down a post of %s", session->device_key);
        return false;
    }
    return true;
}
