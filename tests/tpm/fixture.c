/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of tpm/ share. */
#include "tests/tpm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

void fixture_run(const char *command)
{
    assert_int_equal(system(command), 0);
}

void fixture_assert_says(const struct gk_error *err, const char *text)
{
    char sentence[1024];

    gk_error_sentence(err, "do it", sentence, sizeof(sentence));
    if (strstr(sentence, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", sentence, text);
    }
}

void fixture_assert_nothing_left_loaded(void)
{
    fixture_run("test -z \"$(tpm2_getcap handles-transient)\" && "
                "test -z \"$(tpm2_getcap handles-loaded-session)\"");
}

/* swtpm's control channel: CMD_INIT (2) with no flags, and a result of 0 (swtpm_ioctls(3)). */
static void cut_power(void)
{
    static const uint8_t init[8] = { 0, 0, 0, 2, 0, 0, 0, 0 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = fixture_tcti() + strlen("swtpm:path=");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint8_t result[4] = { 1 };

    assert_true((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s.ctrl", path) <
                sizeof(address.sun_path));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, init, sizeof(init)), sizeof(init));
    assert_int_equal(recv(fd, result, sizeof(result), MSG_WAITALL), sizeof(result));
    assert_int_equal(result[0] | result[1] | result[2] | result[3], 0);
    close(fd);
}

void fixture_power_cycle(bool orderly)
{
    if (orderly) {
        fixture_run("tpm2_shutdown -c");
    }
    cut_power();
    fixture_run("tpm2_startup -c");
}
