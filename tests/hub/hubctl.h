/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of hubctl share: each is a row of a table and a function. Not thread-safe. */
#ifndef GATEKEY_HUB_HUBCTL_H
#define GATEKEY_HUB_HUBCTL_H

#include "tests/hub/store.h"

#include <jansson.h>
#include <stdbool.h>

#define HUBCTL_DEVICES "/connect-service/v2.1/devices"
#define HUBCTL_COMMANDS "/connect-service/v2.1/commands"
#define HUBCTL_CERTIFICATES "/connect-service/v2.0/certificates"

#define HUBCTL_OPTIONS 8

/* What one run was asked for. The working directory is the hub's. */
struct run {
    const char *directory; /* the hub's, as it was given */
    char **words;          /* of the command, without its name */
    int count;
    bool json;
    struct {
        const char *name;
        const char *value; /* "" for one that takes none */
    } options[HUBCTL_OPTIONS];
    int option_count;
};

struct verb {
    const char *name; /* one word or two; NULL ends a table */
    const char *words;
    int least;
    int most;
    const char *help;
    int (*run)(struct run *run);
    const char *query;   /* for those that only show; then run is NULL */
    const char *options; /* "--name" for each it takes, "--name=" for one with a value */
    int file;            /* which word, from 1 on, is a file of the caller's; 0 none */
};

/* What an option was given, "" for one without a value; NULL where it was not. */
const char *hubctl_option(const struct run *run, const char *name);

/* Say why it failed; the exit code. */
int hubctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The hub's database, whether the hub runs or not; NULL where there is none, which is said. */
struct hub_store *hubctl_store(const struct run *run);

/* POST (or, without a body, GET) to the running hub; its whole answer, or NULL when there is none.
 */
json_t *hubctl_ask(const char *path, const json_t *body);

/* The path of a call about the device PRODUCT DEVICE (words), with one more parameter where name is
 * given. The caller frees it. */
char *hubctl_device_path(const char *path, const char *action, char **words, const char *name,
                         const char *value);

/* Print the part of an answer that was wanted (NULL: none), or why there is none; the exit code. */
int hubctl_conclude(struct run *run, json_t *answer, const char *wanted);

/* Print the rows a query finds; the exit code. */
int hubctl_show(struct run *run, const char *query);

/* hubctl-device.c: devices and their certificates */
extern const struct verb hubctl_device_verbs[];

/* hubctl-command.c: commands to devices */
extern const struct verb hubctl_command_verbs[];

/* hubctl-catalogue.c: products, licences, applications */
extern const struct verb hubctl_catalogue_verbs[];

/* hubctl-operator.c: the operator's program beside the hub */
int hubctl_operate(struct run *run);

/* hubctl-ca.c: the hub's CA and what can be set while it runs */
extern const struct verb hubctl_ca_verbs[];

#endif
