/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCTI that stands in front of another one and makes things go wrong as planned.
 *
 *     GATEKEY_TCTI=fault:plan=FILE,next=swtpm:path=SOCKET
 *
 * It is libtss2-tcti-fault.so.0 in tests/tpm/.libs/ of the build tree, which make check puts into
 * LD_LIBRARY_PATH, so unmodified programs find it as they would an installed one. C tests steer it
 * by fault.h, shell tests by fault.sh.
 *
 * FILE.log gets a line for every command, in the order in which they were sent: command code,
 * result (the response code, or the TCTI's own code where no response came), and what was done:
 *
 *     open       0x0        pass
 *     0x15d      0x922      answer
 *     0x15d      -          cut-transmit        (- until the caller has fetched the response)
 *
 * FILE is the plan, and may be changed at any time; without it every command passes. A line is
 *
 *     COMMAND WHICH ACTION [VALUE]
 *
 * COMMAND  a command code as 0x15d; * for any; "open" for opening a connection.
 * WHICH    3 (the third such command since the log was begun), 2-4, 3- (from the third on), or *.
 *          The log is what is counted, so whoever removes it starts anew; it is common to all
 *          threads and programs with the same plan. The first line that fits is followed.
 * ACTION   pass          as if the line were not there
 *          answer CODE   respond with this code, and do not ask the TPM; for "open" the TCTI's code
 *          cut-transmit  the line breaks before the command is sent (IO_ERROR); a connection once
 *                        broken stays so, a new one is not
 *          cut-receive   the line breaks after the TPM has done its work
 *          silence       no response comes, but the caller who would wait for ever gets IO_ERROR
 *          truncate N    the first N bytes of the response only; N < 0: all but the last -N bytes
 *          shorten N     the same, with the size in its header made to fit
 *          claim N       the size in its header is N
 *          grow N        N bytes more, which the header's size counts
 *          trail N       N bytes more, which it does not count
 *          flip N        the byte at N is another one; N < 0: counted from the end
 *          garbage N     N bytes of 0xee instead of the response
 *          delay MS      the response takes so long more
 *
 * Everything else passes: poll handles (those of the other TCTI, or one that is ready when no
 * answer has to be waited for), localities, cancelling. A response is fetched by receive() in two
 * steps as well, its size first.
 */
#include "cleanup.h"
#include "tests/tpm/fault-plan.h"

#include <endian.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>

#define EXPORT __attribute__((visibility("default")))

#define FAULT_MAGIC 0x676b6661756c7421ULL /* "gkfault!" */

/* TPM 2.0 Library Part 1, "Command/Response Structure": tag, size, code. */
#define HEADER_SIZE 10U
#define RESPONSE_MAX_SIZE 4096
#define ROOM 16384 /* for a response and what is put after it */

enum state { IDLE, SENT, ANSWERED, BROKEN };

struct fault {
    TSS2_TCTI_CONTEXT_COMMON_V2 common; /* first, so that a pointer to it is a pointer to this */
    TSS2_TCTI_CONTEXT *next;
    char *plan;
    enum state state;
    struct plan_step step;
    struct timespec ready_at; /* for a delay */
    int ready;                /* a descriptor that poll(2) always finds ready */
    size_t size;
    uint8_t response[ROOM];
};

static struct fault *fault_of(TSS2_TCTI_CONTEXT *tcti)
{
    struct fault *fault = (struct fault *)tcti;

    return fault != NULL && fault->common.v1.magic == FAULT_MAGIC ? fault : NULL;
}

static uint32_t read_be32(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return be32toh(value);
}

static void write_be32(uint8_t *bytes, uint32_t value)
{
    value = htobe32(value);
    memcpy(bytes, &value, sizeof(value));
}

static void set_response(struct fault *fault, uint32_t code)
{
    memcpy(fault->response, (uint8_t[]){ 0x80, 0x01 }, 2); /* TPM_ST_NO_SESSIONS */
    write_be32(fault->response + 2, HEADER_SIZE);
    write_be32(fault->response + 6, code);
    fault->size = HEADER_SIZE;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
    struct fault *fault = fault_of(tcti);
    TSS2_RC code;

    if (fault == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    if (command == NULL || size < HEADER_SIZE) {
        return TSS2_TCTI_RC_BAD_VALUE;
    }
    if (fault->state == BROKEN) {
        return TSS2_TCTI_RC_IO_ERROR;
    }
    if (fault->state != IDLE) {
        return TSS2_TCTI_RC_BAD_SEQUENCE;
    }
    if (!plan_next(fault->plan, read_be32(command + 6), &fault->step)) {
        return TSS2_TCTI_RC_BAD_VALUE;
    }
    if (fault->step.action == PLAN_CUT_TRANSMIT) {
        fault->state = BROKEN;
        plan_result(fault->plan, &fault->step, TSS2_TCTI_RC_IO_ERROR);
        return TSS2_TCTI_RC_IO_ERROR;
    }
    if (fault->step.action == PLAN_ANSWER) {
        set_response(fault, (uint32_t)fault->step.value);
        fault->state = ANSWERED;
        return TSS2_RC_SUCCESS;
    }
    code = Tss2_Tcti_Transmit(fault->next, size, command);
    fault->state = code == TSS2_RC_SUCCESS ? SENT : IDLE;
    clock_gettime(CLOCK_MONOTONIC, &fault->ready_at);
    if (fault->step.action == PLAN_DELAY) {
        fault->ready_at.tv_sec += fault->step.value / 1000;
        fault->ready_at.tv_nsec += fault->step.value % 1000 * 1000000;
    }
    return code;
}

static long left_ms(const struct timespec *until)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (until->tv_sec - now.tv_sec) * 1000 + (until->tv_nsec - now.tv_nsec) / 1000000;
}

/* Let a delay pass, as far as the caller waits. */
static TSS2_RC wait_until_ready(const struct fault *fault, int32_t timeout_ms)
{
    long left = left_ms(&fault->ready_at);

    if (left <= 0) {
        return TSS2_RC_SUCCESS;
    }
    if (timeout_ms >= 0 && left > timeout_ms) {
        poll(NULL, 0, timeout_ms);
        return TSS2_TCTI_RC_TRY_AGAIN;
    }
    poll(NULL, 0, (int)left);
    return TSS2_RC_SUCCESS;
}

/* A place in the response: from its start, or with a negative value from its end. */
static size_t place(const struct fault *fault)
{
    long value = fault->step.value;
    long at = value < 0 ? (long)fault->size + value : value;

    return at < 0 ? 0 : (size_t)at < fault->size ? (size_t)at : fault->size;
}

/* Do to the response what the plan says. */
static void spoil(struct fault *fault)
{
    size_t more = (size_t)fault->step.value;

    switch (fault->step.action) {
    case PLAN_TRUNCATE:
        fault->size = place(fault);
        break;
    case PLAN_SHORTEN:
        fault->size = place(fault);
        write_be32(fault->response + 2, (uint32_t)fault->size);
        break;
    case PLAN_CLAIM:
        write_be32(fault->response + 2, (uint32_t)fault->step.value);
        break;
    case PLAN_GROW:
    case PLAN_TRAIL:
        more = more < ROOM - fault->size ? more : ROOM - fault->size;
        memset(fault->response + fault->size, 0xee, more);
        fault->size += more;
        if (fault->step.action == PLAN_GROW) {
            write_be32(fault->response + 2, (uint32_t)fault->size);
        }
        break;
    case PLAN_FLIP:
        fault->response[place(fault)] ^= 0xff;
        break;
    case PLAN_GARBAGE:
        fault->size = more < ROOM ? more : ROOM;
        memset(fault->response, 0xee, fault->size);
        break;
    case PLAN_PASS:
    case PLAN_ANSWER:
    case PLAN_CUT_TRANSMIT:
    case PLAN_CUT_RECEIVE:
    case PLAN_SILENCE:
    case PLAN_DELAY:
        break;
    }
}

/* Fetch the response from the other TCTI, whole. */
static TSS2_RC fetch(struct fault *fault, int32_t timeout_ms)
{
    TSS2_RC code = wait_until_ready(fault, timeout_ms);

    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    fault->size = RESPONSE_MAX_SIZE;
    code = Tss2_Tcti_Receive(fault->next, &fault->size, fault->response, timeout_ms);
    if (code == TSS2_TCTI_RC_TRY_AGAIN) {
        return code;
    }
    if (code == TSS2_RC_SUCCESS && fault->step.action == PLAN_SILENCE && timeout_ms >= 0) {
        code = TSS2_TCTI_RC_TRY_AGAIN;
    } else if (code == TSS2_RC_SUCCESS &&
               (fault->step.action == PLAN_CUT_RECEIVE || fault->step.action == PLAN_SILENCE)) {
        code = TSS2_TCTI_RC_IO_ERROR;
    }
    if (code != TSS2_RC_SUCCESS) {
        fault->state = BROKEN;
        plan_result(fault->plan, &fault->step, code);
        return code;
    }
    fault->state = ANSWERED;
    spoil(fault);
    return TSS2_RC_SUCCESS;
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response, int32_t timeout_ms)
{
    struct fault *fault = fault_of(tcti);

    if (fault == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    if (size == NULL || timeout_ms < TSS2_TCTI_TIMEOUT_BLOCK) {
        return TSS2_TCTI_RC_BAD_VALUE;
    }
    if (fault->state == SENT) {
        TSS2_RC code = fetch(fault, timeout_ms);

        if (code != TSS2_RC_SUCCESS) {
            return code;
        }
    } else if (fault->state != ANSWERED) {
        return fault->state == BROKEN ? TSS2_TCTI_RC_IO_ERROR : TSS2_TCTI_RC_BAD_SEQUENCE;
    }
    if (response == NULL) {
        *size = fault->size;
        return TSS2_RC_SUCCESS;
    }
    if (*size < fault->size) {
        *size = fault->size;
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    }
    memcpy(response, fault->response, fault->size);
    *size = fault->size;
    fault->state = IDLE;
    plan_result(fault->plan, &fault->step,
                fault->size < HEADER_SIZE ? TSS2_TCTI_RC_MALFORMED_RESPONSE
                                          : read_be32(fault->response + 6));
    return TSS2_RC_SUCCESS;
}

static void finalize(TSS2_TCTI_CONTEXT *tcti)
{
    struct fault *fault = fault_of(tcti);

    if (fault != NULL) {
        Tss2_TctiLdr_Finalize(&fault->next);
        close(fault->ready);
        free(fault->plan);
        fault->common.v1.magic = 0;
    }
}

static TSS2_RC cancel(TSS2_TCTI_CONTEXT *tcti)
{
    struct fault *fault = fault_of(tcti);

    if (fault == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    if (fault->state == ANSWERED) {
        return TSS2_RC_SUCCESS; /* too late, which is no error */
    }
    return fault->state == SENT ? Tss2_Tcti_Cancel(fault->next) : TSS2_TCTI_RC_BAD_SEQUENCE;
}

static TSS2_RC get_poll_handles(TSS2_TCTI_CONTEXT *tcti, TSS2_TCTI_POLL_HANDLE *handles,
                                size_t *count)
{
    struct fault *fault = fault_of(tcti);

    if (fault == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    if (count == NULL) {
        return TSS2_TCTI_RC_BAD_VALUE;
    }
    if (fault->state != ANSWERED && fault->state != BROKEN) {
        return Tss2_Tcti_GetPollHandles(fault->next, handles, count);
    }
    if (handles != NULL) {
        if (*count < 1) {
            return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
        }
        *handles = (struct pollfd){ .fd = fault->ready, .events = POLLIN };
    }
    *count = 1;
    return TSS2_RC_SUCCESS;
}

static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *tcti, uint8_t locality)
{
    struct fault *fault = fault_of(tcti);

    if (fault == NULL) {
        return TSS2_TCTI_RC_BAD_CONTEXT;
    }
    return fault->state == IDLE ? Tss2_Tcti_SetLocality(fault->next, locality)
                                : TSS2_TCTI_RC_BAD_SEQUENCE;
}

static TSS2_RC make_sticky(TSS2_TCTI_CONTEXT *tcti, TPM2_HANDLE *handle, uint8_t sticky)
{
    struct fault *fault = fault_of(tcti);

    return fault != NULL ? Tss2_Tcti_MakeSticky(fault->next, handle, sticky)
                         : TSS2_TCTI_RC_BAD_CONTEXT;
}

/* Open the TCTI after "next=", by its library's whole name, as the product does. */
static TSS2_RC open_next(const char *name, TSS2_TCTI_CONTEXT **next)
{
    CLEANUP(gk_freep) char *text = NULL;
    size_t length = strcspn(name, ":");

    if (asprintf(&text, "libtss2-tcti-%.*s.so.0%s", (int)length, name, name + length) < 0) {
        return TSS2_TCTI_RC_MEMORY;
    }
    return Tss2_TctiLdr_Initialize(text, next);
}

/* "plan=FILE,next=TCTI": the TCTI may hold commas. */
static bool parse_settings(const char *settings, char **plan, const char **next)
{
    const char *comma = settings != NULL ? strstr(settings, ",next=") : NULL;

    if (comma == NULL || strncmp(settings, "plan=", 5) != 0) {
        fputs("fault TCTI: it is fault:plan=FILE,next=TCTI\n", stderr);
        return false;
    }
    *plan = strndup(settings + 5, (size_t)(comma - settings) - 5);
    *next = comma + strlen(",next=");
    return *plan != NULL;
}

static TSS2_RC open_as_planned(struct fault *fault, const char *next)
{
    struct plan_step step;
    TSS2_RC code;

    if (!plan_next(fault->plan, PLAN_OPEN, &step)) {
        return TSS2_TCTI_RC_BAD_VALUE;
    }
    code = step.action == PLAN_ANSWER ? (TSS2_RC)step.value : open_next(next, &fault->next);
    plan_result(fault->plan, &step, code);
    return code;
}

static TSS2_RC initialize(TSS2_TCTI_CONTEXT *tcti, size_t *size, const char *settings)
{
    struct fault *fault = (struct fault *)tcti;
    CLEANUP(gk_freep) char *plan = NULL;
    const char *next;
    TSS2_RC code;

    if (size == NULL) {
        return TSS2_TCTI_RC_BAD_VALUE;
    }
    if (fault == NULL) {
        *size = sizeof(*fault);
        return TSS2_RC_SUCCESS;
    }
    if (*size < sizeof(*fault) || !parse_settings(settings, &plan, &next)) {
        return TSS2_TCTI_RC_BAD_VALUE;
    }
    memset(fault, 0, sizeof(*fault));
    fault->plan = plan;
    code = open_as_planned(fault, next);
    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    fault->plan = TAKE(plan);
    fault->ready = eventfd(1, EFD_CLOEXEC);
    fault->common = (TSS2_TCTI_CONTEXT_COMMON_V2){
        .v1 = {
            .magic = FAULT_MAGIC,
            .version = 2,
            .transmit = transmit,
            .receive = receive,
            .finalize = finalize,
            .cancel = cancel,
            .getPollHandles = get_poll_handles,
            .setLocality = set_locality,
        },
        .makeSticky = make_sticky,
    };
    return TSS2_RC_SUCCESS;
}

EXPORT const TSS2_TCTI_INFO *Tss2_Tcti_Info(void);

EXPORT const TSS2_TCTI_INFO *Tss2_Tcti_Info(void)
{
    static const TSS2_TCTI_INFO info = {
        .version = 2,
        .name = "tcti-fault",
        .description = "Makes things go wrong as planned.",
        .config_help = "plan=FILE,next=TCTI",
        .init = initialize,
    };

    return &info;
}
