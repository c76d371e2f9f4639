/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a command's own options from a table. */
#include "agent/command/command.h"

#include <getopt.h>

#define WORDS_MAX 8

/* What getopt_long(3) returns; a command's own options follow from OWN. */
enum { HELP = 256, JSON, OWN };

static void print_usage(const struct command *command)
{
    printf("usage: gatekey %s%s%s\n%s\n", command->name, command->arguments[0] != '\0' ? " " : "",
           command->arguments, command->summary);
}

static enum gk_status misuse(const struct command *command, const char *word, const char *what,
                             struct gk_error *err)
{
    gk_fail(err, GK_USAGE, "%.100s %s", word, what);
    gk_advise(err, "usage: gatekey %s %s", command->name, command->arguments);
    return GK_USAGE;
}

static size_t fill(const struct word *words, struct option options[static WORDS_MAX + 3])
{
    size_t count = 0;

    while (words != NULL && words[count].name != NULL && count < WORDS_MAX) {
        options[count] =
            (struct option){ words[count].name,
                             words[count].value != NULL ? required_argument : no_argument, NULL,
                             OWN + (int)count };
        count++;
    }
    options[count] = (struct option){ "help", no_argument, NULL, HELP };
    options[count + 1] = (struct option){ "json", no_argument, NULL, JSON };
    options[count + 2] = (struct option){ 0 };
    return count;
}

enum gk_status words_read(struct run *run, int argc, char **argv, const struct word *words,
                          int min_rest, int max_rest, char ***rest, struct gk_error *err)
{
    struct option options[WORDS_MAX + 3];
    int found;

    fill(words, options);
    opterr = 0;
    optind = 0; /* glibc: begin anew, main() has read its own options */
    while ((found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (found) {
        case HELP:
            print_usage(run->command);
            leave(0);
        case JSON:
            run->json = true;
            break;
        case ':':
            return misuse(run->command, argv[optind - 1], "needs a value", err);
        case '?':
            return misuse(run->command, argv[optind - 1], "is not known", err);
        default:
            if (words[found - OWN].value != NULL) {
                *words[found - OWN].value = optarg;
            } else {
                *words[found - OWN].flag = true;
            }
        }
    }
    if (argc - optind < min_rest) {
        return misuse(run->command, run->command->name, "needs more", err);
    }
    if (argc - optind > max_rest) {
        return misuse(run->command, argv[optind + max_rest], "is too much", err);
    }
    if (rest != NULL) {
        *rest = argv + optind;
    }
    return GK_OK;
}
