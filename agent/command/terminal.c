/* SPDX-License-Identifier: Apache-2.0 */
/* Draws on the terminal, and leaves it as it was. */
#include "agent/command/terminal.h"

#include "cleanup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>

/* ECMA-48, and the alternate screen of xterm, which every terminal of today has. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define REST_OF_LINE "\033[K"
#define REST_OF_SCREEN "\033[J"

struct terminal {
    int signals;             /* signalfd */
    sigset_t before;         /* what was blocked */
    bool has_keys;           /* standard input is a terminal whose mode was changed */
    struct termios ordinary; /* as it was */
    int ended_by;
};

bool terminal_is_there(void)
{
    const char *kind = getenv("TERM");

    return isatty(STDOUT_FILENO) != 0 && kind != NULL && kind[0] != '\0' &&
           strcmp(kind, "dumb") != 0;
}

static bool put(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t done = write(STDOUT_FILENO, text, size);

        if (done < 0 && errno != EINTR) {
            return false;
        }
        text += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

/* What is typed is not shown on our screen, nor left over for the shell. */
static void take_keys(struct terminal *terminal)
{
    struct termios quiet;

    /* Only while we are in the foreground: others would be stopped for asking. */
    if (tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &terminal->ordinary) != 0) {
        return;
    }
    quiet = terminal->ordinary;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
    quiet.c_cc[VMIN] = 0;
    quiet.c_cc[VTIME] = 0;
    terminal->has_keys = tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
}

static void enter(struct terminal *terminal)
{
    take_keys(terminal);
    (void)!put(ENTER, strlen(ENTER));
}

static void leave_screen(struct terminal *terminal)
{
    (void)!put(LEAVE, strlen(LEAVE));
    if (terminal->has_keys) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal->ordinary);
        terminal->has_keys = false;
    }
}

enum gk_status terminal_open(struct terminal **terminal, struct gk_error *err)
{
    static const int ours[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };
    struct terminal *made = calloc(1, sizeof(*made));
    sigset_t set;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        sigaddset(&set, ours[i]);
    }
    made->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (made->signals < 0 || sigprocmask(SIG_BLOCK, &set, &made->before) != 0) {
        gk_closep(&made->signals);
        free(made);
        return gk_fail(err, GK_INTERNAL, "signalfd: %s", strerror(errno));
    }
    enter(made);
    *terminal = made;
    return GK_OK;
}

void terminal_close(struct terminal *terminal)
{
    if (terminal != NULL) {
        leave_screen(terminal);
        close(terminal->signals);
        sigprocmask(SIG_SETMASK, &terminal->before, NULL);
        free(terminal);
    }
}

/* --- drawing --------------------------------------------------------------------------------- */

/* How many bytes of a line fit: a character of UTF-8 is taken for one column, which is so for all
 * that is said here. */
static size_t fitting(const char *line, size_t columns)
{
    size_t size = 0;

    while (line[size] != '\0' && columns > 0) {
        size++;
        while (((unsigned char)line[size] & 0xc0) == 0x80) {
            size++;
        }
        columns--;
    }
    return size;
}

bool terminal_draw(const struct terminal *terminal, const char *const *lines, size_t count)
{
    CLEANUP(gk_freep) char *text = NULL;
    struct winsize window = { 0 };
    size_t size = 0, rows, columns;
    FILE *stream = open_memstream(&text, &size);

    (void)terminal;
    if (stream == NULL) {
        return false;
    }
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
    rows = window.ws_row > 0 ? window.ws_row : 24;
    columns = window.ws_col > 0 ? window.ws_col : 80;
    /* At once, and over what was there: cleared first, it would flicker. */
    fputs(HOME, stream);
    for (size_t i = 0; i < count && i < rows; i++) {
        fprintf(stream, "%s%.*s" REST_OF_LINE, i > 0 ? "\r\n" : "", (int)fitting(lines[i], columns),
                lines[i]);
    }
    fputs(REST_OF_SCREEN, stream);
    return fclose(stream) == 0 && put(text, size);
}

/* --- waiting --------------------------------------------------------------------------------- */

/* Stopped, as Ctrl-Z asks, with the terminal as others expect it. */
static void pause_here(struct terminal *terminal)
{
    leave_screen(terminal);
    raise(SIGSTOP);
    enter(terminal);
}

static enum terminal_event take_signal(struct terminal *terminal)
{
    struct signalfd_siginfo info;

    while (read(terminal->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGTSTP) {
            pause_here(terminal);
        } else if (info.ssi_signo == SIGINT) {
            return TERMINAL_END;
        } else if (info.ssi_signo != SIGWINCH) {
            terminal->ended_by = (int)info.ssi_signo;
            return TERMINAL_SIGNAL;
        }
    }
    return TERMINAL_TIME;
}

static bool is_to_end(const struct terminal *terminal, short revents)
{
    char key;
    ssize_t got;

    if (!terminal->has_keys || revents == 0) {
        return false;
    }
    while ((got = read(STDIN_FILENO, &key, 1)) == 1) {
        if (key == 'q') {
            return true;
        }
    }
    return (revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static int64_t now_ms(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum terminal_event terminal_wait(struct terminal *terminal, int timeout_ms)
{
    int64_t end_ms = now_ms() + timeout_ms, left_ms = timeout_ms;

    while (left_ms > 0) {
        struct pollfd fds[] = { { .fd = terminal->signals, .events = POLLIN },
                                { .fd = terminal->has_keys ? STDIN_FILENO : -1,
                                  .events = POLLIN } };
        int ready = poll(fds, 2, (int)left_ms);

        if (ready > 0 && is_to_end(terminal, fds[1].revents)) {
            return TERMINAL_END;
        }
        if (ready > 0 && fds[0].revents != 0) {
            return take_signal(terminal);
        }
        left_ms = end_ms - now_ms();
    }
    return TERMINAL_TIME;
}

int terminal_signal(const struct terminal *terminal)
{
    return terminal->ended_by;
}
