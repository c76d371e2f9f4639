/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey: finds the command in a table, runs it, and says once how it ended. */
#include "agent/command/command.h"

#include "agent/command/renew.h"
#include "agent/exit.h"
#include "agent/file.h"
#include "agent/state.h"
#include "config.h"

#include <getopt.h>
#include <locale.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const struct command commands[] = {
    { "key create", "", "Make the device key in the TPM; again is a no-op that says so.",
      "create the device key", command_key_create },
    { "key show", "", "Show the device key, and whether the TPM holds it.", "show the device key",
      command_key_show },
    { "key delete", "[--yes]", "Destroy the device key of a gateway that is not enrolled.",
      "delete the device key", command_key_delete },
    { "key adopt", "HANDLE [--yes]",
      "Take a key that gatekey did not make as the device key; shows what weakens it.",
      "adopt the key", command_key_adopt },
    { "csr", "[--out FILE] [--new-name]",
      "Write a certificate signing request, to be carried to the hub; makes the device key if need "
      "be.",
      "make a certificate signing request", command_csr },
    { "install", "[--ca-fingerprint SHA256] [--secret-file FILE] FILE | --inbox",
      "Take in the certificate that was issued for such a request: enrol with it, or renew.",
      "install the certificate", command_install },
    { "provision", "--secret-file FILE [--serial-number TEXT] [--licence-file FILE]",
      "Create the device at the hub (the provisioner's side): its GUID to stdout, its secret to "
      "FILE.",
      "create the device at the hub", command_provision },
    { "enroll", "[--secret-file FILE] [--replace [--reason REASON]] [--new-key] [--yes]",
      "Get an identity: key, device secret, certificate, a proving connection. Resumes where it "
      "stopped.",
      "enroll", command_enroll },
    { "publish",
      "[--topic TOPIC] [--wait [--timeout S]] POINT=VALUE... | --params JSON|@FILE|- | --lines",
      "Hand telemetry to gatekeyd; done when it is on disk.", "publish", command_publish },
    { "status", "[--watch [--interval SECONDS]]",
      "Show what is: key, certificate, TPM, connection; or watch what gatekeyd does.",
      "say that all is well", command_status },
    { "doctor", "", "Look for what is wrong, and say how to mend it.", "say that nothing is wrong",
      command_doctor },
    { "clock accept", "",
      "The clock is right, whatever gatekeyd says: believe it from now on, and forget the floor.",
      "accept the clock", command_clock_accept },
    { "renew", "[--if-due | --now]",
      "Renew the certificate: asked for, tried, and only then put in place. Resumes where it "
      "stopped.",
      "renew the certificate", command_renew },
    { "refresh", "[--if-due]",
      "Fetch revocation lists and new roots, and look the own certificate up.",
      "refresh what is trusted", command_refresh },
    { "ca list", "", "Show the CAs that are believed, and for what.", "list the CAs",
      command_ca_list },
    { "ca add", "[FILE] [--for hub|issuer] [--ca-fingerprint SHA256] [--yes]",
      "Believe a CA: from a file, or one that waits.", "believe that CA", command_ca_add },
    { "ca remove", "FINGERPRINT [--for hub|issuer]", "Believe a CA no longer.", "remove that CA",
      command_ca_remove },
    { "spool list", "[--lane refused|kept|telemetry|points] [--limit NUMBER]",
      "Show what the hub refused, and what waits for it.", "list the spool", command_spool_list },
    { "spool show", "ID", "Show one of those messages, with what is in it.", "show that message",
      command_spool_show },
    { "spool retry", "ID... | --all", "Send refused messages once more.", "send it again",
      command_spool_retry },
    { "spool drop", "ID... | --all", "Drop messages: some, or all that the hub refused.", "drop it",
      command_spool_drop },
    { "reset", "[--yes] [--force]",
      "Revoke the certificate, destroy the key, empty the identity directory.", "reset",
      command_reset },
    { "mosquitto-config", "DIR",
      "Write options files for mosquitto_pub and mosquitto_sub (XDG_CONFIG_HOME=DIR).",
      "write mosquitto's options files", command_mosquitto_config },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
    printf("usage: gatekey [--config FILE] [--identity DIR] [--json] COMMAND\n\n"
           "An identity from the TPM, a certificate from the hub.\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        printf("  %-17s %s\n", commands[i].name, commands[i].summary);
    }
    printf("\nExit: 0 done, 1 failed, 2 wrong usage, 3 not enrolled yet, 4 revoked, "
           "5 hub or network unreachable,\n6 TPM unavailable. gatekey COMMAND --help says how a "
           "command is used; gatekey(1) says the rest.\n");
}

/* A core file of this process would hold secrets. */
static void keep_secrets_out_of_core_files(void)
{
    const struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* What jansson took apart may have been a token or a device secret. */
static void free_wiped(void *memory)
{
    if (memory != NULL) {
        explicit_bzero(memory, malloc_usable_size(memory));
        free(memory);
    }
}

/* The next step after wrong usage, where nobody named a better one. */
static void advise_usage(const struct command *command, struct gk_error *err)
{
    if (err->advice[0] != '\0') {
        return;
    }
    if (command == NULL) {
        gk_advise(err, "see gatekey --help");
    } else {
        gk_advise(err, "usage: gatekey %s%s%s", command->name,
                  command->arguments[0] != '\0' ? " " : "", command->arguments);
    }
}

/* Neither a command nor the first word of several. */
static enum gk_status refuse(const char *word, struct gk_error *err)
{
    char known[64] = "";
    size_t size = strlen(word);

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strncmp(commands[i].name, word, size) == 0 && commands[i].name[size] == ' ') {
            strncat(known, known[0] != '\0' ? ", " : "", sizeof(known) - strlen(known) - 1);
            strncat(known, commands[i].name + size + 1, sizeof(known) - strlen(known) - 1);
        }
    }
    if (known[0] != '\0') {
        gk_fail(err, GK_USAGE, "%s wants one more word", word);
        gk_advise(err, "say which: %s", known);
        return GK_USAGE;
    }
    return gk_fail(err, GK_USAGE, "%.100s is no command", word);
}

/* Both words of "key create" or the one of "enroll"; *used says how many words that took. */
static const struct command *find(int count, char **words, int *used)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *second = strchr(commands[i].name, ' ');
        size_t size = second != NULL ? (size_t)(second - commands[i].name) : strlen(words[0]);

        if (strlen(words[0]) == size && strncmp(commands[i].name, words[0], size) == 0 &&
            (second != NULL ? count > 1 && strcmp(second + 1, words[1]) == 0
                            : commands[i].name[size] == '\0')) {
            *used = second != NULL ? 2 : 1;
            return &commands[i];
        }
    }
    return NULL;
}

enum gk_status run_openssl(struct run *run, struct agent_openssl **openssl, struct gk_error *err)
{
    if (run->openssl == NULL) {
        enum gk_status status = agent_openssl_new(run->config, &run->openssl, err);

        if (status != GK_OK) {
            return status;
        }
    }
    *openssl = run->openssl;
    return GK_OK;
}

enum gk_status run_lock_only(struct run *run, struct agent_lock **lock, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *l = NULL;
    enum gk_status status = agent_file_make_directory(run->config->directory, err);

    if (status == GK_OK) {
        status = agent_lock_take(run->config->directory, &l, err);
    }
    if (status == GK_OK) {
        status = agent_file_sweep(run->config->directory, err);
    }
    if (status == GK_OK) {
        *lock = TAKE(l);
    }
    return status;
}

enum gk_status run_lock(struct run *run, struct agent_lock **lock, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *l = NULL;
    struct agent_state state;
    enum gk_status status = run_lock_only(run, &l, err);

    if (status == GK_OK) {
        status = agent_state_read(run->config->directory, &state, err);
    }
    if (status == GK_OK && state.stage == AGENT_STAGE_RESETTING) {
        say_note(run, "a reset of this gateway was interrupted; it is finished first");
        status = reset_finish(run, err);
    } else if (status == GK_OK && state.renewal == AGENT_RENEWAL_PROMOTING) {
        status = renewal_finish(run, err);
    }
    if (status == GK_OK) {
        *lock = TAKE(l);
    }
    return status;
}

/* The program's own options; what follows the command is the command's. Ends for --help, --version.
 */
static enum gk_status read_options(struct run *run, int argc, char **argv, struct gk_error *err)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "identity", required_argument, NULL, 'i' },
        { "json", no_argument, NULL, 'j' },         { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },      { 0 },
    };
    int found;

    opterr = 0;
    while ((found = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        switch (found) {
        case 'c':
            run->config_path = optarg;
            break;
        case 'i':
            run->identity = optarg;
            break;
        case 'j':
            run->json = true;
            break;
        case 'h':
            print_help();
            leave(AGENT_EXIT_DONE);
        case 'v':
            puts(PACKAGE_STRING);
            leave(AGENT_EXIT_DONE);
        case ':':
            return gk_fail(err, GK_USAGE, "%.100s needs a value", argv[optind - 1]);
        default:
            gk_fail(err, GK_USAGE, "%.100s is not known before the command", argv[optind - 1]);
            gk_advise(err, "a command's own options stand behind it; see gatekey --help");
            return GK_USAGE;
        }
    }
    return optind < argc ? GK_OK : gk_fail(err, GK_USAGE, "no command was given");
}

static enum gk_status execute(struct run *run, int argc, char **argv, struct gk_error *err)
{
    enum gk_status status = read_options(run, argc, argv, err);
    int used = 0;

    if (status != GK_OK) {
        return status;
    }
    argc -= optind;
    argv += optind;
    run->command = find(argc, argv, &used);
    if (run->command == NULL) {
        return refuse(argv[0], err);
    }
    /* The command's last word stands in for the program's name, which getopt_long(3) passes over.
     */
    argc -= used - 1;
    argv += used - 1;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return words_read(run, 2, (char *[]){ argv[0], argv[i], NULL }, NULL, 0, 0, NULL, err);
        }
    }
    status = agent_config_read(run->config_path, run->identity, &run->config, err);
    return status == GK_OK ? run->command->run(run, argc, argv, err) : status;
}

/* The one place that speaks of failure. */
static void report(struct run *run, enum gk_status status, struct gk_error *err)
{
    char sentence[1024] = "";

    if (status != GK_OK) {
        err->status = status;
        if (status == GK_USAGE) {
            advise_usage(run->command, err);
        }
        gk_error_sentence(err, run->command != NULL ? run->command->operation : "run gatekey",
                          sentence, sizeof(sentence));
        agent_text_tame(sentence);
        fprintf(stderr, "gatekey: %s\n", sentence);
    }
    if (!run->json) {
        return;
    }
    say_member(run, "ok", json_boolean(status == GK_OK));
    if (status != GK_OK) {
        say_text(run, "status", gk_status_name(status));
        say_text(run, "error", sentence);
    }
    say_object(run->result);
}

int main(int argc, char **argv)
{
    struct run run = { 0 };
    struct gk_error err = { 0 };
    enum gk_status status;

    keep_secrets_out_of_core_files();
    json_set_alloc_funcs(malloc, free_wiped);
    run.result = json_object();
    setlocale(LC_CTYPE, "");
    /* What the TSS would print beside our sentence; whoever wants it sets TSS2_LOG. */
    setenv("TSS2_LOG", "all+none", 0);
    status = execute(&run, argc, argv, &err);
    report(&run, status, &err);
    agent_openssl_free(run.openssl);
    agent_config_free(run.config);
    json_decref(run.result);
    leave((int)agent_exit_code(status));
}
