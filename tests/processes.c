/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the test wrapper's descendants in /proc. */
#include "cleanup.h"
#include "tests/run.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_dirp(DIR **dir)
{
    if (*dir != NULL) {
        closedir(*dir);
    }
}

/* A process's parent, 0 when it is gone; its state letter where asked for. */
static pid_t parent_of(pid_t pid, char *state)
{
    CLEANUP(gk_fclosep) FILE *file = NULL;
    char path[64];
    char line[1024];
    char letter;
    int parent;
    const char *rest;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (file == NULL || fgets(line, sizeof(line), file) == NULL) {
        return 0;
    }
    /* The name stands in parentheses and may hold any character, these too. */
    rest = strrchr(line, ')');
    if (rest == NULL || sscanf(rest, ") %c %d", &letter, &parent) != 2) {
        return 0;
    }
    if (state != NULL) {
        *state = letter;
    }
    return (pid_t)parent;
}

static void for_each_process(bool (*visit)(pid_t pid, void *context), void *context)
{
    CLEANUP(close_dirp) DIR *proc = opendir("/proc");
    const struct dirent *entry;

    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);

        if (isdigit((unsigned char)entry->d_name[0]) && !visit((pid_t)pid, context)) {
            return;
        }
    }
}

struct wanted {
    pid_t parent;
    bool (*visit)(pid_t pid, void *context);
    void *context;
};

static bool visit_child(pid_t pid, void *context)
{
    const struct wanted *wanted = context;
    char state = 'Z';

    if (parent_of(pid, &state) != wanted->parent || state == 'Z') {
        return true;
    }
    return wanted->visit(pid, wanted->context);
}

void for_each_child(pid_t parent, bool (*visit)(pid_t pid, void *context), void *context)
{
    struct wanted wanted = { .parent = parent, .visit = visit, .context = context };

    for_each_process(visit_child, &wanted);
}

/*
 * Whether this is another copy of the wrapper, which watches its own descendants. Told by the file,
 * not by its path: a process in another mount namespace may have another path to it.
 */
static bool is_a_run(pid_t pid)
{
    char path[64];
    struct stat ours;
    struct stat theirs;

    snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
    return stat("/proc/self/exe", &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static bool visit_descendant(pid_t pid, void *context)
{
    const struct wanted *wanted = context;
    pid_t ancestor = parent_of(pid, NULL);

    while (ancestor > 1 && ancestor != wanted->parent && !is_a_run(ancestor)) {
        ancestor = parent_of(ancestor, NULL);
    }
    return ancestor == wanted->parent ? wanted->visit(pid, wanted->context) : true;
}

void for_each_descendant(bool (*visit)(pid_t pid, void *context), void *context)
{
    struct wanted wanted = { .parent = getpid(), .visit = visit, .context = context };

    for_each_process(visit_descendant, &wanted);
}

void process_command(pid_t pid, char *text, size_t size)
{
    CLEANUP(gk_fclosep) FILE *file = NULL;
    char path[64];
    size_t len = 0;

    snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
    file = fopen(path, "re");
    if (file != NULL) {
        len = fread(text, 1, size - 1, file);
    }
    for (size_t i = 0; i < len; i++) {
        text[i] = isprint((unsigned char)text[i]) ? text[i] : ' ';
    }
    text[len] = '\0';
    if (len == 0) {
        snprintf(text, size, "?");
    }
}
