/* SPDX-License-Identifier: Apache-2.0 */
/* Says things: answers on stdout, prose on stderr, and a question where somebody can answer it. */
#include "agent/command/command.h"

#include "agent/exit.h"

#include <langinfo.h>
#include <stdarg.h>

static const char *tick(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "\u2713 " : "ok ";
}

__attribute__((format(printf, 3, 0))) static void print(FILE *stream, const char *before,
                                                        const char *format, va_list arguments)
{
    CLEANUP(gk_freep) char *text = NULL;

    if (vasprintf(&text, format, arguments) < 0) {
        text = NULL;
        return;
    }
    agent_text_tame(text);
    fprintf(stream, "%s%s\n", before, text);
}

void say_step(const struct run *run, const char *format, ...)
{
    va_list arguments;

    (void)run;
    va_start(arguments, format);
    print(stderr, tick(), format, arguments);
    va_end(arguments);
}

void say_note(const struct run *run, const char *format, ...)
{
    va_list arguments;

    (void)run;
    va_start(arguments, format);
    print(stderr, "", format, arguments);
    va_end(arguments);
}

void say_line(const struct run *run, const char *format, ...)
{
    va_list arguments;

    if (run->json) {
        return;
    }
    va_start(arguments, format);
    print(stdout, "", format, arguments);
    va_end(arguments);
}

void say_member(struct run *run, const char *name, json_t *value)
{
    json_object_set_new(run->result, name, value);
}

void say_text(struct run *run, const char *name, const char *text)
{
    say_member(run, name, json_string(text));
}

/* jansson escapes what is below U+0020, and all above ASCII if told; DEL is left, inside strings.
 */
void say_object(const json_t *result)
{
    CLEANUP(gk_freep) char *text = json_dumps(result, JSON_COMPACT | JSON_ENSURE_ASCII);

    for (const char *c = text; c != NULL && *c != '\0'; c++) {
        if (*c == 0x7f) {
            fputs("\\u007f", stdout);
        } else {
            putchar(*c);
        }
    }
    putchar('\n');
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
