/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that answer commands, most of them badly: none gets more than it should or stays behind.
 */
#include "agent/service/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define PATIENT_MS 20000
#define HASTY_MS 300

struct fixture {
    char directory[256];
    char path[300];
    struct agent_handler handler;
    char *argv[4];
    sd_event *event;
    struct handler_run *run;
    struct gk_error err;

    int calls;
    enum handler_code code;
    json_t *data;
    char text[128]; /* the same as it came */
    char message[128];
    bool is_raw;
    char bytes[64];
    size_t size;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    assert_non_null(getcwd(f->path, sizeof(f->path)));
    snprintf(f->directory, sizeof(f->directory), "%.200s/handler.XXXXXX", f->path);
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/program", f->directory);
    f->argv[0] = f->path;
    f->handler = (struct agent_handler){ (char *)"test", f->argv };
    assert_true(sd_event_new(&f->event) >= 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    json_decref(f->data);
    sd_event_unref(f->event);
    unlink(f->path);
    rmdir(f->directory);
    free(f);
    /* Nobody is left. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    return 0;
}

static void write_program(const struct fixture *f, const char *script, mode_t mode)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    fclose(file);
    assert_int_equal(chmod(f->path, mode), 0);
}

static void done(void *context, const struct handler_result *result)
{
    struct fixture *f = context;

    f->calls++;
    f->code = result->code;
    f->data = json_loadb(result->data.at, result->data.size, JSON_DECODE_ANY, NULL);
    snprintf(f->text, sizeof(f->text), "%.*s", (int)result->data.size,
             result->data.size > 0 ? result->data.at : "");
    snprintf(f->message, sizeof(f->message), "%s", result->message != NULL ? result->message : "");
    f->size = result->size;
    memcpy(f->bytes, result->bytes, result->size < sizeof(f->bytes) ? result->size : 0);
    sd_event_exit(f->event, 0);
}

static enum gk_status start(struct fixture *f, const char *input, unsigned time_ms)
{
    const struct handler_task task = { &f->handler, input, strlen(input), f->is_raw, time_ms };

    return handler_start(f->event, &task, done, f, &f->run, &f->err);
}

static void run(struct fixture *f, const char *script, unsigned time_ms)
{
    write_program(f, script, 0755);
    assert_int_equal(start(f, "{\"a\":1}", time_ms), GK_OK);
    assert_true(sd_event_loop(f->event) >= 0);
    assert_int_equal(f->calls, 1);
}

static void hands_over_parameters_and_takes_json_back(void **state)
{
    struct fixture *f = *state;

    run(f, "cat", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_DONE);
    assert_int_equal(json_integer_value(json_object_get(f->data, "a")), 1);
    assert_string_equal(f->message, "");
}

static void leaves_what_is_written_as_it_is(void **state)
{
    struct fixture *f = *state;

    run(f, "printf ' \\n{\"a\": 0.1, \"b\":[1e3,18446744073709551615]}\\r\\n'", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_DONE);
    assert_string_equal(f->text, "{\"a\": 0.1, \"b\":[1e3,18446744073709551615]}");
}

static void refuses_a_nul_in_its_json(void **state)
{
    struct fixture *f = *state;

    run(f, "printf '{\"a\":\\0001}'", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_BAD_OUTPUT);
}

static void takes_silence_for_an_empty_answer(void **state)
{
    struct fixture *f = *state;

    run(f, "echo", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_DONE);
    assert_null(f->data);
}

static void takes_bytes_as_they_are(void **state)
{
    struct fixture *f = *state;

    f->is_raw = true;
    run(f, "cat; printf ' \\000\\377\\n'", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_DONE);
    assert_null(f->data);
    assert_int_equal(f->size, 11);
    assert_memory_equal(f->bytes, "{\"a\":1} \0\377\n", 11);
}

static void gives_fixed_arguments_and_no_shell(void **state)
{
    struct fixture *f = *state;

    f->argv[1] = (char *)"$(id)";
    f->argv[2] = (char *)"a b";
    run(f, "printf '[\"%s\",\"%s\",%d]' \"$1\" \"$2\" $#", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_DONE);
    assert_string_equal(json_string_value(json_array_get(f->data, 0)), "$(id)");
    assert_string_equal(json_string_value(json_array_get(f->data, 1)), "a b");
    assert_int_equal(json_integer_value(json_array_get(f->data, 2)), 2);
}

static void inherits_nothing(void **state)
{
    struct fixture *f = *state;
    int leak = fcntl(STDERR_FILENO, F_DUPFD, 100); /* without FD_CLOEXEC */

    assert_int_equal(leak, 100);
    setenv("CREDENTIALS_DIRECTORY", "/run/credentials", 1);
    run(f,
        "printf '{\"descriptors\":\"%s\",\"environment\":\"%s\",\"session\":%s,\"pid\":%s,"
        "\"folder\":\"%s\"}' "
        "\"$(ls /proc/$$/fd | tr '\\n' ' ')\" \"$(tr '\\0' '\\n' </proc/$$/environ | cut -d= -f1 | "
        "tr "
        "'\\n' ' ')\" \"$(cut -d' ' -f6 /proc/$$/stat)\" $$ \"$(pwd)\"",
        PATIENT_MS);
    close(leak);
    assert_int_equal(f->code, HANDLER_DONE);
    assert_null(strstr(json_string_value(json_object_get(f->data, "descriptors")), "100"));
    assert_string_equal(json_string_value(json_object_get(f->data, "environment")), "PATH LANG ");
    assert_int_equal(json_integer_value(json_object_get(f->data, "session")),
                     json_integer_value(json_object_get(f->data, "pid")));
    assert_string_equal(json_string_value(json_object_get(f->data, "folder")), "/");
}

static void does_not_mind_a_program_that_reads_nothing(void **state)
{
    struct fixture *f = *state;
    char *input = calloc(1, 400001);

    memset(input, ' ', 400000);
    write_program(f, "exec <&-; echo 7", 0755);
    assert_int_equal(start(f, input, PATIENT_MS), GK_OK);
    free(input);
    assert_true(sd_event_loop(f->event) >= 0);
    assert_int_equal(f->code, HANDLER_DONE);
    assert_int_equal(json_integer_value(f->data), 7);
}

static void kills_a_program_that_says_too_much(void **state)
{
    struct fixture *f = *state;

    run(f, "while :; do echo 0123456789012345678901234567890123456789; done", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_BAD_OUTPUT);
    assert_non_null(strstr(f->message, "65536"));
    assert_null(f->data);
}

static void takes_64_kib_and_not_one_byte_more(void **state)
{
    struct fixture *f = *state;

    run(f, "printf '\"%65534s\"' x", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_DONE);
    assert_int_equal(json_string_length(f->data), 65534);
    json_decref(f->data);
    f->calls = 0;
    sd_event_unref(f->event);
    assert_true(sd_event_new(&f->event) >= 0);
    run(f, "printf '\"%65535s\"' x", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_BAD_OUTPUT);
}

static void refuses_what_is_no_json(void **state)
{
    struct fixture *f = *state;

    run(f, "echo hello", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_BAD_OUTPUT);
    assert_string_equal(f->message, "the program wrote something else than JSON");
}

static void tells_the_exit_status(void **state)
{
    struct fixture *f = *state;

    run(f, "echo '{}'; exit 3", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_FAILED);
    assert_string_equal(f->message, "the program exited with status 3");
    assert_null(f->data);
}

static void tells_the_signal(void **state)
{
    struct fixture *f = *state;

    run(f, "kill -SEGV $$", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_FAILED);
    assert_string_equal(f->message, "the program was ended by signal 11");
}

/* Reads the number that the program wrote beside itself before it hung. */
static pid_t read_pid(const struct fixture *f)
{
    char path[320];
    long pid = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/pid", f->directory);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &pid), 1);
    fclose(file);
    unlink(path);
    return (pid_t)pid;
}

/* Killed, and reaped by whoever inherits orphans, which takes a moment. */
static void assert_gone(pid_t pid)
{
    char path[64];

    for (int i = 0; i < 200; i++) {
        char state = 'X';
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
        file = fopen(path, "r");
        if (file != NULL) {
            assert_true(fscanf(file, "%*d (%*[^)]) %c", &state) >= 0);
            fclose(file);
        }
        if (state == 'X' || state == 'Z') {
            return;
        }
        nanosleep(&(const struct timespec){ 0, 20000000 }, NULL);
    }
    fail_msg("process %ld is still there", (long)pid);
}

static void kills_a_program_that_hangs_and_its_children(void **state)
{
    struct fixture *f = *state;

    run(f, "sleep 60 & echo $! >\"${0%/*}/pid\"; trap '' TERM; sleep 60", HASTY_MS);
    assert_int_equal(f->code, HANDLER_TIMED_OUT);
    assert_gone(read_pid(f));
}

static void kills_what_a_program_leaves_running(void **state)
{
    struct fixture *f = *state;

    run(f, "sleep 60 & echo $! >\"${0%/*}/pid\"; echo 1", PATIENT_MS);
    assert_int_equal(f->code, HANDLER_DONE);
    assert_int_equal(json_integer_value(f->data), 1);
    assert_gone(read_pid(f));
}

static void sweeps_up_what_left_its_session(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    run(f,
        "setsid sh -c 'sleep 60 & echo $! >\"$0\"; wait' \"${0%/*}/pid\" >/dev/null 2>&1 & "
        "while [ ! -s \"${0%/*}/pid\" ]; do sleep 0.01; done; echo 1",
        PATIENT_MS);
    assert_int_equal(f->code, HANDLER_DONE);
    handler_sweep();
    assert_gone(read_pid(f));
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void survives_a_flood_of_complaints(void **state)
{
    struct fixture *f = *state;

    run(f,
        "i=0; while [ $i -lt 3000 ]; do echo 'something is wrong here, and here' >&2; i=$((i+1)); "
        "done; echo 1",
        PATIENT_MS);
    assert_int_equal(f->code, HANDLER_DONE);
}

static void can_be_cancelled(void **state)
{
    struct fixture *f = *state;

    write_program(f, "sleep 60", 0755);
    assert_int_equal(start(f, "{}", PATIENT_MS), GK_OK);
    handler_cancel(f->run);
    assert_int_equal(f->calls, 0);
}

static void refuse(struct fixture *f, const char *why)
{
    assert_int_equal(start(f, "{}", PATIENT_MS), GK_REFUSED);
    print_message("%s\n", f->err.object);
    assert_non_null(strstr(f->err.object, why));
}

static void refuses_a_program_that_others_can_write(void **state)
{
    struct fixture *f = *state;

    write_program(f, "echo 1", 0775);
    refuse(f, "can be written by others");
    write_program(f, "echo 1", 0757);
    refuse(f, "can be written by others");
}

static void refuses_a_folder_that_others_can_write(void **state)
{
    struct fixture *f = *state;

    write_program(f, "echo 1", 0755);
    assert_int_equal(chmod(f->directory, 0775), 0);
    refuse(f, "can be written by others");
    /* As /tmp is: others may add files there, and not replace ours. */
    assert_int_equal(chmod(f->directory, 01777), 0);
    assert_int_equal(handler_check(f->path, &f->err), GK_OK);
}

static void refuses_somebody_elses_program(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0) {
        skip();
    }
    write_program(f, "echo 1", 0755);
    assert_int_equal(chown(f->path, 12345, 0), 0);
    refuse(f, "belongs to another user");
}

static void refuses_a_link(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(symlink("/bin/true", f->path), 0);
    refuse(f, "symbolic link");
    assert_non_null(strstr(f->err.advice, "/true"));
}

/* gatekeyd's descriptor 0 would be closed, and at the next refusal whatever got that number. */
static void closes_nothing_of_others_when_it_refuses(void **state)
{
    struct fixture *f = *state;

    if (fcntl(STDIN_FILENO, F_GETFD) == -1) {
        assert_int_equal(open("/dev/null", O_RDONLY), STDIN_FILENO);
    }
    write_program(f, "echo 1", 0644);
    assert_int_not_equal(start(f, "{}", PATIENT_MS), GK_OK);
    assert_int_not_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
}

static void refuses_what_cannot_be_executed(void **state)
{
    struct fixture *f = *state;

    write_program(f, "echo 1", 0644);
    refuse(f, "is not executable");
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(start(f, "{}", PATIENT_MS), GK_NO_FILE);
    f->argv[0] = (char *)"program";
    refuse(f, "is not an absolute path");
    f->argv[0] = f->directory;
    refuse(f, "is not a program");
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(hands_over_parameters_and_takes_json_back),
        CLAIM(leaves_what_is_written_as_it_is),
        CLAIM(refuses_a_nul_in_its_json),
        CLAIM(takes_silence_for_an_empty_answer),
        CLAIM(takes_bytes_as_they_are),
        CLAIM(gives_fixed_arguments_and_no_shell),
        CLAIM(inherits_nothing),
        CLAIM(does_not_mind_a_program_that_reads_nothing),
        CLAIM(kills_a_program_that_says_too_much),
        CLAIM(takes_64_kib_and_not_one_byte_more),
        CLAIM(refuses_what_is_no_json),
        CLAIM(tells_the_exit_status),
        CLAIM(tells_the_signal),
        CLAIM(kills_a_program_that_hangs_and_its_children),
        CLAIM(kills_what_a_program_leaves_running),
        CLAIM(sweeps_up_what_left_its_session),
        CLAIM(survives_a_flood_of_complaints),
        CLAIM(can_be_cancelled),
        CLAIM(refuses_a_program_that_others_can_write),
        CLAIM(refuses_a_folder_that_others_can_write),
        CLAIM(refuses_somebody_elses_program),
        CLAIM(refuses_a_link),
        CLAIM(refuses_what_cannot_be_executed),
        CLAIM(closes_nothing_of_others_when_it_refuses),
    };

    return cmocka_run_group_tests_name("handler", tests, NULL, NULL);
}
