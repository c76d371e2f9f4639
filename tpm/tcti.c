/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses and opens the TCTI that a configuration names; never lets the TSS search for a TPM. */
#include "tpm/internal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tss2/tss2_tctildr.h>

#define DEVICE_PREFIX "device:"
#define BUSY_WAIT_MS 10000
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

enum gk_status tcti_name_parse(const char *tcti, struct tcti_name *name, struct gk_error *err)
{
    size_t length = strcspn(tcti, ":");

    if (strncmp(tcti, DEVICE_PREFIX, strlen(DEVICE_PREFIX)) == 0) {
        const char *path = tcti + strlen(DEVICE_PREFIX);

        if (path[0] != '/') {
            return gk_fail(err, GK_BAD_TCTI, "\"%s\" names no absolute path", tcti);
        }
        *name = (struct tcti_name){ .is_device = true, .text = strdup(path) };
    } else if (is_explicit(tcti)) {
        *name = (struct tcti_name){
            /* It connects for every command by itself, so its context holds nothing in between. */
            .is_idle_closed = strncmp(tcti, "swtpm:", 6) == 0,
            .text = with_library_name(tcti, length, tcti + length),
        };
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

TSS2_RC tcti_open(const struct tcti_name *name, TSS2_TCTI_CONTEXT **tcti)
{
    static const struct timespec step = { .tv_nsec = BUSY_STEP_MS * 1000000L };
    TSS2_RC code;

    for (int waited_ms = 0;; waited_ms += BUSY_STEP_MS) {
        code = name->is_device ? device_tcti_open(name->text, tcti)
                               : Tss2_TctiLdr_Initialize(name->text, tcti);
        /* /dev/tpm0 serves one program at a time; whoever holds it is done after a command or two.
         */
        if (code != TSS2_TCTI_RC_TRY_AGAIN || waited_ms >= BUSY_WAIT_MS) {
            return code;
        }
        nanosleep(&step, NULL);
    }
}

void tcti_close(const struct tcti_name *name, TSS2_TCTI_CONTEXT **tcti)
{
    if (*tcti == NULL) {
        return;
    }
    if (name->is_device) {
        device_tcti_close(tcti);
    } else {
        Tss2_TctiLdr_Finalize(tcti);
    }
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
