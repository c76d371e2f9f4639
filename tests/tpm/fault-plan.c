/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the fault TCTI's plan and keeps its log, which is also its only memory. */
#include "tests/tpm/fault-plan.h"

#include "cleanup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/file.h>

/* A line of the log: command, result, action. All are of one length, so a result is filled in. */
#define LINE_FORMAT "%-10s %-10s %-12s\n"
#define LINE_SIZE 35
#define RESULT_AT 11

#define EVERY UINT32_MAX /* "*": any command, but no opening of a connection */

static const char *const words[] = {
    [PLAN_PASS] = "pass",
    [PLAN_ANSWER] = "answer",
    [PLAN_CUT_TRANSMIT] = "cut-transmit",
    [PLAN_CUT_RECEIVE] = "cut-receive",
    [PLAN_SILENCE] = "silence",
    [PLAN_TRUNCATE] = "truncate",
    [PLAN_SHORTEN] = "shorten",
    [PLAN_CLAIM] = "claim",
    [PLAN_GROW] = "grow",
    [PLAN_TRAIL] = "trail",
    [PLAN_FLIP] = "flip",
    [PLAN_GARBAGE] = "garbage",
    [PLAN_DELAY] = "delay",
};

struct rule {
    uint32_t command;
    unsigned long first, last;
    enum plan_action action;
    long value;
    unsigned long seen; /* how many commands of the log it covers */
};

struct plan {
    struct rule rules[64];
    size_t count;
};

static bool parse_command(const char *text, uint32_t *command)
{
    char *end;

    if (strcmp(text, "*") == 0) {
        *command = EVERY;
        return true;
    }
    if (strcmp(text, "open") == 0) {
        *command = PLAN_OPEN;
        return true;
    }
    *command = (uint32_t)strtoul(text, &end, 16);
    return *end == '\0' && *command != 0;
}

/* "3", "2-4", "3-" or "*". */
static bool parse_range(const char *text, struct rule *rule)
{
    char *end;

    rule->first = 1;
    rule->last = ULONG_MAX;
    if (strcmp(text, "*") == 0) {
        return true;
    }
    rule->first = strtoul(text, &end, 10);
    if (*end == '\0') {
        rule->last = rule->first;
    } else if (*end++ == '-' && *end != '\0') {
        rule->last = strtoul(end, &end, 10);
    }
    return *end == '\0' && rule->first > 0 && rule->first <= rule->last;
}

static bool parse_action(const char *text, enum plan_action *action)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *action = (enum plan_action)i;
            return true;
        }
    }
    return false;
}

static bool parse_line(const char *line, struct rule *rule)
{
    char command[16], range[32], action[16], value[24] = "0", *end;
    int words_found = sscanf(line, "%15s %31s %15s %23s", command, range, action, value);

    rule->value = strtol(value, &end, 0);
    rule->seen = 0;
    return words_found >= 3 && *end == '\0' && parse_command(command, &rule->command) &&
           parse_range(range, rule) && parse_action(action, &rule->action);
}

/* No file is a plan that says nothing. */
static bool read_plan(const char *path, struct plan *plan)
{
    CLEANUP(gk_fclosep) FILE *file = fopen(path, "re");
    char line[128];

    plan->count = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        if (plan->count == sizeof(plan->rules) / sizeof(plan->rules[0]) ||
            !parse_line(line, &plan->rules[plan->count])) {
            fprintf(stderr, "fault TCTI: %s: this is no rule, or one too many: %s", path, line);
            return false;
        }
        plan->count++;
    }
    return true;
}

static bool covers(const struct rule *rule, uint32_t command)
{
    return rule->command == command || (rule->command == EVERY && command != PLAN_OPEN);
}

static void count_log(FILE *log, struct plan *plan)
{
    char line[LINE_SIZE + 1];

    while (fgets(line, sizeof(line), log) != NULL) {
        uint32_t command = (uint32_t)strtoul(line, NULL, 16); /* "open" reads as 0 */

        for (size_t i = 0; i < plan->count; i++) {
            plan->rules[i].seen += covers(&plan->rules[i], command);
        }
    }
}

static void choose(const struct plan *plan, uint32_t command, struct plan_step *step)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct rule *rule = &plan->rules[i];
        unsigned long number = rule->seen + 1;

        if (covers(rule, command) && number >= rule->first && number <= rule->last) {
            step->action = rule->action;
            step->value = rule->value;
            return;
        }
    }
    step->action = PLAN_PASS;
    step->value = 0;
}

/* Open and locked until it is closed: other threads and programs may be at the same log. */
static FILE *open_log(const char *path)
{
    char name[PATH_MAX];
    int fd;

    snprintf(name, sizeof(name), "%s.log", path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        perror(name);
        return NULL;
    }
    return fdopen(fd, "r+");
}

bool plan_next(const char *path, uint32_t command, struct plan_step *step)
{
    CLEANUP(gk_fclosep) FILE *log = NULL;
    char name[16] = "open";
    struct plan plan;

    log = open_log(path);
    if (log == NULL || !read_plan(path, &plan)) {
        return false;
    }
    count_log(log, &plan);
    choose(&plan, command, step);
    if (command != PLAN_OPEN) {
        snprintf(name, sizeof(name), "0x%" PRIx32, command);
    }
    fseek(log, 0, SEEK_END);
    step->line = ftello(log);
    fprintf(log, LINE_FORMAT, name, "-", words[step->action]);
    return true;
}

void plan_result(const char *path, const struct plan_step *step, uint32_t result)
{
    CLEANUP(gk_fclosep) FILE *log = open_log(path);

    /* The log may have been begun anew since the command was sent. */
    if (log != NULL && fseeko(log, 0, SEEK_END) == 0 && ftello(log) > step->line &&
        fseeko(log, step->line + RESULT_AT, SEEK_SET) == 0) {
        fprintf(log, "0x%-8" PRIx32, result);
    }
}
