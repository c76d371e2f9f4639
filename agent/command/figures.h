/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What gatekeyd answers to "status", as lines that are read at a glance: what is as it should be
 * takes few words, and what is zero and good none.
 */
#ifndef GATEKEY_COMMAND_FIGURES_H
#define GATEKEY_COMMAND_FIGURES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define FIGURES_MAX 12

struct figure {
    char name[16]; /* empty: more about the one before */
    char text[400];
};

/*
 * How many of them there are. before is an earlier answer, by which rates are told; NULL: none.
 * Whatever gatekeyd does not say is left out. Some of it came from the hub: tame it before it is
 * shown.
 */
size_t figures_list(const json_t *reply, const json_t *before,
                    struct figure figures[static FIGURES_MAX]);

/* The same in one line: "connected, 12 waiting, oldest 3 s". */
void figures_line(const json_t *reply, char *text, size_t size);

/* "3 s", "12 min", "2 h 5 min", "4 d 3 h"; "4.2 KiB". */
void figures_duration(int64_t seconds, char text[static 32]);
void figures_bytes(int64_t bytes, char text[static 32]);

#endif
