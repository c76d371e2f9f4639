/* SPDX-License-Identifier: Apache-2.0 */
/* Our own connection to a TPM in applications that make life hard for it. */
#include "tests/tpm/fixture.h"
#include "tests/tpm/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define HANDLE 0x81000100U
#define SIGNATURES 10
#define LIMIT_S 60 /* a test that hangs is ended by SIGALRM */

static struct gk_tpm *tpm;
static struct gk_key *key;

static int set_up(void **state)
{
    (void)state;
    key = fixture_key(HANDLE, NULL);
    assert_int_equal(gk_tpm_new(fixture_tcti(), &tpm, NULL), GK_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gk_tpm_free(tpm);
    gk_key_free(key);
    return 0;
}

static enum gk_status sign_at(struct gk_tpm *where, struct gk_error *err)
{
    static const uint8_t digest[GK_HASH_MAX_SIZE];
    uint8_t signature[GK_RSA2048_SIZE];

    return gk_key_sign(where, key, NULL, fixture_crypto(), GK_RSASSA, GK_SHA256, digest, 0,
                       signature, err);
}

static enum gk_status sign(void)
{
    return sign_at(tpm, NULL);
}

static void assert_ended_well(pid_t child)
{
    int status = -1;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A TPM's socket whose owner hangs up on everybody at once. */
static void *hang_up_on_all(void *listener)
{
    int client;

    while ((client = accept(*(int *)listener, NULL, NULL)) >= 0) {
        close(client);
    }
    return NULL;
}

static struct gk_tpm *tpm_at(const char *tcti)
{
    struct gk_tpm *there = NULL;

    assert_int_equal(gk_tpm_new(tcti, &there, NULL), GK_OK);
    return there;
}

/* SIGPIPE has its default here, and would end the test. */
static void sign_at_one_that_hangs_up(const char *settings)
{
    CLEANUP(gk_closep) int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    CLEANUP(gk_tpm_freep) struct gk_tpm *rude = NULL;
    char tcti[192];
    pthread_t thread;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/rude", getenv("GATEKEY_TEST_DIR"));
    snprintf(tcti, sizeof(tcti), "swtpm:%s=%s", settings, address.sun_path);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    rude = tpm_at(tcti);
    assert_int_equal(pthread_create(&thread, NULL, hang_up_on_all, &listener), 0);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(sign_at(rude, NULL), GK_NO_TPM);
    }
    shutdown(listener, SHUT_RDWR);
    assert_int_equal(pthread_join(thread, NULL), 0);
    unlink(address.sun_path);
}

static void a_tpm_that_hangs_up_does_not_end_the_program(void **state)
{
    (void)state;
    sign_at_one_that_hangs_up("path");
}

/* The TSS's own swtpm connection, which is taken where more than a path is given, does raise it. */
static void nor_does_one_behind_an_installed_tcti(void **state)
{
    const char *folder = getenv("GATEKEY_TEST_DIR");
    char control[128], its_control[128];
    sigset_t mask;

    (void)state;
    snprintf(control, sizeof(control), "%s/tpm.ctrl", folder);
    snprintf(its_control, sizeof(its_control), "%s/rude.ctrl", folder);
    assert_int_equal(symlink(control, its_control), 0);
    setenv("TSS2_LOG", "all+NONE", 1);
    sign_at_one_that_hangs_up("port=1,path");
    unsetenv("TSS2_LOG");
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    assert_false(sigismember(&mask, SIGPIPE));
}

static void note_signal(int number)
{
    (void)number;
}

static void signals_every_millisecond_change_nothing(void **state)
{
    static const struct itimerval often = { { .tv_usec = 1000 }, { .tv_usec = 1000 } };
    static const struct itimerval never = { 0 };
    struct sigaction noted = { .sa_handler = note_signal }, before;

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &noted, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < SIGNATURES; i++) {
        assert_int_equal(sign(), GK_OK);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

static atomic_bool is_done;

/* An application that does not know that its stdout and stderr are closed. */
static void *print_repeatedly(void *context)
{
    static const struct timespec often = { .tv_nsec = 100000 };
    ssize_t lost;

    while (!atomic_load(&is_done)) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
            lost = write(fd, "some text", 9);
        }
        nanosleep(&often, NULL);
    }
    (void)context;
    (void)lost;
    return NULL;
}

static void what_is_printed_without_stdout_does_not_reach_the_tpm(void **state)
{
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        bool all_good = true;
        pthread_t printer;

        alarm(LIMIT_S);
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
        all_good = pthread_create(&printer, NULL, print_repeatedly, NULL) == 0;
        for (int i = 0; i < 3 * SIGNATURES; i++) {
            all_good = sign() == GK_OK && all_good;
        }
        atomic_store(&is_done, true);
        pthread_join(printer, NULL);
        _exit(all_good ? 0 : 1);
    }
    assert_ended_well(child);
}

static void says_that_no_descriptor_is_left(void **state)
{
    static const char *const tctis[] = { NULL, "device:/dev/null", "mssim:port=1" };
    struct rlimit before, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < sizeof(tctis) / sizeof(tctis[0]); i++) {
        CLEANUP(gk_tpm_freep) struct gk_tpm *there = tpm_at(tctis[i] ? tctis[i] : fixture_tcti());
        struct gk_error err = { 0 };
        int lowest = dup(STDIN_FILENO);

        close(lowest);
        none = (struct rlimit){ .rlim_cur = (rlim_t)lowest, .rlim_max = before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_int_equal(sign_at(there, &err), GK_NO_DESCRIPTOR);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        fixture_assert_says(&err, "this program has no file descriptor left");
        fixture_assert_says(&err, "raise its limit of open files");
        assert_int_equal(sign(), GK_OK);
    }
}

static void *sign_until_done(void *failures)
{
    while (!atomic_load(&is_done)) {
        *(int *)failures += sign() != GK_OK;
    }
    return NULL;
}

/* _Fork() runs no fork handlers, so it copies whatever connection there is. */
static void a_copy_in_a_child_does_not_hold_the_tpm(void **state)
{
    enum { CHILDREN = 12 };
    pid_t children[CHILDREN];
    int failures = 0, stay[2];
    pthread_t signer;
    char byte;

    (void)state;
    alarm(LIMIT_S);
    atomic_store(&is_done, false);
    assert_int_equal(pipe(stay), 0);
    assert_int_equal(pthread_create(&signer, NULL, sign_until_done, &failures), 0);
    for (int i = 0; i < CHILDREN; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 + i * 100000 }, NULL);
        children[i] = _Fork();
        if (children[i] == 0) {
            close(stay[1]);
            _exit(read(stay[0], &byte, 1) == 0 ? 0 : 1);
        }
    }
    atomic_store(&is_done, true);
    assert_int_equal(pthread_join(signer, NULL), 0);
    for (int i = 0; i < SIGNATURES; i++) {
        assert_int_equal(sign(), GK_OK);
    }
    assert_int_equal(failures, 0);
    close(stay[1]);
    for (int i = 0; i < CHILDREN; i++) {
        assert_ended_well(children[i]);
    }
    close(stay[0]);
    alarm(0);
}

/* Everything that may go wrong with a TPM, while stderr is a file: it stays empty. */
static void nothing_is_written_on_stderr(void **state)
{
    static const struct {
        enum proxy_fault fault;
        uint32_t code;
    } faults[] = {
        { PROXY_CUT, 0 },        { PROXY_GARBLE, 0 },     { PROXY_ANSWER, 0x18b },
        { PROXY_ANSWER, 0x9a2 }, { PROXY_ANSWER, 0x921 }, { PROXY_ANSWER, 0 },
    };
    struct proxy *proxy = proxy_start();
    CLEANUP(gk_tpm_freep) struct gk_tpm *faulty = tpm_at(proxy_tcti(proxy));
    CLEANUP(gk_tpm_freep) struct gk_tpm *absent = tpm_at("swtpm:path=/no/such/socket");
    int before = dup(STDERR_FILENO);
    char path[128], text[512] = "";
    FILE *said;

    (void)state;
    snprintf(path, sizeof(path), "%s/said", getenv("GATEKEY_TEST_DIR"));
    said = fopen(path, "w+");
    assert_non_null(said);
    dup2(fileno(said), STDERR_FILENO);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        proxy_fault_next(proxy, faults[i].fault, 2, faults[i].code);
        assert_int_not_equal(sign_at(faulty, NULL), GK_OK);
        proxy_fault_next(proxy, PROXY_CUT, 0, 0);
    }
    assert_int_equal(sign_at(absent, NULL), GK_NO_TPM);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(said);
    text[fread(text, 1, sizeof(text) - 1, said)] = '\0';
    assert_string_equal(text, "");
    fclose(said);
    proxy_stop(proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tpm_that_hangs_up_does_not_end_the_program),
        cmocka_unit_test(nor_does_one_behind_an_installed_tcti),
        cmocka_unit_test(signals_every_millisecond_change_nothing),
        cmocka_unit_test(what_is_printed_without_stdout_does_not_reach_the_tpm),
        cmocka_unit_test(says_that_no_descriptor_is_left),
        cmocka_unit_test(nothing_is_written_on_stderr),
        cmocka_unit_test(a_copy_in_a_child_does_not_hold_the_tpm),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
