/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of gatekey share: the run they belong to, what they say, and how they read
 * their words.
 *
 * A command reads its own options, does one thing, and returns a status; main.c turns that into one
 * sentence, one JSON object and one exit code. The value asked for goes to stdout, prose to stderr.
 * One thread. Errors: see error.h.
 */
#ifndef GATEKEY_COMMAND_H
#define GATEKEY_COMMAND_H

#include "agent/config.h"
#include "agent/lock.h"
#include "agent/openssl.h"
#include "agent/sentence.h"
#include "cleanup.h"
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* One run of the program. */
struct run {
    const char *config_path, *identity; /* --config, --identity */
    bool json;                          /* --json: one object on stdout, and nothing else there */
    const struct command *command;
    struct agent_config *config;
    struct agent_openssl *openssl; /* made by run_openssl() */
    json_t *result;                /* what --json shows beside "ok" */
};

struct command {
    const char *name; /* one word, or two with a blank */
    const char *arguments, *summary;
    const char *operation; /* what "cannot ..." says */
    enum gk_status (*run)(struct run *run, int argc, char **argv, struct gk_error *err);
};

/* The commands, in the order of --help; gatekey(1) says what each does. */
typedef enum gk_status command_run(struct run *run, int argc, char **argv, struct gk_error *err);
command_run command_key_create, command_key_show, command_key_delete, command_key_adopt;
command_run command_clock_accept;
command_run command_csr, command_install, command_provision, command_enroll, command_publish;
command_run command_status, command_renew, command_refresh, command_reset, command_mosquitto_config;
command_run command_spool_list, command_spool_show, command_spool_retry, command_spool_drop;
command_run command_ca_list, command_ca_add, command_ca_remove, command_doctor;

/* --- what is said -------------------------------------------------------------------------------
 *
 * Some of it comes from the hub, from gatekeyd, from files. None of it may steer the terminal it is
 * shown on or look like a line of ours, so everything said is one line without control characters.
 */

/* A finished step: one ticked line on stderr. */
void say_step(const struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Something worth knowing: one line on stderr. */
void say_note(const struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of the answer: on stdout, unless --json takes it from the result. */
void say_line(const struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A member of the --json object. Memory that runs out here leaves the member out. */
void say_member(struct run *run, const char *name, json_t *value);
void say_text(struct run *run, const char *name, const char *text);

/* A whole object on stdout, on one line. */
void say_object(const json_t *object);

/* End the program; with exit code 1 when the answer could not be written. */
_Noreturn void leave(int code);

/*
 * Ask whether to go on: yes is --yes. On a terminal the question is asked there; elsewhere nobody
 * can answer. Fails with GK_REFUSED.
 */
enum gk_status ask_to_go_on(bool yes, const char *question, struct gk_error *err) GK_MUST_CHECK;

/* --- how a command reads its words --------------------------------------------------------------
 */

/* One option: --NAME, with a value where value is not NULL, else a flag. The table ends with { 0 }.
 */
struct word {
    const char *name;
    const char **value;
    bool *flag;
};

/*
 * Read the options of a command; words may be NULL. *rest counts what is left over in argv[0] and
 * on, which must be min_rest to max_rest words. --help prints the usage and ends the program;
 * --json is known everywhere. Fails with GK_USAGE.
 */
enum gk_status words_read(struct run *run, int argc, char **argv, const struct word *words,
                          int min_rest, int max_rest, char ***rest,
                          struct gk_error *err) GK_MUST_CHECK;

/* --- what commands begin with -------------------------------------------------------------------
 */

/* The OpenSSL context of this run, made when it is first needed. */
enum gk_status run_openssl(struct run *run, struct agent_openssl **openssl,
                           struct gk_error *err) GK_MUST_CHECK;

/*
 * For whatever changes the identity directory: make it if need be, take its lock, clear away what
 * killed runs left, and finish a reset, or the last step of a renewal, that was interrupted.
 */
enum gk_status run_lock(struct run *run, struct agent_lock **lock,
                        struct gk_error *err) GK_MUST_CHECK;

/* The same without finishing a reset, for reset itself. */
enum gk_status run_lock_only(struct run *run, struct agent_lock **lock,
                             struct gk_error *err) GK_MUST_CHECK;

/* Finish a reset for run_lock(); see reset.c. */
enum gk_status reset_finish(struct run *run, struct gk_error *err) GK_MUST_CHECK;

static inline void json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

#endif
