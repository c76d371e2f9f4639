/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal on standard output, for a display that is drawn again and again: on a screen of its
 * own, so that whatever was there before is there again afterwards.
 *
 * One at a time. While it is open the signals that end or stop a program are looked at in
 * terminal_wait() only, which puts the terminal right before they do what they do.
 */
#ifndef GATEKEY_COMMAND_TERMINAL_H
#define GATEKEY_COMMAND_TERMINAL_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>

struct terminal;

/* Is standard output a terminal that can be drawn on? */
bool terminal_is_there(void);

/* Fails with GK_INTERNAL, GK_NO_MEMORY. */
enum gk_status terminal_open(struct terminal **terminal, struct gk_error *err) GK_MUST_CHECK;
/* As it was before, and the signals too; NULL is fine. */
void terminal_close(struct terminal *terminal);

/* Show these lines from the top, each cut where the screen ends. False: the terminal is gone. */
bool terminal_draw(const struct terminal *terminal, const char *const *lines, size_t count);

enum terminal_event {
    TERMINAL_TIME,   /* the time is over, or another size asks for another drawing */
    TERMINAL_END,    /* Ctrl-C, or the key q */
    TERMINAL_SIGNAL, /* another signal that ends programs; see terminal_signal() */
};
enum terminal_event terminal_wait(struct terminal *terminal, int timeout_ms);
int terminal_signal(const struct terminal *terminal);

#endif
