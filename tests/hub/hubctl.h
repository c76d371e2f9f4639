/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of hubctl share: each is a row of a table and a function. Not thread-safe. */
#ifndef GATEKEY_HUB_HUBCTL_H
#define GATEKEY_HUB_HUBCTL_H

#include <jansson.h>
#include <stdbool.h>

/* What one run was asked for. */
struct run {
    const char *directory;
    char **words; /* of the command, without its name */
    int count;
    bool json;
    int times;
    const char *clear; /* a fault, "" for all, NULL for none */
};

struct verb {
    const char *name;
    const char *words;
    int least;
    int most;
    const char *help;
    int (*run)(struct run *run);
    const char *query; /* for those that only show */
};

/* Say why it failed; the exit code. */
int hubctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* POST (or, without a body, GET) to the running hub; its whole answer, or NULL when there is none.
 */
json_t *hubctl_ask(const char *path, const json_t *body);

/* Print the part of an answer that was wanted (NULL: none), or why there is none; the exit code. */
int hubctl_conclude(struct run *run, json_t *answer, const char *wanted);

/* hubctl-ca.c: the hub's CA and what can be set while it runs */
#define HUBCTL_CA_VERBS                                                                        \
    {                                                                                          \
        "setting", "[NAME VALUE]", 0, 2, "list what can be set while the hub runs, or set it", \
            hubctl_setting, NULL                                                               \
    }

int hubctl_setting(struct run *run);

#endif
