/* SPDX-License-Identifier: Apache-2.0 */
/* The fault TCTI is a good TCTI, and does what its manual says. */
#include "tests/tpm/fault.h"
#include "tests/tpm/fixture.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>

#define GET_RANDOM 0x17bU
#define GET_CAPABILITY 0x17aU
#define HEADER_SIZE 10U
#define RANDOM_SIZE 18U /* the answer to get_random: header, size, 6 bytes */

/* TPM2_GetRandom of six bytes, and a command that no TPM knows. */
static const uint8_t get_random[] = { 0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 6 };
static const uint8_t unknown[] = { 0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0xff };

static TSS2_TCTI_CONTEXT *tcti;
static uint8_t answer[16384];
static size_t answer_size;

static TSS2_RC open_connection(void)
{
    char name[4096];

    snprintf(name, sizeof(name), "libtss2-tcti-fault.so.0%s", strchr(fault_tcti(), ':'));
    return Tss2_TctiLdr_Initialize(name, &tcti);
}

static int set_up(void **state)
{
    (void)state;
    (void)fault_tcti();
    fault_plan("%s", "");
    return open_connection() == TSS2_RC_SUCCESS ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    Tss2_TctiLdr_Finalize(&tcti);
    return 0;
}

static TSS2_RC send(void)
{
    return Tss2_Tcti_Transmit(tcti, sizeof(get_random), get_random);
}

static TSS2_RC fetch(int32_t timeout_ms)
{
    answer_size = sizeof(answer);
    return Tss2_Tcti_Receive(tcti, &answer_size, answer, timeout_ms);
}

static uint32_t word_at(size_t offset)
{
    uint32_t word;

    memcpy(&word, answer + offset, sizeof(word));
    return be32toh(word);
}

/* Do it once under a plan of one line, and say what receive gave. */
static TSS2_RC under(const char *plan)
{
    fault_plan("%s", plan);
    assert_int_equal(send(), TSS2_RC_SUCCESS);
    return fetch(TSS2_TCTI_TIMEOUT_BLOCK);
}

/* The result of the last line of the log. */
static uint32_t logged(void)
{
    CLEANUP(gk_fclosep) FILE *log = NULL;
    char path[512], line[64], result[16] = "";

    snprintf(path, sizeof(path), "%s/plan.log", getenv("GATEKEY_TEST_DIR"));
    log = fopen(path, "r");
    assert_non_null(log);
    while (fgets(line, sizeof(line), log) != NULL) {
        assert_int_equal(sscanf(line, "%*s %15s", result), 1);
    }
    return (uint32_t)strtoul(result, NULL, 16);
}

static void passes_what_no_rule_is_about(void **state)
{
    uint32_t commands[4];

    (void)state;
    assert_int_equal(under("0x17a * cut-transmit\n"), TSS2_RC_SUCCESS);
    assert_int_equal(answer_size, RANDOM_SIZE);
    assert_int_equal(word_at(6), 0);
    assert_int_equal(Tss2_Tcti_Transmit(tcti, sizeof(unknown), unknown), TSS2_RC_SUCCESS);
    assert_int_equal(fetch(TSS2_TCTI_TIMEOUT_BLOCK), TSS2_RC_SUCCESS);
    assert_int_equal(fault_commands(commands, 4), 2);
    assert_int_equal(commands[0], GET_RANDOM);
    assert_int_equal(commands[1], 0x1ff);
    assert_int_equal(logged(), 0x143); /* TPM_RC_COMMAND_CODE, from the TPM */
}

static void says_the_size_first_to_whom_asks(void **state)
{
    size_t size = 0;

    (void)state;
    assert_int_equal(send(), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Tcti_Receive(tcti, &size, NULL, TSS2_TCTI_TIMEOUT_BLOCK),
                     TSS2_RC_SUCCESS);
    assert_int_equal(size, RANDOM_SIZE);
    size = RANDOM_SIZE - 1;
    assert_int_equal(Tss2_Tcti_Receive(tcti, &size, answer, TSS2_TCTI_TIMEOUT_BLOCK),
                     TSS2_TCTI_RC_INSUFFICIENT_BUFFER);
    assert_int_equal(size, RANDOM_SIZE);
    assert_int_equal(fetch(TSS2_TCTI_TIMEOUT_NONE), TSS2_RC_SUCCESS);
    assert_int_equal(answer_size, RANDOM_SIZE);
}

static void keeps_to_the_sequence(void **state)
{
    (void)state;
    assert_int_equal(fetch(TSS2_TCTI_TIMEOUT_BLOCK), TSS2_TCTI_RC_BAD_SEQUENCE);
    assert_int_equal(Tss2_Tcti_Cancel(tcti), TSS2_TCTI_RC_BAD_SEQUENCE);
    assert_int_equal(Tss2_Tcti_SetLocality(tcti, 0), TSS2_RC_SUCCESS);
    assert_int_equal(send(), TSS2_RC_SUCCESS);
    assert_int_equal(send(), TSS2_TCTI_RC_BAD_SEQUENCE);
    assert_int_equal(Tss2_Tcti_SetLocality(tcti, 0), TSS2_TCTI_RC_BAD_SEQUENCE);
    assert_int_equal(fetch(TSS2_TCTI_TIMEOUT_BLOCK), TSS2_RC_SUCCESS);
    assert_int_equal(fault_count(), 1);
}

/* One that is ready when the answer is here already, else what the other TCTI has, if anything. */
static void gives_handles_that_poll_can_wait_for(void **state)
{
    TSS2_TCTI_POLL_HANDLE handle;
    size_t count = 0;
    TSS2_RC code;

    (void)state;
    fault_plan("0x17b 1 answer 0x101\n");
    assert_int_equal(send(), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Tcti_GetPollHandles(tcti, NULL, &count), TSS2_RC_SUCCESS);
    assert_int_equal(count, 1);
    assert_int_equal(Tss2_Tcti_GetPollHandles(tcti, &handle, &count), TSS2_RC_SUCCESS);
    assert_int_equal(poll(&handle, 1, 0), 1);
    assert_int_equal(fetch(TSS2_TCTI_TIMEOUT_BLOCK), TSS2_RC_SUCCESS);
    assert_int_equal(send(), TSS2_RC_SUCCESS);
    code = Tss2_Tcti_GetPollHandles(tcti, &handle, &count);
    assert_true(code == TSS2_RC_SUCCESS || code == TSS2_TCTI_RC_NOT_IMPLEMENTED);
    if (code == TSS2_RC_SUCCESS) {
        assert_int_equal(poll(&handle, 1, 10000), 1);
    }
    assert_int_equal(fetch(TSS2_TCTI_TIMEOUT_BLOCK), TSS2_RC_SUCCESS);
}

static void answers_the_commands_it_is_told_to(void **state)
{
    static const uint32_t wanted[] = { 0, 0x922, 0x922, 0, 0x101, 0x101 };

    (void)state;
    fault_plan("# a comment\n\n0x17b 2-3 answer 0x922\n0x17a * answer 1\n* 5- answer 0x101\n");
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_int_equal(send(), TSS2_RC_SUCCESS);
        assert_int_equal(fetch(TSS2_TCTI_TIMEOUT_BLOCK), TSS2_RC_SUCCESS);
        assert_int_equal(word_at(6), wanted[i]);
        assert_int_equal(logged(), wanted[i]);
    }
    assert_int_equal(answer_size, HEADER_SIZE);
    assert_int_equal(word_at(2), HEADER_SIZE);
}

static void cuts_the_line_before_the_command(void **state)
{
    (void)state;
    fault_plan("0x17b 1 cut-transmit\n");
    assert_int_equal(send(), TSS2_TCTI_RC_IO_ERROR);
    assert_int_equal(logged(), TSS2_TCTI_RC_IO_ERROR);
    /* This line stays broken; a new one is whole. */
    assert_int_equal(send(), TSS2_TCTI_RC_IO_ERROR);
    assert_int_equal(fetch(0), TSS2_TCTI_RC_IO_ERROR);
    Tss2_TctiLdr_Finalize(&tcti);
    assert_int_equal(open_connection(), TSS2_RC_SUCCESS);
    assert_int_equal(send(), TSS2_RC_SUCCESS);
    assert_int_equal(fetch(TSS2_TCTI_TIMEOUT_BLOCK), TSS2_RC_SUCCESS);
    assert_int_equal(fault_count(), 2);
}

static void cuts_the_line_after_the_command(void **state)
{
    (void)state;
    assert_int_equal(under("0x17b 1 cut-receive\n"), TSS2_TCTI_RC_IO_ERROR);
    assert_int_equal(send(), TSS2_TCTI_RC_IO_ERROR);
}

static void refuses_to_be_opened(void **state)
{
    (void)state;
    Tss2_TctiLdr_Finalize(&tcti);
    fault_plan("open 2- answer 0xa000a\n");
    assert_int_equal(open_connection(), TSS2_RC_SUCCESS);
    Tss2_TctiLdr_Finalize(&tcti);
    assert_int_not_equal(open_connection(), TSS2_RC_SUCCESS);
    assert_int_equal(fault_opened(), 2);
    assert_int_equal(logged(), TSS2_TCTI_RC_IO_ERROR);
    assert_int_equal(fault_count(), 0);
}

static void keeps_silent(void **state)
{
    (void)state;
    fault_plan("0x17b 1 silence\n");
    assert_int_equal(send(), TSS2_RC_SUCCESS);
    assert_int_equal(fetch(90000), TSS2_TCTI_RC_TRY_AGAIN);
}

static void delays_an_answer(void **state)
{
    (void)state;
    fault_plan("0x17b 1 delay 100\n");
    assert_int_equal(send(), TSS2_RC_SUCCESS);
    assert_int_equal(fetch(TSS2_TCTI_TIMEOUT_NONE), TSS2_TCTI_RC_TRY_AGAIN);
    assert_int_equal(fetch(1), TSS2_TCTI_RC_TRY_AGAIN);
    assert_int_equal(fetch(60000), TSS2_RC_SUCCESS);
    assert_int_equal(word_at(6), 0);
}

static void spoils_an_answer(void **state)
{
    static const struct {
        const char *action;
        size_t size;
        uint32_t claimed;
    } spoilt[] = {
        { "truncate 0", 0, RANDOM_SIZE },
        { "truncate 6", 6, RANDOM_SIZE },
        { "truncate -1", RANDOM_SIZE - 1, RANDOM_SIZE },
        { "shorten 12", 12, 12 },
        { "shorten -2", RANDOM_SIZE - 2, RANDOM_SIZE - 2 },
        { "claim 4096", RANDOM_SIZE, 4096 },
        { "grow 5000", RANDOM_SIZE + 5000, RANDOM_SIZE + 5000 },
        { "trail 7", RANDOM_SIZE + 7, RANDOM_SIZE },
        { "garbage 100", 100, 0xeeeeeeee },
        { "flip 2", RANDOM_SIZE, 0xff000000U | RANDOM_SIZE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
        char plan[64];

        snprintf(plan, sizeof(plan), "0x17b 1 %s\n", spoilt[i].action);
        assert_int_equal(under(plan), TSS2_RC_SUCCESS);
        assert_int_equal(answer_size, spoilt[i].size);
        if (answer_size >= 6) {
            assert_int_equal(word_at(2), spoilt[i].claimed);
        }
    }
}

/* A mistake in a plan must not look like a TPM without faults. */
static void refuses_a_plan_it_does_not_understand(void **state)
{
    static const char *const wrong[] = { "0x17b answer 0x101\n", "0x17b 0 pass\n",
                                         "0x17b 3-2 pass\n",     "0x17b * explode\n",
                                         "0x17b * answer x\n",   "GetRandom * pass\n" };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        fault_plan("%s", wrong[i]);
        assert_int_equal(send(), TSS2_TCTI_RC_BAD_VALUE);
    }
}

/* The third command is the third one, whoever sends it. */
static void counts_over_processes(void **state)
{
    (void)state;
    Tss2_TctiLdr_Finalize(&tcti);
    fault_plan("0x17b 3 answer 0x101\n");
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0) {
            _exit(open_connection() == 0 && send() == 0 && fetch(-1) == 0 ? word_at(6) != 0 : 2);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), i == 2 ? 1 : 0);
    }
    assert_int_equal(fault_count(), 4);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(passes_what_no_rule_is_about),
        TEST(says_the_size_first_to_whom_asks),
        TEST(keeps_to_the_sequence),
        TEST(gives_handles_that_poll_can_wait_for),
        TEST(answers_the_commands_it_is_told_to),
        TEST(cuts_the_line_before_the_command),
        TEST(cuts_the_line_after_the_command),
        TEST(refuses_to_be_opened),
        TEST(keeps_silent),
        TEST(delays_an_answer),
        TEST(spoils_an_answer),
        TEST(refuses_a_plan_it_does_not_understand),
        TEST(counts_over_processes),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
