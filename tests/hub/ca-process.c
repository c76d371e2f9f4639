/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the CA as a child that cannot outlive the hub, and ends it. */
#include "tests/hub/ca-process.h"

#include "cleanup.h"
#include "tests/hub/file.h"
#include "tests/hub/keeping.h"
#include "tests/hub/text.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define TOKEN_BYTES 32
#define READY_FD 3
#define PATIENCE_MS 2000
#define POLL_MS 10

static const char *program(void)
{
    const char *given = getenv("GATEKEY_HUB_CA");

    return given != NULL ? given : HUB_CA_PROGRAM;
}

/* In the child. */
static void become_ca(pid_t hub, int ready_fd, int root_days)
{
    char hub_text[16];
    char days_text[16];

    /* Stays through exec here, and counts for the hub after its own exec, which keeps the thread
     * that forked us. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != hub) {
        _exit(1);
    }
    /* Not the hub's lock above all, which it would hold as well. */
    if (dup2(ready_fd, READY_FD) != READY_FD || fcntl(READY_FD, F_SETFD, 0) != 0 ||
        close_range(READY_FD + 1, ~0U, 0) != 0) {
        _exit(1);
    }
    snprintf(hub_text, sizeof(hub_text), "%d", (int)hub);
    snprintf(days_text, sizeof(days_text), "%d", root_days);
    execl(program(), "ca", "--hub", hub_text, "--ready-fd", "3", "--root-days", days_text,
          "--socket", HUB_CA_SOCKET, "--token-file", HUB_CA_TOKEN_FILE, HUB_AUTHORITY_DIRECTORY,
          (char *)NULL);
    fprintf(stderr, "hub: %s: %s\n", program(), strerror(errno));
    _exit(127);
}

/* A line comes when it listens, and nothing when it has ended. */
static bool is_ready(int fd)
{
    char byte;
    ssize_t count;

    do {
        count = read(fd, &byte, 1);
    } while (count < 0 && errno == EINTR);
    return count == 1;
}

enum gk_status hub_ca_process_start(int root_days, pid_t *pid, struct gk_error *err)
{
    uint8_t bytes[TOKEN_BYTES];
    char token[HUB_HEX_SIZE(TOKEN_BYTES)];
    int ends[2];
    CLEANUP(gk_closep) int reading = -1;
    pid_t hub = getpid();
    pid_t child;
    enum gk_status status;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        return gk_fail(err, GK_CRYPTO_FAILED, "making the CA's token");
    }
    hub_hex(bytes, sizeof(bytes), token);
    status = hub_file_write(HUB_CA_TOKEN_FILE, token, 0600, err);
    if (status != GK_OK) {
        return status;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return gk_fail(err, GK_NO_DESCRIPTOR, "starting the CA");
    }
    reading = ends[0];
    child = fork();
    if (child == 0) {
        become_ca(hub, ends[1], root_days);
    }
    close(ends[1]);
    if (child < 0 || !is_ready(reading)) {
        hub_ca_process_end(child);
        gk_fail(err, GK_REFUSED, "the CA does not start");
        gk_advise(err, "see what it says on stderr");
        return GK_REFUSED;
    }
    *pid = child;
    return GK_OK;
}

void hub_ca_process_end(pid_t pid)
{
    const struct timespec moment = { .tv_nsec = POLL_MS * 1000000L };

    if (pid <= 0) {
        return;
    }
    kill(pid, SIGTERM);
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += POLL_MS) {
        if (waitpid(pid, NULL, WNOHANG) != 0) {
            return;
        }
        nanosleep(&moment, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
