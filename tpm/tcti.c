/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses and opens the TCTI that a configuration names; never lets the TSS search for a TPM. */
#include "tpm/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <tss2/tss2_tctildr.h>

#define DEVICE_PREFIX "device:"
#define SOCKET_PREFIX "swtpm:path="
#define BUSY_STEP_MS 20

/* Give tctildr the whole library name: a bare one makes it look for a file just called that first.
 */
static char *with_library_name(const char *name, size_t name_length, const char *settings)
{
    char *text = NULL;

    if (asprintf(&text, "libtss2-tcti-%.*s.so.0%s", (int)name_length, name, settings) < 0) {
        return NULL;
    }
    return text;
}

static bool is_plain_name(const char *name, size_t length)
{
    return length > 0 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == length;
}

/*
 * Left without settings, a TCTI falls back on an address of its own (a simulator's port, say) and
 * pcap, which wraps another one, lets the TSS search for it. Only the resource manager's bus may be
 * left open.
 */
static bool is_explicit(const char *tcti)
{
    size_t length = strcspn(tcti, ":");

    if (!is_plain_name(tcti, length)) {
        return false;
    }
    if (strncmp(tcti, "pcap", length) == 0 && length == 4) {
        return tcti[length] == ':' && is_explicit(tcti + length + 1);
    }
    return (tcti[length] == ':' && tcti[length + 1] != '\0') || strncmp(tcti, "tabrmd", 6) == 0;
}

static const char *after(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

enum gk_status tcti_name_parse(const char *tcti, struct tcti_name *name, struct gk_error *err)
{
    const char *device = after(tcti, DEVICE_PREFIX), *path = after(tcti, SOCKET_PREFIX);
    size_t length = strcspn(tcti, ":");

    if (device != NULL) {
        if (device[0] != '/') {
            return gk_fail(err, GK_BAD_TCTI, "\"%s\" names no absolute path", tcti);
        }
        *name = (struct tcti_name){ .kind = TCTI_DEVICE, .text = strdup(device) };
    } else if (path != NULL && path[0] != '\0' && strchr(path, ',') == NULL) {
        *name = (struct tcti_name){ .kind = TCTI_SOCKET, .text = strdup(path) };
    } else if (is_explicit(tcti)) {
        *name = (struct tcti_name){ .kind = TCTI_OTHER,
                                    .text = with_library_name(tcti, length, tcti + length) };
    } else {
        return gk_fail(err, GK_BAD_TCTI, "\"%s\"", tcti);
    }
    return name->text != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

void tcti_name_clear(struct tcti_name *name)
{
    free(name->text);
    *name = (struct tcti_name){ 0 };
}

/* The TSS has many names for this; so ask for one more. */
static bool is_out_of_descriptors(void)
{
    CLEANUP(gk_closep) int fd = eventfd(0, EFD_CLOEXEC);

    return fd < 0 && (errno == EMFILE || errno == ENFILE);
}

static TSS2_RC open_other(const char *text, TSS2_TCTI_CONTEXT **tcti)
{
    TSS2_RC code = Tss2_TctiLdr_Initialize(text, tcti);

    return code != TSS2_RC_SUCCESS && is_out_of_descriptors() ? TCTI_RC_NO_DESCRIPTOR : code;
}

static TSS2_RC open_once(const struct tcti_name *name, int64_t deadline_ms,
                         TSS2_TCTI_CONTEXT **tcti)
{
    switch (name->kind) {
    case TCTI_DEVICE:
        return device_open(name->text, tcti);
    case TCTI_SOCKET:
        return socket_open(name->text, deadline_ms, tcti);
    case TCTI_OTHER:
        return open_other(name->text, tcti);
    }
    return TSS2_TCTI_RC_BAD_VALUE;
}

TSS2_RC tcti_open(const struct tcti_name *name, TSS2_TCTI_CONTEXT **tcti)
{
    int64_t deadline_ms = clock_now_ms() + TCTI_BUSY_WAIT_MS;
    TSS2_RC code;

    for (;;) {
        code = open_once(name, deadline_ms, tcti);
        /* /dev/tpm0 serves one program at a time; whoever holds it is done after a command or two.
         */
        if (code != TSS2_TCTI_RC_TRY_AGAIN || clock_left_ms(deadline_ms) == 0) {
            return code;
        }
        clock_pause_ms(BUSY_STEP_MS);
    }
}

void tcti_close(const struct tcti_name *name, TSS2_TCTI_CONTEXT **tcti)
{
    if (*tcti == NULL) {
        return;
    }
    if (name->kind == TCTI_OTHER) {
        Tss2_TctiLdr_Finalize(tcti);
    } else {
        line_close(tcti);
    }
}

void tcti_let_go(const struct tcti_name *name, TSS2_TCTI_CONTEXT *tcti)
{
    if (name->kind == TCTI_SOCKET) {
        line_let_go(tcti, name->text);
    }
}

bool tcti_dies_in_fork(const struct tcti_name *name)
{
    /* It speaks D-Bus by GLib, whose thread for that is started once; pcap may stand before it. */
    return name->kind == TCTI_OTHER && strstr(name->text, "tabrmd") != NULL;
}

static void sigpipe_alone(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGPIPE);
}

static bool is_sigpipe_pending(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

void tcti_calm_begin(const struct tcti_name *name, struct tcti_calm *calm)
{
    sigset_t sigpipe;

    calm->is_needed = name->kind == TCTI_OTHER;
    if (calm->is_needed) {
        sigpipe_alone(&sigpipe);
        calm->was_pending = is_sigpipe_pending();
        pthread_sigmask(SIG_BLOCK, &sigpipe, &calm->before);
    }
}

void tcti_calm_end(const struct tcti_calm *calm)
{
    static const struct timespec now = { 0 };
    sigset_t sigpipe;

    if (!calm->is_needed) {
        return;
    }
    sigpipe_alone(&sigpipe);
    if (!calm->was_pending && is_sigpipe_pending()) {
        while (sigtimedwait(&sigpipe, NULL, &now) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &calm->before, NULL);
}

void tcti_set_close_on_exec(TSS2_TCTI_CONTEXT *tcti)
{
    struct pollfd handles[4];
    size_t count = sizeof(handles) / sizeof(handles[0]);

    /* Best effort: some TCTIs cannot say which descriptors they hold. */
    if (Tss2_Tcti_GetPollHandles(tcti, handles, &count) != TSS2_RC_SUCCESS) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (handles[i].fd >= 0) {
            fcntl(handles[i].fd, F_SETFD, FD_CLOEXEC);
        }
    }
}
