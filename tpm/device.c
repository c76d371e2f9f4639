/* SPDX-License-Identifier: Apache-2.0 */
/* Our TCTI for a TPM character device: silent, close-on-exec, bounded in time where it is asked to
 * be. */
#include "tpm/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICE_MAGIC 0x676b646576696365ULL /* "gkdevice" */

/* The largest response a TPM gives (TPM 2.0 Library Part 2, TPM_PT_MAX_RESPONSE_SIZE) is 4096
 * bytes. */
#define RESPONSE_MAX_SIZE 4096

struct device {
    TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first, so that a pointer to it is a pointer to this */
    int fd;
    size_t waiting; /* bytes of a response already read for a caller who asked for its size only */
    uint8_t response[RESPONSE_MAX_SIZE];
};

static struct device *device_of(TSS2_TCTI_CONTEXT *tcti)
{
    struct device *device = (struct device *)tcti;

    return device != NULL && device->common.magic == DEVICE_MAGIC ? device : NULL;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
    struct device *device = device_of(tcti);
    ssize_t written;

    if (device == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    /* The driver takes a command whole, in one write. */
    do {
        written = write(device->fd, command, size);
    } while (written < 0 && errno == EINTR);
    device->waiting = 0;
    return written == (ssize_t)size ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC wait_for_response(int fd, int32_t timeout_ms)
{
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    int ready;

    do {
        ready = poll(&waiting, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        return TSS2_TCTI_RC_TRY_AGAIN;
    }
    return ready > 0 ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response, int32_t timeout_ms)
{
    struct device *device = device_of(tcti);

    if (device == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    if (device->waiting == 0) {
        TSS2_RC code = wait_for_response(device->fd, timeout_ms);
        ssize_t got;

        if (code != TSS2_RC_SUCCESS) {
            return code;
        }
        do {
            got = read(device->fd, device->response, sizeof(device->response));
        } while (got < 0 && errno == EINTR);
        if (got <= 0) {
            return TSS2_TCTI_RC_IO_ERROR;
        }
        device->waiting = (size_t)got;
    }
    if (response == NULL) {
        *size = device->waiting;
        return TSS2_RC_SUCCESS;
    }
    if (*size < device->waiting) {
        *size = device->waiting;
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    }
    memcpy(response, device->response, device->waiting);
    *size = device->waiting;
    device->waiting = 0;
    return TSS2_RC_SUCCESS;
}

static void finalize(TSS2_TCTI_CONTEXT *tcti)
{
    struct device *device = device_of(tcti);

    if (device != NULL && device->fd >= 0) {
        close(device->fd);
        device->fd = -1;
    }
}

static TSS2_RC get_poll_handles(TSS2_TCTI_CONTEXT *tcti, TSS2_TCTI_POLL_HANDLE *handles,
                                size_t *count)
{
    struct device *device = device_of(tcti);

    if (device == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    if (handles != NULL) {
        if (*count < 1) {
            return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
        }
        *handles = (struct pollfd){ .fd = device->fd, .events = POLLIN };
    }
    *count = 1;
    return TSS2_RC_SUCCESS;
}

/* The kernel's driver has neither; the TSS allows a TCTI to say so. */
static TSS2_RC cancel(TSS2_TCTI_CONTEXT *tcti)
{
    (void)tcti;
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *tcti, uint8_t locality)
{
    (void)tcti;
    (void)locality;
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC code_of_open(int error_number)
{
    switch (error_number) {
    case EACCES:
    case EPERM:
        return TSS2_TCTI_RC_NOT_PERMITTED;
    case EBUSY:
        return TSS2_TCTI_RC_TRY_AGAIN;
    case ENOMEM:
        return TSS2_TCTI_RC_MEMORY;
    default:
        return TSS2_TCTI_RC_NO_CONNECTION;
    }
}

TSS2_RC device_tcti_open(const char *path, TSS2_TCTI_CONTEXT **tcti)
{
    CLEANUP(gk_freep) struct device *device = calloc(1, sizeof(*device));

    if (device == NULL) {
        return TSS2_TCTI_RC_MEMORY;
    }
    device->fd = open(path, O_RDWR | O_CLOEXEC);
    if (device->fd < 0) {
        return code_of_open(errno);
    }
    device->common.magic = DEVICE_MAGIC;
    device->common.version = 1;
    device->common.transmit = transmit;
    device->common.receive = receive;
    device->common.finalize = finalize;
    device->common.cancel = cancel;
    device->common.getPollHandles = get_poll_handles;
    device->common.setLocality = set_locality;
    *tcti = (TSS2_TCTI_CONTEXT *)TAKE(device);
    return TSS2_RC_SUCCESS;
}

void device_tcti_close(TSS2_TCTI_CONTEXT **tcti)
{
    finalize(*tcti);
    free(*tcti);
    *tcti = NULL;
}
