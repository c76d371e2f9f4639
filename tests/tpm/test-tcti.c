/* SPDX-License-Identifier: Apache-2.0 */
/* Naming a TPM connection, and our own TCTI for a TPM device: a pseudo-terminal plays the device
 * file. */
#include "tests/tpm/fixture.h"

#include "tpm/internal.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

static void refuses_a_name(const char *tcti)
{
    struct gk_tpm *tpm = NULL;
    struct gk_error err = { 0 };

    assert_int_equal(gk_tpm_new(tcti, &tpm, &err), GK_BAD_TCTI);
    assert_null(tpm);
    fixture_assert_says(&err, "this is not a TPM connection (TCTI)");
}

/* Whatever would make the TSS search for a TPM, or load a file by a path, is refused. */
static void never_lets_the_tss_search(void **state)
{
    (void)state;
    refuses_a_name("");
    refuses_a_name(":path=/x");
    refuses_a_name("pcap:");
    refuses_a_name("pcap::x");
    refuses_a_name("pcap");
    refuses_a_name("pcap:mssim");
    refuses_a_name("pcap:pcap:swtpm:");
    refuses_a_name("mssim");
    refuses_a_name("swtpm:");
    refuses_a_name("/tmp/evil.so:x");
    refuses_a_name("../evil:x");
    refuses_a_name("device:");
    refuses_a_name("device:dev/tpm0");
}

static void says_which_device_is_missing_or_forbidden(void **state)
{
    struct tcti_name name;
    TSS2_TCTI_CONTEXT *tcti = NULL;

    (void)state;
    assert_int_equal(tcti_name_parse("device:/dev/no-such-tpm", &name, NULL), GK_OK);
    assert_int_equal(code_status(tcti_open(&name, &tcti)), GK_NO_TPM);
    tcti_name_clear(&name);
    if (geteuid() == 0) {
        assert_int_equal(seteuid(65534), 0);
    }
    assert_int_equal(tcti_name_parse("device:/proc/1/mem", &name, NULL), GK_OK);
    assert_int_equal(code_status(tcti_open(&name, &tcti)), GK_TPM_DENIED);
    tcti_name_clear(&name);
    if (getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
    }
}

static void *let_go(void *context)
{
    usleep(300000);
    assert_int_equal(ioctl(*(int *)context, TIOCNXCL), 0);
    return NULL;
}

/* A device that is held exclusively, as /dev/tpm0 is by whoever has it open: EBUSY for all but
 * root. */
static void waits_for_a_device_that_another_program_holds(void **state)
{
    TSS2_TCTI_CONTEXT *tcti = NULL;
    struct tcti_name name;
    char path[64], tcti_text[96];
    int master, slave;
    pthread_t thread;

    (void)state;
    assert_int_equal(openpty(&master, &slave, path, NULL, NULL), 0);
    assert_int_equal(fchmod(slave, 0666), 0);
    assert_int_equal(ioctl(slave, TIOCEXCL), 0);
    snprintf(tcti_text, sizeof(tcti_text), "device:%s", path);
    assert_int_equal(tcti_name_parse(tcti_text, &name, NULL), GK_OK);
    if (geteuid() == 0) {
        assert_int_equal(seteuid(65534), 0);
    }
    assert_int_equal(code_status(tcti_open(&name, &tcti)), GK_TPM_BUSY);
    assert_int_equal(pthread_create(&thread, NULL, let_go, &slave), 0);
    assert_int_equal(tcti_open(&name, &tcti), TSS2_RC_SUCCESS);
    pthread_join(thread, NULL);
    if (getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
    }
    tcti_close(&name, &tcti);
    tcti_name_clear(&name);
    close(slave);
    close(master);
}

/* The device's other end: hands whatever comes to the swtpm and its answer back. */
struct player {
    int master, stop[2];
};

static void *play(void *context)
{
    const struct player *player = context;
    struct pollfd waiting[] = { { .fd = player->master, .events = POLLIN },
                                { .fd = player->stop[0], .events = POLLIN } };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    uint8_t message[4096];

    strncpy(address.sun_path, strchr(fixture_tcti(), '=') + 1, sizeof(address.sun_path) - 1);
    while (poll(waiting, 2, -1) > 0 && waiting[1].revents == 0) {
        CLEANUP(gk_closep) int tpm = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ssize_t size = read(player->master, message, sizeof(message));

        if (size <= 0 || connect(tpm, (struct sockaddr *)&address, sizeof(address)) != 0 ||
            write(tpm, message, (size_t)size) != size) {
            break;
        }
        size = read(tpm, message, sizeof(message));
        if (size <= 0 || write(player->master, message, (size_t)size) != size) {
            break;
        }
    }
    return NULL;
}

static void speaks_to_a_device(void **state)
{
    struct termios raw;
    struct player player;
    char path[64], tcti[96];
    int slave;
    pthread_t thread;
    struct gk_tpm *tpm = NULL;
    CLEANUP(gk_key_freep) struct gk_key *key = fixture_key(0x81000100, NULL), *there = NULL;

    (void)state;
    memset(&raw, 0, sizeof(raw));
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    assert_int_equal(openpty(&player.master, &slave, path, &raw, NULL), 0);
    assert_int_equal(pipe(player.stop), 0);
    assert_int_equal(pthread_create(&thread, NULL, play, &player), 0);
    snprintf(tcti, sizeof(tcti), "device:%s", path);
    assert_int_equal(gk_tpm_new(tcti, &tpm, NULL), GK_OK);
    assert_int_equal(gk_key_read(tpm, 0x81000100, &there, NULL), GK_OK);
    assert_true(gk_key_identical(key, there));
    gk_tpm_free(tpm);
    close(player.stop[1]);
    pthread_join(thread, NULL);
    close(player.stop[0]);
    close(player.master);
    close(slave);
}

static void keeps_its_descriptor_from_other_programs(void **state)
{
    TSS2_TCTI_CONTEXT *tcti = NULL;
    TSS2_TCTI_POLL_HANDLE handle;
    size_t count = 1;

    (void)state;
    assert_int_equal(device_open("/dev/null", &tcti), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Tcti_GetPollHandles(tcti, &handle, &count), TSS2_RC_SUCCESS);
    assert_int_equal(count, 1);
    assert_true((fcntl(handle.fd, F_GETFD) & FD_CLOEXEC) != 0);
    line_close(&tcti);
    assert_null(tcti);
    assert_true(fcntl(handle.fd, F_GETFD) < 0 && errno == EBADF);
}

/* /dev/null takes every command and answers with an end of file. */
static void says_when_a_device_is_no_tpm(void **state)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct gk_tpm *tpm = NULL;
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(gk_tpm_new("device:/dev/null", &tpm, NULL), GK_OK);
    assert_int_equal(gk_key_read(tpm, 0x81000100, &key, &err), GK_NO_TPM);
    fixture_assert_says(&err, "no TPM answered (/dev/null");
    gk_tpm_free(tpm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_lets_the_tss_search),
        cmocka_unit_test(says_which_device_is_missing_or_forbidden),
        cmocka_unit_test(waits_for_a_device_that_another_program_holds),
        cmocka_unit_test(speaks_to_a_device),
        cmocka_unit_test(keeps_its_descriptor_from_other_programs),
        cmocka_unit_test(says_when_a_device_is_no_tpm),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
