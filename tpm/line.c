/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our TCTI on one descriptor, a TPM device's or a swtpm's socket.
 *
 * The TSS's own write lines on the application's stderr when there is no TPM, open without
 * close-on-exec, and let SIGPIPE end the application when a swtpm goes away. This one is silent,
 * close-on-exec from the start, raises no signal and bears any.
 */
#include "tpm/internal.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAGIC 0x676b6c696e650000ULL /* "gkline" */

/* The largest response a TPM gives (TPM 2.0 Library Part 2, TPM_PT_MAX_RESPONSE_SIZE) is 4096
 * bytes. */
#define RESPONSE_MAX_SIZE 4096

/* Tag, size, code (TPM 2.0 Library Part 1, "Command/Response Structure"). */
#define HEADER_SIZE 10

struct line {
    TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first, so that a pointer to it is a pointer to this */
    int fd;
    bool is_stream;   /* a socket: gives a response in pieces, and another program may hang up */
    const char *path; /* of a socket that is connected to for each command; borrowed, or NULL */
    size_t got;       /* bytes of a response already read */
    uint8_t response[RESPONSE_MAX_SIZE];
};

static struct line *line_of(TSS2_TCTI_CONTEXT *tcti)
{
    struct line *line = (struct line *)tcti;

    return line != NULL && line->common.magic == LINE_MAGIC ? line : NULL;
}

static void hang_up(struct line *line)
{
    if (line->is_stream && line->fd >= 0) {
        /* A child made without fork handlers may hold a copy, which must not hold the TPM. */
        shutdown(line->fd, SHUT_RDWR);
    }
    if (line->fd >= 0) {
        close(line->fd);
    }
    line->fd = -1;
}

static ssize_t send_some(const struct line *line, const uint8_t *bytes, size_t size)
{
    ssize_t sent;

    do {
        sent = line->is_stream ? send(line->fd, bytes, size, MSG_NOSIGNAL)
                               : write(line->fd, bytes, size);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
    struct line *line = line_of(tcti);

    if (line == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    if (line->fd < 0 && line->path != NULL) {
        line->fd = socket_connect(line->path, clock_now_ms() + TCTI_BUSY_WAIT_MS);
        if (line->fd < 0) {
            return line_code_of_open(errno);
        }
    }
    line->got = 0;
    for (size_t done = 0; done < size;) {
        ssize_t sent = send_some(line, command + done, size - done);

        /* The driver takes a command whole, in one write. */
        if (sent <= 0 || (!line->is_stream && (size_t)sent != size)) {
            return TSS2_TCTI_RC_IO_ERROR;
        }
        done += (size_t)sent;
    }
    return TSS2_RC_SUCCESS;
}

/* The deadline stands however many signals come; it is below zero for none at all. */
static TSS2_RC wait_for_response(int fd, int64_t deadline_ms)
{
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    int ready;

    do {
        ready = poll(&waiting, 1, deadline_ms < 0 ? -1 : (int)clock_left_ms(deadline_ms));
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        return TSS2_TCTI_RC_TRY_AGAIN;
    }
    return ready > 0 ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

/* What a response says of its own size; 0 while that is not known yet. */
static size_t size_of(const struct line *line)
{
    uint32_t size;

    if (line->got < HEADER_SIZE) {
        return 0;
    }
    memcpy(&size, line->response + sizeof(TPM2_ST), sizeof(size));
    return be32toh(size);
}

static bool is_whole(const struct line *line)
{
    /* A device gives all there is at the first read, and whether it makes sense is seen later. */
    return line->is_stream ? line->got >= HEADER_SIZE && line->got >= size_of(line) : line->got > 0;
}

static TSS2_RC read_response(struct line *line, int32_t timeout_ms)
{
    int64_t deadline_ms = timeout_ms < 0 ? -1 : clock_now_ms() + timeout_ms;

    while (!is_whole(line)) {
        TSS2_RC code = wait_for_response(line->fd, deadline_ms);
        ssize_t got;

        if (code != TSS2_RC_SUCCESS) {
            return code;
        }
        got = read(line->fd, line->response + line->got, sizeof(line->response) - line->got);
        if (got > 0) {
            line->got += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            return TSS2_TCTI_RC_IO_ERROR;
        }
        if (size_of(line) > sizeof(line->response)) {
            return TSS2_TCTI_RC_MALFORMED_RESPONSE;
        }
    }
    return TSS2_RC_SUCCESS;
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response, int32_t timeout_ms)
{
    struct line *line = line_of(tcti);
    TSS2_RC code;

    if (line == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    code = read_response(line, timeout_ms);
    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    /* Without a buffer the caller asks for the size only, and comes back. */
    if (response == NULL || *size < line->got) {
        *size = line->got;
        return response == NULL ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    }
    memcpy(response, line->response, line->got);
    *size = line->got;
    line->got = 0;
    if (line->path != NULL) {
        hang_up(line);
    }
    return TSS2_RC_SUCCESS;
}

static void finalize(TSS2_TCTI_CONTEXT *tcti)
{
    struct line *line = line_of(tcti);

    if (line != NULL) {
        hang_up(line);
    }
}

static TSS2_RC get_poll_handles(TSS2_TCTI_CONTEXT *tcti, TSS2_TCTI_POLL_HANDLE *handles,
                                size_t *count)
{
    struct line *line = line_of(tcti);

    if (line == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    if (handles != NULL) {
        if (*count < 1) {
            return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
        }
        *handles = (struct pollfd){ .fd = line->fd, .events = POLLIN };
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

TSS2_RC line_code_of_open(int error_number)
{
    switch (error_number) {
    case EACCES:
    case EPERM:
        return TSS2_TCTI_RC_NOT_PERMITTED;
    case EAGAIN:
    case EBUSY:
        return TSS2_TCTI_RC_TRY_AGAIN;
    case ENOMEM:
        return TSS2_TCTI_RC_MEMORY;
    case EMFILE:
    case ENFILE:
        return TCTI_RC_NO_DESCRIPTOR;
    default:
        return TSS2_TCTI_RC_NO_CONNECTION;
    }
}

int line_keep_off_stdio(int fd)
{
    CLEANUP(gk_closep) int low = fd;

    if (fd < 0 || fd > STDERR_FILENO) {
        low = -1;
        return fd;
    }
    return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

TSS2_RC line_new(int fd, bool is_stream, TSS2_TCTI_CONTEXT **tcti)
{
    struct line *line = calloc(1, sizeof(*line));

    if (line == NULL) {
        close(fd);
        return TSS2_TCTI_RC_MEMORY;
    }
    line->fd = fd;
    line->is_stream = is_stream;
    line->common.magic = LINE_MAGIC;
    line->common.version = 1;
    line->common.transmit = transmit;
    line->common.receive = receive;
    line->common.finalize = finalize;
    line->common.cancel = cancel;
    line->common.getPollHandles = get_poll_handles;
    line->common.setLocality = set_locality;
    *tcti = (TSS2_TCTI_CONTEXT *)line;
    return TSS2_RC_SUCCESS;
}

void line_let_go(TSS2_TCTI_CONTEXT *tcti, const char *path)
{
    struct line *line = line_of(tcti);

    hang_up(line);
    line->path = path;
}

void line_close(TSS2_TCTI_CONTEXT **tcti)
{
    finalize(*tcti);
    free(*tcti);
    *tcti = NULL;
}
