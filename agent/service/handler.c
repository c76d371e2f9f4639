/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one program at arm's length and collects what it says. */
#include "agent/service/handler.h"

#include "agent/service/log.h"
#include "agent/service/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define READS_MAX 64      /* at a time: a program may write faster than we read */
#define COMPLAINTS_MAX 20 /* lines of standard error that go to the log */
#define COMPLAINT_SIZE 200

struct handler_run {
    const struct agent_handler *handler;
    handler_done *done;
    void *context;
    pid_t pid;
    int output, complaints; /* our ends of its standard output and error */
    sd_event_source *child_source, *output_source, *complaint_source, *time_source;

    char *text; /* what it wrote, HANDLER_OUTPUT_MAX + 1 bytes of room */
    size_t size;
    unsigned lines;
    char line[COMPLAINT_SIZE];
    size_t line_size;
    enum handler_code verdict; /* HANDLER_DONE as long as nothing went wrong */
    bool is_raw;
};

static void run_free(struct handler_run *run)
{
    if (run == NULL) {
        return;
    }
    sd_event_source_disable_unref(run->child_source);
    sd_event_source_disable_unref(run->output_source);
    sd_event_source_disable_unref(run->complaint_source);
    sd_event_source_disable_unref(run->time_source);
    gk_closep(&run->output);
    gk_closep(&run->complaints);
    free(run->text);
    free(run);
}
GK_DEFINE_CLEANUP(struct handler_run, run_free)

/* It is not reaped yet, so the number is its own; right after fork(2) it leads no process group
 * yet. */
static void kill_all(const struct handler_run *run)
{
    kill(-run->pid, SIGKILL);
    kill(run->pid, SIGKILL);
}

static void give_up(struct handler_run *run, enum handler_code verdict)
{
    if (run->verdict == HANDLER_DONE) {
        run->verdict = verdict;
    }
    kill_all(run);
}

/* --- what it says ---------------------------------------------------------------------------- */

static void read_output(struct handler_run *run)
{
    for (;;) {
        ssize_t got = read(run->output, run->text + run->size, HANDLER_OUTPUT_MAX + 1 - run->size);

        if (got <= 0) {
            return;
        }
        run->size += (size_t)got;
        if (run->size > HANDLER_OUTPUT_MAX) {
            run->size = HANDLER_OUTPUT_MAX;
            give_up(run, HANDLER_BAD_OUTPUT);
            return;
        }
    }
}

static void log_complaint(struct handler_run *run)
{
    if (run->line_size > 0 && run->lines++ < COMPLAINTS_MAX) {
        log_line(LOG_LEVEL_INFO, "%s says: %.*s", run->handler->service, (int)run->line_size,
                 run->line);
    }
    run->line_size = 0;
}

/* All of it is read, so that the program is not stopped by a full pipe; little of it is logged. */
static void read_complaints(struct handler_run *run)
{
    char buffer[1024];

    for (int reads = 0; reads < READS_MAX; reads++) {
        ssize_t got = read(run->complaints, buffer, sizeof(buffer));

        if (got <= 0) {
            return;
        }
        for (ssize_t i = 0; i < got; i++) {
            if (buffer[i] == '\n') {
                log_complaint(run);
            } else if (run->line_size < sizeof(run->line)) {
                run->line[run->line_size++] = buffer[i];
            }
        }
    }
}

/* An end of file is no end: the program may have closed it and go on. Its exit is waited for. */
static int on_output(sd_event_source *source, int fd, uint32_t events, void *context)
{
    (void)fd;
    read_output(context);
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
    }
    return 0;
}

static int on_complaints(sd_event_source *source, int fd, uint32_t events, void *context)
{
    (void)fd;
    read_complaints(context);
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
    }
    return 0;
}

/* --- how it ends ----------------------------------------------------------------------------- */

static int on_time(sd_event_source *source, uint64_t time, void *context)
{
    (void)source;
    (void)time;
    give_up(context, HANDLER_TIMED_OUT);
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without the space around it, which is how a line ends. */
static struct enos_text trim(const struct handler_run *run)
{
    struct enos_text text = { run->text, run->size };

    while (text.size > 0 && is_space(text.at[text.size - 1])) {
        text.size--;
    }
    while (text.size > 0 && is_space(*text.at)) {
        text.at++;
        text.size--;
    }
    return text;
}

static bool is_json(const struct enos_text *text)
{
    /* jansson passes over NULs between the tokens. What it reads is not looked at, so that a number
     * of any size may be a double. */
    json_t *read =
        memchr(text->at, '\0', text->size) == NULL
            ? json_loadb(text->at, text->size,
                         JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL)
            : NULL;

    json_decref(read);
    return read != NULL;
}

static void judge(struct handler_run *run, const siginfo_t *info)
{
    struct handler_result result = { 0 };
    struct enos_text text = trim(run);
    char message[128];

    if (run->verdict == HANDLER_TIMED_OUT) {
        snprintf(message, sizeof(message), "the program was killed after its time was up");
    } else if (run->verdict == HANDLER_BAD_OUTPUT) {
        snprintf(message, sizeof(message), "the program wrote more than %zu bytes",
                 HANDLER_OUTPUT_MAX);
    } else if (info->si_code != CLD_EXITED || info->si_status != 0) {
        run->verdict = HANDLER_FAILED;
        snprintf(message, sizeof(message), "the program %s %d",
                 info->si_code == CLD_EXITED ? "exited with status" : "was ended by signal",
                 info->si_status);
    } else if (!run->is_raw && text.size > 0) {
        if (is_json(&text)) {
            result.data = text;
        } else {
            run->verdict = HANDLER_BAD_OUTPUT;
            snprintf(message, sizeof(message), "the program wrote something else than JSON");
        }
    }
    result.code = run->verdict;
    result.bytes = run->text;
    result.size = run->verdict == HANDLER_DONE ? run->size : 0;
    result.message = run->verdict == HANDLER_DONE ? NULL : message;
    run->done(run->context, &result);
}

static int on_exit_of_child(sd_event_source *source, const siginfo_t *info, void *context)
{
    CLEANUP(run_freep) struct handler_run *run = context;

    (void)source;
    /* Whatever it left running in its session ends with it. */
    kill_all(run);
    read_output(run);
    read_complaints(run);
    log_complaint(run);
    judge(run, info);
    return 0;
}

/* --- starting -------------------------------------------------------------------------------- */

/* A sealed file in memory: nobody waits for a program that does not read its input. */
static enum gk_status make_input(const char *text, size_t size, int *input, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = memfd_create("parameters", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || write(fd, text, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        return gk_fail(err, GK_INTERNAL, "memfd: %s", strerror(errno));
    }
    *input = fd;
    fd = -1;
    return GK_OK;
}

static enum gk_status make_pipe(int *ours, int *theirs, struct gk_error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return gk_fail(err, GK_INTERNAL, "pipe: %s", strerror(errno));
    }
    *ours = ends[0];
    *theirs = ends[1];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0
               ? GK_OK
               : gk_fail(err, GK_INTERNAL, "fcntl: %s", strerror(errno));
}

static enum gk_status start_program(struct handler_run *run, const char *input, size_t size,
                                    struct gk_error *err)
{
    CLEANUP(gk_closep) int in = -1;
    CLEANUP(gk_closep) int out = -1;
    CLEANUP(gk_closep) int complaints = -1;
    enum gk_status status = make_input(input, size, &in, err);

    if (status == GK_OK) {
        status = make_pipe(&run->output, &out, err);
    }
    if (status == GK_OK) {
        status = make_pipe(&run->complaints, &complaints, err);
    }
    if (status == GK_OK) {
        status = program_start(run->handler->argv, (int[]){ in, out, complaints }, &run->pid, err);
    }
    return status;
}

static enum gk_status watch(struct handler_run *run, sd_event *event, unsigned time_ms,
                            struct gk_error *err)
{
    int code =
        sd_event_add_child(event, &run->child_source, run->pid, WEXITED, on_exit_of_child, run);

    if (code >= 0) {
        code = sd_event_add_io(event, &run->output_source, run->output, EPOLLIN, on_output, run);
    }
    if (code >= 0) {
        code = sd_event_add_io(event, &run->complaint_source, run->complaints, EPOLLIN,
                               on_complaints, run);
    }
    if (code >= 0) {
        code = sd_event_add_time_relative(event, &run->time_source, CLOCK_MONOTONIC,
                                          (uint64_t)time_ms * 1000, 0, on_time, run);
    }
    if (code < 0) {
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    return GK_OK;
}

enum gk_status handler_start(sd_event *event, const struct handler_task *task, handler_done *done,
                             void *context, struct handler_run **run, struct gk_error *err)
{
    CLEANUP(run_freep) struct handler_run *made = NULL;
    enum gk_status status = handler_check(task->handler->argv[0], err);

    if (status != GK_OK) {
        return status;
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *made = (struct handler_run){ .handler = task->handler,
                                  .done = done,
                                  .context = context,
                                  .output = -1,
                                  .complaints = -1,
                                  .verdict = HANDLER_DONE,
                                  .is_raw = task->is_raw,
                                  .text = malloc(HANDLER_OUTPUT_MAX + 1) };
    if (made->text == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = start_program(made, task->input, task->size, err);
    if (status != GK_OK) {
        return status;
    }
    status = watch(made, event, task->time_ms, err);
    if (status != GK_OK) {
        handler_cancel(TAKE(made));
        return status;
    }
    *run = TAKE(made);
    return GK_OK;
}

void handler_cancel(struct handler_run *run)
{
    if (run != NULL) {
        kill_all(run);
        waitpid(run->pid, NULL, 0);
        run_free(run);
    }
}
