/* SPDX-License-Identifier: Apache-2.0 */
/* Says things: answers on stdout, prose on stderr, and a question where somebody can answer it. */
#include "agent/command/command.h"

#include "agent/exit.h"

#include <langinfo.h>
#include <stdarg.h>

static const char *tick(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "\u2713" : "ok";
}

void say_step(const struct run *run, const char *format, ...)
{
    va_list arguments;

    (void)run;
    fprintf(stderr, "%s ", tick());
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void say_note(const struct run *run, const char *format, ...)
{
    va_list arguments;

    (void)run;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void say_line(const struct run *run, const char *format, ...)
{
    va_list arguments;

    if (run->json) {
        return;
    }
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

void say_member(struct run *run, const char *name, json_t *value)
{
    json_object_set_new(run->result, name, value);
}

void say_text(struct run *run, const char *name, const char *text)
{
    say_member(run, name, json_string(text));
}

void leave(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        fprintf(stderr, "gatekey: cannot write the answer: stdout failed; check where it leads\n");
        code = AGENT_EXIT_FAILED;
    }
    exit(code);
}

enum gk_status ask_to_go_on(bool yes, const char *question, struct gk_error *err)
{
    char answer[16] = "";

    if (yes) {
        return GK_OK;
    }
    if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0) {
        gk_fail(err, GK_REFUSED, "nobody is there to be asked");
        gk_advise(err, "add --yes if that is what you want");
        return GK_REFUSED;
    }
    fprintf(stderr, "%s Type yes to go on: ", question);
    if (fgets(answer, sizeof(answer), stdin) == NULL || strcmp(answer, "yes\n") != 0) {
        gk_fail(err, GK_REFUSED, "the answer was not yes");
        gk_advise(err, "nothing was changed");
        return GK_REFUSED;
    }
    return GK_OK;
}
