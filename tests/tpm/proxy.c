/* SPDX-License-Identifier: Apache-2.0 */
/* Stands between a test and its swtpm. */
#include "tests/tpm/proxy.h"

#include "cleanup.h"
#include "tests/tpm/fixture.h"

#include <endian.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define HEADER_SIZE                                                              \
    10 /* tag, size, code (TPM 2.0 Library Part 1, "Command/Response Structure") \
        */
#define MESSAGE_MAX_SIZE 4096

struct proxy {
    char tpm_path[96], path[96], tcti[128];
    int listener;
    int stop[2];
    pthread_t thread;
    atomic_uint count, skip, faults_left;
    _Atomic enum proxy_fault fault;
    _Atomic uint32_t code;
};

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    assert_true(strlen(path) < sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    return address;
}

static int read_exactly(int fd, uint8_t *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, bytes + done, size - done);

        if (got <= 0) {
            return 0;
        }
        done += (size_t)got;
    }
    return 1;
}

/* One whole command or response; its size, or 0 when the line ended. */
static size_t read_message(int fd, uint8_t message[MESSAGE_MAX_SIZE])
{
    uint32_t size;

    if (!read_exactly(fd, message, HEADER_SIZE)) {
        return 0;
    }
    memcpy(&size, message + 2, sizeof(size));
    size = be32toh(size);
    if (size < HEADER_SIZE || size > MESSAGE_MAX_SIZE ||
        !read_exactly(fd, message + HEADER_SIZE, size - HEADER_SIZE)) {
        return 0;
    }
    return size;
}

static size_t ask_tpm(const struct proxy *proxy, uint8_t message[MESSAGE_MAX_SIZE], size_t size)
{
    CLEANUP(gk_closep) int tpm = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = address_of(proxy->tpm_path);

    if (connect(tpm, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        write(tpm, message, size) != (ssize_t)size) {
        return 0;
    }
    return read_message(tpm, message);
}

static size_t mistreat(const struct proxy *proxy, uint8_t message[MESSAGE_MAX_SIZE])
{
    const uint16_t tag = htobe16(0x8001); /* TPM_ST_NO_SESSIONS */
    const uint32_t size = htobe32(HEADER_SIZE), code = htobe32(proxy->code);

    if (proxy->fault == PROXY_CUT) {
        return 0;
    }
    if (proxy->fault == PROXY_GARBLE) {
        memset(message, 0xee, HEADER_SIZE);
        return HEADER_SIZE;
    }
    memcpy(message, &tag, sizeof(tag));
    memcpy(message + 2, &size, sizeof(size));
    memcpy(message + 6, &code, sizeof(code));
    return HEADER_SIZE;
}

/* Serve a connection until its other end hangs up. */
static void serve(struct proxy *proxy, int client)
{
    uint8_t message[MESSAGE_MAX_SIZE];
    size_t size;

    while ((size = read_message(client, message)) > 0) {
        atomic_fetch_add(&proxy->count, 1);
        if (atomic_load(&proxy->skip) > 0) {
            atomic_fetch_sub(&proxy->skip, 1);
            size = ask_tpm(proxy, message, size);
        } else if (atomic_load(&proxy->faults_left) > 0) {
            atomic_fetch_sub(&proxy->faults_left, 1);
            size = mistreat(proxy, message);
        } else {
            size = ask_tpm(proxy, message, size);
        }
        if (size == 0 || write(client, message, size) != (ssize_t)size) {
            return;
        }
    }
}

static void *run(void *context)
{
    struct proxy *proxy = context;
    struct pollfd waiting[] = { { .fd = proxy->listener, .events = POLLIN },
                                { .fd = proxy->stop[0], .events = POLLIN } };

    while (poll(waiting, 2, -1) > 0 && waiting[1].revents == 0) {
        CLEANUP(gk_closep) int client = accept(proxy->listener, NULL, NULL);

        if (client >= 0) {
            serve(proxy, client);
        }
    }
    return NULL;
}

struct proxy *proxy_start(void)
{
    static unsigned number;
    struct proxy *proxy = calloc(1, sizeof(*proxy));
    const char *path = strchr(fixture_tcti(), '=');
    char control[128], tpm_control[128];
    struct sockaddr_un address;

    assert_non_null(proxy);
    assert_non_null(path);
    snprintf(proxy->tpm_path, sizeof(proxy->tpm_path), "%s", path + 1);
    snprintf(proxy->path, sizeof(proxy->path), "%s-%u", path + 1, number++);
    snprintf(proxy->tcti, sizeof(proxy->tcti), "swtpm:path=%s", proxy->path);
    snprintf(control, sizeof(control), "%s.ctrl", proxy->path);
    snprintf(tpm_control, sizeof(tpm_control), "%s.ctrl", proxy->tpm_path);
    assert_int_equal(symlink(tpm_control, control), 0);
    address = address_of(proxy->path);
    proxy->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(proxy->listener, 16), 0);
    assert_int_equal(pipe(proxy->stop), 0);
    assert_int_equal(pthread_create(&proxy->thread, NULL, run, proxy), 0);
    return proxy;
}

void proxy_stop(struct proxy *proxy)
{
    close(proxy->stop[1]);
    pthread_join(proxy->thread, NULL);
    close(proxy->stop[0]);
    close(proxy->listener);
    free(proxy);
}

const char *proxy_tcti(const struct proxy *proxy)
{
    return proxy->tcti;
}

void proxy_fault_after(struct proxy *proxy, unsigned skip, enum proxy_fault fault, unsigned count,
                       uint32_t code)
{
    proxy->fault = fault;
    proxy->code = code;
    atomic_store(&proxy->skip, skip);
    atomic_store(&proxy->faults_left, count);
}

void proxy_fault_next(struct proxy *proxy, enum proxy_fault fault, unsigned count, uint32_t code)
{
    proxy_fault_after(proxy, 0, fault, count, code);
}

unsigned proxy_count(struct proxy *proxy)
{
    return atomic_exchange(&proxy->count, 0);
}
