/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds sockets that the network could reach in the hands of the test's processes.
 *
 * Looked at: TCP sockets that listen and UDP sockets that are bound but not connected, on any
 * address that is not loopback, as /proc/net lists them; whose they are is told by the inode in
 * /proc/PID/fd. Limits: it looks ten times a second, so a listener that lives shorter may be
 * missed; processes of other users are seen only by root; network namespaces of the test's own are
 * not seen (nor can anyone reach those); raw and other families' sockets are not looked at.
 */
#include "cleanup.h"
#include "tests/run.h"

#include <dirent.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STATE_UNCONNECTED = 0x07, STATE_LISTEN = 0x0a };

static const struct table {
    const char *path;
    unsigned state;
} tables[] = {
    { "/proc/net/tcp", STATE_LISTEN },
    { "/proc/net/tcp6", STATE_LISTEN },
    { "/proc/net/udp", STATE_UNCONNECTED },
    { "/proc/net/udp6", STATE_UNCONNECTED },
};

/* The kernel prints each 32-bit word of an address in the machine's own order. */
static bool is_loopback(const char *hex)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    uint32_t word[4] = { 0 };
    struct in6_addr v6;
    int words = sscanf(hex, "%8x%8x%8x%8x", &word[0], &word[1], &word[2], &word[3]);

    if (words == 1) {
        return *(const uint8_t *)word == 127;
    }
    memcpy(&v6, word, sizeof(v6));
    return IN6_IS_ADDR_LOOPBACK(&v6) ||
           (memcmp(&v6, mapped, sizeof(mapped)) == 0 && v6.s6_addr[12] == 127);
}

static void note_table(const struct table *table, struct sockets *sockets)
{
    CLEANUP(gk_fclosep) FILE *file = fopen(table->path, "re");
    char line[512];
    char address[33];
    unsigned state;
    unsigned long inode;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, " %*d: %32[0-9A-F]:%*x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %*u %*d %lu",
                   address, &state, &inode) == 3 &&
            state == table->state && !is_loopback(address) &&
            sockets->count < sizeof(sockets->inode) / sizeof(sockets->inode[0])) {
            sockets->inode[sockets->count++] = inode;
        }
    }
}

void listeners_note(struct sockets *sockets)
{
    sockets->count = 0;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        note_table(&tables[i], sockets);
    }
}

static bool contains(const struct sockets *sockets, unsigned long inode)
{
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->inode[i] == inode) {
            return true;
        }
    }
    return false;
}

struct search {
    struct sockets fresh;
    bool found;
};

static void close_dirp(DIR **dir)
{
    if (*dir != NULL) {
        closedir(*dir);
    }
}

/* Whether this process holds one of the fresh sockets. */
static bool search_process(pid_t pid, void *context)
{
    struct search *search = context;
    char path[64];
    char command[256];
    CLEANUP(close_dirp) DIR *fds = NULL;
    const struct dirent *entry;

    snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
    fds = opendir(path);
    while (fds != NULL && (entry = readdir(fds)) != NULL) {
        char target[64] = "";
        unsigned long inode;

        if (readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) > 0 &&
            sscanf(target, "socket:[%lu]", &inode) == 1 && contains(&search->fresh, inode)) {
            process_command(pid, command, sizeof(command));
            fprintf(stderr, "run: FAIL: process %ld listens on more than loopback: %s\n", (long)pid,
                    command);
            search->found = true;
            return false;
        }
    }
    return true;
}

bool listeners_found(const struct sockets *foreign)
{
    struct sockets now;
    struct search search = { .found = false };

    listeners_note(&now);
    for (size_t i = 0; i < now.count; i++) {
        if (!contains(foreign, now.inode[i])) {
            search.fresh.inode[search.fresh.count++] = now.inode[i];
        }
    }
    if (search.fresh.count > 0) {
        for_each_descendant(search_process, &search);
    }
    return search.found;
}
